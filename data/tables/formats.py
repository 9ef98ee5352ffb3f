"""One way into files of every format: their columns, their first rows, then all rows in chunks.

Categories are read as text, exactly as they stand in the file ("007" stays "007"); numbers are
read as float64. `first_rows` shows the first rows, so that roles can be decided; `chunks` then
reads everything once, a part at a time.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from data import InputError
from data.tables.delimited import csv_chunks, csv_header
from data.tables.dialect import USUAL
from data.tables.openml import openml_chunks, openml_table, pandas_type
from data.tables.parquet import arrow_type, is_parquet, open_parquet, parquet_chunks
from data.tables.values import to_categories, to_dates, to_numbers, without_texts

# A wide table is read in shorter pieces, so that memory holds as many values, not as many rows.
CHUNK_ROWS, CHUNK_VALUES = 500_000, 10_000_000
SAMPLE_ROWS, SAMPLE_VALUES = 100_000, 4_000_000


def column_names(name, dialect=USUAL):
    """The column names of one file, in its order.

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    if name.startswith("openml:"):
        names = list(openml_table(name)[0].columns)
    elif is_parquet(name):
        with open_parquet(name) as file:
            names = list(file.schema_arrow.names)
    else:
        names = csv_header(name, dialect)[0]
    seen = set()
    for column in names:
        if column in seen:
            raise InputError(f"{name}: the column '{column}' is there twice; rename one of them.")
        seen.add(column)
    return names


def declared_types(name):
    """What a file itself says about its columns, as Parquet and OpenML do and CSV cannot.

    Returns:
        dict of column -> "int", "float", "bool", "str", "date" or "compound", where declared.
    """
    if name.startswith("openml:"):
        frame = openml_table(name)[0]
        return {c: kind for c in frame if (kind := pandas_type(frame[c]))}
    if is_parquet(name):
        with open_parquet(name) as file:
            schema = file.schema_arrow
        return {c: kind for c in schema.names if (kind := arrow_type(schema.field(c).type))}
    return {}


def first_rows(name, dialect=USUAL, rows=SAMPLE_ROWS):
    """The first rows of a file, all columns as categories.

    Returns:
        dict of column -> pandas.Categorical whose categories are text as it stands in the file.
        Columns of compound values (lists) are not in it.

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    names = column_names(name, dialect)
    types = declared_types(name)
    names = [column for column in names if types.get(column) != "compound"]
    roles = dict.fromkeys(names, "categorical")
    rows = min(rows, max(SAMPLE_VALUES // max(len(names), 1), 1000))
    for columns, _ in chunks(name, roles, dialect, rows):
        return columns
    return {column: pd.Categorical([]) for column in names}


def chunks(name, roles, dialect=USUAL, rows=CHUNK_ROWS):
    """Read a file a part at a time.

    Args:
        roles: dict of column -> "categorical", "numeric" or "date"; other columns are skipped.
        dialect: `data.tables.dialect.Dialect`; rows: rows at a time, at most.

    Yields:
        (dict of column -> values, share): categorical values as pandas.Categorical whose
        categories are text as it stands in the file; numeric ones float64; dates datetime64[s];
        `share` is the part of the file read so far, 0 to 1.

    Raises:
        InputError: text in a numeric column (the first such row and value are named), an absent
            column, a damaged file.
    """
    present = column_names(name, dialect)
    for column in roles:
        if column not in present:
            raise InputError(f"{name}: the column '{column}' is missing; add it.")
    rows = min(rows, max(CHUNK_VALUES // max(len(present), 1), 1000))
    if name.startswith("openml:"):
        parts = openml_chunks(name, list(roles), rows)
    elif is_parquet(name):
        parts = parquet_chunks(name, list(roles), rows)
    else:
        parts = csv_chunks(name, roles, dialect, rows)
    first, day_first = 0, {}
    for frame, share in _ahead(parts):
        columns = {}
        for column, role in roles.items():
            values = without_texts(frame[column], dialect.na_values_of(column))
            where = f"{name}: the {role} column '{column}'"
            if role == "numeric":
                columns[column] = to_numbers(values, where, first)
            elif role == "date":
                columns[column] = to_dates(values, where, first, day_first)
            else:
                columns[column] = to_categories(values, name, column)
        first += len(frame)
        yield columns, share
    release_memory()


def release_memory():
    """Give back to the system what Arrow keeps for the next column of text."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


def _ahead(items):
    """The same items; another thread fetches the next one meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        items = iter(items)
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
