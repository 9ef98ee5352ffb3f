"""Names on the command line -> the files that they stand for, and what identifies their content."""

import functools
import glob
import hashlib
import os
from pathlib import Path

from data import InputError
from data.progress import Progress
from data.tables.compressed import COMPRESSED
from data.tables.openml import openml_table
from data.tables.parquet import PARQUET


def find_parts(settings):
    """The files of every part of a table: dict of "data", "validation", "test" -> list of str.

    Raises:
        InputError: see `find_files`.
    """
    return {
        "data": find_files(settings["data"], "--data"),
        "validation": find_files(settings["validation_data"] or [], "--validation-data"),
        "test": find_files(settings["test_data"] or [], "--test-data"),
    }


def find_files(sources, option="--data"):
    """Names on the command line -> the files they stand for, in order.

    Args:
        sources: list of str: paths, globs, or ``openml:NAME_OR_ID``.
        option: the option that they were given to, for messages.

    Returns:
        list of str: paths of existing files, and ``openml:`` names as they are.

    Raises:
        InputError: a file is missing, empty or a folder, or a glob matches nothing.
    """
    files = []
    for source in sources:
        if not source.startswith("openml:") and not _exists(source) and glob.has_magic(source):
            found = sorted(glob.glob(source))
            if not found:
                raise InputError(f"{option} {source}: no file matches; check the pattern.")
            files += found
        else:
            files.append(source)
    for name in files:
        if files.count(name) > 1:
            raise InputError(f"{option} {name}: the file is named twice; name it once.")
        if name.startswith("openml:"):
            continue
        if not _exists(name):
            raise InputError(f"{option} {name}: there is no such file; check the path.")
        if Path(name).is_dir():
            ending = "parquet" if name.lower().endswith(PARQUET) else "csv"
            pattern = f"'{name.rstrip('/')}/*.{ending}'"
            raise InputError(f"{option} {name}: this is a folder; name a file, or {pattern}.")
        if not Path(name).is_file():
            raise InputError(f"{option} {name}: this is no plain file; write it to one first.")
        if Path(name).stat().st_size == 0:
            raise InputError(f"{option} {name}: the file is empty; check what wrote it.")
        if not os.access(name, os.R_OK):
            raise InputError(f"{option} {name}: you may not read this file; see its permissions.")
    return files


def _exists(name):
    try:
        return bool(name) and Path(name).exists()
    except (ValueError, OSError):  # a NUL in the name, or a name too long
        return False


def table_name(sources):
    """The table's name, for its output folder: the first file's without its endings."""
    name = Path(sources[0].replace("openml:", "openml-", 1)).name
    while Path(name).suffix.lower() in (*COMPRESSED, *PARQUET, ".csv", ".tsv", ".txt"):
        name = Path(name).stem
    return name.strip("*?[]-_. ") or "table"


def fingerprint(files):
    """What is read, by its content.

    Returns:
        list of {"path": str, "sha256": str}, one for each file; for an OpenML data set, whose
        numbers stand for unchanging versions, {"path": str, "id": str}.
    """
    found = []
    for name in files:
        if name.startswith("openml:"):
            found.append({"path": name, "id": openml_table(name)[2]})
        else:
            status = os.stat(name)
            digest = _sha256(name, status.st_size, status.st_mtime_ns, status.st_ino)
            found.append({"path": name, "sha256": digest})
    return found


@functools.cache
def _sha256(name, *stamp):
    digest, done, progress = hashlib.sha256(), 0, Progress(f"checking {Path(name).name}", "MB")
    with open(name, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            done += len(block)
            progress(done // 1_000_000, done / stamp[0])
    progress.done()
    return digest.hexdigest()


def default_target(name):
    """The target that an OpenML data set names itself, else None."""
    return openml_table(name)[1] if name.startswith("openml:") else None
