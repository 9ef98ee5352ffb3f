"""Numbers, scaled robustly and cut into bins: fitted on training rows, applied to any."""

import math
import shlex
from dataclasses import dataclass, field

import numpy as np

from data import InputError

BINS, ROWS_OF_A_BIN = 48, 32  # of a numeric column, at most and at least
FARTHEST = 1e6  # of a scaled number
FLOAT32_TINY = float(np.finfo("float32").tiny)  # the smallest with all its digits
TOLD_APART = 0.01  # of a column's spread
SMALLEST_SCALE = float(np.finfo("float64").tiny)  # TensorFlow's threads take less for zero


@dataclass
class Numeric:
    """How a numeric column is scaled: (x - center) / scale; missing numbers become 0, flagged.

    Attributes:
        missing: training rows without a finite number.
        edges: list of float, ascending, the scaled limits of bins; see `bin_edges`.
    """

    column: str
    center: float
    scale: float
    missing: int
    edges: list = field(default_factory=list)


def fit_numeric(column, values, missing):
    """Robust scaling of one column: the median, and the distance between the quartiles; and bins.

    Where one value holds more than half of the rows, it is the center, and the scale is the median
    distance of the others from it.

    Args:
        values: float64, those of training rows; missing: training rows without a finite one.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Numeric(column, 0.0, 1.0, missing, [0.0])
    distinct, rows = np.unique(finite, return_counts=True)
    # Values of the column, not means of two, which overflow for numbers near 1e308.
    low, center, high = np.quantile(finite, [0.25, 0.5, 0.75], method="nearest").tolist()
    scale = high - low
    if 2 * rows.max() > len(finite) and len(distinct) > 1:
        center = distinct[rows.argmax()].item()
        others = finite[finite != center]
        with np.errstate(over="ignore"):
            scale = np.quantile(np.abs(others - center), 0.5, method="nearest").item()
    if not scale > 0:
        scale = finite.max().item() / 2 - finite.min().item() / 2
    if not (math.isfinite(scale) and scale >= SMALLEST_SCALE):
        scale = 1.0
    bins = min(BINS, max(1, len(finite) // ROWS_OF_A_BIN))
    edges = np.unique(scaled(bin_edges(distinct, rows, bins), center, scale))
    return Numeric(column, center, scale, missing, edges.tolist())


def bin_edges(values, rows, bins):
    """The limits of bins: each value where they are few; else values with more rows than a bin
    should hold, and limits between which the rows of the others are shared equally.

    Args:
        values: float64, ascending, all different; rows: int, how many each has.
    """
    if len(values) <= bins:
        return values
    frequent = rows * bins > rows.sum()
    others, rows = values[~frequent], rows[~frequent]
    shares = np.linspace(0, rows.sum(), 1 + max(1, bins - np.count_nonzero(frequent)))
    last = np.searchsorted(np.cumsum(rows), shares).clip(max=len(others) - 1)
    return np.concatenate([values[frequent], others[last]])


def as_float32(numbers):
    """float64 -> the nearest numbers that float32 holds, as float64; others, such as infinity, NaN.

    Keras makes float32 of every array that a saved model is given. So that a row is the same
    number in training, in --predict and in that model, it is made so everywhere.
    """
    with np.errstate(over="ignore", under="ignore"):
        nearest = numbers.astype("float32").astype("float64")
    nearest[~np.isfinite(nearest)] = np.nan
    nearest[np.abs(nearest) < FLOAT32_TINY] = 0.0  # as TensorFlow's threads take them
    return nearest


def are_told_apart(numeric, numbers):
    """Whether float32 moves no number by more than a hundredth of the column's spread.

    Args:
        numeric: Numeric of the column; numbers: float64 as they stand.
    """
    nearest = as_float32(numbers)
    numbers, nearest = numbers[np.isfinite(nearest)], nearest[np.isfinite(nearest)]
    away = np.maximum(np.abs(numbers - numeric.center), numeric.scale)
    # Beyond 2^53 whole numbers have been moved before, by float64.
    moved = np.maximum(np.abs(numbers - nearest), np.spacing(np.abs(numbers)))
    return bool((moved <= TOLD_APART * away).all())


def check_told_apart(numeric, numbers, where):
    """Refuse a column whose numbers lie so close together that float32 loses what they say.

    Args:
        numeric, numbers: as for `are_told_apart`; where: how the message begins.
    """
    if not are_told_apart(numeric, numbers):
        column = shlex.quote(numeric.column)
        least = int(numbers[np.isfinite(as_float32(numbers))].min())
        raise InputError(
            f"{where}: the numbers of '{numeric.column}' lie closer together than float32, in "
            f"which Keras computes, can tell apart; give --categorical {column} if they are codes, "
            f"else subtract {least} from them, or --drop {column}."
        )


def soft_clip(numbers):
    """Scaled numbers, those far out drawn smoothly towards 3: x / sqrt(1 + (x / 3)^2), as in
    RealMLP (Holzmueller et al., 2024, section 3); of NumPy or Keras."""
    return numbers / (1.0 + (numbers / 3.0) ** 2) ** 0.5


def scaled(numbers, center, scale):
    """float64 -> float32, within what a network can be given."""
    with np.errstate(over="ignore"):  # what becomes infinite is clipped
        return np.clip((numbers - center) / scale, -FARTHEST, FARTHEST).astype("float32")
