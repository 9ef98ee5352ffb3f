"""One table, ready to be learned from: read, roles decided, rows split, columns encoded."""

import itertools
import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from data import InputError
from data.tables import roles
from data.tables.cache import read_table
from data.tables.columns import agreed
from data.tables.dates import calendar_columns, elapsed_column
from data.tables.description import (
    notes_on_country_codes,
    notes_on_missing_targets,
    notes_on_negative_targets,
    notes_on_split,
    split_lines,
)
from data.tables.dialect import dialect_of
from data.tables.disk import Column, blocks_of, keep_on_disk
from data.tables.encoding import (
    SAMPLED_ROWS,
    SAMPLED_VALUES,
    EncodedRows,
    Encoding,
    extend_vocabulary,
    fit_target,
    fit_vocabulary,
)
from data.tables.formats import column_names, declared_types, first_rows
from data.tables.groups import Groups, groups_of
from data.tables.kinds import FEW, Values
from data.tables.order import Order, order_of
from data.tables.recognition import notations, settle
from data.tables.scaling import as_float32, check_told_apart, fit_numeric
from data.tables.sources import (
    check_sources,
    default_target,
    fetch_databases,
    find_parts,
    fingerprint,
)
from data.tables.split import split_rows
from data.tables.statistics import count_rows
from data.tables.survey import surveyed_values
from data.tables.target import keep_trained_classes, read_target, target_storage

FEATURE_ROLES = ("categorical", "numeric", "date")
# Of the columns that split the rows, by what they hold.
STORAGE_OF_KINDS = {"int": "numeric", "float": "numeric", "date": "date"}
EXACT_DIGITS = 15  # of whole numbers as float64


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
        order: `data.tables.order.Order` of --split-by, groups: `data.tables.groups.Groups` of
            --group, or None.
        split_lines: list of str, what each part of an ordered or grouped split holds.
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
    order: Order | None
    groups: Groups | None
    split_lines: list
    notes: list
    seconds: dict

    @property
    def table(self):
        return self.encoded.table

    def rows_of(self, *parts):
        """Row numbers of several parts, one part after the other: DiskArray of int64."""
        blocks = itertools.chain.from_iterable(blocks_of(self.split[part]) for part in parts)
        return keep_on_disk(blocks, self.table.folder)


def read_dataset(
    settings, folder, vocabularies=None, extend=False, numeric=(), recorded=None, resume=False
):
    """Read and encode a table.

    Args:
        settings: of `data.tables.settings.settings_of`; a manifest's "options" give the same
            dataset again.
        folder: pathlib.Path for the cache of the table read.
        vocabularies: dict of column -> `data.tables.encoding.Vocabulary` from saved embeddings;
            other columns get theirs from the training rows.
        extend: add categories of the training rows that a saved vocabulary lacks, after its own.
        numeric: columns that were numeric where those were saved; see `data.tables.roles.assign`.
        recorded, resume: of `data.tables.sources.fetch_databases`.

    Raises:
        InputError: anything that is wrong with the files or the options.
    """
    started, vocabularies = time.monotonic(), vocabularies or {}

    # All rows go into files of our own.
    files = find_parts(settings)
    settings = settings | {"target": _target_of(settings, files), "group": _group_of(settings)}
    dialect = dialect_of(settings, vocabularies)
    fetch_databases(files, dialect, folder, recorded, resume)
    check_sources(files, dialect)
    assigned, dialect, table = _read(files, settings, dialect, folder, vocabularies, numeric)
    read = time.monotonic()

    # Rows with a target are split; whatever is learned of columns, training rows teach.
    kept_out = partial(_texts_kept_out, files["data"], dialect)
    target = read_target(table, settings["target"], settings["task"], dialect, kept_out)
    order, groups = order_of(table, settings), groups_of(table, settings["group"], kept_out)
    by, is_class = {"order": order, "groups": groups}, target.task != "regression"
    split = split_rows(table, target.values, **by, seed=settings["seed"], stratify=is_class)
    notes = roles.notes_on(assigned) + notes_on_missing_targets(table, target, split, kept_out)
    notes += notes_on_country_codes(table, assigned, vocabularies, kept_out)
    notes += notes_on_split(table, split, order, groups, assigned)
    statistics = count_rows(table, split["train"], target.values)
    target, split, prior, more = keep_trained_classes(target, split, statistics, table.folder)
    notes += more + _notes_on_infinities(statistics, target)

    # Texts become rows of embeddings, numbers are scaled.
    categorical, numeric = _feature_columns(assigned, statistics.counts, files["data"][0])
    known = {column: vocabularies.get(column) for column in categorical}
    encoding = fit_encoding(table, split["train"], target, statistics, known, numeric, extend)
    notes += notes_on_negative_targets(encoding.target, target.values, split)
    _check_told_apart(encoding.numerics, assigned, table, split["train"], files["data"][0])
    encoded = EncodedRows(table, encoding)
    _describe_categories(encoded, statistics, target.task)
    return Dataset(
        encoding, encoded, split, target.values, prior,
        settings=settings | _settled(assigned, dialect, target.task),
        sources={part: fingerprint(names, dialect) for part, names in files.items()},
        roles=assigned,
        **by,
        split_lines=split_lines(split, order, groups),
        notes=notes,
        seconds={"read": read - started, "encode": time.monotonic() - read},
    )  # fmt: skip


