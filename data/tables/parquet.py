"""Parquet files: their columns, declared types, and rows in chunks.

Folders named `key=value` above a file are columns of it, as Hive, Spark and pandas write them.
"""

import contextlib
import os
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from data.tables.arrow import reading, schema_types, to_frame

ENDINGS = (".parquet", ".pq")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def column_names(name, dialect=None):
    with _opened(name) as file:
        names = list(file.schema_arrow.names)
    return names + [key for key in _partition(name) if key not in names]


def declared_types(name, dialect=None):
    with _opened(name) as file:
        return schema_types(file.schema_arrow)


def chunks(name, roles, dialect, rows):
    with _opened(name) as file:
        done, total = 0, max(file.metadata.num_rows, 1)
        inside = [column for column in roles if column in file.schema_arrow.names]
        for table in _so_many(file.iter_batches(batch_size=rows, columns=inside), rows):
            done += table.num_rows
            frame = to_frame(table) if inside else pd.DataFrame(index=range(table.num_rows))
            for key, value in _partition(name).items():
                if key in roles and key not in inside:
                    codes = [0 if value is not None else -1] * len(frame)
                    frame[key] = pd.Categorical.from_codes(codes, [value or ""])
            yield frame, done / total


def _so_many(batches, rows):
    """Arrow tables of exactly so many rows, but for the last.

    Where batches end depends on the columns that are asked for; two readers of one file would not
    keep pace.
    """
    import pyarrow

    kept, waiting = [], 0
    for batch in batches:
        kept.append(batch)
        waiting += batch.num_rows
        while waiting >= rows:
            table = pyarrow.Table.from_batches(kept)
            kept, waiting = table.slice(rows).to_batches(), waiting - rows
            yield table.slice(0, rows)
    if waiting:
        yield pyarrow.Table.from_batches(kept)


def files_in(folder):
    """The Parquet files in a folder and in the folders in it, list of str, sorted."""
    return sorted(
        str(path)
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in ENDINGS
        and not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )


def _partition(name):
    """dict of key -> text or None for the folders `key=value` right above a file."""
    found = {}
    for folder in Path(os.path.abspath(name)).parents:
        key, equals, value = folder.name.partition("=")
        if not (key and equals):
            break
        found[unquote(key)] = None if value == NO_VALUE else unquote(value)
    return dict(reversed(found.items()))


@contextlib.contextmanager
def _opened(name):
    with (
        reading(name, "Parquet", "pyarrow.parquet") as pyarrow,
        pyarrow.parquet.ParquetFile(name) as file,
    ):
        yield file
