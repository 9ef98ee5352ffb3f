"""Arrow files and Feather: their columns, declared types, and rows in chunks."""

import contextlib

from data import InputError
from data.tables.compressed import DAMAGED, WAY_ON

ENDINGS = (".arrow", ".feather", ".ipc")


def column_names(name, dialect=None):
    with _opened(name) as file:
        return list(file.schema.names)


def declared_types(name, dialect=None):
    with _opened(name) as file:
        return schema_types(file.schema)


def chunks(name, roles, dialect, rows):
    with _opened(name) as file:
        places = [file.schema.get_field_index(column) for column in roles]
    with _opened(name, included_fields=places) as file:
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for start in range(0, batch.num_rows, rows):
                yield (
                    to_frame(batch.slice(start, rows)),
                    (number + min(1.0, (start + rows) / batch.num_rows)) / file.num_record_batches,
                )


@contextlib.contextmanager
def _opened(name, **options):
    with reading(name, "Arrow", "pyarrow.ipc") as pyarrow:
        options = pyarrow.ipc.IpcReadOptions(**options)
        with pyarrow.memory_map(name) as raw, pyarrow.ipc.open_file(raw, options=options) as file:
            yield file


@contextlib.contextmanager
def reading(name, form, module):
    """The package pyarrow with its submodule; whatever is wrong with the file in here becomes an
    InputError.

    Args:
        form: what the file is to be, for messages.
    """
    try:
        import importlib

        importlib.import_module(module)
        import pyarrow
    except ImportError:
        raise InputError(
            f"{name}: reading {form} takes one more package; pip install pyarrow."
        ) from None
    try:
        yield pyarrow
    except InputError:
        raise
    except (*DAMAGED, TypeError, KeyError) as error:
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: cannot be read as {form} ({reason}); {WAY_ON}.") from None


def schema_types(schema):
    """What an Arrow schema says: dict of column -> type, see `data.tables.formats`."""
    return {c: kind for c in schema.names if (kind := _type(schema.field(c).type))}


def _type(kind):
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    for name, tests in (
        ("null", [types.is_null]),
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


def to_frame(batch):
    """A record batch or an Arrow table as a DataFrame."""
    return batch.to_pandas(
        integer_object_nulls=True,  # a missing value must not turn 5 into 5.0
        date_as_object=False,
        ignore_metadata=True,  # what was an index of pandas is a column here
    )
