"""Names on the command line -> the files that they stand for, and what identifies their content."""

import functools
import glob
import hashlib
import os
from pathlib import Path

from data import InputError, without_passwords
from data.progress import Progress
from data.tables import fetched, parquet, workbook
from data.tables.compressed import COMPRESSED
from data.tables.dialect import USUAL
from data.tables.formats import READER_OF, first_rows, reader_of
from data.tables.openml import openml_table
from data.tables.settings import OPTION_OF, option, option_of
from data.tables.sql import is_database, is_query, without_password

SQLITE = (".db", ".sqlite", ".sqlite3")


def find_parts(settings):
    """The files of every part of a table: dict of "data", "validation", "test" -> list of str.

    Raises:
        InputError: see `find_files`; also when an option goes with no source of its kind.
    """
    files = {
        part: find_files(settings[name] or [], option(name)) for part, name in OPTION_OF.items()
    }
    names = [name for part in files.values() for name in part]
    databases = [name for name in names if is_database(name)]
    if settings.get("sql") and not databases:
        raise InputError("--sql: this goes with the address of a database in --data.")
    if settings.get("sheet") and workbook not in map(reader_of, names):
        raise InputError("--sheet: this goes with a workbook in --data.")
    if len(set(databases)) < len(databases):
        raise InputError(
            f"--sql: {databases[-1]} is named for two parts, which would be the same rows; write "
            "validation and test rows to files."
        )
    return files


def check_sources(files, dialect):
    """Raise InputError if a file holds the same bytes as another one, in whichever part.

    Files without rows, as large tables often have among theirs, may be the same.

    Args:
        files: of `find_parts`; dialect: as for `data.tables.formats.first_rows`.
    """
    seen = {}
    for part, names in files.items():
        for name, entry in zip(names, fingerprint(names, dialect), strict=True):
            content = entry.get("sha256") or entry.get("id")
            if content not in seen:
                seen[content] = option_of(part), name
            elif any(map(len, first_rows(name, dialect, rows=1).values())):
                option, other = seen[content]
                same = "the same file as" if other == name else "what holds the same as"
                raise InputError(
                    f"{option_of(part)} {name}: this is {same} {option} {other}; rows that train "
                    "cannot judge the model, so name each file once."
                )


def find_files(sources, option="--data"):
    """Names on the command line -> the files and other sources they stand for, in order.

    Args:
        sources: list of str: paths, globs, folders of Parquet files, addresses of databases, or
            ``openml:NAME_OR_ID``.
        option: the option that they were given to, for messages.

    Returns:
        list of str: paths of existing files, addresses of databases without passwords, and
        ``openml:`` names as they are.

    Raises:
        InputError: a file is missing, empty or a folder, a glob matches nothing, or it would have
            to be downloaded.
    """
    files = [name for source in sources for name in _files_of(source, option)]
    for name in files:
        if files.count(name) > 1:
            raise InputError(f"{option} {name}: the file is named twice; name it once.")
    return files


def _files_of(source, option):
    if source.startswith("openml:"):
        return [source]
    if is_database(source):
        return [without_password(source)]
    if "://" in source:
        raise InputError(
            f"{option} {without_passwords(source)}: download the file first, and name it here."
        )
    found = [source]
    if not _exists(source) and glob.has_magic(source):
        found = sorted(glob.glob(source))
        if not found:
            raise InputError(f"{option} {source}: no file matches; check the pattern.")
    files = []
    for name in found:
        inside = parquet.files_in(name) if _exists(name) and Path(name).is_dir() else [name]
        for each in inside or [name]:
            _check_file(each, option)
        files += inside
    return files


def _check_file(name, option):
    if not _exists(name):
        raise InputError(f"{option} {name}: there is no such file; check the path.")
    if Path(name).is_dir():
        pattern = f"'{name.rstrip('/')}/*.csv'"
        raise InputError(f"{option} {name}: this is a folder; name a file, or {pattern}.")
    if not Path(name).is_file():
        raise InputError(f"{option} {name}: this is no plain file; write it to one first.")
    if Path(name).stat().st_size == 0:
        raise InputError(f"{option} {name}: the file is empty; check what wrote it.")
    if not os.access(name, os.R_OK):
        raise InputError(f"{option} {name}: you may not read this file; see its permissions.")


def fetch_databases(files, dialect, folder, recorded=None, resume=False):
    """Read the rows of all databases into files in `folder`, where they stay for later scripts.

    Args:
        files: of `find_parts`; recorded: the manifest's entries of the same parts, where the rows
            must be those; resume: take up what an interrupted run has read.

    Raises:
        InputError: see `data.tables.fetched.fetch`.
    """
    for part, names in files.items():
        known = {entry["path"]: entry.get("sha256") for entry in (recorded or {}).get(part, [])}
        for name in filter(is_database, names):
            fetched.fetch(name, dialect.sql, folder, known.get(name), resume)


def _exists(name):
    try:
        return bool(name) and Path(name).exists()
    except (ValueError, OSError):  # a NUL in the name, or a name too long
        return False


def table_name(sources, sql=None):
    """The table's name, for its output folder: the first file's without its endings; that of the
    table of a database, or of the database where a SELECT is given."""
    first = sources[0].replace("openml:", "openml-", 1)
    if is_database(first):
        first = sql if sql and not is_query(sql) else first.partition("?")[0].partition("://")[2]
    name = Path(first).name
    while Path(name).suffix.lower() in (*COMPRESSED, *READER_OF, *SQLITE):
        name = Path(name).stem
    return name.strip("*?[]-_. ") or "table"


def fingerprint(files, dialect=USUAL):
    """What is read, by its content.

    Returns:
        list of {"path": str, "sha256": str}, one for each file, or database whose rows have been
        fetched; for an OpenML data set, whose numbers stand for unchanging versions,
        {"path": str, "id": str}.
    """
    found = []
    for name in files:
        if name.startswith("openml:"):
            found.append({"path": name, "id": openml_table(name)[2]})
        elif is_database(name):
            found.append({"path": name, "sha256": fetched.content(name, dialect.sql)})
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
