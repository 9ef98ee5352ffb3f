"""A table, read once into memory-mapped files: whatever its length, memory holds a chunk of it.

Categorical columns become codes into a dictionary of the texts that the file holds, in the order
in which they appear; numeric columns stay as they are. Nothing is learned here: vocabularies and
scaling are fitted later, on training rows alone (`data.encoding`).
"""

import hashlib
import json
import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data import InputError, reading
from data.progress import Progress
from data.publishing import sync

CACHE_VERSION = 2
PARTS = ("data", "validation", "test")
DATE_PARTS = ("year", "month", "day", "weekday", "week", "hour")


@dataclass
class Table:
    """Columns on disk, read through memory maps.

    Attributes:
        codes: int32 [rows, categorical columns], positions in the dictionaries, -1 for missing.
        numbers: float64 [rows, numeric columns], NaN for missing.
        dictionaries: dict of categorical column -> list of str, texts as they stand in the file.
        numeric: list of numeric columns, in the order of `numbers`.
        types: dict of column -> type that the file itself declares, where it does.
        parts: dict of "data", "validation", "test" -> number of rows; they follow each other.
    """

    codes: np.ndarray
    numbers: np.ndarray
    dictionaries: dict
    numeric: list
    types: dict
    parts: dict

    @property
    def rows(self):
        return sum(self.parts.values())

    def texts(self, column):
        """(list of str, int32 [rows] codes into it) of a categorical column."""
        return self.dictionaries[column], self.codes[:, list(self.dictionaries).index(column)]

    def values(self, column):
        """float64 [rows] of a numeric column."""
        return self.numbers[:, self.numeric.index(column)]

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


def read_table(files, roles, folder, *, dialect, keep_na=(), label="reading"):
    """Read files into a `Table`, or take up what an earlier run has read of the same content.

    Args:
        files: dict of "data", "validation", "test" -> list of files (`reading.find_files`).
        roles: dict of column -> "categorical", "numeric" or "date". A date column becomes its
            parts (`date_columns`).
        folder: where the cache is kept; it holds one table, found by the content of the files and
            these options. Deleting it costs reading again, nothing else.
        dialect, keep_na: as for `reading.chunks`.

    Raises:
        InputError: see `reading.chunks`; also when a file has no rows.
    """
    sources = {part: reading.fingerprint(names) for part, names in files.items() if names}
    content = {
        part: [entry.get("sha256") or entry for entry in entries]
        for part, entries in sources.items()
    }
    asked = [CACHE_VERSION, pd.__version__, content, list(roles.items()), dialect, sorted(keep_na)]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
    if not _whole(folder / key):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / key).mkdir(parents=True)
        _write(files, roles, folder / key, dialect, keep_na, label)
    return _open(folder / key)


def _whole(folder):
    """Whether all of a table is there, also after the machine stopped while it was written."""
    try:
        sizes = json.loads((folder / "sizes.json").read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _write(files, roles, folder, dialect, keep_na, label):
    categorical, numeric = [], []
    for column, role in roles.items():
        if role == "date":
            _check_date_names(column, roles)
            categorical += [f"{column}_{part}" for part in DATE_PARTS]
            numeric.append(f"{column}_elapsed")
        else:
            (numeric if role == "numeric" else categorical).append(column)
    dictionaries = {column: {} for column in categorical}
    parts = dict.fromkeys(PARTS, 0)
    progress, done = Progress(label), 0
    with open(folder / "codes", "wb") as codes_file, open(folder / "numbers", "wb") as numbers_file:
        for part in PARTS:
            for name in files.get(part) or []:
                for columns, share in reading.chunks(name, roles, keep_na=keep_na, **dialect):
                    for column, role in roles.items():
                        if role == "date":
                            columns |= date_columns(column, columns.pop(column))
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
        "types": _types([name for names in files.values() for name in names or []]),
        "dictionaries": {column: list(texts) for column, texts in dictionaries.items()},
    }
    (folder / "table.json").write_text(json.dumps(meta), encoding="utf-8")
    sizes = {name: (folder / name).stat().st_size for name in ("codes", "numbers", "table.json")}
    (folder / "sizes.part").write_text(json.dumps(sizes), encoding="utf-8")
    # Renamed once all is on the disk itself: a cache without sizes.json is not taken up.
    for name in (*sizes, "sizes.part"):
        sync(folder / name)
    (folder / "sizes.part").rename(folder / "sizes.json")


def _types(files):
    """The types on which all files agree; whole numbers and floats together are floats."""
    declared = [reading.declared_types(name) for name in files]
    found = {}
    for column in declared[0]:
        types = {types.get(column) for types in declared}
        if types in ({"int", "float"}, {"float"}):
            found[column] = "float"
        elif len(types) == 1:
            found[column] = types.pop()
    return found


