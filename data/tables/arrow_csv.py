"""CSV through Arrow's reader, which is faster than pandas' with text.

It gives up on all that the two could see differently, and pandas reads on from there.
"""

import codecs
import csv
import os
from pathlib import Path

import pandas as pd

from data.tables.compressed import COMPRESSED, DAMAGED

TAIL = 1 << 16
BLOCK = 1 << 22  # bytes; larger ones are slower, out of the processor's cache


class GivesUp(Exception):
    """Arrow's reader does not read this file, or not from here on."""


def frames(name, layout, plain, dialect, rows):
    """Read the rows of a CSV file in UTF-8, so many at a time.

    Args:
        layout: `data.tables.delimited.Layout`; plain: columns of numbers written plainly.

    Yields:
        (DataFrame, share of the file read so far): plain numbers as float64, all else as text.

    Raises:
        GivesUp: pyarrow is not there, columns differ in what is missing, or some row is not as
            CSV should be.
    """
    try:
        import pyarrow
        from pyarrow import csv as arrow
    except ImportError:
        raise GivesUp from None
    names = layout.names
    missing = {tuple(dialect.missing_texts(column)) for column in names}
    if len(missing) > 1 or not _is_plain(name, dialect.encoding):
        raise GivesUp
    text, size, kept = pyarrow.string(), os.stat(name).st_size, []
    try:
        with open(name, "rb") as file:
            reader = arrow.open_csv(
                file,
                arrow.ReadOptions(
                    block_size=BLOCK,
                    column_names=names,
                    skip_rows=layout.above,
                    skip_rows_after_names=1,
                ),
                arrow.ParseOptions(
                    delimiter=layout.separator,
                    quote_char=False if dialect.quote == "none" else '"',
                    newlines_in_values=True,
                    ignore_empty_lines=len(names) > 1,
                ),
                arrow.ConvertOptions(
                    column_types=dict.fromkeys(names, text),
                    null_values=missing.pop(),
                    strings_can_be_null=True,
                ),
            )
            for batch in reader:
                if batch.num_rows:
                    kept.append(batch)
                while sum(batch.num_rows for batch in kept) >= rows:
                    table = pyarrow.Table.from_batches(kept)
                    kept = table.slice(rows).to_batches()
                    yield _frame(table.slice(0, rows), plain), min(file.tell() / size, 1.0)
            if kept:
                last = kept[-1].slice(kept[-1].num_rows - 1).to_pylist()
                if any("\n" in (value or "") for row in last for value in row.values()):
                    raise GivesUp  # a quote that is never closed swallows all that follows
                yield _frame(pyarrow.Table.from_batches(kept), plain), 1.0
    except DAMAGED:
        raise GivesUp from None


def _is_plain(name, encoding):
    """Whether this is UTF-8, not compressed, with lines as usual, and its last quote is closed."""
    if codecs.lookup(encoding).name != "utf-8" or Path(name).suffix.lower() in COMPRESSED:
        return False
    with open(name, "rb") as file:
        head = file.read(TAIL)
        file.seek(max(0, os.stat(name).st_size - TAIL))
        tail = file.read()
    if b"\r" in head.replace(b"\r\n", b"") or head[:1] in b"\r\n":
        return False
    last = tail.rstrip(b"\r\n").rpartition(b"\n")[2]
    try:
        list(csv.reader([last.decode()], strict=True))
    except (csv.Error, UnicodeError):
        return False
    return len(last) < TAIL


def _frame(table, plain):
    from pyarrow import compute

    columns = {}
    for column in table.column_names:
        values = table[column]
        if column in plain:
            values = compute.cast(values, "float64")
            if compute.any(compute.is_nan(values)).as_py():
                raise GivesUp  # NAN, which pandas takes for text
        columns[column] = pd.Series(pd.arrays.ArrowExtensionArray(values))
    return pd.DataFrame(columns, copy=False)
