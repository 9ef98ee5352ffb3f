"""One table, ready to be learned from: read, roles decided, rows split, columns encoded."""

import itertools
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.progress import Progress
from data.tables import roles
from data.tables.cache import read_table
from data.tables.dates import DATE_PARTS
from data.tables.delimited import csv_dialect
from data.tables.disk import Column, blocks_of, keep_on_disk
from data.tables.encoding import (
    FLOAT32_MAX,
    RESERVED,
    SAMPLED_ROWS,
    SAMPLED_VALUES,
    EncodedRows,
    Encoding,
    extend_vocabulary,
    fit_numeric,
    fit_target,
    fit_vocabulary,
)
from data.tables.formats import column_names, declared_types, first_rows
from data.tables.sources import default_target, find_files, fingerprint
from data.tables.split import split_rows
from data.tables.values import MISSING_TEXTS


@dataclass
class Dataset:
    """What both scripts learn from.

    Attributes:
        encoding: `data.tables.encoding.Encoding`, fitted on training rows.
        encoded: `data.tables.encoding.EncodedRows`, gives arrays for any row numbers.
        split: dict of "train", "validation", "test" -> DiskArray of int64 row numbers, ascending.
        target: Column of float64 in the target's units, or of int64 class positions.
        prior: the training rows' mean target, or share of each class: float64 [classes].
        settings: dict, how the table was read; the manifest's "options".
        sources: dict of part -> list of {"path", "sha256"}.
        roles: dict of column -> `data.tables.roles.Role`.
        notes: list of str, what was done about the odd things that were met.
        seconds: dict of "read" and "encode".
    """

    encoding: Encoding
    encoded: EncodedRows
    split: dict
    target: Column
    prior: float | np.ndarray
    settings: dict
    sources: dict
    roles: dict
    notes: list
    seconds: dict

    @property
    def table(self):
        return self.encoded.table

    def rows_of(self, *parts):
        """Row numbers of several parts, one part after the other: DiskArray of int64."""
        blocks = itertools.chain.from_iterable(blocks_of(self.split[part]) for part in parts)
        return keep_on_disk(blocks, self.table.folder)


