"""Reading a set back with every byte checked: no code is run, no path outside it is followed."""

import contextlib
import hashlib
import itertools
import json
import math
import os
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError, one_line
from data.files import NO_ARCHIVE, read_array, sha256, sha256_of_file
from data.sets.publishing import FORMAT
from data.sets.saving import VERSION
from data.tables.encoding import MISSING, RESERVED, UNSEEN

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}


def read_set(folder):
    """Read and check the set in `folder`: (manifest, {column: float32 [cardinality, size]}).

    Nothing of it is trusted: every field that is used is checked, embeddings.npz and each array
    against their sha256, and no memory is taken for what the file does not hold. A set that is
    replaced during the reading is read again.

    Raises `InputError` with one sentence that names the file and what is wrong with it.
    """
    folder = Path(folder)
    for attempt in itertools.count(1):
        before = _stamp(folder)
        try:
            manifest = _read_manifest(folder)
            return manifest, _read_arrays(folder / "embeddings.npz", manifest)
        except InputError:
            if attempt == 3 or _stamp(folder) == before:
                raise
            time.sleep(0.1)


def load_embeddings(folder):
    """Return the vectors of a saved set as {column: DataFrame}, one row per category.

    The index holds the categories with their own type (int64, float64, bool or str) under the
    column's name; the columns are dim_0, dim_1, ... (float32). The rows that stand for a missing
    value and for an unseen category, rows 0 and 1 of the npz, are in `frame.attrs["missing"]` and
    `frame.attrs["unseen"]`, as lists of `size` floats: with arrays there, pd.concat and to_parquet
    fail.

        vectors = load_embeddings("saved_embeddings/campaigns")
        vectors["country"].loc["Spain"]

    Raises `InputError` when the folder holds no set or a damaged one (see `read_set`).
    """
    manifest, arrays = read_set(folder)
    dtypes = {"int": None, "float": "float64", "bool": "bool", "str": "str"}
    frames = {}
    for name, array in arrays.items():
        column = manifest["columns"][name]
        # ints over int64 become uint64 by inference, as they were in the table
        dtype = dtypes[column["type"]] if column["vocabulary"] else column["type"]
        frame = pd.DataFrame(
            array[RESERVED:],
            index=pd.Index(column["vocabulary"], dtype=dtype, name=name),
            columns=[f"dim_{i}" for i in range(array.shape[1])],
            copy=False,
        )
        frame.attrs = {"missing": array[MISSING].tolist(), "unseen": array[UNSEEN].tolist()}
        frames[name] = frame
    return frames


def check_file(folder, manifest, name):
    """Return the path of the file `name` of a set once its sha256 is what the manifest says.

    Raises `InputError` that names the file when it is missing, changed or not listed.
    """
    path = Path(folder) / name
    if name not in manifest["files"]:
        raise _bad(Path(folder) / "embeddings.json", f"it does not list {name}")
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error.strerror or error})") from error
    if found != manifest["files"][name]:
        raise _bad(path, "its sha256 is not the one in embeddings.json")
    return path


def check_set(folder):
    """Check every file of the set in `folder` against its sha256.

    Raises `InputError` that names the first that is missing or changed.
    """
    manifest, _ = read_set(folder)
    for name in manifest["files"]:
        check_file(folder, manifest, name)


def _stamp(folder):
    try:
        status = os.stat(folder / "embeddings.json")
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _bad(path, what):
    return InputError(f"{path} cannot be used: {what}; restore the folder or train it again")


