"""Training, validation and test rows."""

import numpy as np

from data import InputError
from data.progress import Progress
from data.tables.dates import elapsed_column
from data.tables.disk import blocks_of, keep_on_disk

CUT_AT_ONCE = 500_000  # rows that scikit-learn splits at a time; a multiple of ten


def split_rows(table, target, *, split_by=None, seed=0, stratify=False):
    """Training, validation and test rows: by what was given, else 80/10/10.

    A part that was given as files of its own is that part; what is missing is cut from the data:
    at random, or, with `split_by`, in that column's order, the last rows being the test set and
    those before them the validation set. Rows whose target is missing are in no part.

    Args:
        target: float [rows], NaN for missing, or int class positions, -1 for missing; an array
            or a `data.tables.disk.Column`.
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
    elapsed = elapsed_column(column)
    if column in table.numeric or elapsed in table.numeric:
        values = table.values(column if column in table.numeric else elapsed)
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