def _codes(values, dictionary):
    """Codes of a chunk's categories in the growing dictionary of the whole table."""
    known = [dictionary.setdefault(text, len(dictionary)) for text in values.categories]
    return np.array([*known, -1], "int32")[values.codes]


def _open(folder):
    meta = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    rows = sum(meta["parts"].values())

    def load(name, dtype, columns):
        if not columns or not rows:
            return np.empty((rows, columns), dtype)
        return np.memmap(folder / name, dtype, mode="r", shape=(rows, columns))

    return Table(
        codes=load("codes", "int32", len(meta["dictionaries"])),
        numbers=load("numbers", "float64", len(meta["numeric"])),
        **meta,
    )


def date_columns(column, dates):
    """The parts of a date: categories of its calendar, and the days since 1970 as a number.

    Args:
        dates: datetime64[s] [rows], NaT for missing.

    Returns:
        dict of new column -> pandas.Categorical or float64 [rows].
    """
    codes, days = pd.factorize(dates)  # a calendar has few days, a table many rows
    index = pd.DatetimeIndex(days)
    calendar = {
        "year": index.year,
        "month": index.month,
        "day": index.day,
        "weekday": index.day_of_week,  # Monday 0
        "week": index.isocalendar().week,
        "hour": index.hour,
    }
    columns = {}
    for part, values in calendar.items():
        part_codes, parts = pd.factorize(np.asarray(values, "int64"))
        columns[f"{column}_{part}"] = pd.Categorical.from_codes(
            np.append(part_codes, -1)[codes], [str(value) for value in parts]
        )
    elapsed = (dates - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")
    columns[f"{column}_elapsed"] = elapsed.astype("float64")
    return columns


def _check_date_names(column, roles):
    for part in (*DATE_PARTS, "elapsed"):
        if f"{column}_{part}" in roles:
            raise InputError(
                f"--dates: the parts of '{column}' would take the name of the column "
                f"'{column}_{part}'; rename or --drop one of the two."
            )


def split_rows(table, usable, *, split_by=None, seed=0, classes=None):
    """Training, validation and test rows: by what was given, else 80/10/10.

    A part that was given as files of its own is that part; what is missing is cut from the data:
    at random, or, with `split_by`, in that column's order, the last rows being the test set and
    those before them the validation set.

    Args:
        usable: bool [rows], False where a row cannot be used (its target is missing).
        split_by: a column of the table, or None.
        classes: int [rows] to keep their shares in each part, or None.

    Returns:
        dict of "train", "validation", "test" -> int64 arrays of rows, ascending.

    Raises:
        InputError: too few rows, or a missing value in the column that orders them.
    """
    from sklearn.model_selection import train_test_split

    starts = np.cumsum([0, *table.parts.values()])
    given = {
        part: starts[i] + np.flatnonzero(usable[starts[i] : starts[i + 1]])
        for i, part in enumerate(table.parts)
    }
    data = given["data"]
    cut = [part for part in ("test", "validation") if not len(given[part])]
    if len(data) < 10:
        raise InputError(
            f"--data: {len(data)} rows with a target are too few to train, validate and test; "
            "give at least 10, better some hundreds."
        )
    order = None
    if split_by is not None:
        order = np.argsort(_order(table, split_by, data), kind="stable")
    # int(0.9 n) first rows for training and validation, so that a tenth is never rounded away.
    n = len(data)
    for part in cut:
        keep = int(0.9 * n) if len(cut) == 1 or part == "test" else int(0.8 * n)
        if order is not None:
            given[part] = np.sort(data[order[keep:]])
            order = order[:keep]
        else:
            labels = None if classes is None else classes[data]
            if (
                labels is not None
                and np.bincount(labels).min(where=np.bincount(labels) > 0, initial=n) < 20
            ):
                labels = None
            data, chosen = train_test_split(
                data, test_size=len(data) - keep, random_state=seed, stratify=labels
            )
            given[part] = np.sort(chosen)
    train = np.sort(data if order is None else data[order])
    return {"train": train, "validation": given["validation"], "test": given["test"]}


def _order(table, column, rows):
    if column in table.numeric or f"{column}_elapsed" in table.numeric:
        name = column if column in table.numeric else f"{column}_elapsed"
        values = table.values(name)[rows]
        missing = np.isnan(values)
    else:
        texts, codes = table.texts(column)
        rank = np.empty(len(texts) + 1, "int64")
        rank[np.argsort(np.array(texts, dtype=object), kind="stable")] = np.arange(len(texts))
        values = rank[codes[rows]]
        missing = codes[rows] < 0
    if missing.any():
        raise InputError(
            f"--split-by: the column '{column}' is missing in row "
            f"{table.place(rows[np.argmax(missing)])[1]}; fill it or split by another column."
        )
    return values
