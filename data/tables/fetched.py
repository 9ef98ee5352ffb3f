"""The rows of a database, read once and kept in files, so that every later look sees the same rows.

`fetch` comes first; then they are read like the rows of any file.
"""

import contextlib
import gc
import hashlib
import json
import shutil
from decimal import Decimal

import pandas as pd

from data import InputError
from data.files import sync
from data.progress import Progress
from data.tables import arrow
from data.tables.columns import agreed, check_distinct
from data.tables.sql import read_rows
from data.tables.values import as_text

# As Python's objects, then as a file. Hashes of saved sets are of rows read so many at a time.
ROWS_AT_ONCE = 100_000
_kept = {}  # (name, SQL) -> pathlib.Path of the folder


def fetch(name, sql, folder, expected=None, resume=False):
    """Read the rows of a table or SELECT into files, or take up those that an earlier run kept.

    Args:
        name: the database's URL, see `data.tables.sql`; sql: name of a table, or a SELECT.
        folder: pathlib.Path where they are kept, in a folder of their own.
        expected: sha256 that they must have; those kept are taken up if they have it.
        resume: take up those kept, whatever they are.

    Raises:
        InputError: see `read_rows`; also where there are no rows, or others than expected.
    """
    if not sql:
        raise InputError(f"--sql: name the table of {name} to read, or give a SELECT.")
    known = hashlib.sha256(json.dumps([name, sql]).encode()).hexdigest()[:16]
    place = folder / f"rows-{known}"
    if not _whole(place) or not (resume or (expected and _read(place)["sha256"] == expected)):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            # A third of the time would go into looking for cycles among millions of tuples.
            gc.disable()
            _write(name, sql, place)
        except BaseException:
            shutil.rmtree(place)
            with contextlib.suppress(OSError):  # where another's rows are
                folder.rmdir()
            raise
        finally:
            gc.enable()
    if expected and _read(place)["sha256"] != expected:
        shutil.rmtree(place)
        raise InputError(
            f"{name}: the rows, or their order, have changed since the embeddings were learned; "
            "run build_embeddings.py again, with ORDER BY in --sql if only the order changes."
        )
    _kept[name, sql] = place


def fetched_folders():
    """Where the rows are that this run has fetched, list of pathlib.Path."""
    return list(_kept.values())


def content(name, sql):
    """The sha256 of the rows fetched, which stands for them as a file's own does for its bytes."""
    return _read(_kept[name, sql])["sha256"]


def column_names(name, dialect):
    return arrow.column_names(str(_parts(name, dialect)[0]), dialect)


def declared_types(name, dialect):
    return agreed([arrow.declared_types(str(part), dialect) for part in _parts(name, dialect)])


def chunks(name, roles, dialect, rows):
    parts = _parts(name, dialect)
    for number, part in enumerate(parts):
        for frame, share in arrow.chunks(str(part), roles, dialect, rows):
            yield frame, (number + share) / len(parts)


def _parts(name, dialect):
    place = _kept[name, dialect.sql]
    return [place / part for part in _read(place)["sizes"]]


def _write(name, sql, place):
    with arrow.reading(name, "a database", "pyarrow.feather") as pyarrow:
        pass  # it is there
    digest, sizes, done = hashlib.sha256(), {}, 0
    progress = Progress("fetching")
    for names, rows in read_rows(name, sql, ROWS_AT_ONCE):
        check_distinct(names, name)
        if not rows:
            raise InputError(f"{name}: there are no rows in {sql!r}; check the query.")
        arrays = [_array(values, pyarrow) for values in zip(*rows, strict=True)]
        table = pyarrow.Table.from_arrays(arrays, names=names)
        digest.update(json.dumps(names).encode())
        for array in arrays:
            digest.update(_hashes(array))
        part = place / f"{len(sizes)}.feather"
        pyarrow.feather.write_feather(table, str(part), compression="lz4")
        sizes[part.name] = part.stat().st_size
        done += len(rows)
        progress(done)
    progress.done()
    # Written last, and renamed: what a killed run left is not taken up.
    unfinished = place / "rows.part"
    unfinished.write_text(json.dumps({"sha256": digest.hexdigest(), "sizes": sizes}))
    sync(unfinished)
    unfinished.rename(place / "rows.json")


def _array(values, pyarrow):
    """Values of a column as an Arrow array: of the type that they have, else as text."""
    try:
        array = pyarrow.array(values)
        if pyarrow.types.is_nested(array.type):
            return pyarrow.nulls(len(values), pyarrow.list_(pyarrow.null()))
        if not isinstance(array.type, pyarrow.ExtensionType):
            return array
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
        kinds = {type(value) for value in values} - {type(None)}
        if kinds & {dict, list, tuple}:
            return pyarrow.nulls(len(values), pyarrow.list_(pyarrow.null()))
        if kinds == {Decimal}:  # NaN, or more digits than Arrow's have
            return pyarrow.array([None if value is None else float(value) for value in values])
    return pyarrow.array([None if value is None else as_text(value) for value in values])


def _hashes(array):
    """A number for each value that depends on nothing else, as bytes."""
    values = array.to_pandas(integer_object_nulls=True, date_as_object=False)
    return pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes()


def _read(place):
    return json.loads((place / "rows.json").read_text())


def _whole(place):
    try:
        sizes = _read(place)["sizes"]
        return all((place / part).stat().st_size == size for part, size in sizes.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False
