"""Which categories of a column are shown, under which name, in which colour, and how sure."""

from dataclasses import dataclass

import numpy as np

from data.tables.encoding import MISSING, RESERVED, UNSEEN

SURE_SPREAD = 0.75  # between folds, of the column's own: a vector that moves less is known well
SURE_ROWS = 10  # training rows of a category that is known well
REACH = 0.95  # of the training rows lie within the colour scale


def most_frequent(column, limit):
    """Return the embedding rows of the `limit` most frequent categories, int64 [<= limit].

    `column` is an entry of `manifest["columns"]`. The missing row counts as a category when
    training rows had it; the unseen row has no rows of its own and never does.
    """
    rows = np.asarray(column["rows"], dtype=np.int64)
    order = np.argsort(-rows, kind="stable")
    return order[(order >= RESERVED) | ((order == MISSING) & (rows[MISSING] > 0))][:limit]


def category_text(column, row):
    """The name of an embedding row: text, "(unseen)" for new ones, None for missing values."""
    if row < RESERVED:
        return None if row == MISSING else "(unseen)"
    return str(column["vocabulary"][row - RESERVED])


def sureness(column):
    """How well each vector is known, from 0 to 1: float64 [cardinality].

    From the training rows of the category, and from the spread of its vector between folds where
    the set has measured it.
    """
    rows = np.asarray(column["rows"], dtype=float)
    by_rows = rows / (rows + SURE_ROWS)
    if column.get("spread") is None:
        return by_rows
    spread = np.array([np.inf if s is None else s for s in column["spread"]], dtype=float)
    return by_rows / (1 + np.square(spread))


def known_well(column):
    """Which vectors are known well enough to speak of their neighbours: bool [cardinality].

    Those of at least ten training rows whose spread, where it was measured, is small. The rows for
    missing and unseen never are. Where fewer than two are, the spread does not count; where still
    fewer are, all do.
    """
    known = np.asarray(column["rows"]) >= SURE_ROWS
    known[[MISSING, UNSEEN]] = False
    if column.get("spread") is not None:
        small = np.array([s is not None and s < SURE_SPREAD for s in column["spread"]], bool)
        if (known & small).sum() >= 2:
            known &= small
    if known.sum() < 2:
        known[RESERVED:] = True
    return known


@dataclass(frozen=True)
class ColourScale:
    """Mean target -> colour, the same for all columns of a table.

    Attributes:
        centre: the mean target of all rows, which is grey; half: from there to the full colours.
        low, high: the lowest and the highest mean within the scale that occurs.
    """

    centre: float
    half: float
    low: float
    high: float

    def shades(self, means):
        """From -1 (low) to 1 (high): float [n], NaN where the mean is not known."""
        return np.clip((np.asarray(means, dtype=float) - self.centre) / self.half, -1, 1)


def colour_scale(columns):
    """The scale for all columns of a manifest; None for a target of several classes.

    It reaches as far from the mean as the categories of 95 % of the training rows do, those of few
    rows left out. So a column that says nothing is grey, however its own means are ordered.

    Args:
        columns: iterable of entries of `manifest["columns"]`.
    """
    columns = [c for c in columns if c.get("mean_target") is not None]
    means = [np.asarray(c["mean_target"], dtype=float) for c in columns]
    if not columns or not np.isfinite(np.concatenate(means)).any():
        return None
    rows = [np.asarray(c["rows"], dtype=float) for c in columns]
    all_rows = max(range(len(rows)), key=lambda i: rows[i].sum())  # each column has them once
    known = np.isfinite(means[all_rows])
    weights = np.maximum(rows[all_rows][known], 1e-9)
    centre = float(np.average(means[all_rows][known], weights=weights)) if known.any() else 0.0
    means, rows = np.concatenate(means), np.concatenate(rows)
    finite = np.isfinite(means)
    means, rows = means[finite], rows[finite]
    known = rows >= SURE_ROWS
    if not known.any():
        known[:] = True
    means, rows = means[known], rows[known]
    away = np.abs(means - centre)
    order = np.argsort(away, kind="stable")
    share = np.cumsum(rows[order]) / max(rows.sum(), 1e-9)
    half = float(away[order][np.searchsorted(share, REACH).clip(max=len(away) - 1)])
    if not half > 1e-12 * max(1, abs(centre)):
        half = 1.0
    low, high = max(means.min(), centre - half), min(means.max(), centre + half)
    return ColourScale(centre, half, float(low), float(high))
