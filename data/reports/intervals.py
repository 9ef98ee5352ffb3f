"""95 % intervals of means and of shares."""

import numpy as np

FEW_ROWS = 5  # of fewer, the spread is not known


def half_width(values, groups):
    """Half of the interval of a mean, where groups of rows are independent, not rows.

    Args:
        values: float [rows]; groups: int [rows], of `data.reports.bootstrap.drawn_together`.
    """
    sums = np.bincount(groups, values - values.mean())
    more = len(sums) / max(len(sums) - 1, 1)  # for the mean that the rows themselves have given
    return 1.96 * np.sqrt(more * np.square(sums).sum()) / len(values)


def mean_interval(values):
    """(low, high) of the mean of independent rows, float [rows]; NaN for fewer than five."""
    half = half_width(values, np.arange(len(values))) if len(values) >= FEW_ROWS else np.nan
    return values.mean() - half, values.mean() + half


def share_interval(found, rows):
    """(low, high) of a share, as Agresti and Coull (1998) have it, which few rows need.

    Args:
        found: int [..], rows that were found, of so many rows: int [..].
    """
    share = (found + 2) / (rows + 4)
    half = 1.96 * np.sqrt(share * (1 - share) / (rows + 4))
    return np.maximum(share - half, 0), np.minimum(share + half, 1)
