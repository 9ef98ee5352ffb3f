"""A table, read once into files of its own: whatever its length, memory holds a chunk of it.

Categorical columns become codes into a dictionary of the texts that the file holds, in the order
in which they appear; numeric columns stay as they are. Nothing is learned here: vocabularies and
scaling are fitted later, on training rows alone (`data.encoding`).
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError, reading
from data.disk import Column, DiskArray, blocks_of, keep_on_disk
from data.progress import Progress
from data.publishing import sync

CACHE_VERSION = 2
PARTS = ("data", "validation", "test")
CUT_AT_ONCE = 500_000  # rows that scikit-learn splits at a time; a multiple of ten
DATE_PARTS = ("year", "month", "day", "weekday", "week", "hour")


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
    """

    codes: DiskArray
    numbers: DiskArray
    folder: Path
    dictionaries: dict
    numeric: list
    types: dict
    parts: dict

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
        return DiskArray(open(folder / name, "rb"), dtype, (rows, columns))

    return Table(
        codes=load("codes", "int32", len(meta["dictionaries"])),
        numbers=load("numbers", "float64", len(meta["numeric"])),
        folder=folder,
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


def split_rows(table, target, *, split_by=None, seed=0, stratify=False):
    """Training, validation and test rows: by what was given, else 80/10/10.

    A part that was given as files of its own is that part; what is missing is cut from the data:
    at random, or, with `split_by`, in that column's order, the last rows being the test set and
    those before them the validation set. Rows whose target is missing are in no part.

    Args:
        target: float [rows], NaN for missing, or int class positions, -1 for missing; an array
            or a `data.disk.Column`.
        split_by: a column of the table, or None.
        stratify: whether each part is to have its share of each class.

    Returns:
        dict of "train", "validation", "test" -> DiskArray of int64 row numbers, ascending.

    Raises:
        InputError: too few rows, or a missing value in the column that orders them.
    """
    progress, given, start = Progress("splitting"), {}, 0
    for part, rows in table.parts.items():
        usable = _usable(target, start, start + rows, progress, table.rows)
        given[part] = keep_on_disk(usable, table.folder)
        start += rows
    data, n = given["data"], len(given["data"])
    cut = [part for part in ("test", "validation") if not len(given[part])]
    if n < 10:
        raise InputError(
            f"--data: {n} rows with a target are too few to train, validate and test; "
            "give at least 10, better some hundreds."
        )
    if split_by is None:
        pieces = _cut_at_random(data, cut, seed, target if stratify else None)
    else:
        keys = keep_on_disk(_order(table, split_by, data), table.folder, "uint64")
        pieces = _cut_in_order(data, cut, keys)
    given |= {part: keep_on_disk([], table.folder) for part in ("train", *cut)}
    for done, piece in pieces:
        for part, rows in piece.items():
            given[part].append(np.sort(rows))
        progress(done, done / n)
    progress.done()
    return {part: given[part] for part in ("train", "validation", "test")}


def _usable(target, start, stop, progress, total, block=1 << 18):
    """Row numbers from `start` to `stop` that have a target, a block at a time."""
    for first in range(start, stop, block):
        values = target[first : min(first + block, stop)]
        known = values >= 0 if values.dtype.kind == "i" else np.isfinite(values)
        yield first + np.flatnonzero(known)
        progress(first, first / total)


def _keep(n, cut):
    """dict of part to cut, the last rows first -> int(0.9 n), so that no tenth is rounded away."""
    return {part: int(0.9 * n) if len(cut) == 1 or part == "test" else int(0.8 * n) for part in cut}


def _cut_at_random(data, cut, seed, target):
    """(rows done, dict of part -> rows) for some 500,000 rows at a time."""
    from sklearn.model_selection import train_test_split

    starts = [i * CUT_AT_ONCE for i in range(max(len(data) // CUT_AT_ONCE, 1))]
    for start, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        rows, piece = data[start:stop], {}
        for part, keep in _keep(len(rows), cut).items():
            labels = None if target is None else target[rows]
            if labels is not None:
                counts = np.bincount(labels)
                labels = None if counts.min(where=counts > 0, initial=len(rows)) < 20 else labels
            rows, piece[part] = train_test_split(
                rows, test_size=len(rows) - keep, random_state=seed, stratify=labels
            )
        yield stop, piece | {"train": rows}


def _cut_in_order(data, cut, keys):
    """(rows done, dict of part -> rows): the first rows by their keys train."""
    limits = {part: _smallest(keys, keep) for part, keep in _keep(len(data), cut).items()}
    equal, done = dict.fromkeys(cut, 0), 0
    for rows, key in zip(blocks_of(data), blocks_of(keys), strict=True):
        piece, done = {}, done + len(rows)
        for part, (limit, before) in limits.items():
            same = key == limit
            first = (key < limit) | (same & (equal[part] + np.cumsum(same) <= before))
            equal[part] += np.count_nonzero(same)
            piece[part] = rows[~first]
            rows, key = rows[first], key[first]
        yield done, piece | {"train": rows}


def _smallest(keys, keep):
    """(the `keep`-th smallest of the keys, counted from 0; how many equal ones come before it)

    Found digit by digit, as in a radix sort, so that memory holds 65,536 counts, not the keys.
    """
    found = 0
    for shift in (48, 32, 16, 0):
        counts = np.zeros(1 << 16, "int64")
        for block in blocks_of(keys):
            if shift < 48:
                block = block[block >> (shift + 16) == found]
            counts += np.bincount(block >> shift & 0xFFFF, minlength=1 << 16)
        digit = int(np.searchsorted(np.cumsum(counts), keep, side="right"))
        keep -= int(counts[:digit].sum())
        found = found << 16 | digit
    return found, keep


def _order(table, column, data):
    """The values of the column that orders the rows, as uint64 of the same order, by blocks."""
    texts = None
    if column in table.numeric or f"{column}_elapsed" in table.numeric:
        values = table.values(column if column in table.numeric else f"{column}_elapsed")
    else:
        texts, values = table.texts(column)
        rank = np.empty(len(texts), "uint64")
        rank[np.argsort(np.array(texts, dtype=object), kind="stable")] = np.arange(len(texts))
    for rows in blocks_of(data):
        block = values[rows]
        missing = np.isnan(block) if texts is None else block < 0
        if missing.any():
            raise InputError(
                f"--split-by: the column '{column}' is missing in row "
                f"{table.place(rows[np.argmax(missing)])[1]}; fill it or split by another column."
            )
        if texts is None:
            bits = (block + 0.0).view("uint64")  # one zero only
            yield np.where(bits >> 63, ~bits, bits | 1 << 63)
        else:
            yield rank[block]
