"""The target: how its column is read, and its values as numbers or as positions of classes."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data import InputError
from data.progress import Progress
from data.tables import roles
from data.tables.dialect import USUAL
from data.tables.disk import Column, blocks_of, keep_on_disk
from data.tables.encoding import FLOAT32_MAX, RESERVED, fit_vocabulary
from data.tables.kinds import Values
from data.tables.values import to_numbers


@dataclass
class TargetColumn:
    """The target of every row.

    Attributes:
        column: its name.
        task: "regression", "binary" or "multiclass".
        values: Column of float64, NaN for missing; or of int64 class positions, -1 for missing.
        classes: list, what the positions stand for; None for regression.
        text_positions: int64 [texts in the column's dictionary + 1], the class position of each
            text, -1 for missing; None for regression.
    """

    column: str
    task: str
    values: Column
    classes: list = None
    text_positions: np.ndarray = None


def target_storage(sample, task):
    """How the target is read: "numeric" or "categorical". The task is settled by all rows.

    Args:
        sample: `data.tables.kinds.Values` of the first rows; task: "auto" or what is asked for.
    """
    likely = roles.likely_task(sample) if task == "auto" else task
    numbers = sample.kind in ("int", "float")
    return "numeric" if numbers and likely == "regression" else "categorical"


def read_target(table, column, task, dialect=USUAL, kept_out=lambda column: []):
    """The target of a table: TargetColumn.

    Args:
        table: `data.tables.cache.Table`; task: "auto" or what is asked for;
        dialect: `data.tables.dialect.Dialect`, how its numbers are written.
        kept_out: function of a column -> the texts in it that are taken for missing.

    Raises:
        InputError: it cannot be learned; see `data.tables.roles.task_of`. Or a number is too large.
    """
    if column in table.numeric:
        numbers = table.values(column)
        if not _count_numbers(table, column, numbers):
            raise InputError(f"--target: the column '{column}' has no value at all; name another.")
        return TargetColumn(column, "regression", numbers)
    texts, codes = table.texts(column)
    declared = table.types.get(column)
    values = Values(texts, codes, declared)
    if values.distinct < 2 and (missing := kept_out(column)):
        raise InputError(
            f"--target: the column '{column}' has fewer than two classes, as {missing[0]!r} is "
            f"taken for missing; give --keep-na {column} to make it a class, or name another."
        )
    task = roles.task_of(column, values, task)
    if task == "regression":  # the first rows looked like classes
        values = np.append(
            to_numbers(pd.Series(texts, dtype=object), notation=dialect.notation(column)), np.nan
        )
        numbers = Column(table.codes, codes.j, values)
        _count_numbers(table, column, numbers)
        return TargetColumn(column, task, numbers)
    vocabulary = fit_vocabulary(column, texts, np.ones(len(texts)), declared)
    positions = np.append(vocabulary.find(texts) - RESERVED, -1).astype("int64")
    values = Column(table.codes, codes.j, positions)
    return TargetColumn(column, task, values, vocabulary.values, positions)


def _count_numbers(table, column, numbers):
    """How many numbers there are; none of them may be too large for float32."""
    present, done = 0, 0
    progress = Progress("checking the target")
    for block in blocks_of(numbers):
        with np.errstate(invalid="ignore"):
            wrong = np.abs(block) > FLOAT32_MAX
        if wrong.any():
            row, value = table.place(done + int(np.argmax(wrong)))[1], block[np.argmax(wrong)]
            what = "correct it" if np.isinf(value) else "divide the column by a constant"
            raise InputError(
                f"--target: '{column}' is {value:g} in row {row}, more than float32 can hold; "
                f"{what}."
            )
        present += np.count_nonzero(~np.isnan(block))
        done += len(block)
        progress(done, done / len(numbers))
    progress.done()
    return present


def keep_trained_classes(target, split, statistics, folder):
    """Keep the classes that training rows have; rows of others cannot be scored.

    Args:
        target: TargetColumn; split: dict of part -> row numbers.
        statistics: `data.tables.statistics.Statistics` of the training rows.
        folder: for row numbers on disk.

    Returns:
        (TargetColumn, split, share of each class in the training rows: float64 [classes], or the
        mean of numbers, notes)

    Raises:
        InputError: no validation or test row is of such a class.
    """
    if target.task == "regression":
        return target, split, statistics.target_mean, []
    counts = statistics.counts[target.column][:-1]
    counts = np.bincount(target.text_positions[:-1], counts, len(target.classes))
    present, notes = np.flatnonzero(counts), []
    if len(present) < len(target.classes):
        target, split = _without_classes(target, present), dict(split)
        for part in ("validation", "test"):
            n_rows, split[part] = len(split[part]), _with_target(target, split[part], folder)
            if left_out := n_rows - len(split[part]):
                notes.append(
                    f"{left_out:,} {part} rows are of classes of '{target.column}' that no "
                    "training row has; they are left out."
                )
    for part in ("validation", "test"):
        if not len(split[part]):
            raise InputError(
                f"--target: no {part} row is of a class of '{target.column}' that the training "
                "rows have; give more rows of each class."
            )
    return target, split, counts[present] / counts.sum(), notes


def _without_classes(target, present):
    """The target with the classes at these positions only; others count as missing."""
    new_positions = np.full(len(target.classes) + 1, -1)
    new_positions[present] = np.arange(len(present))
    positions = new_positions[target.text_positions]
    return replace(
        target,
        values=Column(target.values.array, target.values.j, positions),
        classes=[target.classes[i] for i in present],
        text_positions=positions,
    )


def _with_target(target, row_ids, folder):
    """The rows whose class is known, DiskArray of int64."""
    blocks = (block[target.values[block] >= 0] for block in blocks_of(row_ids))
    return keep_on_disk(blocks, folder)
