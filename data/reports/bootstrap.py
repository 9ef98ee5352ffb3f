"""How far a result may be chance: intervals by drawing the test rows anew."""

from dataclasses import dataclass

import numpy as np

DRAWS = 1000
MOST_GROUPS = 2000  # more are drawn in so many bundles, made up at random
FEW_GROUPS = 10  # fewer do not tell how much groups differ


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


def drawn_together(dataset, rows):
    """Which rows are alike, so that an interval has to draw them together: those of a group, else
    those of a day, or of another value of the column that splits the table.

    Args:
        rows: int64 [n], row numbers.

    Returns:
        (int64 [n], the group of each row; a note on the intervals, one or two sentences)
    """
    groups, together, narrow = np.arange(len(rows)), "", ""
    if alike := dataset.groups or dataset.order:
        values, column = alike.values[rows], alike.column
        if alike is dataset.order and alike.shown == "date":
            values, column = np.floor(values), "day"
        distinct, found = np.unique(values, return_inverse=True)
        if len(distinct) >= FEW_GROUPS:
            groups, together = found, f", those of the same {column} together"
        else:
            narrow = (
                f" If rows of the same {column} are alike, the intervals are too narrow: with only "
                f"{len(distinct)} of these, all rows are taken as independent."
            )
    return groups, (
        f"The intervals come from drawing the test rows anew{together} (a paired bootstrap, "
        f"{DRAWS:,} times): where one holds 0%, the difference may be chance.{narrow}"
    )


def paired_difference(ours, theirs, root, groups, seed=0):
    """The difference of two errors on the same rows, with a paired bootstrap over their groups.

    Args:
        ours, theirs: float [rows], the loss of each row.
        root: whether the error is the root of the mean loss, else the mean itself.
        groups: int [rows], of `drawn_together`.
    """
    random = np.random.default_rng(seed)
    if (count := groups.max() + 1) > MOST_GROUPS:
        groups = random.permutation(count)[groups] % MOST_GROUPS
    parts = (ours, theirs, np.ones(len(ours)))
    sums = np.column_stack([np.bincount(groups, part) for part in parts])
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), DRAWS) @ sums
    with np.errstate(all="ignore"):
        means = np.vstack([sums.sum(axis=0), drawn])
        errors = means[:, :2] / means[:, 2:]
        errors = np.sqrt(errors) if root else errors
        changes = errors[:, 0] / errors[:, 1] - 1
    low, high = np.quantile(changes[1:], [0.025, 0.975])
    own = tuple(np.quantile(errors[1:, 0], [0.025, 0.975]).tolist())
    return Difference(*errors[0].tolist(), *map(float, (changes[0], low, high)), own)
