"""One table, ready to be learned from: read, roles decided, rows split, columns encoded."""

import os
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data import InputError, reading, roles
from data.encoding import (
    FLOAT32_MAX,
    QUANTILE_ROWS,
    RESERVED,
    Encoding,
    Rows,
    extend_vocabulary,
    fit_numeric,
    fit_target,
    fit_vocabulary,
)
from data.table import DATE_PARTS, read_table, split_rows


@dataclass
class Dataset:
    """What both scripts learn from.

    Attributes:
        encoding: `data.encoding.Encoding`, fitted on training rows.
        rows: `data.encoding.Rows`, gives encoded arrays for any row numbers.
        split: dict of "train", "validation", "test" -> int64 row numbers.
        target: float64 [table rows] in the target's units, or int64 class positions.
        settings: dict, how the table was read; the manifest's "options".
        sources: dict of part -> list of {"path", "sha256"}.
        roles: dict of column -> `data.roles.Role`.
        notes: list of str, what was done about the odd things that were met.
        seconds: dict of "read" and "encode".
    """

    encoding: Encoding
    rows: Rows
    split: dict
    target: np.ndarray
    settings: dict
    sources: dict
    roles: dict
    notes: list
    seconds: dict

    @property
    def table(self):
        return self.rows.table


def settings_of(options):
    """The options that say how a table is read, as the manifest keeps them.

    Files get absolute paths, so that they are found again from any folder.
    """
    names = (
        "data", "validation_data", "test_data", "target", "categorical", "numeric", "dates",
        "drop", "keep_na", "task", "split_by", "separator", "encoding", "seed",
    )  # fmt: skip
    settings = {name: getattr(options, name) for name in names}
    for part in ("data", "validation_data", "test_data"):
        settings[part] = [
            source if source.startswith("openml:") else os.path.abspath(source)
            for source in settings[part] or []
        ]
    return settings