def _read(files, settings, dialect, folder, vocabularies, numeric):
    """Read a table as its first rows tell; where all rows tell otherwise, read it again.

    Returns:
        (dict of column -> `data.tables.roles.Role`, the dialect with the columns' notations,
        `data.tables.cache.Table`)
    """

    def planned(sample):
        assigned = _assigned_roles(sample, settings, vocabularies, numeric, files["data"][0])
        return assigned, *_storage(sample, assigned, settings, dialect)

    sample = settle(_sample(files["data"], dialect), settings)
    assigned, storage, written = planned(sample)
    doubtful = _doubtful(sample, assigned)
    table = read_table(files, storage | doubtful, folder, dialect=written)
    if known := _of_all_rows(table, assigned):
        assigned, better, written = planned(settle(sample | known, settings))
        if better != storage:
            table = read_table(files, better, folder, dialect=written, label="reading again")
    return assigned, written, table


def _doubtful(sample, assigned):
    """Columns that are left out by what the first rows hold; all rows have to be asked.

    Returns:
        dict of column -> "survey"
    """
    return {
        column: "survey"
        for column, role in assigned.items()
        if role.role == "left out" and role.note and sample[column].kind != "compound"
    }


def _of_all_rows(table, assigned):
    """What all rows say of columns whose first rows may have said something else.

    Returns:
        dict of column -> `data.tables.kinds.Values`
    """
    known = {
        column: surveyed_values(found, table.types.get(column))
        for column, found in table.surveys.items()
    }
    for column, role in assigned.items():
        if role.why == roles.FEW_INTEGERS and len(table.dictionaries[column]) > FEW:
            known[column] = Values(*table.texts(column), table.types.get(column))
    return known


def _target_of(settings, files):
    """The column to predict: the one named, else the one that the data set itself names."""
    target = settings["target"] or default_target(files["data"][0])
    if target is None:
        raise InputError("--target: name the column to predict.")
    return target


def _group_of(settings):
    """The column of --group; rows that are equal in that of --split-by stay together anyway."""
    group = settings.get("group")
    return None if group == settings["split_by"] else group


def _sample(files, dialect):
    """The first rows of the table: dict of column -> `data.tables.kinds.Values`."""
    for name in files:
        declared = agreed([declared_types(name, dialect)])
        columns = first_rows(name, dialect)
        if any(len(values) for values in columns.values()):
            return {
                column: Values(
                    columns[column].categories.tolist() if column in columns else [],
                    columns[column].codes if column in columns else np.empty(0, "int8"),
                    declared.get(column),
                )
                for column in column_names(name, dialect)
            }
    raise InputError(f"{files[0]}: there are no rows below the header.")


def _assigned_roles(sample, settings, vocabularies, numeric, where):
    """The role of every column, dict of column -> `data.tables.roles.Role`."""
    for column in settings["keep_na"] or []:
        roles.check_column(sample, column, "--keep-na")
    return roles.assign(
        sample,
        target=settings["target"],
        categorical=settings["categorical"],
        numeric=settings["numeric"],
        dates=settings["dates"],
        drop=settings["drop"],
        split_by=settings["split_by"],
        group=settings["group"],
        saved=vocabularies,
        saved_numeric=numeric,
        where=where,
    )


def _texts_kept_out(files, dialect, column):
    """The texts in the first rows of a column that are taken for missing, as NA is, list of str."""
    keeping = replace(dialect, keep_na=(*dialect.keep_na, column))
    for name in files:
        with_them = first_rows(name, keeping).get(column, pd.Categorical([]))
        if len(with_them):
            without = first_rows(name, dialect)[column]
            return sorted(set(with_them.categories) - set(without.categories) - {""})
    return []


