"""The values of one column: numbers, dates and categories, from whatever a reader gives."""

import datetime
import warnings

import numpy as np
import pandas as pd

from data import InputError

# What pandas reads as missing beside the empty field (pandas.read_csv, na_values).
MISSING_TEXTS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip


def text_type():
    """How pandas is to hold text: with pyarrow, where it is installed, several times as fast."""
    try:
        import pyarrow
    except ImportError:
        return object
    return pd.ArrowDtype(pyarrow.string())


def without_texts(values, texts):
    """One column, in which some texts, or the numbers that they spell, are missing values."""
    if not texts:
        return values
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce").dropna().tolist()
    if pd.api.types.is_float_dtype(values.dtype):
        return values.mask(values.isin(numbers))
    if pd.api.types.is_integer_dtype(values.dtype):
        values = values.astype(object)  # a missing value would make floats of them
    return values.mask(values.isin([*texts, *numbers] if values.dtype == object else texts))


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
    if values.dtype == text_type():
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
