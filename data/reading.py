"""From files to chunks of rows: CSV, TSV, Parquet, several files as one table, OpenML.

Categories are read as text, exactly as they stand in the file ("007" stays "007"); numbers are
read as float64. `sample` shows the first rows as text, so that roles can be decided; `chunks`
then reads everything once, a part at a time.
"""

import bz2
import csv
import functools
import glob
import gzip
import hashlib
import io
import lzma
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError

CHUNK_ROWS = 250_000
SAMPLE_ROWS = 100_000

# What pandas reads as missing beside the empty field (pandas.read_csv, na_values).
MISSING_TEXTS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip", ".zst": "zstd"}
PARQUET = (".parquet", ".pq")
DAMAGED = (ValueError, OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, ImportError)


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
        if source.startswith("openml:"):
            files.append(source)
        elif not _exists(source) and glob.has_magic(source):
            found = sorted(glob.glob(source))
            if not found:
                raise InputError(f"{option} {source}: no file matches; check the pattern.")
            files += found
        else:
            files.append(source)
    for name in files:
        if name.startswith("openml:"):
            continue
        if not _exists(name):
            raise InputError(f"{option} {name}: there is no such file; check the path.")
        if Path(name).is_dir():
            raise InputError(f"{option} {name}: this is a folder; name a file, or '{name}/*.csv'.")
        if Path(name).stat().st_size == 0:
            raise InputError(f"{option} {name}: the file is empty; check what wrote it.")
        if files.count(name) > 1:
            raise InputError(f"{option} {name}: the file is named twice; name it once.")
    return files


