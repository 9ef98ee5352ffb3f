"""Training, validation and test rows."""

import itertools

import numpy as np

from data import InputError
from data.progress import Progress
from data.tables.disk import blocks_of, keep_on_disk
from data.tables.groups import check_groups, last_positions, random_positions
from data.tables.settings import option_of

CUT_AT_ONCE = 500_000  # rows that scikit-learn splits at a time; a multiple of ten


def split_rows(table, target, *, order=None, groups=None, seed=0, stratify=False):
    """Training, validation and test rows: by what was given, else 80/10/10.

    A part that was given as files of its own is that part; what is missing is cut from the data:
    at random, or, with `order`, the last rows being the test set and those before them the
    validation set. Rows that are equal in that order stay together, and so do those of a group,
    whose place is that of its last row. Rows whose target is missing are in no part.

    Args:
        target: float [rows], NaN for missing, or int class positions, -1 for missing; an array
            or a `data.tables.disk.Column`.
        order: `data.tables.order.Order`, groups: `data.tables.groups.Groups`, or None.
        stratify: whether each part is to have its share of each class; rows of a group or in an
            order do not.

    Returns:
        dict of "train", "validation", "test" -> DiskArray of int64 row numbers, ascending.

    Raises:
        InputError: too few rows, no row with a target in a part that was given, a missing value in
            the column that orders or groups them, or too few distinct ones.
    """
    progress, given, start = Progress("splitting"), {}, 0
    for part, rows in table.parts.items():
        usable = _usable(target, start, start + rows, progress, table.rows)
        given[part] = keep_on_disk(usable, table.folder)
        start += rows
    data, n = given["data"], len(given["data"])
    cut = [part for part in ("test", "validation") if not table.parts[part]]
    _check_parts(table, given, cut)
    if groups is not None:
        check_groups(groups, given, table)
    if order is None and groups is None:
        pieces = _cut_at_random(data, cut, seed, target if stratify else None)
    else:
        keys = keep_on_disk(_keys(table, data, order, groups, seed), table.folder, "uint64")
        try:
            pieces = _cut_in_order(data, keys, _limits(keys, cut))
        except TooFewKeys:
            raise _too_few(cut, order, groups) from None
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


def _check_parts(table, given, cut):
    """Raise InputError where a part has no rows to use, or the very rows of another one."""
    for part, row_ids in given.items():
        if part not in (*cut, "data") and not len(row_ids):
            raise InputError(
                f"{option_of(part)}: no row has a target; give rows whose target is known, or "
                "leave the option out to have them taken from the data."
            )
    if len(given["data"]) < 10:
        raise InputError(
            f"--data: {len(given['data'])} rows with a target are too few to train, validate and "
            "test; give at least 10, better some hundreds."
        )
    for part, other in itertools.combinations([part for part in given if part not in cut], 2):
        if _same_rows(table, part, other):
            raise InputError(
                f"{option_of(other)}: it holds the same rows as {option_of(part)}; rows that train "
                "cannot judge the model, so give others."
            )


def _same_rows(table, part, other):
    """Whether two parts of a table are equal, value by value."""
    n_rows = table.parts[part]
    if n_rows != table.parts[other]:
        return False
    starts = dict(zip(table.parts, np.cumsum([0, *table.parts.values()]), strict=False))
    for done in range(0, n_rows, 1 << 16):
        stop = min(done + (1 << 16), n_rows)
        one, two = (slice(starts[each] + done, starts[each] + stop) for each in (part, other))
        for array in (table.codes, table.numbers):
            if not np.array_equal(array[one], array[two], equal_nan=True):
                return False
    return True


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


# In order: of a column, of groups, or of groups that stand at random


class TooFewKeys(Exception):
    """There are not as many distinct keys as parts."""


