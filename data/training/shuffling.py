"""A uniformly random order of more rows than memory holds."""

import contextlib
import tempfile

import numpy as np

BUCKET_BYTES = 64 << 20
MOST_BUCKETS = 256  # open files
TAKEN_AT_ONCE = 1 << 15  # records


def shuffled(blocks, rows, dtype, random, folder):
    """All records in random order, every order being equally likely; memory holds one bucket.

    Each record is thrown into a bucket on disk at random, and each bucket is shuffled in memory
    (Sanders, 1998, Random permutations on distributed, external and hierarchical memory). So the
    disk is read and written from start to end, never here and there. Few records are one bucket,
    which stays in memory.

    Args:
        blocks: iterable of arrays of the structured `dtype`, `rows` records in all.
        random: numpy.random.Generator, on which alone the order depends.
        folder: where unnamed files of the records' size in all may be.

    Yields:
        arrays of records
    """
    buckets = min(-(-rows * dtype.itemsize // BUCKET_BYTES), MOST_BUCKETS)
    if buckets <= 1:
        records, done = np.empty(rows, dtype), 0
        for block in blocks:
            records[done : done + len(block)] = block
            done += len(block)
        yield from _in_random_order(records, random)
        return
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(buckets)]
        for block in blocks:
            bucket = random.integers(buckets, size=len(block), dtype="uint16")
            order = np.argsort(bucket, kind="stable")
            bounds = np.searchsorted(bucket[order], np.arange(buckets + 1))
            block = block[order]
            for file, start, stop in zip(files, bounds, bounds[1:], strict=False):
                file.write(block[start:stop])
        for file in files:
            records = np.empty(file.tell() // dtype.itemsize, dtype)
            file.seek(0)
            file.readinto(records.view("uint8"))
            file.truncate(0)
            yield from _in_random_order(records, random)
            del records  # before the next bucket takes memory


def _in_random_order(records, random):
    order = random.permutation(len(records))
    for start in range(0, len(records), TAKEN_AT_ONCE):
        yield records[order[start : start + TAKEN_AT_ONCE]]


def regrouped(pieces, rows):
    """The same records in arrays of exactly `rows`, but for the last."""
    held, count = [], 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= rows:
            whole = np.concatenate(held)
            cut = count - count % rows
            for start in range(0, cut, rows):
                yield whole[start : start + rows]
            held, count = [whole[cut:]], count - cut
    if count:
        yield np.concatenate(held)