def _storage(sample, assigned, settings, dialect):
    """How each column that is needed is read.

    It follows the roles; the target and the columns that split the rows are read as what they hold.

    Returns:
        (dict of column -> "categorical", "numeric" or "date", the dialect with their notations)
    """
    target = settings["target"]
    storage = {c: r.role for c, r in assigned.items() if r.role in FEATURE_ROLES}
    storage[target] = target_storage(sample[target], settings["task"])
    for column in (settings["split_by"], settings["group"]):
        if column is not None and column not in storage:
            kind, longest = sample[column].kind, max(map(len, sample[column].texts), default=0)
            if column == settings["group"] and kind == "int" and longest > EXACT_DIGITS:
                kind = "str"  # as floats two groups might be one
            storage[column] = STORAGE_OF_KINDS.get(kind, "categorical")
    return storage, replace(dialect, notations=notations(sample, storage))


def _settled(assigned, dialect, task):
    """The options that read the table in this way again, whatever rows come first: dict."""
    option_of = {"categorical": "categorical", "numeric": "numeric", "date": "dates"}
    columns = {
        option: [column for column, role in assigned.items() if role.role == name]
        for name, option in option_of.items()
    }
    notations = {column: asdict(notation) for column, notation in dialect.notations.items()}
    reading = {"keep_na": list(dialect.keep_na), "notations": notations}
    return columns | reading | {"drop": [], "task": task}


def _notes_on_infinities(statistics, target):
    return [
        f"'{column}': {count:,} infinite numbers are taken as missing."
        for column, count in statistics.infinite.items()
        if count and column != target.column
    ]


def _feature_columns(assigned, counts, where):
    """The columns learned from, dates replaced by those of their parts that vary.

    Returns:
        (list of categorical columns, list of numeric ones)

    Raises:
        InputError: none is categorical.
    """
    categorical, numeric = [], []
    for column, role in assigned.items():
        if role.role == "categorical":
            categorical.append(column)
        elif role.role == "numeric":
            numeric.append(column)
        elif role.role == "date":
            parts = calendar_columns(column)
            categorical += [part for part in parts if np.count_nonzero(counts[part][:-1]) > 1]
            numeric.append(elapsed_column(column))
    if not categorical:
        taken = [f"'{c}' too" for c, role in assigned.items() if role.role in ("split", "group")]
        raise InputError(
            f"{where}: no column is categorical, so there is nothing to embed; name some in "
            f"--categorical{', such as ' * bool(taken)}{' or '.join(taken)}."
        )
    return categorical, numeric


def fit_encoding(table, train, target, statistics, vocabularies, numeric, extend):
    """The encoding of a table, fitted on its training rows: `data.tables.encoding.Encoding`.

    Args:
        train: row numbers, ascending; target: `data.tables.target.TargetColumn`.
        statistics: `data.tables.statistics.Statistics` of these rows.
        vocabularies: dict of categorical column -> saved Vocabulary, or None to fit one.
        numeric: numeric columns; extend: see `read_dataset`.
    """
    most = min(SAMPLED_ROWS, SAMPLED_VALUES // max(len(table.numeric), 1))
    sampled = train[:: -(-len(train) // most)]
    numbers = as_float32(table.numbers[sampled])
    bounds = (statistics.target_low, statistics.target_high)
    return Encoding(
        vocabularies=[
            _vocabulary(table, column, statistics.counts[column][:-1], saved, extend)
            for column, saved in vocabularies.items()
        ],
        numerics=[
            fit_numeric(c, numbers[:, table.numeric.index(c)], statistics.missing[c])
            for c in numeric
        ],
        target=fit_target(
            target.column, target.task, target.values[sampled], target.classes, bounds
        ),
    )


def _vocabulary(table, column, counts, saved, extend):
    texts = table.dictionaries[column]
    if saved is None:
        return fit_vocabulary(column, texts, counts, table.types.get(column))
    return extend_vocabulary(saved, texts, counts) if extend else replace(saved)


def _check_told_apart(numerics, assigned, table, train, where):
    row_ids = train[:SAMPLED_ROWS]
    for numeric in numerics:
        if role := assigned.get(numeric.column):  # the days of a date nobody can write otherwise
            named = role.why.startswith("named")
            numbers = table.values(numeric.column)[row_ids]
            check_told_apart(numeric, numbers, "--numeric" if named else where)


def _describe_categories(encoded, statistics, task):
    """Give every vocabulary the training rows and the mean target of its embedding rows."""
    for vocabulary in encoded.encoding.vocabularies:
        column, n = vocabulary.column, vocabulary.cardinality
        lookup = encoded.lookup(column)
        counts = np.bincount(lookup, statistics.counts[column], n)
        vocabulary.counts = counts.astype("int64")
        if task != "multiclass":
            totals = np.bincount(lookup, statistics.totals[column], n)
            with np.errstate(invalid="ignore", divide="ignore"):
                vocabulary.mean_target = np.where(counts > 0, totals / counts, np.nan)