def _too_few(cut, order, groups):
    column = (groups or order).column
    what = f"--group: '{column}' makes" if groups else f"--split-by: '{column}' holds"
    if groups and order:
        what = f"--group: by '{order.column}' the groups of '{column}' end at"
    files = " and ".join(map(option_of, reversed(cut)))
    return InputError(
        f"{what} too few different {'groups' if groups and not order else 'values'} to take "
        f"{' and '.join(reversed(cut))} rows from the data; name another column, or give {files}."
    )


def _keys(table, data, order, groups, seed):
    """uint64 by blocks, in whose order the rows are cut; equal ones stay together."""
    if order is not None:
        _check_present(table, data, order)
    if groups is None:
        positions = None
    elif order is None:
        positions = random_positions(groups, data, seed)
    else:
        positions = last_positions(groups, data, order)
    progress, done = Progress("ordering"), 0
    for rows in blocks_of(data):
        yield order.keys(rows) if groups is None else positions[groups.find(rows)]
        done += len(rows)
        progress(done, done / len(data))
    progress.done()


def _check_present(table, data, order):
    for rows in blocks_of(data):
        missing = np.isnan(order.values[rows])
        if missing.any():
            raise InputError(
                f"--split-by: the column '{order.column}' is missing in row "
                f"{table.place(rows[np.argmax(missing)])[1]}; fill it or split by another column."
            )


def _cut_in_order(data, keys, limits):
    """(rows done, dict of part -> rows): the first rows by their keys train.

    Args:
        limits: dict of part -> the last key before it, the last part first.
    """
    done = 0
    for rows, key in zip(blocks_of(data), blocks_of(keys), strict=True):
        piece, done = {}, done + len(rows)
        for part, last in limits.items():
            first = key <= last
            piece[part] = rows[~first]
            rows, key = rows[first], key[first]
        yield done, piece | {"train": rows}


def _limits(keys, cut):
    """Where the parts begin: dict of part -> the last key before it, in the order of `cut`.

    As near to a tenth of the rows each as the runs of equal keys allow.

    Raises:
        TooFewKeys: a part would be empty.
    """
    n, keep = len(keys), _keep(len(keys), cut)
    if len(cut) < 2:
        return {part: _boundary(keys, keep[part], 0)[1] for part in cut}
    # First what trains, so that two runs are left at least; then test rows from half the rest.
    n_train, last = _boundary(keys, keep["validation"], 0, runs_after=2)
    middle = max(keep["test"], (n_train + n) // 2)
    return {"test": _boundary(keys, middle, n_train)[1], "validation": last}


def _boundary(keys, position, after, runs_after=1):
    """The nearest boundary between runs of equal keys: (rows before it, the last key of these).

    Args:
        position: wanted rows before it; after: it must lie after so many rows.
        runs_after: runs that must follow it.
    """
    key, below, upto = _run_at(keys, position)
    candidates = [(below, key - 1), (upto, key)]
    if below > 0 and runs_after > 1:
        key, below, _ = _run_at(keys, below - 1)
        candidates.append((below, key - 1))
    for n_before, last in sorted(candidates, key=lambda found: abs(found[0] - position)):
        if not after < n_before < len(keys):
            continue
        if runs_after == 1 or _run_at(keys, n_before)[2] < len(keys):
            return n_before, last
    raise TooFewKeys


def _run_at(keys, position):
    """The run of equal keys at a position of the sorted ones: (key, rows below it, rows up to it).

    Found digit by digit, as in a radix sort, so that memory holds 65,536 counts, not the keys.
    """
    key, below, progress, seen = 0, 0, Progress("ordering"), 0
    for shift in (48, 32, 16, 0):
        counts = np.zeros(1 << 16, "int64")
        for block in blocks_of(keys):
            progress(seen // 4, seen / (4 * len(keys)))
            seen += len(block)
            if shift < 48:
                block = block[block >> (shift + 16) == key]
            counts += np.bincount(block >> shift & 0xFFFF, minlength=1 << 16)
        digit = int(np.searchsorted(np.cumsum(counts), position - below, side="right"))
        below += int(counts[:digit].sum())
        key = key << 16 | digit
    progress.done()
    return key, below, below + int(counts[digit])
