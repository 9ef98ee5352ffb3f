"""From files to chunks of rows: CSV, TSV, Parquet, several files as one table, OpenML.

Categories are read as text, exactly as they stand in the file ("007" stays "007"); numbers are
read as float64. `sample` shows the first rows, so that roles can be decided; `chunks` then reads
everything once, a part at a time.
"""

import bz2
import codecs
import contextlib
import csv
import datetime
import functools
import glob
import gzip
import hashlib
import http.client
import io
import lzma
import os
import re
import sys
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.progress import Progress

# A wide table is read in shorter pieces, so that memory holds as many values, not as many rows.
CHUNK_ROWS, CHUNK_VALUES = 500_000, 10_000_000
SAMPLE_ROWS, SAMPLE_VALUES = 100_000, 4_000_000
HEAD_BYTES = 1 << 18
csv.field_size_limit(1 << 30)  # free text longer than 128 KB is no error

# What pandas reads as missing beside the empty field (pandas.read_csv, na_values).
MISSING_TEXTS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip

COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
PARQUET = (".parquet", ".pq")
# The likely separators, and those that are tried when none of these makes two columns.
SEPARATORS = (",;\t|", "^~\x01\x1f: ")
# What readers raise on files that are cut short, damaged, or something else altogether.
DAMAGED = (
    ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, lzma.LZMAError, zlib.error,
)  # fmt: skip


def find_files(sources, option="--data"):
    """Names on the command line -> the files they stand for, in order.

    Args:
        sources: list of str: paths, globs, or ``openml:NAME_OR_ID``.
        option: the option that they were given to, for messages.

    Returns:
        list of str: paths of existing files, and ``openml:`` names as they are.

    Raises:
        InputError: a file is missing, empty or a folder, or a glob matches nothing.
    """
    files = []
    for source in sources:
        if not source.startswith("openml:") and not _exists(source) and glob.has_magic(source):
            found = sorted(glob.glob(source))
            if not found:
                raise InputError(f"{option} {source}: no file matches; check the pattern.")
            files += found
        else:
            files.append(source)
    for name in files:
        if files.count(name) > 1:
            raise InputError(f"{option} {name}: the file is named twice; name it once.")
        if name.startswith("openml:"):
            continue
        if not _exists(name):
            raise InputError(f"{option} {name}: there is no such file; check the path.")
        if Path(name).is_dir():
            ending = "parquet" if name.lower().endswith(PARQUET) else "csv"
            pattern = f"'{name.rstrip('/')}/*.{ending}'"
            raise InputError(f"{option} {name}: this is a folder; name a file, or {pattern}.")
        if not Path(name).is_file():
            raise InputError(f"{option} {name}: this is no plain file; write it to one first.")
        if Path(name).stat().st_size == 0:
            raise InputError(f"{option} {name}: the file is empty; check what wrote it.")
        if not os.access(name, os.R_OK):
            raise InputError(f"{option} {name}: you may not read this file; see its permissions.")
    return files


def _exists(name):
    try:
        return bool(name) and Path(name).exists()
    except (ValueError, OSError):  # a NUL in the name, or a name too long
        return False


def table_name(sources):
    """The table's name, for its output folder: the first file's without its endings."""
    name = Path(sources[0].replace("openml:", "openml-", 1)).name
    while Path(name).suffix.lower() in (*COMPRESSED, *PARQUET, ".csv", ".tsv", ".txt"):
        name = Path(name).stem
    return name.strip("*?[]-_. ") or "table"


def fingerprint(files):
    """What is read, by its content.

    Returns:
        list of {"path": str, "sha256": str}, one for each file; for an OpenML data set, whose
        numbers stand for unchanging versions, {"path": str, "id": str}.
    """
    found = []
    for name in files:
        if name.startswith("openml:"):
            found.append({"path": name, "id": _openml(name)[2]})
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


