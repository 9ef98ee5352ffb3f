"""Parquet files: their columns, declared types, and rows in chunks."""

import contextlib

from data import InputError
from data.tables.compressed import DAMAGED

PARQUET = (".parquet", ".pq")


def is_parquet(name):
    return name.lower().endswith(PARQUET)


@contextlib.contextmanager
def open_parquet(name):
    """The open file; whatever is wrong with it becomes an InputError."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{name}: reading Parquet takes one more package; pip install pyarrow."
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(name) as file:
            yield file
    except InputError:
        raise
    except (*DAMAGED, TypeError, KeyError) as error:
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: cannot be read as Parquet ({reason}).") from None


def arrow_type(kind):
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    for name, tests in (
        ("int", [types.is_integer]),
        ("float", [types.is_floating, types.is_decimal]),
        ("bool", [types.is_boolean]),
        ("str", [types.is_string, types.is_large_string, types.is_string_view]),
        ("date", [types.is_timestamp, types.is_date]),
        ("compound", [types.is_nested]),
    ):
        if any(test(kind) for test in tests):
            return name
    return None


def parquet_chunks(name, columns, rows):
    with open_parquet(name) as file:
        done, total = 0, max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            done += batch.num_rows
            frame = batch.to_pandas(
                integer_object_nulls=True,  # a missing value must not turn 5 into 5.0
                date_as_object=False,
                ignore_metadata=True,  # what was an index of pandas is a column here
            )
            yield frame, done / total
