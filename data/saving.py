"""The saved format: vectors into files that any tool opens, and back with every byte checked.

A set is a folder. `embeddings.npz` holds one float32 array [cardinality, size] per column (row 0
stands for a missing value, row 1 for an unseen category, row i + 2 for vocabulary[i]);
`embeddings.json`, the manifest, says which row is which category and holds the sha256 of every
other file. Reading runs no code (no pickle) and follows no path that a manifest names outside its
folder.
"""

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import math
import os
import platform
import re
import struct
import time
import tokenize
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.progress import Progress
from data.publishing import (  # noqa: F401 (one place to import from for what writes sets)
    FORMAT,
    check_output,
    publish,
    stage_copy,
    sync,
    working_folder,
)

VERSION = 1
CSV_LIMIT = 100_000  # more categories get a CSV only when asked for: they take minutes to write

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_STEM_BYTES = 100
# What zipfile and NumPy raise on bytes that only look like an archive of arrays.
NO_ARCHIVE = (
    zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, struct.error,
    MemoryError, SyntaxError, tokenize.TokenError,
)  # fmt: skip
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d) *(\.|$)", re.IGNORECASE)


# ------------------------------------------------------------------------------ names of files


def file_names(names):
    """Return a file stem for each name: dict[str, str], safe on every system, no two alike.

    Letters and digits of any script, space, `_`, `-` and `.` stay; everything else, also a
    leading dot, hyphen or space, a trailing dot or space, and the first letter of a Windows
    device name, becomes percent-encoded UTF-8. Names over 100 bytes are cut. Where a cut or a
    system that ignores case or Unicode normalisation could make two names alike, both end in `~`
    and a hash of the name. The result depends on the set of names, not on their order.
    """
    stems = {name: _stem(name) for name in names}
    alike = {}
    for name, stem in stems.items():
        folded = unicodedata.normalize("NFKC", stem.upper().casefold())
        alike.setdefault(unicodedata.normalize("NFKC", folded.casefold()), []).append(name)
    for group in alike.values():
        for name in group:
            long = len(stems[name].encode()) > _STEM_BYTES
            if long or len(group) > 1:
                stems[name] = _cut(stems[name]) + "~" + _hash(_utf8(name))[:16]
    return stems


def _stem(name):
    characters = list(unicodedata.normalize("NFC", name))
    stem = [
        c if c in " _-." or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd"
        else _percent(c)
        for c in characters
    ]  # fmt: skip
    if not stem:
        return "%"  # no other name gives a lone percent sign
    if characters[0] in " -." or _DEVICES.match(name):
        stem[0] = _percent(characters[0])
    if characters[-1] in " .":
        stem[-1] = _percent(characters[-1])
    if "".join(stem).lower().endswith(".npy"):  # np.load would mix up "a" and "a.npy"
        stem[-4] = _percent(".")
    return "".join(stem)


def _cut(stem):
    kept = stem.encode()[: _STEM_BYTES - 17].decode(errors="ignore")
    return re.sub(r"%[0-9A-F]?$", "", kept)


def _percent(character):
    return "".join(f"%{byte:02X}" for byte in _utf8(character))


def _utf8(text):
    return text.encode("utf-8", "surrogatepass")


def _hash(data):
    return hashlib.sha256(data).hexdigest()


# ------------------------------------------------------------------------------------- writing


def write_vectors(folder, manifest, arrays, all_csv=False):
    """Write embeddings.npz and vectors/<column>.csv of every column into `folder`.

    `arrays` maps every name in `manifest["columns"]` to a float32 array [cardinality, size]. The
    keys "array", "sha256" and "csv" of each column are filled in. The same vectors give the same
    bytes. `np.load("embeddings.npz")["country"]` needs nothing of ours.

    A CSV has the columns category, rows (training rows of the category) and dim_0, dim_1, ...,
    and one line per category; the reserved rows 0 and 1 are in the npz alone. Columns of more
    than 100,000 categories get none unless `all_csv`. Floats are the shortest text that gives the
    same float32. `pd.read_csv(path, index_col=0)` reads it; text categories that look like
    something else to pandas ("NA", "007", "") need

        pd.read_csv(path, dtype={"category": str}, keep_default_na=False).set_index("category")

    Categories that begin with =, +, - or @ stand there as they are, because a changed category
    would match nothing: a spreadsheet should import the first column as text.

    Raises `ValueError` for an array of another shape or dtype, or with NaN or infinity.
    """
    folder = Path(folder)
    stems = file_names(manifest["columns"])
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "embeddings.npz", "w", zipfile.ZIP_STORED) as archive:
        for name, column in manifest["columns"].items():
            array, shape = arrays[name], (column["cardinality"], column["size"])
            if array.dtype != np.float32 or array.shape != shape:
                raise ValueError(f"column {name!r}: {array.dtype} {array.shape}, not {shape}")
            array = np.ascontiguousarray(array, dtype="<f4")
            if not np.isfinite(array).all():
                raise ValueError(f"column {name!r}: the vectors hold NaN or infinity")
            column["array"] = stems[name]
            column["sha256"] = _hash(array)
            member = zipfile.ZipInfo(f"{stems[name]}.npy")  # dated 1980, not today
            member.create_system = 3
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
            column["csv"] = None
            if all_csv or len(column["vocabulary"]) <= CSV_LIMIT:
                column["csv"] = f"vectors/{stems[name]}.csv"
                _write_csv(folder / column["csv"], column, array)