def read_dataset(settings, folder, vocabularies=None, extend=False, numeric=()):
    """Read and encode a table.

    Args:
        settings: of `data.tables.settings.settings_of`; a manifest's "options" give the same
            dataset again.
        folder: pathlib.Path for the cache of the table read.
        vocabularies: dict of column -> `data.tables.encoding.Vocabulary` from saved embeddings;
            other columns get theirs from the training rows.
        extend: add categories of the training rows that a saved vocabulary lacks, after its own.
        numeric: columns that were numeric where those were saved; see `data.tables.roles.assign`.

    Raises:
        InputError: anything that is wrong with the files or the options.
    """
    started = time.monotonic()
    vocabularies = vocabularies or {}
    files = {
        "data": find_files(settings["data"], "--data"),
        "validation": find_files(settings["validation_data"] or [], "--validation-data"),
        "test": find_files(settings["test_data"] or [], "--test-data"),
    }
    first = files["data"][0]
    target, split_by = settings["target"] or default_target(first), settings["split_by"]
    if target is None:
        raise InputError("--target: name the column to predict.")
    dialect = csv_dialect(settings["separator"], settings["encoding"])
    keep_na = kept_na(settings["keep_na"], vocabularies)
    sample = _sample(files["data"], keep_na, dialect)
    for column in settings["keep_na"] or []:
        roles.check_column(sample, column, "--keep-na")
    assigned = roles.assign(
        sample,
        target=target,
        categorical=settings["categorical"],
        numeric=settings["numeric"],
        dates=settings["dates"],
        drop=settings["drop"],
        split_by=split_by,
        saved=vocabularies,
        saved_numeric=numeric,
        where=first,
    )
    storage = {
        column: role.role
        for column, role in assigned.items()
        if role.role in ("categorical", "numeric", "date")
    }
    storage[target] = _target_storage(sample[target], settings["task"])
    if split_by is not None and split_by not in storage:
        kind = sample[split_by].kind
        storage[split_by] = {"int": "numeric", "float": "numeric", "date": "date"}.get(
            kind, "categorical"
        )
    table = read_table(files, storage, folder, dialect=dialect, keep_na=keep_na)

    read = time.monotonic()
    notes = [
        f"'{column}' is left out: {role.why}; name it in --categorical to keep it."
        for column, role in assigned.items()
        if role.warn
    ]
    task, values, labels = _target_values(table, target, settings["task"], storage[target])
    split = split_rows(
        table,
        values,
        split_by=split_by,
        seed=settings["seed"],
        stratify=task != "regression",
    )
    left_out = table.rows - sum(map(len, split.values()))
    if left_out:
        notes.append(f"{left_out:,} rows have no '{target}' and are left out.")
    train = split["train"]
    found = _statistics(table, train, values)
    counts, totals, missing = found["counts"], found["totals"], found["missing"]
    if task == "regression":
        prior = found["target"][2] / len(train)
    else:
        values, labels, prior = _known_classes(values, labels, counts[target], split, target, notes)
    for column, number in found["infinite"].items():
        if number and column != target:
            notes.append(f"'{column}': {number:,} infinite numbers are taken as missing.")

    categorical, numeric = _feature_columns(assigned, counts)
    if not categorical:
        raise InputError(
            f"{first}: no column is categorical, so there is nothing to embed; name some in "
            "--categorical."
        )
    most = min(SAMPLED_ROWS, SAMPLED_VALUES // max(len(table.numeric), 1))
    sampled = train[:: -(-len(train) // most)]
    numbers = table.numbers[sampled]
    encoding = Encoding(
        vocabularies=[
            _vocabulary(table, column, counts[column], vocabularies.get(column), extend)
            for column in categorical
        ],
        numerics=[
            fit_numeric(column, numbers[:, table.numeric.index(column)], missing[column])
            for column in numeric
        ],
        target=fit_target(target, task, values[sampled], labels, found["target"][:2]),
    )
    encoded = EncodedRows(table, encoding)
    for vocabulary in encoding.vocabularies:
        _describe(vocabulary, encoded, counts, None if task == "multiclass" else totals)
    settings = settings | {
        "target": target,
        "categorical": [c for c, role in assigned.items() if role.role == "categorical"],
        "numeric": [c for c, role in assigned.items() if role.role == "numeric"],
        "dates": [c for c, role in assigned.items() if role.role == "date"],
        "drop": [],
        "keep_na": keep_na,
        "task": task,
    }
    return Dataset(
        encoding=encoding,
        encoded=encoded,
        split=split,
        target=values,
        prior=prior,
        settings=settings,
        sources={part: fingerprint(names) for part, names in files.items()},
        roles=assigned,
        notes=notes,
        seconds={"read": read - started, "encode": time.monotonic() - read},
    )


def kept_na(asked, vocabularies):
    """Columns in which texts such as "NA" are categories: those asked for, and those whose saved
    vocabulary holds such a text.

    Args:
        asked: list of str or None.
        vocabularies: dict of column -> `data.tables.encoding.Vocabulary`.
    """
    missing = set(MISSING_TEXTS)
    held = [c for c, v in vocabularies.items() if v.type == "str" and missing & set(v.values)]
    return sorted({*(asked or []), *held})


def _sample(files, keep_na, dialect):
    """The first rows of the table: dict of column -> `data.tables.roles.Values`."""
    for name in files:
        declared = declared_types(name)
        columns = first_rows(name, keep_na=keep_na, **dialect)
        if any(len(values) for values in columns.values()):
            return {
                column: roles.Values(
                    columns[column].categories.tolist() if column in columns else [],
                    columns[column].codes if column in columns else np.empty(0, "int8"),
                    declared.get(column),
                )
                for column in column_names(name, **dialect)
            }
    raise InputError(f"{files[0]}: there are no rows below the header.")


def _target_storage(values, task):
    """How the target is read. The task itself is settled when all rows are known."""
    likely = roles.likely_task(values) if task == "auto" else task
    numbers = values.kind in ("int", "float")
    return "numeric" if numbers and likely == "regression" else "categorical"


def _target_values(table, target, task, storage):
    """(task, Column of float64 or of class positions int64, -1 for missing; classes or None)"""
    if storage == "numeric":
        numbers = table.values(target)
        if not _check_finite(table, target, numbers):
            raise InputError(f"--target: the column '{target}' has no value at all; name another.")
        return "regression", numbers, None
    texts, codes = table.texts(target)
    declared = table.types.get(target)
    task = roles.task_of(target, roles.Values(texts, codes, declared), task)
    if task == "regression":  # the first rows looked like classes
        values = np.append(pd.to_numeric(pd.Series(texts)).to_numpy("float64"), np.nan)
        numbers = Column(table.codes, codes.j, values)
        _check_finite(table, target, numbers)
        return task, numbers, None
    vocabulary = fit_vocabulary(target, texts, np.ones(len(texts)), declared)
    position = np.append(vocabulary.find(texts) - RESERVED, -1).astype("int64")
    return task, Column(table.codes, codes.j, position), vocabulary.values


def _check_finite(table, target, numbers):
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
                f"--target: '{target}' is {value:g} in row {row}, more than float32 can hold; "
                f"{what}."
            )
        present += np.count_nonzero(~np.isnan(block))
        done += len(block)
        progress(done, done / len(numbers))
    progress.done()
    return present


def _known_classes(values, labels, counts, split, target, notes):
    """Keep the classes that training rows have; rows of others cannot be scored.

    Args:
        values: Column of positions in `labels`; counts: training rows of each text of the target.

    Returns:
        (Column of positions in the classes kept, these classes, their shares)
    """
    rows = np.bincount(values.lookup[:-1], counts[:-1], len(labels))
    present = np.flatnonzero(rows)
    if len(present) < len(labels):
        position = np.full(len(labels) + 1, -1)
        position[present] = np.arange(len(present))
        values = Column(values.array, values.j, position[values.lookup])
        for part in ("validation", "test"):
            known = (part_rows[values[part_rows] >= 0] for part_rows in blocks_of(split[part]))
            kept = keep_on_disk(known, Path(values.array.file.name).parent)
            if len(kept) < len(split[part]):
                notes.append(
                    f"{len(split[part]) - len(kept):,} {part} rows are of classes of '{target}' "
                    "that no training row has; they are left out."
                )
            split[part] = kept
    for part in ("validation", "test"):
        if not len(split[part]):
            raise InputError(
                f"--target: no {part} row is of a class of '{target}' that the training rows have; "
                "give more rows of each class."
            )
    return values, [labels[i] for i in present], rows[present] / rows.sum()


def _statistics(table, train, target, block=1 << 17):
    """What the training rows hold, column by column, in one pass over the files on disk.

    Returns:
        dict of "counts": dict of categorical column -> int64 [len(dictionary) + 1], rows of each
        text, missing ones last; "totals": the same with the sum of their targets; "missing": dict
        of numeric column -> rows without a finite number; "infinite": the same with infinite ones;
        "target": its lowest and highest value and its sum.
    """
    counts = {c: np.zeros(len(texts) + 1, "int64") for c, texts in table.dictionaries.items()}
    totals = {column: np.zeros(len(count)) for column, count in counts.items()}
    missing, infinite = np.zeros((2, len(table.numeric)), "int64")
    low, high, total, done = np.inf, -np.inf, 0.0, 0
    progress = Progress("counting")
    for rows in blocks_of(train, block):
        values = target[rows].astype("float64")
        low, high = min(low, values.min()), max(high, values.max())
        total += values.sum()
        codes = table.codes[rows]
        for j, column in enumerate(counts):
            np.add.at(counts[column], codes[:, j], 1)  # -1 is the last
            np.add.at(totals[column], codes[:, j], values)
        numbers = table.numbers[rows]
        missing += (~np.isfinite(numbers)).sum(axis=0)
        infinite += np.isinf(numbers).sum(axis=0)
        done += len(rows)
        progress(done, done / len(train))
    progress.done()
    return {
        "counts": counts,
        "totals": totals,
        "missing": dict(zip(table.numeric, missing.tolist(), strict=True)),
        "infinite": dict(zip(table.numeric, infinite.tolist(), strict=True)),
        "target": (low, high, total),
    }


def _feature_columns(assigned, counts):
    """The columns learned from, dates replaced by those of their parts that vary."""
    categorical, numeric = [], []
    for column, role in assigned.items():
        if role.role == "categorical":
            categorical.append(column)
        elif role.role == "numeric":
            numeric.append(column)
        elif role.role == "date":
            parts = [f"{column}_{part}" for part in DATE_PARTS]
            categorical += [part for part in parts if np.count_nonzero(counts[part][:-1]) > 1]
            numeric.append(f"{column}_elapsed")
    return categorical, numeric


def _vocabulary(table, column, counts, saved, extend):
    texts, counts = table.dictionaries[column], counts[:-1]
    if saved is None:
        return fit_vocabulary(column, texts, counts, table.types.get(column))
    return extend_vocabulary(saved, texts, counts) if extend else replace(saved)


def _describe(vocabulary, rows, counts, totals):
    """Training rows and mean target of every embedding row."""
    column, lookup = vocabulary.column, rows.lookup(vocabulary.column)
    count = np.bincount(lookup, counts[column], vocabulary.cardinality)
    vocabulary.counts = count.astype("int64")
    if totals is not None:
        total = np.bincount(lookup, totals[column], vocabulary.cardinality)
        with np.errstate(invalid="ignore", divide="ignore"):
            vocabulary.mean_target = np.where(count > 0, total / count, np.nan)
