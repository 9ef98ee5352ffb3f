"""One table, ready to be learned from: read, roles decided, rows split, columns encoded."""

import time
from dataclasses import dataclass

import numpy as np

from data import InputError, reading, roles
from data.encoding import (
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
    """The options that say how a table is read, as the manifest keeps them."""
    names = (
        "data", "validation_data", "test_data", "target", "categorical", "numeric", "dates",
        "drop", "keep_na", "task", "split_by", "separator", "encoding", "seed",
    )  # fmt: skip
    return {name: getattr(options, name) for name in names}


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
    dialect = reading.dialect(files["data"], settings["separator"], settings["encoding"])
    keep_na = settings["keep_na"] or []
    target = settings["target"] or reading.default_target(first)
    if target is None:
        raise InputError("--target: name the column to predict.")
    sample, declared = reading.sample(first, keep_na=keep_na, **dialect)
    for column in keep_na:
        roles.check_column(sample.columns, column, "--keep-na")
    assigned = roles.assign(
        sample,
        declared,
        target=target,
        categorical=settings["categorical"],
        numeric=settings["numeric"],
        dates=settings["dates"],
        drop=settings["drop"],
        split_by=settings["split_by"],
        saved=vocabularies,
    )
    kinds = {c: roles.kind(sample[c], declared.get(c)) for c in sample}
    task = roles.task_of(target, sample[target], kinds[target], settings["task"])
    storage = {
        column: role.role
        for column, role in assigned.items()
        if role.role in ("categorical", "numeric", "date")
    }
    storage[target] = "numeric" if task == "regression" else "categorical"
    split_by = settings["split_by"]
    if split_by is not None and split_by not in storage:
        kind = kinds[split_by]
        storage[split_by] = {"int": "numeric", "float": "numeric", "date": "date"}.get(
            kind, "categorical"
        )
    table = read_table(files, storage, folder, dialect=dialect, keep_na=keep_na)

    read = time.monotonic()
    notes = []
    values, labels = _target_values(table, target, task)
    usable = np.isfinite(values) if task == "regression" else values >= 0
    if not usable.any():
        raise InputError(f"--target: the column '{target}' has no value at all; name another.")
    if task == "regression" and np.isinf(values).any():
        part, row = table.place(int(np.argmax(np.isinf(values))))
        raise InputError(f"--target: '{target}' is infinite in row {row}; correct it.")
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

    categorical, numeric = _feature_columns(table, assigned, train, notes)
    if not categorical:
        raise InputError(
            f"{first}: no column is categorical, so there is nothing to embed; name some in "
            "--categorical."
        )
    for column in numeric:
        infinite = int(np.isinf(table.values(column)).sum())
        if infinite:
            notes.append(f"'{column}': {infinite:,} infinite numbers are taken as missing.")
    encoding = Encoding(
        vocabularies=[
            _vocabulary(table, column, train, vocabularies.get(column), extend)
            for column in categorical
        ],
        numerics=[fit_numeric(column, table.values(column)[train]) for column in numeric],
        target=fit_target(target, task, values[train], labels),
    )
    settings = settings | {
        "target": target,
        "categorical": [c for c, role in assigned.items() if role.role == "categorical"],
        "numeric": [c for c, role in assigned.items() if role.role == "numeric"],
        "dates": [c for c, role in assigned.items() if role.role == "date"],
        "drop": [],
        "task": task,
        "separator": dialect["separator"],
    }
    rows = Rows(table, encoding)
    _count(rows, train, values)
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


def _target_values(table, target, task):
    """(float64 or int64 [rows], class labels or None); -1 for a missing class."""
    if task == "regression":
        return np.array(table.values(target)), None
    texts, codes = table.texts(target)
    everything = fit_vocabulary(target, texts, np.ones(len(texts)), table.types.get(target))
    position = np.append(everything.find(texts) - 2, -1)
    return position[codes].astype("int64"), everything.values


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
    return values, [labels[i] for i in present], split


def _feature_columns(table, assigned, train, notes):
    """The columns learned from, dates replaced by those of their parts that vary."""
    categorical, numeric = [], []
    for column, role in assigned.items():
        if role.role == "categorical":
            categorical.append(column)
        elif role.role == "numeric":
            numeric.append(column)
        elif role.role == "date":
            for part in DATE_PARTS:
                codes = table.texts(f"{column}_{part}")[1][train]
                if codes.min() != codes.max():
                    categorical.append(f"{column}_{part}")
            numeric.append(f"{column}_elapsed")
        elif role.warn:
            notes.append(
                f"'{column}' is left out: {role.why}; name it in --categorical to keep it."
            )
    return categorical, numeric


def _vocabulary(table, column, train, saved, extend):
    texts, codes = table.texts(column)
    counts = np.bincount(codes[train] + 1, minlength=len(texts) + 1)[1:]
    if saved is None:
        return fit_vocabulary(column, texts, counts, table.types.get(column))
    return extend_vocabulary(saved, texts, counts) if extend else saved


def _count(rows, train, target):
    """Training rows and mean target of every embedding row."""
    encoding = rows.encoding
    codes = rows.codes(train)
    for j, vocabulary in enumerate(encoding.vocabularies):
        count = np.bincount(codes[:, j], minlength=vocabulary.cardinality)
        vocabulary.rows = count
        if encoding.target.task != "multiclass":
            total = np.bincount(codes[:, j], target[train], vocabulary.cardinality)
            with np.errstate(invalid="ignore", divide="ignore"):
                vocabulary.mean_target = np.where(count > 0, total / count, np.nan)