def _exists(name):
    try:
        return Path(name).exists()
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
        list of {"path": str, "sha256": str}, one for each file; an OpenML data set has no
        checksum, since its number names an unchanging version.
    """
    found = []
    for name in files:
        entry = {"path": name}
        if not name.startswith("openml:"):
            with open(name, "rb") as file:
                entry["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(entry)
    return found


def dialect(files, separator=None, encoding="utf-8"):
    """How the CSV files are written: the keywords of `sample` and `chunks`.

    Args:
        separator: one character, or None to find it in the first lines.
        encoding: a name that Python knows; a byte order mark is skipped.
    """
    if separator is not None and len(separator) != 1:
        separator = {"\\t": "\t", "tab": "\t"}.get(separator)
        if separator is None:
            raise InputError("--separator: give one character, or 'tab'.")
    for name in files:
        if not _declares_types(name):
            return {"separator": separator or _separator(name, encoding), "encoding": encoding}
    return {"separator": separator or ",", "encoding": encoding}


def sample(name, separator=",", encoding="utf-8", keep_na=(), rows=SAMPLE_ROWS):
    """The first rows of a file as text.

    Args:
        keep_na: columns in which texts such as "NA" are categories and only empty is missing.

    Returns:
        (DataFrame of object dtype, missing values NaN; dict of column -> "int", "float", "bool",
        "str" or "date" where the file itself declares it, as Parquet and OpenML do and CSV cannot).

    Raises:
        InputError: the file is no table, or names a column twice.
    """
    if not _declares_types(name):
        names = _csv_header(name, separator, encoding)
        with _csv_reader(name, names, separator, encoding, keep_na, object) as reader:
            frame = _next_chunk(name, reader, encoding, rows)
        return (pd.DataFrame(columns=names, dtype=object) if frame is None else frame), {}
    frame = next(_typed_chunks(name, None, rows))[0]
    _check_names(name, list(frame.columns))
    types = {column: _declared_type(frame[column]) for column in frame}
    texts = {}
    for column in frame:
        values = to_categories(frame[column], name, column).astype(object)
        texts[column] = pd.Series(values, dtype=object)
    return pd.DataFrame(texts), {c: kind for c, kind in types.items() if kind}


def chunks(name, roles, separator=",", encoding="utf-8", keep_na=()):
    """Read a file a part at a time.

    Args:
        roles: dict of column -> "categorical", "numeric" or "date"; other columns are skipped.

    Yields:
        (dict of column -> values, share): categorical values as pandas.Categorical whose
        categories are text as it stands in the file; numeric ones float64; dates datetime64;
        `share` is the part of the file read so far, 0 to 1.

    Raises:
        InputError: text in a numeric column (the first such row and value are named), an absent
            column, a damaged file.
    """
    present = column_names(name, separator, encoding)
    absent = [column for column in roles if column not in present]
    if absent:
        raise InputError(f"{name}: the column '{absent[0]}' is missing.")
    if _declares_types(name):
        parts = _typed_chunks(name, list(roles), CHUNK_ROWS)
    else:
        parts = _csv_chunks(name, roles, separator, encoding, keep_na)
    first = 0
    for frame, share in parts:
        columns = {}
        for column, role in roles.items():
            if role == "numeric":
                columns[column] = to_numbers(frame[column], name, column, first)
            elif role == "date":
                columns[column] = to_dates(frame[column], name, column, first)
            else:
                columns[column] = to_categories(frame[column], name, column)
        first += len(frame)
        yield columns, share


def column_names(name, separator=",", encoding="utf-8"):
    """The column names of one file, in its order."""
    if name.startswith("openml:"):
        return list(_openml(name)[0].columns)
    if name.lower().endswith(PARQUET):
        return list(_parquet(name).schema_arrow.names)
    return _csv_header(name, separator, encoding)


def default_target(name):
    """The target that an OpenML data set names itself, else None."""
    return _openml(name)[1] if name.startswith("openml:") else None


# Values of one column


def to_numbers(values, name, column, first_row=0):
    """One column as float64 [rows], missing as NaN; text is an InputError that names it."""
    if pd.api.types.is_float_dtype(values.dtype):
        return values.to_numpy("float64", na_value=np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == bool:
        values = values.astype(object)
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = (numbers.isna() & values.notna()).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{name}: the numeric column '{column}' holds {str(values.iloc[row])[:40]!r} in row "
            f"{first_row + row}; correct it, or name the column in --categorical or --drop."
        )
    return numbers.to_numpy("float64", na_value=np.nan)


def to_dates(values, name, column, first_row=0):
    """One column as datetime64 [rows], missing as NaT; ISO 8601 is best, 31/12/2024 is understood.

    Raises:
        InputError: a value is no date, or could be two (01/02/2024).
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        dates = values
    else:
        texts = values.astype(object)
        dates = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
        if (dates.isna() & texts.notna()).any():
            month_first = pd.to_datetime(texts, errors="coerce", format="mixed", utc=True)
            day_first = pd.to_datetime(
                texts, errors="coerce", format="mixed", utc=True, dayfirst=True
            )
            if not month_first.equals(day_first) and not re.search(r"[a-zA-Z]", str(texts.iloc[0])):
                # Only a day over 12 tells which way round the column is written.
                day = pd.to_numeric(texts.str.extract(r"^\D*(\d+)\D+(\d+)").stack(), "coerce")
                over = (day.unstack() > 12).any() if len(day) else []
                if len(over) < 2 or over.iloc[0] == over.iloc[1]:
                    raise InputError(
                        f"{name}: the dates in column '{column}' ({texts.dropna().iloc[0]!r}) can "
                        "be read in two ways; write them as YYYY-MM-DD."
                    )
                dates = day_first if over.iloc[0] else month_first
            else:
                dates = month_first
        wrong = (dates.isna() & texts.notna()).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{name}: the date column '{column}' holds {str(texts.iloc[row])[:40]!r} in row "
                f"{first_row + row}; write dates as YYYY-MM-DD."
            )
    if getattr(dates.dtype, "tz", None) is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    return dates.to_numpy("datetime64[s]")


def to_categories(values, name="", column=""):
    """One column as pandas.Categorical with text categories."""
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
    texts = pd.Index([as_text(value) for value in uniques], dtype=object)
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
    return str(value)


