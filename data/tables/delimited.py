"""CSV, TSV and other delimited text: its header, its separator, its rows in chunks."""

import codecs
import contextlib
import csv
import io
import itertools
import os
import re
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data import InputError
from data.progress import Progress
from data.tables import arrow_csv
from data.tables.compressed import DAMAGED, WAY_ON, opened
from data.tables.notation import PLAIN
from data.tables.values import text_type

ENDINGS = (".csv", ".tsv", ".txt")
HEAD_BYTES = 1 << 18
# The likely separators, and those that are tried when none of these makes two columns.
SEPARATORS = (",;\t|", "^~\x01\x1f: ")
# A first line that holds one is no header.
FRACTION = re.compile(r"[+-]?[0-9]+\.[0-9]+([eE][+-]?[0-9]+)?")
MIXED = 3  # letters beyond ASCII that are UTF-8 before the first mistake; by chance hardly any are
NOT_ASCII = re.compile(r"[^\x00-\x7f\ufffd]+")
LONG_ROW = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
TOTAL = re.compile(r"((grand|sub)[ -]?)?total|totals|sum|summe|gesamt|totale|suma|toplam", re.I)
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
        raise InputError(f"{name}: cannot be read ({error}); {WAY_ON}.") from None
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


@dataclass
class Layout:
    """How the rows of one CSV file are laid out.

    Attributes:
        names: of its columns; separator: between fields; above: lines above the header.
    """

    names: list
    separator: str
    above: int


def column_names(name, dialect):
    return _layout(name, dialect).names


def declared_types(name, dialect=None):
    return {}


def _layout(name, dialect):
    """The Layout of a CSV file, whose first rows are checked against the header."""
    size = HEAD_BYTES
    while True:
        text, whole = _head(name, dialect.encoding, size)
        above, text, separator = _above(text, dialect, whole)
        rows = _first_rows(text, separator, dialect, whole)
        if rows or whole:
            break
        size *= 4  # the header alone is longer
    if not rows:
        raise InputError(f"{name}: this is not a CSV table; its first line names no columns.")
    header = rows[0]
    if len(header) == 1 and text[0] in "\r\n":  # further down an empty line is a missing value
        raise InputError(f"{name}: the first line is empty; begin with the name of the column.")
    widths = {len(row) for row in rows[1:]}
    if widths == {len(header) + 1}:
        raise InputError(
            f"{name}: every row has one field more than the header; name the first column, too, "
            "or name the separator with --separator."
        )
    for number, row in enumerate(rows[1:]):
        _check_width(name, number, row, header)
    if number := next((cell for cell in header if FRACTION.fullmatch(cell)), None):
        raise InputError(
            f"{name}: the first line holds {number}, a number; write the names of the columns "
            "above it."
        )
    names = [column or f"Unnamed: {i}" for i, column in enumerate(header)]
    return Layout(names, separator, above)


def _check_width(name, number, row, header):
    """Rows end where the header does: what is missing would move what follows, or hide it."""
    n_fields, n_columns = len(row), len(header)
    if n_fields > n_columns:
        raise InputError(
            f"{name}: row {number} has {n_fields} fields where the header has {n_columns}; quote "
            "fields that hold the separator, name it with --separator, or delete the lines above "
            "the header."
        )
    if n_fields < n_columns:
        fields = "1 field" if n_fields == 1 else f"{n_fields} fields"
        quotes = ", give --quote none if quotes are letters here" if "\n" in "".join(row) else ""
        raise InputError(
            f"{name}: row {number} has {fields} where the header has {n_columns}; complete it, "
            f"quote texts that hold line breaks{quotes}, or delete what is no row of the table."
        )


