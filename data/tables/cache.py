"""A table, read once into files of its own: whatever its length, memory holds a chunk of it.

Categorical columns become codes into a dictionary of the texts that the file holds, in the order
in which they appear; numeric columns stay as they are. Nothing is learned here: vocabularies and
scaling are fitted later, on training rows alone (`data.tables.encoding`).
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.files import sync
from data.progress import Progress
from data.tables.columns import agreed
from data.tables.dates import (
    calendar_columns,
    check_date_names,
    date_columns,
    elapsed_column,
)
from data.tables.dialect import USUAL
from data.tables.disk import Column, DiskArray
from data.tables.fetched import fetched_folders
from data.tables.formats import ahead, chunks, column_names, declared_types
from data.tables.sources import fingerprint
from data.tables.survey import MOST_VALUES, SURVEYED_VALUES, Survey

CACHE_VERSION = 4
PARTS = ("data", "validation", "test")


@dataclass
class Table:
    """Columns on disk.

    Attributes:
        codes: DiskArray, int32 [rows, categorical columns], positions in the dictionaries, -1 for
            missing.
        numbers: DiskArray, float64 [rows, numeric columns], NaN for missing.
        folder: where they are.
        dictionaries: dict of categorical column -> list of str, texts as they stand in the file.
        numeric: list of numeric columns, in the order of `numbers`.
        types: dict of column -> type that the file itself declares, where it does.
        parts: dict of "data", "validation", "test" -> number of rows; they follow each other.
        surveys: dict of column that was surveyed, not kept -> what `Survey.found` gives.
    """

    codes: DiskArray
    numbers: DiskArray
    folder: Path
    dictionaries: dict
    numeric: list
    types: dict
    parts: dict
    surveys: dict

    @property
    def rows(self):
        return sum(self.parts.values())

    def texts(self, column):
        """(list of str, Column of int32 codes into it) of a categorical column."""
        j = list(self.dictionaries).index(column)
        return self.dictionaries[column], Column(self.codes, j)

    def values(self, column):
        """Column of float64: a numeric one."""
        return Column(self.numbers, self.numeric.index(column))

    def place(self, row):
        """(part, zero-based row number within it) of a row of this table."""
        for part, rows in self.parts.items():
            if row < rows:
                return part, int(row)
            row -= rows
        raise IndexError(row)

    def source_rows(self, rows):
        """Row numbers within the part that each row came from, int64 like `rows`."""
        starts = np.cumsum([0, *self.parts.values()])[:-1]
        part = np.searchsorted(starts, rows, side="right") - 1
        return rows - starts[part]


def read_table(files, roles, folder, *, dialect=USUAL, label="reading"):
    """Read files into a `Table`, or take up what an earlier run has read of the same content.

    Args:
        files: dict of "data", "validation", "test" -> list of files (`find_files`).
        roles: dict of column -> "categorical", "numeric", "date" or "survey". A date column becomes
            its parts (`date_columns`). One to survey is counted in the data, where it is there.
        folder: where the cache is kept; it holds one table, found by the content of the files and
            these options. Deleting it costs reading again, nothing else.
        dialect: `data.tables.dialect.Dialect`, how the files are written.

    Raises:
        InputError: see `chunks`; also when a file has no rows.
    """
    sources = {part: fingerprint(names, dialect) for part, names in files.items() if names}
    content = {
        part: [entry.get("sha256") or entry for entry in entries]
        for part, entries in sources.items()
    }
    asked = [CACHE_VERSION, pd.__version__, content, list(roles.items()), asdict(dialect)]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
    if not _whole(folder / key):
        for other in folder.glob("*"):
            if other not in fetched_folders():
                shutil.rmtree(other, ignore_errors=True)
        (folder / key).mkdir(parents=True)
        _write(files, roles, folder / key, dialect, label)
    return _open(folder / key)


def _whole(folder):
    """Whether all of a table is there, also after the machine stopped while it was written."""
    try:
        sizes = json.loads((folder / "sizes.json").read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _write(files, roles, folder, dialect, label):
    categorical, numeric, surveys = [], [], {}
    for column, role in roles.items():
        if role == "survey":
            most = SURVEYED_VALUES // list(roles.values()).count("survey")
            surveys[column] = Survey(min(MOST_VALUES, most))
        elif role == "date":
            check_date_names(column, roles)
            categorical += calendar_columns(column)
            numeric.append(elapsed_column(column))
        else:
            (numeric if role == "numeric" else categorical).append(column)
    dictionaries = {column: {} for column in categorical}
    parts = dict.fromkeys(PARTS, 0)
    progress, done = Progress(label), 0
    with open(folder / "codes", "wb") as codes_file, open(folder / "numbers", "wb") as numbers_file:
        for part in PARTS:
            for name in files.get(part) or []:
                here = _roles_here(roles, part, name, dialect)
                for columns, share in ahead(chunks(name, here, replace(dialect, part=part))):
                    for column, role in here.items():
                        if role == "date":
                            columns |= date_columns(column, columns.pop(column))
                        elif column in surveys:
                            surveys[column].add(columns.pop(column))
                    rows = len(next(iter(columns.values())))
                    codes = np.empty((rows, len(categorical)), "int32")
                    for j, column in enumerate(categorical):
                        codes[:, j] = _codes(columns[column], dictionaries[column])
                    numbers = np.empty((rows, len(numeric)), "float64")
                    for j, column in enumerate(numeric):
                        numbers[:, j] = columns[column]
                    codes_file.write(codes)  # tofile() would say nothing of a full disk
                    numbers_file.write(numbers)
                    parts[part] += rows
                    done += rows
                    progress(done, share)
            if files.get(part) and not parts[part]:
                raise InputError(f"{files[part][0]}: there are no rows below the header.")
    progress.done()
    meta = {
        "parts": parts,
        "numeric": numeric,
        "types": agreed(
            [declared_types(n, dialect) for names in files.values() for n in names or []]
        ),
        "dictionaries": {column: list(texts) for column, texts in dictionaries.items()},
        "surveys": {column: survey.found() for column, survey in surveys.items()},
    }
    (folder / "table.json").write_text(json.dumps(meta), encoding="utf-8")
    sizes = {name: (folder / name).stat().st_size for name in ("codes", "numbers", "table.json")}
    (folder / "sizes.part").write_text(json.dumps(sizes), encoding="utf-8")
    # Renamed once all is on the disk itself: a cache without sizes.json is not taken up.
    for name in (*sizes, "sizes.part"):
        sync(folder / name)
    (folder / "sizes.part").rename(folder / "sizes.json")


def _roles_here(roles, part, name, dialect):
    """The roles of the columns of a file; those to survey only of the data, where they are."""
    names = set(column_names(name, dialect)) if part == "data" else set()
    return {
        column: "categorical" if role == "survey" else role
        for column, role in roles.items()
        if role != "survey" or column in names
    }


def _codes(values, dictionary):
    """Codes of a chunk's categories in the growing dictionary of the whole table."""
    texts = values.categories.tolist()
    new = [text for text in texts if text not in dictionary]
    dictionary.update(zip(new, range(len(dictionary), len(dictionary) + len(new)), strict=True))
    known = np.fromiter(map(dictionary.__getitem__, texts), "int32", len(texts))
    return np.append(known, np.int32(-1))[values.codes]


def _open(folder):
    meta = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    rows = sum(meta["parts"].values())

    def load(name, dtype, columns):
        return DiskArray(open(folder / name, "rb"), dtype, (rows, columns))

    return Table(
        codes=load("codes", "int32", len(meta["dictionaries"])),
        numbers=load("numbers", "float64", len(meta["numeric"])),
        folder=folder,
        **meta,
    )