def _write_csv(path, column, array):
    header = ["category", "rows", *(f"dim_{i}" for i in range(array.shape[1]))]
    progress = Progress(f"writing {path.name}", "categories")
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(",".join(header) + "\n")
        for start in range(2, len(array), 4096):  # as text a float takes 128 bytes
            part = slice(start, start + 4096)
            categories = column["vocabulary"][start - 2 : start + 4094]
            for category, rows, vector in zip(
                categories, column["rows"][part], array[part].astype(str).tolist(), strict=True
            ):
                file.write(f"{csv_field(category)},{rows},{','.join(vector)}\n")
            progress(start, start / len(array))
    progress.done()


def csv_field(category):
    """Return a category as a field of a CSV file: quoted where needed, floats to the last bit."""
    text = str(category)
    if re.search(r'[",\r\n]', text):
        return '"' + text.replace('"', '""') + '"'
    return text


def seal(folder, manifest):
    """Finish the set in `folder`: sha256 of every file into `manifest["files"]`, and to the disk.

    Writes embeddings.json last. embed_model/, a set of its own, is left out of "files": seal it
    first. Returns when all of it has been written through to the disk.
    """
    folder = Path(folder)
    manifest["files"] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            if name != "embeddings.json" and not name.startswith("embed_model/"):
                manifest["files"][name] = _hash_file(path)
            sync(path)
    text = _json_text(manifest, levels=3)
    unfinished = folder / "embeddings.json.part"  # a new file: the old one may be a hard link
    unfinished.write_bytes(text.encode())
    sync(unfinished)
    os.replace(unfinished, folder / "embeddings.json")
    for inner in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        sync(inner)


def _json_text(value, levels, indent="\n"):
    """JSON for people too: one line per key down to `levels`, a whole vocabulary in one line."""
    if levels == 0 or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    inner = indent + "  "
    lines = (
        json.dumps(str(key), ensure_ascii=False) + ": " + _json_text(part, levels - 1, inner)
        for key, part in value.items()
    )
    return "{" + inner + ("," + inner).join(lines) + indent + "}"


def _plain(value):
    """NumPy numbers and arrays as Python's own."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a manifest")


def _hash_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions():
    """Return the versions of Python and the packages that results depend on: dict[str, str]."""
    found = {"python": platform.python_version()}
    for package in ("tensorflow", "keras", "numpy", "pandas", "scikit-learn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


# ------------------------------------------------------------------------------------- reading


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
            array[2:],
            index=pd.Index(column["vocabulary"], dtype=dtype, name=name),
            columns=[f"dim_{i}" for i in range(array.shape[1])],
            copy=False,
        )
        frame.attrs = {"missing": array[0].tolist(), "unseen": array[1].tolist()}
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
        found = _hash_file(path)
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
    if type(cardinality) is not int or cardinality != len(vocabulary) + 2:
        return f"cardinality {_short(cardinality)} is not that of its vocabulary, which has "\
            f"{len(vocabulary):,} categories, plus 2"  # fmt: skip
    if type(size) is not int or size < 1:
        return f"size {_short(size)} is not a positive integer"
    if not (_is_list(rows, cardinality, {int}) and min(rows) >= 0 and max(rows) < 2**63):
        return "rows is not a list of one count per embedding row"
    if means is not None and not _is_list(means, cardinality, {int, float, type(None)}):
        return "mean_target is not a list of one number or null per embedding row"
    spellings = column.get("spellings", {})
    if not isinstance(spellings, dict) or not all(
        _is_text(text) and type(row) is int and 2 <= row < cardinality
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
                    arrays[name] = _read_array(archive, column, room, path, name)
                    room -= arrays[name].nbytes
                return arrays
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error.strerror or error})") from error
    except InputError:
        raise
    except (*NO_ARCHIVE, ValueError) as error:
        raise _bad(path, f"it is not an archive of arrays ({_short(str(error))})") from error


def _read_array(archive, column, room, path, name):
    """Read one member after its header has shown that it holds exactly what the manifest says."""
    member = archive.getinfo(column["array"] + ".npy")
    shape = (column["cardinality"], column["size"])
    expected = shape[0] * shape[1] * 4
    # Stored, not compressed: the bytes are all there before memory is taken for them.
    if member.compress_type != zipfile.ZIP_STORED or expected > room:
        raise _bad(path, f"it does not hold all of column {_short(name)}, uncompressed")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("an array is not in npy format 1.0")
        found, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if (found, dtype, by_columns) != (shape, np.dtype("<f4"), False):
            what = f"{dtype} {_short(found)}, not float32 {_short(shape)}"
            raise _bad(path, f"the array of column {_short(name)} is {what}")
        if member.file_size != file.tell() + expected:
            raise _bad(path, f"the array of column {_short(name)} is cut off or too long")
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if _hash(array) != column["sha256"]:
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