def _above(text, dialect, whole):
    """What stands above the header: lines of comments, or the one with which Excel is told the
    separator.

    Returns:
        (number of these lines, the text below them, the separator)
    """
    if told := re.match(r'"?sep=(.)"?(\r\n|\r|\n)', text, re.IGNORECASE):
        return 1, text[told.end() :], dialect.separator or told[1]
    lines = text.splitlines(keepends=True)
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    below = "".join(lines[len(comments) :])
    if not comments or not below:
        return 0, text, dialect.separator or _separator(text, dialect, whole)
    separator = dialect.separator or _separator(below, dialect, whole)
    rows = _first_rows(comments[-1] + below, separator, dialect, whole)
    if len(rows) > 1 and len(rows[0]) == len(rows[1]) > 1:  # the header begins with a #
        comments.pop()
    above = "".join(comments)
    return len(comments), text[len(above) :], separator


def _separator(text, dialect, whole):
    """The separator under which most of the first lines have the same, largest number of fields."""
    for candidates in SEPARATORS:
        best, most = None, 1
        for candidate in candidates:
            widths = [len(row) for row in _first_rows(text, candidate, dialect, whole)]
            if widths and widths[0] > most and np.mean(np.equal(widths, widths[0])) > 0.8:
                best, most = candidate, widths[0]
        if best:
            return best
    return ","


def _first_rows(text, separator, dialect, whole, count=30):
    """The first rows that are not empty; the last is left out where the text may end within it."""
    filled = _rows(io.StringIO(text, newline=""), separator, dialect)
    rows = [row for _, row in zip(range(count + 1), filled, strict=False)]
    return rows if whole and len(rows) <= count else rows[:-1]


def _rows(file, separator, dialect):
    """The fields of every row that is not blank; nothing more from a row on that is damaged."""
    limit = csv.field_size_limit(sys.maxsize)  # of the whole process, so it is put back
    try:
        for row in csv.reader(file, delimiter=separator, quoting=dialect.quoting):
            if len(row) > 1 or any(map(str.strip, row)):
                yield row
    except csv.Error:
        return
    finally:
        csv.field_size_limit(limit)


def chunks(name, roles, dialect, rows):
    """Read the rows of a CSV file, so many at a time.

    Yields:
        (DataFrame, share of the file read so far): numbers that are written plainly as float64,
        all else as text.

    Raises:
        InputError: the file is damaged, some row is short, or what is no row is among them.
    """
    plain = {c for c, role in roles.items() if role == "numeric" and dialect.notation(c) == PLAIN}
    layout, done, n_rows, complete, last = _layout(name, dialect), 0, 0, True, None
    # Each goes on where the one before has given up: Arrow is the fastest; pandas reads more; what
    # is no plain number is read as text, which may be blank or a mistake.
    for read, numbers in ((arrow_csv.frames, plain), (_frames, plain), (_frames, ())):
        try:
            for number, (frame, share) in enumerate(read(name, layout, numbers, dialect, rows)):
                if number == done:
                    if dialect.quote is None:
                        _check_quotes(name, frame, layout, n_rows)
                    complete &= bool(frame[layout.names[-1]].notna().all())
                    done, n_rows, last = done + 1, n_rows + len(frame), frame
                    yield frame, share
            break
        except arrow_csv.GivesUp:
            continue
    # Pandas completes short rows, so that nobody sees that they are; Arrow gives up on them.
    if read is _frames and not complete and len(layout.names) > 1:
        _check_widths(name, layout, dialect)
    if n_rows and dialect.part != "new":
        _check_total(name, last, n_rows)


