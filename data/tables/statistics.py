"""What the training rows hold, counted column by column in one pass over the files on disk."""

from dataclasses import dataclass

import numpy as np

from data.progress import Progress
from data.tables.disk import blocks_of
from data.tables.scaling import as_float32


@dataclass
class Statistics:
    """Counts and sums of the training rows.

    Attributes:
        counts: dict of categorical column -> int64 [len(dictionary) + 1], rows of each text,
            missing ones last.
        totals: dict of categorical column -> float64 of the same shape, the sum of their targets.
        missing: dict of numeric column -> rows without a finite number.
        infinite: dict of numeric column -> rows with one that float32 cannot hold.
        target_low, target_high, target_mean: of the target's values, or of its class positions.
    """

    counts: dict
    totals: dict
    missing: dict
    infinite: dict
    target_low: float
    target_high: float
    target_mean: float


def count_rows(table, row_ids, target, block=1 << 17):
    """The Statistics of some rows.

    Args:
        table: `data.tables.cache.Table`; row_ids: of its training rows, ascending.
        target: Column of float64, or of int64 class positions.
    """
    counts = {c: np.zeros(len(texts) + 1, "int64") for c, texts in table.dictionaries.items()}
    totals = {column: np.zeros(len(count)) for column, count in counts.items()}
    missing, infinite = np.zeros((2, len(table.numeric)), "int64")
    low, high, total, done = np.inf, -np.inf, 0.0, 0
    progress = Progress("counting")
    for some in blocks_of(row_ids, block):
        values = target[some].astype("float64")
        low, high = min(low, values.min()), max(high, values.max())
        total += values.sum()
        codes = table.codes[some]
        for j, column in enumerate(counts):
            np.add.at(counts[column], codes[:, j], 1)  # -1 is the last
            np.add.at(totals[column], codes[:, j], values)
        numbers = table.numbers[some]
        known = np.isfinite(as_float32(numbers))
        missing += (~known).sum(axis=0)
        infinite += (~known & ~np.isnan(numbers)).sum(axis=0)
        done += len(some)
        progress(done, done / len(row_ids))
    progress.done()
    return Statistics(
        counts=counts,
        totals=totals,
        missing=dict(zip(table.numeric, missing.tolist(), strict=True)),
        infinite=dict(zip(table.numeric, infinite.tolist(), strict=True)),
        target_low=low,
        target_high=high,
        target_mean=total / len(row_ids),
    )
