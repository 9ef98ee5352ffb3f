"""One way into tables of every format: their columns, their first rows, then all rows in chunks.

A format is a module with three functions, which take the name of a file or source and the
`data.tables.dialect.Dialect`:

    column_names(name, dialect)           list of str, in the file's order
    declared_types(name, dialect)         dict of column -> type, as far as the file itself says
    chunks(name, roles, dialect, rows)    yields (DataFrame of at most so many rows and at least
                                          the columns in `roles`, share of the file read, 0 to 1)

and with ENDINGS of file names. To add one, write such a module and name it in READERS. Values come
as they are in the file: None or NaN for missing, text as it stands ("007" stays "007"). What they
mean is found out here, in one way for all formats.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from data import InputError
from data.tables import arrow, delimited, fetched, openml, parquet, records, workbook
from data.tables.columns import check_distinct, nearest
from data.tables.compressed import COMPRESSED
from data.tables.dialect import USUAL
from data.tables.sql import is_database
from data.tables.values import to_categories, to_dates, to_numbers, without_texts

READERS = (delimited, parquet, arrow, records, workbook)
READ = {"numeric": to_numbers, "date": to_dates}
READER_OF = {ending: reader for reader in READERS for ending in reader.ENDINGS}

# A wide table is read in shorter pieces, so that memory holds as many values, not as many rows.
CHUNK_ROWS, CHUNK_VALUES = 500_000, 10_000_000
SAMPLE_ROWS, SAMPLE_VALUES = 100_000, 4_000_000


def reader_of(name):
    """The module that reads a file, an OpenML data set or a database."""
    if name.startswith("openml:"):
        return openml
    if is_database(name):
        return fetched
    path = Path(name)
    ending = Path(path.stem).suffix if path.suffix.lower() in COMPRESSED else path.suffix
    return READER_OF.get(ending.lower(), delimited)


def column_names(name, dialect=USUAL):
    """The column names of one file, in its order.

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    names = reader_of(name).column_names(name, dialect)
    check_distinct(names, name)
    return names


def declared_types(name, dialect=USUAL):
    """What a file itself says about its columns, as Parquet does and CSV cannot.

    Returns:
        dict of column -> "int", "float", "bool", "str", "date", "compound", or "null" for one
        without any value; columns about which it says nothing are not in it.
    """
    return reader_of(name).declared_types(name, dialect)


def first_rows(name, dialect=USUAL, rows=SAMPLE_ROWS):
    """The first rows of a file, all columns as categories.

    Returns:
        dict of column -> pandas.Categorical whose categories are text as it stands in the file.
        Columns of compound values (lists) are not in it.

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    names = column_names(name, dialect)
    types = declared_types(name, dialect)
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
        categories are text as it stands in the file; numeric ones float64; dates
        `data.tables.values.Dates`; `share` is the part of the file read so far, 0 to 1.

    Raises:
        InputError: text in a numeric column (the first such row and value are named), an absent
            column, a damaged file.
    """
    present = column_names(name, dialect)
    check_present(roles, present, name)
    rows = min(rows, max(CHUNK_VALUES // max(len(present), 1), 1000))
    parts = reader_of(name).chunks(name, roles, dialect, rows)
    first = 0
    for frame, share in ahead(parts):
        yield as_columns(frame, roles, dialect, name, first), share
        first += len(frame)
    release_memory()


def as_columns(frame, roles, dialect, name, first_row=0):
    """The columns of a DataFrame as `chunks` yields them: dict of column -> values.

    Args:
        name: of what holds them, for messages; first_row: the number of the frame's first row.
    """
    columns, learned = {}, dialect.part != "data"
    for column, role in roles.items():
        values = without_texts(frame[column], dialect.na_values_of(column))
        where = f"{name}: the {role} column '{column}'"
        if role in READ:
            notation = dialect.notation(column)
            columns[column] = READ[role](values, where, first_row, notation, learned)
        else:
            columns[column] = to_categories(values, name, column)
    return columns


def check_present(columns, present, where):
    """Raise InputError, with the nearest name, unless all columns are present.

    Args:
        columns: list of str; present: list of str; where: how the message begins.
    """
    for column in columns:
        if column not in present:
            hint = nearest(column, [str(name) for name in present if name not in columns])
            way_out = f"did you mean '{hint}'? rename it" if hint else "add it"
            raise InputError(f"{where}: the column '{column}' is missing; {way_out}.")


def release_memory():
    """Give back to the system what Arrow keeps for the next column of text."""
    if pyarrow := sys.modules.get("pyarrow"):
        pyarrow.default_memory_pool().release_unused()


def ahead(items):
    """The same items; another thread fetches the next one meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        items = iter(items)
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