def _frames(name, layout, plain, dialect, rows):
    """See `data.tables.arrow_csv.frames`; raises GivesUp where a plain number is none to pandas."""
    names, size = layout.names, os.stat(name).st_size
    # Not "category", which would make 1234 of the postcode 01234.
    dtypes = {c: "float64" if c in plain else text_type() for c in names}
    with contextlib.ExitStack() as stack:
        try:
            file, raw = stack.enter_context(opened(name))
            reader = stack.enter_context(
                pd.read_csv(
                    file,
                    sep=layout.separator,
                    encoding=_codec(dialect.encoding),
                    quoting=dialect.quoting,
                    skiprows=layout.above,
                    header=0,
                    names=names,
                    index_col=False,
                    dtype=dtypes,
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


def _check_quotes(name, frame, layout, first_row):
    """Refuse a field that holds whole rows of the table, because a quote is not closed."""
    n = len(layout.names)
    for k, column in enumerate(layout.names):
        if pd.api.types.is_float_dtype(frame[column].dtype):
            continue
        broken = frame[column].str.contains("\n", regex=False).fillna(False).to_numpy(bool)
        for row in np.flatnonzero(broken):
            text = frame[column].iloc[row]
            found = [line.count(layout.separator) for line in text.split("\n")]
            swallowed = [n - 1 - k, *[n - 1] * (len(found) - 2), k]
            if n > 1 and np.mean(np.equal(found, swallowed)) >= 0.8:
                raise InputError(
                    f"{name}: '{column}' of row {first_row + row} holds the next "
                    f"{len(found) - 1:,} lines, too, up to another quote; give --quote none if "
                    "quotes are letters in this file, or --quote double if it means them so."
                )


def _check_widths(name, layout, dialect):
    """Refuse the first row that is short."""
    progress = Progress(f"checking {os.path.basename(name)}")
    size = os.stat(name).st_size
    with opened(name) as (file, raw):
        text = io.TextIOWrapper(file, _codec(dialect.encoding), newline="")
        for _ in range(layout.above):
            text.readline()
        rows = _rows(text, layout.separator, dialect)
        next(rows, None)
        for number, row in enumerate(rows):
            if len(row) < len(layout.names):
                _check_width(name, number, row, layout.names)
            if number % 65_536 == 0:
                progress(number, min(raw.tell() / size, 1.0))
        text.detach()
    progress.done()


def _check_total(name, frame, n_rows):
    """Refuse a last row that adds up the others."""
    for column in frame:
        text = frame[column].iloc[-1]
        if (
            isinstance(text, str)
            and TOTAL.fullmatch(text.strip(" :"))
            and (frame[column] == text).sum() == 1
        ):
            raise InputError(
                f"{name}: the last row, {n_rows - 1}, has {text!r} for '{column}': a sum of the "
                "others is no row to learn from; delete it, or call it by another name."
            )


def _next(reader, rows):
    """The next rows, None at the end."""
    try:
        return reader.get_chunk(rows)
    except (StopIteration, pd.errors.EmptyDataError):
        return None


def _csv_error(name, error, encoding):
    if isinstance(error, UnicodeError):
        return _encoding_error(name, encoding)
    reason = str(error).replace("Error tokenizing data. C error: ", "").strip(" .\n")
    if found := LONG_ROW.search(reason):
        return InputError(
            f"{name}: line {found[2]} has {found[3]} fields where the header has {found[1]}; quote "
            "fields that hold the separator, or correct the line."
        )
    way_on = WAY_ON
    if "EOF inside string" in reason:
        way_on = "close the quote, or give --quote none if quotes are letters in this file"
    return InputError(f"{name}: cannot be read as a CSV table ({reason}); {way_on}.")


def _encoding_error(name, encoding):
    """The InputError about bytes that are not of the encoding: another one, or a few mistakes."""
    # Without mistakes of its own this one reads on, and counts them.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    line, right, above, block = 1, 0, 0, b""
    with opened(name) as (file, _):
        while block := file.read(1 << 22):
            before, mistake, after = decoder.decode(block).partition("\ufffd")
            line += before.count("\n")
            above = right + sum(map(len, NOT_ASCII.findall(before)))
            right = above + sum(map(len, NOT_ASCII.findall(after)))
            if mistake:
                break
    mixed = above >= MIXED or right > 10 * (1 + after.count("\ufffd"))
    if codecs.lookup(encoding).name == "utf-8" and mixed:
        return InputError(
            f"{name}: line {line} holds a byte that is not utf-8, as other lines are; "
            "correct it, and write the whole file in one encoding."
        )
    try:
        block.decode("cp1252")
        other = "cp1252"
    except UnicodeError:
        other = "latin-1"
    return InputError(f"{name}: this is not {encoding}; read it with --encoding {other}.")