# CSV


def _separator(name, encoding):
    """The separator under which most of the first lines have the same, largest number of fields."""
    text = _head(name, encoding)
    best, fields = ",", 1
    for candidate in ",;\t|":
        try:
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=candidate)
            rows = [row for _, row in zip(range(30), lines, strict=False) if row]
        except csv.Error:
            continue
        # The last row may be cut off where the block ends.
        widths = [len(row) for row in (rows[:-1] if len(rows) > 2 else rows)]
        if widths and widths[0] > fields and np.mean(np.equal(widths, widths[0])) > 0.8:
            best, fields = candidate, widths[0]
    return best


def _head(name, encoding):
    """The first lines of a text file, decompressed and decoded."""
    try:
        with _open(name) as file:
            block = file.read(1 << 18)
    except DAMAGED as error:
        raise InputError(f"{name}: cannot be read ({error}).") from None
    if block[:2] in (b"\xff\xfe", b"\xfe\xff") and not encoding.lower().startswith("utf-16"):
        raise InputError(f"{name}: this is not {encoding}; read it with --encoding utf-16.")
    try:
        return block.decode(_codec(encoding), errors="replace")
    except LookupError:
        raise InputError(
            f"--encoding {encoding}: there is no such encoding; try utf-8, cp1252 or latin-1."
        ) from None


