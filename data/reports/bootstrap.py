"""How far a result may be chance: intervals by drawing the test rows anew."""

from dataclasses import dataclass

import numpy as np

DRAWS = 1000
GROUPS = 2000  # more rows are drawn in so many groups, made up at random


@dataclass(frozen=True)
class Difference:
    """How a model's error differs from another's, as a share of the other's: -0.2 is 20 % less.

    Attributes:
        ours, theirs: the two errors; change, low, high: the difference and its 95 % interval.
        own: (low, high), the 95 % interval of our own error.
    """

    ours: float
    theirs: float
    change: float
    low: float
    high: float
    own: tuple

    @property
    def words(self):
        """What may be said of it; a difference that may be chance is none."""
        if not np.isfinite([self.change, self.low, self.high]).all():
            return "worse" if not self.ours < self.theirs else "no clear difference"
        return "better" if self.high < 0 else "worse" if self.low > 0 else "no clear difference"


def paired_difference(ours, theirs, root, seed=0):
    """The difference of two errors on the same rows, with a paired bootstrap over these rows.

    Args:
        ours, theirs: float [rows], the loss of each row.
        root: whether the error is the root of the mean loss, else the mean itself.
    """
    random = np.random.default_rng(seed)
    losses = np.column_stack([ours, theirs, np.ones(len(ours))])
    if len(losses) > GROUPS:
        group = random.permutation(len(losses)) % GROUPS
        losses = np.column_stack([np.bincount(group, column, GROUPS) for column in losses.T])
    drawn = random.multinomial(len(losses), np.full(len(losses), 1 / len(losses)), DRAWS) @ losses
    with np.errstate(all="ignore"):
        means = np.vstack([losses.sum(axis=0), drawn])
        errors = means[:, :2] / means[:, 2:]
        errors = np.sqrt(errors) if root else errors
        changes = errors[:, 0] / errors[:, 1] - 1
    low, high = np.quantile(changes[1:], [0.025, 0.975])
    own = tuple(np.quantile(errors[1:, 0], [0.025, 0.975]).tolist())
    return Difference(*errors[0].tolist(), *map(float, (changes[0], low, high)), own)
