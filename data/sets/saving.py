"""Writing a set: vectors into files that any tool opens, sealed with the sha256 of every file."""

import contextlib
import importlib.metadata
import json
import os
import platform
import zipfile
from pathlib import Path

import numpy as np

from data.files import csv_writer, sha256, sha256_of_file, sync
from data.progress import Progress
from data.sets.names import file_names
from data.tables.encoding import RESERVED
from data.tables.values import as_text

VERSION = 1
CSV_LIMIT = 100_000  # more categories get no CSV: it takes minutes to write


def write_vectors(folder, manifest, arrays):
    """Write embeddings.npz, vectors/<column>.csv of every column and vectors.parquet into `folder`.

    `arrays` maps every name in `manifest["columns"]` to a float32 array [cardinality, size]. The
    keys "array", "sha256" and "csv" of each column are filled in. The same vectors give the same
    bytes. `np.load("embeddings.npz")["country"]` needs nothing of ours.

    A CSV has the columns category, rows (training rows of the category), spread (how sure its
    vector is: 0 is sure, 1 is noise; where the set is cross-fitted) and dim_0, dim_1, ...,
    and one line per category; the reserved rows 0 and 1 are in the npz alone. Columns of more
    than 100,000 categories get none. Floats are the shortest text that gives the
    same float32. This reads what was saved, with categories as text ("NA", "007" and "" too):

        pd.read_csv(path, index_col="category", dtype={"category": str}, keep_default_na=False)

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
            column["sha256"] = sha256(array)
            write_array(archive, stems[name], array)
            column["csv"] = None
            if len(column["vocabulary"]) <= CSV_LIMIT:
                column["csv"] = f"vectors/{stems[name]}.csv"
                _write_csv(folder / column["csv"], column, array)
    _write_parquet(folder / "vectors.parquet", manifest["columns"], arrays)


def _write_parquet(path, columns, arrays):
    """All vectors in one table where pyarrow is installed: column, category (as text), rows and
    vector, a list of float32."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return
    kinds = {"column": pa.string(), "category": pa.string(), "rows": pa.int64()}
    schema = pa.schema([*kinds.items(), ("vector", pa.list_(pa.float32()))])
    with pq.ParquetWriter(path, schema) as file:
        for name, column in columns.items():
            for start in range(RESERVED, column["cardinality"], CSV_LIMIT):
                vectors = arrays[name][start : start + CSV_LIMIT]
                ends = np.arange(len(vectors) + 1, dtype="int32") * vectors.shape[1]
                values = column["vocabulary"][start - RESERVED : start - RESERVED + len(vectors)]
                part = {
                    "column": [name] * len(vectors),
                    "category": [as_text(value) for value in values],
                    "rows": column["rows"][start : start + len(vectors)],
                    "vector": pa.ListArray.from_arrays(ends, pa.array(vectors.ravel())),
                }
                file.write_table(pa.table(part, schema))


def write_array(archive, name, array):
    """Add an array to an open npz; the same array gives the same bytes."""
    member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, not today
    member.create_system = 3
    with archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)


def _write_csv(path, column, array):
    known = {"rows": column["rows"]}
    if column.get("spread") is not None:
        known["spread"] = column["spread"]
    header = ["category", *known, *(f"dim_{i}" for i in range(array.shape[1]))]
    progress = Progress(f"writing {path.name}", "categories")
    with open(path, "w", encoding="utf-8", newline="") as file:
        lines = csv_writer(file, column["vocabulary"])
        lines.writerow(header)
        for start in range(RESERVED, len(array), 4096):  # as text a float takes 128 bytes
            part = slice(start, start + 4096)
            categories = column["vocabulary"][start - RESERVED : part.stop - RESERVED]
            vectors = array[part].astype(str).tolist()
            fields = zip(*(values[part] for values in known.values()), strict=True)
            for category, about, vector in zip(categories, fields, vectors, strict=True):
                lines.writerow([category, *about, *vector])
            progress(start, start / len(array))
    progress.done()


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
                manifest["files"][name] = sha256_of_file(path)
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


def versions():
    """Return the versions of Python and the packages that results depend on: dict[str, str]."""
    found = {"python": platform.python_version()}
    for package in ("tensorflow", "keras", "numpy", "pandas", "scikit-learn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
