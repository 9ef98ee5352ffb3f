"""CSV, TSV and other delimited text: its header, its separator, its rows in chunks."""

import codecs
import contextlib
import csv
import io
import os

import numpy as np
import pandas as pd

from data import InputError
from data.tables import arrow_csv
from data.tables.compressed import DAMAGED, opened
from data.tables.notation import PLAIN
from data.tables.values import text_type

ENDINGS = (".csv", ".tsv", ".txt")
HEAD_BYTES = 1 << 18
# The likely separators, and those that are tried when none of these makes two columns.
SEPARATORS = (",;\t|", "^~\x01\x1f: ")
# How files of other formats begin, and what to do with them.
OTHER_FORMATS = {
    b"PAR1": "Parquet; rename it so that it ends in .parquet",
    b"ARROW1": "an Arrow file; rename it so that it ends in .arrow",
    b"SQLite format 3": "an SQLite database; name it as sqlite:///FILE, with --sql TABLE",
    b"PK\x03\x04": "a workbook or an archive; rename it so that it ends in .xlsx or .zip",
    b"\xd0\xcf\x11\xe0": "an old workbook; save it as .xlsx",
    b'{"': "JSON; rename it so that it ends in .jsonl",
    b"[{": "JSON; rename it so that it ends in .json",
}


def _head(name, encoding, size):
    """(text of the first `size` bytes, whether that is all)"""
    try:
        with opened(name) as (file, _):
            block = file.read(size)
    except DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: cannot be read ({error}).") from None
    for begins, what in OTHER_FORMATS.items():
        if block.startswith(begins):
            raise InputError(f"{name}: this is {what}.")
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    if block[:2] in (b"\xff\xfe", b"\xfe\xff") and not wide:
        raise InputError(f"{name}: this is not {encoding}; read it with --encoding utf-16.")
    if b"\0" in block[:1024].partition(b"\n")[0] and not wide:
        raise InputError(f"{name}: this is not a text table; give CSV, TSV or Parquet.")
    try:
        decoder = codecs.getincrementaldecoder(_codec(encoding))()
        return decoder.decode(block), len(block) < size
    except UnicodeError as error:
        raise _csv_error(name, error, encoding) from None


def _codec(encoding):
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def column_names(name, dialect):
    return _header(name, dialect)[0]


def declared_types(name, dialect=None):
    return {}


def _header(name, dialect):
    """(column names, separator) of a CSV file, whose first rows are checked against the names."""
    size = HEAD_BYTES
    while True:
        text, whole = _head(name, dialect.encoding, size)
        separator = dialect.separator or _separator(text, whole)
        rows = _first_rows(text, separator, 30, whole)
        if rows or whole:
            break
        size *= 4  # the header alone is longer
    if not rows:
        raise InputError(f"{name}: this is not a CSV table; its first line names no columns.")
    header = rows[0]
    if len(header) == 1 and text[0] in "\r\n":  # further down an empty line is a missing value
        raise InputError(f"{name}: the first line is empty; begin with the name of the column.")
    for number, row in enumerate(rows[1:]):
        if len(row) > len(header):
            raise InputError(
                f"{name}: row {number} has {len(row)} fields where the header has {len(header)}; "
                "quote fields that hold the separator, or name it with --separator."
            )
    return [column or f"Unnamed: {i}" for i, column in enumerate(header)], separator


def _separator(text, whole):
    """The separator under which most of the first lines have the same, largest number of fields."""
    for candidates in SEPARATORS:
        best, most = None, 1
        for candidate in candidates:
            widths = [len(row) for row in _first_rows(text, candidate, 30, whole)]
            if widths and widths[0] > most and np.mean(np.equal(widths, widths[0])) > 0.8:
                best, most = candidate, widths[0]
        if best:
            return best
    return ","


def _first_rows(text, separator, count, whole):
    """The first rows that are not empty; the last is left out where the text may end within it."""
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        filled = (row for row in lines if row)
        rows = [row for _, row in zip(range(count + 1), filled, strict=False)]
    except csv.Error:
        return []
    return rows if whole and len(rows) <= count else rows[:-1]


def chunks(name, roles, dialect, rows):
    """Read the rows of a CSV file, so many at a time.

    Yields:
        (DataFrame, share of the file read so far): numbers that are written plainly as float64,
        all else as text.
    """
    plain = {c for c, role in roles.items() if role == "numeric" and dialect.notation(c) == PLAIN}
    names, separator = _header(name, dialect)
    file, done = (name, names, separator), 0
    # Each goes on where the one before has given up: Arrow is the fastest; pandas reads more; what
    # is no plain number is read as text, which may be blank or a mistake.
    for read, numbers in ((arrow_csv.frames, plain), (_frames, plain), (_frames, ())):
        try:
            for number, (frame, share) in enumerate(read(*file, numbers, dialect, rows)):
                if number == done:
                    done += 1
                    yield frame, share
            return
        except arrow_csv.GivesUp:
            continue


def _frames(name, names, separator, plain, dialect, rows):
    """See `data.tables.arrow_csv.frames`; raises GivesUp where a plain number is none to pandas."""
    # Not "category", which would make 1234 of the postcode 01234.
    text = text_type()
    size = os.stat(name).st_size
    with contextlib.ExitStack() as stack:
        try:
            file, raw = stack.enter_context(opened(name))
            reader = stack.enter_context(
                pd.read_csv(
                    file,
                    sep=separator,
                    encoding=_codec(dialect.encoding),
                    header=0,
                    names=names,
                    index_col=False,
                    dtype={c: "float64" if c in plain else text for c in names},
                    na_values={c: dialect.missing_texts(c) for c in names},
                    keep_default_na=False,
                    skip_blank_lines=len(names) > 1,
                    low_memory=False,
                    iterator=True,
                )
            )
            while (frame := _next(reader, rows)) is not None:
                yield frame, min(raw.tell() / size, 1.0)
        except DAMAGED as error:
            if isinstance(error, InputError):
                raise
            if type(error) is ValueError and plain:
                raise arrow_csv.GivesUp from None
            raise _csv_error(name, error, dialect.encoding) from None


def _next(reader, rows):
    """The next rows, None at the end."""
    try:
        return reader.get_chunk(rows)
    except (StopIteration, pd.errors.EmptyDataError):
        return None


def _csv_error(name, error, encoding):
    if isinstance(error, UnicodeError):
        try:
            with opened(name) as (file, _):
                file.read(1 << 20).decode("cp1252")
            other = "cp1252"
        except UnicodeError:
            other = "latin-1"
        return InputError(f"{name}: this is not {encoding}; read it with --encoding {other}.")
    reason = str(error).replace("Error tokenizing data. C error: ", "").strip(" .\n")
    return InputError(f"{name}: cannot be read as a CSV table ({reason}).")