def _open(name):
    suffix = Path(name).suffix.lower()
    if suffix == ".zip":
        archive = zipfile.ZipFile(name)
        if len(archive.namelist()) != 1:
            raise InputError(f"{name}: holds several files; unpack it and name one of them.")
        return archive.open(archive.namelist()[0])
    if suffix == ".zst":
        try:
            import zstandard
        except ImportError:
            raise InputError(f"{name}: unpack it first, or pip install zstandard.") from None
        return zstandard.open(name, "rb")
    return {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(suffix, open)(name, "rb")


def _codec(encoding):
    return "utf-8-sig" if encoding.lower() in ("utf-8", "utf8", "utf_8") else encoding


def _csv_header(name, separator, encoding):
    """The column names: none twice, and no row longer than they are."""
    text = _head(name, encoding)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [row for _, row in zip(range(20), lines, strict=False) if row]
    except csv.Error as error:
        raise InputError(f"{name}: this is not a CSV table ({error}).") from None
    if not rows or "\0" in "".join(rows[0]):
        raise InputError(f"{name}: this is not a CSV table; its first line names no columns.")
    for number, row in enumerate(rows[1:-1]):
        if len(row) > len(rows[0]):
            raise InputError(
                f"{name}: row {number} has {len(row)} fields where the header has {len(rows[0])}; "
                "quote fields that hold the separator, or name it with --separator."
            )
    names = [column or f"Unnamed: {i}" for i, column in enumerate(rows[0])]
    _check_names(name, names)
    return names


def _check_names(name, names):
    for i, column in enumerate(names):
        if column in names[:i]:
            raise InputError(f"{name}: the column '{column}' is there twice; rename one of them.")


def _csv_reader(name, names, separator, encoding, keep_na, dtype, handle=None):
    missing = {c: [""] if c in keep_na else ["", *MISSING_TEXTS] for c in names}
    try:
        return pd.read_csv(
            handle or name,
            compression=COMPRESSED.get(Path(name).suffix.lower()),
            sep=separator,
            encoding=_codec(encoding),
            header=0,
            names=names,
            index_col=False,
            dtype=dtype,
            na_values=missing,
            keep_default_na=False,
            skip_blank_lines=len(names) > 1,
            low_memory=False,
            iterator=True,
        )
    except DAMAGED as error:
        raise _csv_error(name, error, encoding) from None


def _next_chunk(name, reader, encoding, rows):
    """The next rows, None at the end."""
    try:
        return reader.get_chunk(rows)
    except (StopIteration, pd.errors.EmptyDataError):
        return None
    except DAMAGED as error:
        raise _csv_error(name, error, encoding) from error


def _csv_error(name, error, encoding):
    if isinstance(error, UnicodeError):
        try:
            with _open(name) as file:
                file.read(1 << 20).decode("cp1252")
            other = "cp1252"
        except UnicodeError:
            other = "latin-1"
        return InputError(f"{name}: this is not {encoding}; read it with --encoding {other}.")
    reason = str(error).replace("Error tokenizing data. C error: ", "").strip(" .\n")
    return InputError(f"{name}: cannot be read as a CSV table ({reason}).")


def _csv_chunks(name, roles, separator, encoding, keep_na):
    names = _csv_header(name, separator, encoding)
    # Numbers straight to float64 and text straight to codes are the fast ways of pandas' reader.
    dtypes = {c: "float64" if roles.get(c) == "numeric" else "category" for c in names}
    size = Path(name).stat().st_size
    with (
        open(name, "rb") as handle,
        _csv_reader(name, names, separator, encoding, keep_na, dtypes, handle) as reader,
    ):
        while True:
            try:
                frame = _next_chunk(name, reader, encoding, CHUNK_ROWS)
            except InputError as error:
                if type(error.__cause__) is ValueError:  # text among the numbers, somewhere
                    _name_the_text(name, names, roles, separator, encoding, keep_na)
                raise
            if frame is None:
                return
            yield frame, min(handle.tell() / size, 1.0)


def _name_the_text(name, names, roles, separator, encoding, keep_na):
    """Read again, as text, to raise the error that names the row."""
    first = 0
    with _csv_reader(name, names, separator, encoding, keep_na, object) as reader:
        while (frame := _next_chunk(name, reader, encoding, CHUNK_ROWS)) is not None:
            for column, role in roles.items():
                if role == "numeric":
                    to_numbers(frame[column], name, column, first)
            first += len(frame)


# Files that declare their types: Parquet and OpenML


def _declares_types(name):
    return name.startswith("openml:") or name.lower().endswith(PARQUET)


def _declared_type(values):
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.categories
    kind = pd.api.types.infer_dtype(values, skipna=True)
    return {
        "integer": "int", "floating": "float", "mixed-integer-float": "float", "boolean": "bool",
        "string": "str", "datetime64": "date", "datetime": "date", "date": "date",
        "decimal": "float",
    }.get(kind)  # fmt: skip


def _typed_chunks(name, columns, rows):
    if name.startswith("openml:"):
        frame = _openml(name)[0]
        frame = frame if columns is None else frame[columns]
        for start in range(0, max(len(frame), 1), rows):
            part = frame.iloc[start : start + rows]
            yield part, min((start + rows) / max(len(frame), 1), 1.0)
        return
    file = _parquet(name)
    done, total = 0, max(file.metadata.num_rows, 1)
    try:
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            done += batch.num_rows
            # A missing integer must not turn its column into floats: 5 would become "5.0".
            yield batch.to_pandas(integer_object_nulls=True, date_as_object=False), done / total
        if not done:
            empty = file.schema_arrow.empty_table()
            yield (empty if columns is None else empty.select(columns)).to_pandas(), 1.0
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: cannot be read as Parquet ({error}).") from None


def _parquet(name):
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{name}: reading Parquet takes one more package; pip install pyarrow."
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(name)
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: cannot be read as Parquet ({error}).") from None


@functools.cache
def _openml(name):
    """(DataFrame, name of its default target), fetched once and kept by scikit-learn's cache."""
    from sklearn.datasets import fetch_openml

    wanted = name.removeprefix("openml:")
    which = {"data_id": int(wanted)} if wanted.isdecimal() else {"name": wanted}
    try:
        bunch = fetch_openml(**which, as_frame=True, parser="pandas")
    except (ValueError, OSError) as error:  # unknown names, HTTP errors, no network
        raise InputError(f"{name}: OpenML does not give it ({error}).") from None
    target = bunch.target_names[0] if len(bunch.target_names) == 1 else None
    return bunch.frame, target