def _read_manifest(folder):
    path = folder / "embeddings.json"
    if not path.is_file():
        if (folder / "embed_model" / "embeddings.json").is_file():
            raise InputError(f"{folder} has no vectors of its own: give {folder / 'embed_model'}")
        raise InputError(
            f"{folder} has no saved embeddings: give a folder that build_embeddings.py has written"
        )
    try:
        manifest = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise _bad(path, "it is not valid JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _bad(path, f'it is not a manifest of saved embeddings ("format": "{FORMAT}")')
    version = manifest.get("version")
    if type(version) is int and version > VERSION:
        raise InputError(
            f"{path} has format version {_short(version)}, newer than {VERSION}, the newest that "
            "this program knows: use a newer program"
        )

    def need(condition, what):
        if not condition:
            raise _bad(path, what)

    need(type(version) is int and version == VERSION, f"version {_short(version)} is unknown")
    need(_is_text(manifest.get("table")), "table is not text")
    for key in ("columns", "files", "target"):
        need(isinstance(manifest.get(key), dict), f"{key} is not an object")
    for key in ("numeric", "split", "options", "versions"):
        need(isinstance(manifest.get(key, {}), dict), f"{key} is not an object")
    for key in ("name", "task"):
        need(_is_text(manifest["target"].get(key)), f"the target's {key} is not text")
    for name, digest in manifest["files"].items():
        need(_is_inside(name), f"files lists {_short(name)}, which is not a path inside the set")
        need(_is_sha256(digest), f"the sha256 of {_short(name)} is not 64 hex digits")
    need("embeddings.npz" in manifest["files"], "files does not list embeddings.npz")
    for name, column in manifest["columns"].items():
        problem = _column_problem(column) if _is_text(name) else "its name is not valid Unicode"
        need(problem is None, f"column {_short(name)}: {problem}")
    return manifest


def _column_problem(column):
    """What is wrong with the entry of one column, or None; fills in what JSON cannot tell."""
    if not isinstance(column, dict):
        return "its entry is not an object"
    vocabulary, rows, means = (column.get(key) for key in ("vocabulary", "rows", "mean_target"))
    cardinality, size, kind = column.get("cardinality"), column.get("size"), column.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return f"type {_short(kind)} is none of str, int, float, bool"
    if not isinstance(vocabulary, list):
        return "vocabulary is not a list"
    if kind == "float" and set(map(type, vocabulary)) <= {int, float}:
        with contextlib.suppress(OverflowError):  # JSON writers may drop the ".0"
            vocabulary = column["vocabulary"] = [float(value) for value in vocabulary]
    if not set(map(type, vocabulary)) <= {_TYPES[kind]}:
        return f"vocabulary holds values that are not {kind}"
    if kind == "int" and vocabulary and (min(vocabulary) < -(2**63) or max(vocabulary) >= 2**64):
        return "vocabulary holds integers of more than 64 bits"
    if kind == "str" and not _is_text("".join(vocabulary)):
        return "vocabulary holds text that is not valid Unicode"
    if kind == "float" and not all(map(math.isfinite, vocabulary)):
        return "vocabulary holds infinity"
    if len(set(vocabulary)) < len(vocabulary):
        return "vocabulary names a category twice"
    if type(cardinality) is not int or cardinality != len(vocabulary) + RESERVED:
        return f"cardinality {_short(cardinality)} is not that of its vocabulary, which has "\
            f"{len(vocabulary):,} categories, plus {RESERVED}"  # fmt: skip
    if type(size) is not int or size < 1:
        return f"size {_short(size)} is not a positive integer"
    if not (_is_list(rows, cardinality, {int}) and min(rows) >= 0 and max(rows) < 2**63):
        return "rows is not a list of one count per embedding row"
    if means is not None and not _is_list(means, cardinality, {int, float, type(None)}):
        return "mean_target is not a list of one number or null per embedding row"
    spread = column.get("spread")
    if spread is not None and not _is_list(spread, cardinality, {int, float}):
        return "spread is not a list of one number per embedding row"
    spellings = column.get("spellings", {})
    if not isinstance(spellings, dict) or not all(
        _is_text(text) and type(row) is int and RESERVED <= row < cardinality
        for text, row in spellings.items()
    ):
        return "spellings does not give an embedding row for each text"
    if not isinstance(column.get("array"), str) or not _is_sha256(column.get("sha256")):
        return "array or sha256 is not text of the right form"
    if not (column.get("csv") is None or _is_inside(column["csv"])):
        return "csv is not a path inside the set"
    return None


def _read_arrays(path, manifest):
    try:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest["files"][path.name]:
                raise _bad(path, "its sha256 is not the one in embeddings.json")
            room = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                arrays = {}
                for name, column in manifest["columns"].items():
                    arrays[name] = _read_column(archive, column, room, path, name)
                    room -= arrays[name].nbytes
                return arrays
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error.strerror or error})") from error
    except InputError:
        raise
    except (*NO_ARCHIVE, ValueError) as error:
        raise _bad(path, f"it is not an archive of arrays ({_short(str(error))})") from error


def _read_column(archive, column, room, path, name):
    """One column's vectors, float32 [cardinality, size], as the manifest describes them.

    Args:
        room: bytes that the file can still hold; more is refused before memory is taken for it.
    """
    shape = (column["cardinality"], column["size"])
    if math.prod(shape) * 4 > room:
        raise _bad(path, f"it does not hold all of column {_short(name)}")
    try:
        array = read_array(archive, column["array"], shape, "<f4")
    except ValueError as error:
        what = one_line(str(error))
        raise _bad(path, f"the array of column {_short(name)} is refused: {what}") from error
    if sha256(array) != column["sha256"]:
        raise _bad(path, f"the array of column {_short(name)} is not the one it was saved with")
    if not np.isfinite(array).all():
        raise _bad(path, f"the vectors of column {_short(name)} hold NaN or infinity")
    return array.astype(np.float32, copy=False)


def _no_constant(text):
    raise ValueError(f"{text} is not JSON")


def _short(value):
    """A value from a file, safe to print and at most about 80 characters long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        text = "a value too large to print"
    return text if len(text) <= 80 else text[:77] + "..."


def _is_list(value, length, types):
    return isinstance(value, list) and len(value) == length and set(map(type, value)) <= types


def _is_text(value):
    """Whether `value` is text that UTF-8 can hold (JSON can name half a surrogate pair)."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def _is_sha256(value):
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_inside(name):
    """Whether `name` is a plain relative path with forward slashes and no step upwards."""
    return (
        isinstance(name, str)
        and not re.search(r"[\\:\0]", name)
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )
