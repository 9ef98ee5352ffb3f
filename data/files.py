"""Files on the disk itself: written through, and arrays read back without trusting them."""

import contextlib
import csv
import hashlib
import math
import os
import struct
import tokenize
import zipfile

import numpy as np

# What zipfile and NumPy raise on bytes that only look like an archive of arrays.
NO_ARCHIVE = (
    zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, struct.error,
    MemoryError, SyntaxError, tokenize.TokenError,
)  # fmt: skip


def sync(path):
    """Return once the file or folder `path` (its own entries only) is on the disk itself."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows cannot and need not
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def csv_writer(file, categories):
    """A csv.writer for lines that hold these categories.

    Before Python 3.13 the module leaves a lone carriage return unquoted, and readers take it for
    the end of a line: where one is among the categories, every field is quoted.
    """
    return csv.writer(file, quoting=csv_quoting(categories), lineterminator="\n")


def csv_quoting(texts):
    """The `quoting` of `csv_writer`."""
    returns = any("\r" in text for text in texts if isinstance(text, str))
    return csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL


@contextlib.contextmanager
def written_whole(path):
    """Yield a text file that takes the place of `path` once the block has ended well.

    Until then it has no name where the system knows files without one (Linux), so that nothing
    stays behind whenever the process is killed; elsewhere it is `.<name>.part`.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        number = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        is_nameless = True
    except (AttributeError, OSError):  # not Linux, or a disk that does not know them
        number = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o666)
        is_nameless = False
    try:
        with open(number, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(number)
            if is_nameless:
                unfinished.unlink(missing_ok=True)
                _give_name(number, unfinished)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _give_name(number, path):
    """Let an open file without a name be found at `path`; see open(2), O_TMPFILE."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # with a folder given, Python asks the system to follow the link
        os.link(f"/proc/self/fd/{number}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def read_array(archive, name, shape, dtype):
    """One array of an npz, read once its header has shown that it is the one expected.

    Args:
        archive: open zipfile.ZipFile; name: of its member, without ".npy".
        shape, dtype: what the array must have; rows follow each other (C order).

    Raises:
        ValueError: it is another array, compressed, cut off or too long.
        One of NO_ARCHIVE: the bytes are no archive of arrays.
    """
    member = archive.getinfo(f"{name}.npy")
    expected = (tuple(shape), np.dtype(dtype))
    if member.compress_type != zipfile.ZIP_STORED:  # else it could claim more than it holds
        raise ValueError("it is compressed; it must be stored uncompressed")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is not in npy format 1.0")
        found, by_columns, kind = np.lib.format.read_array_header_1_0(file)
        if (found, kind) != expected or by_columns:
            raise ValueError(f"it is {kind} {found}, not {expected[1]} {expected[0]}"[:160])
        if member.file_size != file.tell() + math.prod(found) * kind.itemsize:
            raise ValueError("it is cut off or too long")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
