"""Arrays that stay on disk: memory holds the rows that are asked for, and no others.

They are read by plain reads. The pages of a memory map that were touched would count as this
process's memory, and picking single rows out of one maps 64 KB for each.
"""

import contextlib
import itertools
import os
import tempfile
import threading
import weakref

import numpy as np

READ_AT_ONCE = 1 << 22  # bytes
ROWS_AT_ONCE = 1 << 15  # between disk and network


class DiskArray:
    """An array in a file, to be read like a numpy array of one or two dimensions.

    `array[rows]` takes a row number, a slice or int [n], quickest where these ascend;
    `array[rows, j]` takes one column of them; `len(array)` and `np.asarray(array)` work as usual.
    Several threads may read it.

    Args:
        file: open for reading in binary; it is closed when the array is no longer used.
        dtype: of the values; shape: (rows,) or (rows, columns).
    """

    def __init__(self, file, dtype, shape):
        self.file, self.dtype, self.shape = file, np.dtype(dtype), tuple(shape)
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        self._at_once = max(1, READ_AT_ONCE // max(self._row_bytes, 1))
        self._lock = threading.Lock()
        weakref.finalize(self, _close, file)

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return self[:] if dtype is None else self[:].astype(dtype)

    def append(self, block):
        """Write more rows after those there; the file must be open for writing."""
        with self._lock:
            self.file.seek(0, os.SEEK_END)
            self.file.write(np.ascontiguousarray(block, self.dtype))
            self.file.flush()
            self.shape = (len(self) + len(block), *self.shape[1:])

    def __getitem__(self, rows):
        rows, *column = rows if isinstance(rows, tuple) else (rows,)
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        if np.ndim(rows) == 0:
            if not 0 <= rows < len(self):
                raise IndexError(rows)  # which ends a loop over the array
            return self._take(np.array([rows]), (slice(None), *column))[0]
        return self._take(np.asarray(rows), (slice(None), *column))

    def _take(self, rows, columns):
        if (np.diff(rows) < 0).any():
            order = np.argsort(rows)
            found = self._take(rows[order], columns)
            found[order] = found.copy()
            return found
        reads = rows // self._at_once
        bounds = [0, *(np.flatnonzero(np.diff(reads)) + 1), len(rows)]
        found = []
        for start, stop in itertools.pairwise(bounds):
            some = rows[start:stop]
            first, last = (some[0], some[-1]) if len(some) else (0, -1)
            found.append(self._read(first, last + 1)[columns][some - first])
        return np.concatenate(found)

    def _read(self, start, stop):
        block = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if not block.nbytes:
            return block
        with self._lock:
            self.file.seek(int(start) * self._row_bytes)
            if self.file.readinto(memoryview(block).cast("B")) != block.nbytes:
                raise OSError(f"{self.file.name} has become shorter")
        return block


class Column:
    """One column of a two-dimensional array, each value looked up where there is a table for it.

    Args:
        array: DiskArray or numpy array [rows, columns]; j: the column.
        lookup: array [n]: what value i stands for, the last for -1; or None.
    """

    def __init__(self, array, j, lookup=None):
        self.array, self.j, self.lookup = array, j, lookup

    def __len__(self):
        return len(self.array)

    def __array__(self, dtype=None, copy=None):
        return self[:] if dtype is None else self[:].astype(dtype)

    def __getitem__(self, rows):
        values = self.array[rows, self.j]
        return values if self.lookup is None else self.lookup[values]


def _close(file):
    # What a full disk keeps from being written was reported when it was written first.
    with contextlib.suppress(OSError):
        file.close()


def blocks_of(array, rows=1 << 18):
    """The parts of an array one after the other, at most so many rows each."""
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def keep_on_disk(blocks, folder, dtype="int64"):
    """A one-dimensional DiskArray of all blocks, in an unnamed file that goes when it goes.

    Args:
        blocks: iterable of arrays; folder: where the file is to be.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the array closes it)
    array = DiskArray(file, dtype, (0,))
    for block in blocks:
        array.append(block)
    return array