def dialect(separator=None, encoding="utf-8"):
    """How CSV files are written: the keywords of `column_names`, `sample` and `chunks`.

    Args:
        separator: one character, "tab", or None to find it in the first lines of each file.
        encoding: a name that Python knows; a byte order mark is skipped.

    Raises:
        InputError: there is no such separator or encoding.
    """
    if separator is not None:
        separator = {"\\t": "\t", "tab": "\t"}.get(separator, separator)
        if len(separator) != 1 or separator in '"\r\n\0':
            raise InputError("--separator: give one character, or 'tab'.")
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError):
        raise InputError(
            f"--encoding {encoding}: there is no such encoding; try utf-8, cp1252 or latin-1."
        ) from None
    return {"separator": separator, "encoding": encoding}


def column_names(name, separator=None, encoding="utf-8"):
    """The column names of one file, in its order.

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    if name.startswith("openml:"):
        names = list(_openml(name)[0].columns)
    elif _is_parquet(name):
        with _parquet(name) as file:
            names = list(file.schema_arrow.names)
    else:
        names = _csv_header(name, separator, encoding)[0]
    seen = set()
    for column in names:
        if column in seen:
            raise InputError(f"{name}: the column '{column}' is there twice; rename one of them.")
        seen.add(column)
    return names


def declared_types(name):
    """What a file itself says about its columns, as Parquet and OpenML do and CSV cannot.

    Returns:
        dict of column -> "int", "float", "bool", "str", "date" or "compound", where declared.
    """
    if name.startswith("openml:"):
        frame = _openml(name)[0]
        return {c: kind for c in frame if (kind := _pandas_type(frame[c]))}
    if _is_parquet(name):
        with _parquet(name) as file:
            schema = file.schema_arrow
        return {c: kind for c in schema.names if (kind := _arrow_type(schema.field(c).type))}
    return {}


def default_target(name):
    """The target that an OpenML data set names itself, else None."""
    return _openml(name)[1] if name.startswith("openml:") else None


def sample(name, separator=None, encoding="utf-8", keep_na=(), rows=SAMPLE_ROWS):
    """The first rows of a file, all columns as categories.

    Args:
        keep_na: columns in which texts such as "NA" are categories and only empty is missing.

    Returns:
        dict of column -> pandas.Categorical whose categories are text as it stands in the file.
        Columns of compound values (lists) are not in it.

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    names = column_names(name, separator, encoding)
    types = declared_types(name)
    names = [column for column in names if types.get(column) != "compound"]
    roles = dict.fromkeys(names, "categorical")
    rows = min(rows, max(SAMPLE_VALUES // max(len(names), 1), 1000))
    for columns, _ in chunks(name, roles, separator, encoding, keep_na, rows):
        return columns
    return {column: pd.Categorical([]) for column in names}


def chunks(name, roles, separator=None, encoding="utf-8", keep_na=(), rows=CHUNK_ROWS):
    """Read a file a part at a time.

    Args:
        roles: dict of column -> "categorical", "numeric" or "date"; other columns are skipped.
        rows: rows at a time, at most.

    Yields:
        (dict of column -> values, share): categorical values as pandas.Categorical whose
        categories are text as it stands in the file; numeric ones float64; dates datetime64[s];
        `share` is the part of the file read so far, 0 to 1.

    Raises:
        InputError: text in a numeric column (the first such row and value are named), an absent
            column, a damaged file.
    """
    present = column_names(name, separator, encoding)
    for column in roles:
        if column not in present:
            raise InputError(f"{name}: the column '{column}' is missing; add it.")
    rows = min(rows, max(CHUNK_VALUES // max(len(present), 1), 1000))
    if name.startswith("openml:"):
        parts = _openml_chunks(name, list(roles), rows)
    elif _is_parquet(name):
        parts = _parquet_chunks(name, list(roles), rows)
    else:
        parts = _csv_chunks(name, roles, separator, encoding, keep_na, rows)
    first, day_first = 0, {}
    for frame, share in _ahead(parts):
        columns = {}
        for column, role in roles.items():
            where = f"{name}: the {role} column '{column}'"
            if role == "numeric":
                columns[column] = to_numbers(frame[column], where, first)
            elif role == "date":
                columns[column] = to_dates(frame[column], where, first, day_first)
            else:
                columns[column] = to_categories(frame[column], name, column)
        first += len(frame)
        yield columns, share
    release_memory()


def release_memory():
    """Give back to the system what Arrow keeps for the next column of text."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


def _ahead(items):
    """The same items; another thread fetches the next one meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        items = iter(items)
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


# The values of one column


def to_numbers(values, where="the column", first_row=0):
    """One column as float64 [rows], missing as NaN.

    Args:
        where: how a message begins; first_row: the number of the first of these rows.

    Raises:
        InputError: a value is no number; it names the first.
    """
    if pd.api.types.is_float_dtype(values.dtype):
        return values.to_numpy("float64", na_value=np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == bool:
        values = values.astype(object)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise InputError(f"{where} holds dates; name it in --dates or --drop.")
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except TypeError:
        raise InputError(f"{where} holds lists or other compound values; --drop it.") from None
    wrong = (numbers.isna() & values.notna()).to_numpy()
    if wrong.any():
        raise not_a_number(where, values.iloc[np.argmax(wrong)], first_row + int(np.argmax(wrong)))
    return numbers.to_numpy("float64", na_value=np.nan)


def not_a_number(where, value, row):
    """The InputError about text among numbers."""
    return InputError(
        f"{where} holds {str(value)[:40]!r} in row {row}; correct it or leave it empty, or "
        "train with the column in --categorical or --drop."
    )


def to_dates(values, where="the column", first_row=0, day_first=None):
    """One column as datetime64[s] [rows] in UTC, missing as NaT.

    ISO 8601 is best; 31.12.2024, 12/31/24 and "31 Dec 2024" are understood where the values leave
    no doubt about which is the day.

    Args:
        where: how a message begins; first_row: the number of the first of these rows.
        day_first: dict that remembers from part to part of one file whether days come before
            months, under `where`.

    Raises:
        InputError: a value is no date, or could be two (01/02/2024); it names the first.
    """
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        categories = to_categories(values)
        dates = _parse_dates(categories.categories, where, {} if day_first is None else day_first)
        wrong = np.append(dates.isna(), False)[categories.codes]  # -1 is missing, not wrong
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{where} holds {str(categories[row])[:40]!r} in row {first_row + row}; write "
                "dates as YYYY-MM-DD, or train with the column in --categorical or --drop."
            )
        values = pd.Series(dates.append(pd.DatetimeIndex([pd.NaT], tz="UTC"))[categories.codes])
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    return values.to_numpy("datetime64[s]")


def _parse_dates(texts, where, day_first):
    """DatetimeIndex [len(texts)] in UTC, NaT for what is no date."""
    dates = pd.DatetimeIndex(pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True))
    if not dates.isna().any():
        return dates
    numbers = texts.str.extract(r"^(\d{1,2})[/. -](\d{1,2})[/. -]\d{2,4}\b").astype("float64")
    if numbers.notna().any(axis=None):
        first, second = (numbers > 12).any()
        if first != second:
            day_first[where] = first
        elif where not in day_first:
            raise InputError(
                f"{where} holds dates that can be read in two ways, such as {texts[0]!r}; write "
                "dates as YYYY-MM-DD."
            )
    elif not texts.str.contains("[A-Za-z]{3}").any():  # a number, say, is no date
        return dates
    with warnings.catch_warnings(action="ignore"):  # about what dayfirst cannot decide
        return pd.DatetimeIndex(
            pd.to_datetime(
                texts,
                errors="coerce",
                format="mixed",
                utc=True,
                dayfirst=bool(day_first.get(where)),
            )
        )


def to_categories(values, name="", column=""):
    """One column as pandas.Categorical with text categories.

    Raises:
        InputError: the values are lists or the like; `name` and `column` say where.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, uniques = values.cat.codes.to_numpy(), values.cat.categories
    else:
        try:
            codes, uniques = pd.factorize(values)
        except TypeError:
            raise InputError(
                f"{name}: the column '{column}' holds lists or other compound values; leave it "
                "out with --drop, or flatten it."
            ) from None
    if values.dtype == _text_type():
        return pd.Categorical.from_codes(codes, uniques.astype(object), validate=False)
    texts = [value if type(value) is str else as_text(value) for value in uniques]
    texts = pd.Index(texts, dtype=object)
    if not texts.is_unique:  # 1 and "1" in one column of objects
        merged, texts = pd.factorize(texts)
        codes = np.append(merged, -1)[codes]
    return pd.Categorical.from_codes(codes, texts)


def as_text(value):
    """A category as it would stand in a CSV file that pandas writes."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, datetime.datetime):
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


# CSV


@contextlib.contextmanager
def _opened(name):
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


def _head(name, encoding, size):
    """(text of the first `size` bytes, whether that is all)"""
    try:
        with _opened(name) as (file, _):
            block = file.read(size)
    except DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: cannot be read ({error}).") from None
    if block.startswith(b"PAR1"):
        raise InputError(f"{name}: this is Parquet; rename it so that it ends in .parquet.")
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    if block[:2] in (b"\xff\xfe", b"\xfe\xff") and not wide:
        raise InputError(f"{name}: this is not {encoding}; read it with --encoding utf-16.")
    if b"\0" in block[:1024].partition(b"\n")[0] and not wide:
        raise InputError(f"{name}: this is not a text table; give CSV, TSV or Parquet.")
    try:
        decoder = codecs.getincrementaldecoder(_codec(encoding))()
        return decoder.decode(block), len(block) < size
    except UnicodeError as error:
        raise _csv_error(name, error, encoding) from None


def _codec(encoding):
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _csv_header(name, separator, encoding):
    """(column names, separator) of a CSV file, whose first rows are checked against the names."""
    size = HEAD_BYTES
    while True:
        text, whole = _head(name, encoding, size)
        separator = separator or _separator(text, whole)
        rows = _first_rows(text, separator, 30, whole)
        if rows or whole:
            break
        size *= 4  # the header alone is longer
    if not rows:
        raise InputError(f"{name}: this is not a CSV table; its first line names no columns.")
    header = rows[0]
    if len(header) == 1 and text[0] in "\r\n":  # further down an empty line is a missing value
        raise InputError(f"{name}: the first line is empty; begin with the name of the column.")
    for number, row in enumerate(rows[1:]):
        if len(row) > len(header):
            raise InputError(
                f"{name}: row {number} has {len(row)} fields where the header has {len(header)}; "
                "quote fields that hold the separator, or name it with --separator."
            )
    return [column or f"Unnamed: {i}" for i, column in enumerate(header)], separator


def _separator(text, whole):
    """The separator under which most of the first lines have the same, largest number of fields."""
    for candidates in SEPARATORS:
        best, most = None, 1
        for candidate in candidates:
            widths = [len(row) for row in _first_rows(text, candidate, 30, whole)]
            if widths and widths[0] > most and np.mean(np.equal(widths, widths[0])) > 0.8:
                best, most = candidate, widths[0]
        if best:
            return best
    return ","


def _first_rows(text, separator, count, whole):
    """The first rows that are not empty; the last is left out where the text may end within it."""
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        filled = (row for row in lines if row)
        rows = [row for _, row in zip(range(count + 1), filled, strict=False)]
    except csv.Error:
        return []
    return rows if whole and len(rows) <= count else rows[:-1]


def _csv_chunks(name, roles, separator, encoding, keep_na, rows):
    names, separator = _csv_header(name, separator, encoding)
    # Not "category", which would make 1234 of the postcode 01234.
    text = _text_type()
    dtypes = {c: "float64" if roles.get(c) == "numeric" else text for c in names}
    missing = {c: [""] if c in keep_na else ["", *MISSING_TEXTS] for c in names}
    size = os.stat(name).st_size
    with contextlib.ExitStack() as stack:
        try:
            file, raw = stack.enter_context(_opened(name))
            reader = stack.enter_context(
                pd.read_csv(
                    file,
                    sep=separator,
                    encoding=_codec(encoding),
                    header=0,
                    names=names,
                    index_col=False,
                    dtype=dtypes,
                    na_values=missing,
                    keep_default_na=False,
                    skip_blank_lines=len(names) > 1,
                    low_memory=False,
                    iterator=True,
                )
            )
            while (frame := _next(reader, rows)) is not None:
                yield frame, min(raw.tell() / size, 1.0)
        except DAMAGED as error:
            if isinstance(error, InputError):
                raise
            if type(error) is ValueError and "numeric" in roles.values():
                # Text among the numbers: read again, as text, to tell in which row.
                texts = dict.fromkeys(roles, "categorical")
                first = 0
                for frame, _ in _csv_chunks(name, texts, separator, encoding, keep_na, rows):
                    for column, role in roles.items():
                        if role == "numeric":
                            where = f"{name}: the numeric column '{column}'"
                            to_numbers(frame[column].astype(object), where, first)
                    first += len(frame)
            raise _csv_error(name, error, encoding) from None


def _text_type():
    """How pandas is to hold text: with pyarrow, where it is installed, several times as fast."""
    try:
        import pyarrow
    except ImportError:
        return object
    return pd.ArrowDtype(pyarrow.string())


def _next(reader, rows):
    """The next rows, None at the end."""
    try:
        return reader.get_chunk(rows)
    except (StopIteration, pd.errors.EmptyDataError):
        return None


def _csv_error(name, error, encoding):
    if isinstance(error, UnicodeError):
        try:
            with _opened(name) as (file, _):
                file.read(1 << 20).decode("cp1252")
            other = "cp1252"
        except UnicodeError:
            other = "latin-1"
        return InputError(f"{name}: this is not {encoding}; read it with --encoding {other}.")
    reason = str(error).replace("Error tokenizing data. C error: ", "").strip(" .\n")
    return InputError(f"{name}: cannot be read as a CSV table ({reason}).")


# Parquet


def _is_parquet(name):
    return name.lower().endswith(PARQUET)


@contextlib.contextmanager
def _parquet(name):
    """The open file; whatever is wrong with it becomes an InputError."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{name}: reading Parquet takes one more package; pip install pyarrow."
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(name) as file:
            yield file
    except InputError:
        raise
    except (*DAMAGED, TypeError, KeyError) as error:
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: cannot be read as Parquet ({reason}).") from None


def _arrow_type(kind):
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    for name, tests in (
        ("int", [types.is_integer]),
        ("float", [types.is_floating, types.is_decimal]),
        ("bool", [types.is_boolean]),
        ("str", [types.is_string, types.is_large_string, types.is_string_view]),
        ("date", [types.is_timestamp, types.is_date]),
        ("compound", [types.is_nested]),
    ):
        if any(test(kind) for test in tests):
            return name
    return None


def _parquet_chunks(name, columns, rows):
    with _parquet(name) as file:
        done, total = 0, max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            done += batch.num_rows
            frame = batch.to_pandas(
                integer_object_nulls=True,  # a missing value must not turn 5 into 5.0
                date_as_object=False,
                ignore_metadata=True,  # what was an index of pandas is a column here
            )
            yield frame, done / total


# OpenML


def _pandas_type(values):
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.categories
    return {
        "integer": "int", "floating": "float", "mixed-integer-float": "float", "boolean": "bool",
        "string": "str", "datetime64": "date",
    }.get(pd.api.types.infer_dtype(values, skipna=True))  # fmt: skip


def _openml_chunks(name, columns, rows):
    frame = _openml(name)[0][columns]
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows]
        yield part, min((start + rows) / len(frame), 1.0)


@functools.cache
def _openml(name):
    """(DataFrame, name of its target or None, number), kept on disk by scikit-learn's cache."""
    from sklearn.datasets import fetch_openml

    wanted = name.removeprefix("openml:")
    which = {"data_id": int(wanted)} if re.fullmatch("[0-9]+", wanted) else {"name": wanted}
    try:
        with warnings.catch_warnings(action="ignore"):  # about several versions: see the number
            bunch = fetch_openml(**which, as_frame=True, parser="pandas")
    except (*DAMAGED, KeyError, http.client.HTTPException) as error:
        reason = str(error).strip(" .\n").partition("\n")[0]
        raise InputError(f"{name}: OpenML does not give it ({reason}).") from None
    target = bunch.target_names[0] if len(bunch.target_names or []) == 1 else None
    return bunch.frame, target, str(bunch.details.get("id", wanted))
