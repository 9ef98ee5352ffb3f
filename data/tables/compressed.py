"""Files as they are read, decompressed where their names say that they are compressed."""

import bz2
import contextlib
import gzip
import lzma
import zipfile
import zlib
from pathlib import Path

from data import InputError

COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
# What readers raise on files that are cut short, damaged, or something else altogether.
DAMAGED = (
    ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, lzma.LZMAError, zlib.error,
)  # fmt: skip
WAY_ON = "it may be damaged or cut short, so write or fetch it anew"


@contextlib.contextmanager
def opened(name):
    """(the file decompressed, the file itself, whose position tells how much was read)"""
    suffix = Path(name).suffix.lower()
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(open(name, "rb"))
        if suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(raw))
            if len(archive.namelist()) != 1:
                raise InputError(f"{name}: holds several files; unpack it and name one of them.")
            yield stack.enter_context(archive.open(archive.namelist()[0])), raw
        elif suffix == ".zst":
            try:
                import zstandard
            except ImportError:
                raise InputError(f"{name}: unpack it first, or pip install zstandard.") from None
            yield stack.enter_context(zstandard.open(raw, "rb")), raw
        elif suffix in COMPRESSED:
            decompress = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[suffix]
            yield stack.enter_context(decompress(raw, "rb")), raw
        else:
            yield raw, raw