def read_dataset(settings, folder, vocabularies=None, extend=False):
    """Read and encode a table.

    Args:
        settings: see `settings_of`; a manifest's "options" give the same dataset again.
        folder: pathlib.Path for the cache of the table read.
        vocabularies: dict of column -> `data.encoding.Vocabulary` from saved embeddings; other
            columns get theirs from the training rows.
        extend: add categories of the training rows that a saved vocabulary lacks, after its own.

    Raises:
        InputError: anything that is wrong with the files or the options.
    """
    started = time.monotonic()
    vocabularies = vocabularies or {}
    files = {
        "data": reading.find_files(settings["data"], "--data"),
        "validation": reading.find_files(settings["validation_data"] or [], "--validation-data"),
        "test": reading.find_files(settings["test_data"] or [], "--test-data"),
    }
    first = files["data"][0]
    target, split_by = settings["target"] or reading.default_target(first), settings["split_by"]
    if target is None:
        raise InputError("--target: name the column to predict.")
    dialect = reading.dialect(settings["separator"], settings["encoding"])
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
    usable = np.isfinite(values) if task == "regression" else values >= 0
    if not usable.all():
        notes.append(f"{(~usable).sum():,} rows have no '{target}' and are left out.")
    split = split_rows(
        table,
        usable,
        split_by=split_by,
        seed=settings["seed"],
        classes=None if task == "regression" else values,
    )
    if task != "regression":
        values, labels, split = _known_classes(values, labels, split, target, notes)
    train = split["train"]
    counts, totals, missing, infinite = _statistics(table, train, values)
    for column, number in infinite.items():
        if number and column != target:
            notes.append(f"'{column}': {number:,} infinite numbers are taken as missing.")

    categorical, numeric = _feature_columns(assigned, counts)
    if not categorical:
        raise InputError(
            f"{first}: no column is categorical, so there is nothing to embed; name some in "
            "--categorical."
        )
    sampled = train[:: -(-len(train) // QUANTILE_ROWS)]
    encoding = Encoding(
        vocabularies=[
            _vocabulary(table, column, counts[column], vocabularies.get(column), extend)
            for column in categorical
        ],
        numerics=[
            fit_numeric(column, table.values(column)[sampled], missing[column])
            for column in numeric
        ],
        target=fit_target(target, task, values[train], labels),
    )
    rows = Rows(table, encoding)
    for vocabulary in encoding.vocabularies:
        _describe(vocabulary, rows, counts, None if task == "multiclass" else totals)
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
        rows=rows,
        split=split,
        target=values,
        settings=settings,
        sources={part: reading.fingerprint(names) for part, names in files.items()},
        roles=assigned,
        notes=notes,
        seconds={"read": read - started, "encode": time.monotonic() - read},
    )


def kept_na(asked, vocabularies):
    """Columns in which texts such as "NA" are categories: those asked for, and those whose saved
    vocabulary holds such a text.

    Args:
        asked: list of str or None; vocabularies: dict of column -> `data.encoding.Vocabulary`.
    """
    missing = set(reading.MISSING_TEXTS)
    held = [c for c, v in vocabularies.items() if v.type == "str" and missing & set(v.values)]
    return sorted({*(asked or []), *held})


def _sample(files, keep_na, dialect):
    """The first rows of the table: dict of column -> `data.roles.Values`."""
    for name in files:
        declared = reading.declared_types(name)
        columns = reading.sample(name, keep_na=keep_na, **dialect)
        if any(len(values) for values in columns.values()):
            return {
                column: roles.Values(
                    columns[column].categories.tolist() if column in columns else [],
                    columns[column].codes if column in columns else np.empty(0, "int8"),
                    declared.get(column),
                )
                for column in reading.column_names(name, **dialect)
            }
    raise InputError(f"{files[0]}: there are no rows below the header.")


def _target_storage(values, task):
    """How the target is read. The task itself is settled when all rows are known."""
    likely = roles.likely_task(values) if task == "auto" else task
    numbers = values.kind in ("int", "float")
    return "numeric" if numbers and likely == "regression" else "categorical"


def _target_values(table, target, task, storage):
    """(task, float64 [rows] or class positions int64 [rows], -1 for missing, classes or None)"""
    if storage == "numeric":
        numbers = np.array(table.values(target))
        _check_finite(table, target, numbers)
        if np.isnan(numbers).all():
            raise InputError(f"--target: the column '{target}' has no value at all; name another.")
        return "regression", numbers, None
    texts, codes = table.texts(target)
    declared = table.types.get(target)
    everything = roles.Values(texts, codes, declared)
    task = roles.task_of(target, everything, task)
    if task == "regression":  # the first rows looked like classes
        numbers = np.append(pd.to_numeric(pd.Series(texts)).to_numpy("float64"), np.nan)[codes]
        _check_finite(table, target, numbers)
        return task, numbers, None
    vocabulary = fit_vocabulary(target, texts, np.ones(len(texts)), declared)
    position = np.append(vocabulary.find(texts) - RESERVED, -1)
    return task, position[codes].astype("int64"), vocabulary.values


def _check_finite(table, target, numbers):
    with np.errstate(invalid="ignore"):
        wrong = np.abs(numbers) > FLOAT32_MAX
    if wrong.any():
        _, row = table.place(int(np.argmax(wrong)))
        value = numbers[np.argmax(wrong)]
        what = "correct it" if np.isinf(value) else "divide the column by a constant"
        raise InputError(
            f"--target: '{target}' is {value:g} in row {row}, more than float32 can hold; {what}."
        )


def _known_classes(values, labels, split, target, notes):
    """Keep the classes that training rows have; rows of others cannot be scored."""
    present = np.unique(values[split["train"]])
    position = np.full(len(labels) + 1, -1)
    position[present] = np.arange(len(present))
    values = position[values]
    for part in ("validation", "test"):
        known = values[split[part]] >= 0
        if not known.all():
            notes.append(
                f"{(~known).sum():,} {part} rows are of classes of '{target}' that no training row "
                "has; they are left out."
            )
            split[part] = split[part][known]
        if not len(split[part]):
            raise InputError(
                f"--target: no {part} row is of a class of '{target}' that the training rows have; "
                "give more rows of each class."
            )
    return values, [labels[i] for i in present], split


def _statistics(table, train, target, block=1 << 18):
    """What the training rows hold, column by column, in one pass over the files on disk.

    Returns:
        (dict of categorical column -> int64 [len(dictionary) + 1], rows of each text, missing
        ones last; the same with the sum of their targets; dict of numeric column -> rows without
        a finite number; the same with infinite ones)
    """
    trained = np.zeros(table.rows, bool)
    trained[train] = True
    counts = {c: np.zeros(len(texts) + 1, "int64") for c, texts in table.dictionaries.items()}
    totals = {column: np.zeros(len(count)) for column, count in counts.items()}
    missing, infinite = np.zeros((2, len(table.numeric)), "int64")
    for start in range(0, table.rows, block):
        chosen = trained[start : start + block]
        weights = np.where(chosen, target[start : start + block], 0.0)
        codes = table.codes[start : start + block]
        for j, (column, count) in enumerate(counts.items()):
            found = codes[:, j] + 1  # missing ones first, and last in the result
            count += np.roll(np.bincount(found, chosen, len(count)).astype("int64"), -1)
            totals[column] += np.roll(np.bincount(found, weights, len(count)), -1)
        numbers = table.numbers[start : start + block]
        missing += (~np.isfinite(numbers) & chosen[:, None]).sum(axis=0)
        infinite += (np.isinf(numbers) & chosen[:, None]).sum(axis=0)
    missing = dict(zip(table.numeric, missing.tolist(), strict=True))
    return counts, totals, missing, dict(zip(table.numeric, infinite.tolist(), strict=True))


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
    vocabulary.rows = count.astype("int64")
    if totals is not None:
        total = np.bincount(lookup, totals[column], vocabulary.cardinality)
        with np.errstate(invalid="ignore", divide="ignore"):
            vocabulary.mean_target = np.where(count > 0, total / count, np.nan)
