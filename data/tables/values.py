"""The values of one column: numbers, dates and categories, from whatever a reader gives."""

import datetime
import re
import shlex
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data import InputError
from data.tables.notation import PLAIN
from data.tables.numbers import read_numbers
from data.tables.timestamps import date_readings, read_dates

# What pandas reads as missing beside the empty field (pandas.read_csv, na_values).
MISSING_TEXTS = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip


YEAR_FIRST = re.compile("[0-9]{4}[-/]")


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


def to_numbers(values, where="the column", first_row=0, notation=PLAIN, learned=False):
    """One column as float64 [rows], missing and blank values as NaN.

    Args:
        where: how a message begins; first_row: the number of the first of these rows.
        notation: `data.tables.notation.Notation`, how those numbers are written that are text.
        learned: whether other rows have told this, which these have to follow.

    Raises:
        InputError: a value is no number; it names the first.
    """
    if pd.api.types.is_float_dtype(values.dtype):
        return values.to_numpy("float64", na_value=np.nan)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        way_on = "in training it held numbers" if learned else "name it in --dates or --drop"
        raise InputError(f"{where} holds dates; {way_on}.")
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == bool:
        values = values.astype(object)
    numbers, plain = np.full(len(values), np.nan), values
    if notation != PLAIN and values.dtype == object:  # numbers among them are what they are
        plain = values.where([not isinstance(value, str) for value in values], None)
    if notation == PLAIN or plain is not values or pd.api.types.is_numeric_dtype(values.dtype):
        try:
            numbers = pd.to_numeric(plain, errors="coerce").to_numpy("float64", na_value=np.nan)
        except TypeError:
            raise InputError(f"{where} holds lists or other compound values; --drop it.") from None
    unread = np.flatnonzero(np.isnan(numbers) & values.notna().to_numpy())
    if len(unread):
        categories = to_categories(values.iloc[unread])
        texts = categories.categories.tolist()
        found = read_numbers(texts, notation)
        numbers = numbers.copy()
        numbers[unread] = found[categories.codes]
        wrong = np.isnan(found) & np.array([bool(text.strip()) for text in texts], bool)
        if wrong.any():
            at = int(np.argmax(wrong[categories.codes]))
            row = first_row + int(unread[at])
            if learned:
                raise _not_as_learned(where, categories[at], row, notation)
            raise not_a_number(where, categories[at], row)
    return numbers


def not_a_number(where, text, row, what="number", marks=()):
    """The InputError about text among numbers, or dates.

    Args:
        where: how it begins; text: the first such text, in row `row`; marks: all of them.
    """
    text, marks = str(text), list(marks) or [str(text)]
    equals = "=" if re.match("--|-[^0-9.]", marks[0]) else " "  # what looks like an option
    option = f"--na-values{equals}{_as_arguments(marks)}"
    form = " to YYYY-MM-DD" if what == "date" else ""
    return InputError(
        f"{where} holds {text[:40]!r} in row {row}, which is no {what}; correct it{form}, give "
        f"{option} if it stands for a missing value, or name the column in "
        "--categorical or --drop."
    )


def _not_as_learned(where, text, row, notation, what="number"):
    """The same about rows that have to be written as those that a model has learned from."""
    form = "as YYYY-MM-DD" if what == "date" else "so"
    known = "numbers such as 1234.5" if what == "number" and notation == PLAIN else f"{what}s"
    return InputError(
        f"{where} holds {text[:40]!r} in row {row}; in training it held {known}{notation}: write "
        f"it {form}, or leave it empty if it is missing."
    )


def _as_arguments(marks):
    """Texts as a shell takes them; TEXT for what is better not printed or pasted."""
    if len(marks) > 3 or not all(mark.isprintable() and len(mark) <= 20 for mark in marks):
        return "TEXT"
    return " ".join(map(shlex.quote, marks))


@dataclass
class Dates:
    """A column of dates, datetime64[s] [rows], NaT for missing.

    Attributes:
        local: as the clock at the place shows them; utc: the same moments in UTC.
    """

    local: np.ndarray
    utc: np.ndarray

    def __len__(self):
        return len(self.local)


def to_dates(values, where="the column", first_row=0, notation=PLAIN, learned=False):
    """One column as `Dates`.

    Args:
        where: how a message begins; first_row: the number of the first of these rows.
        notation: `data.tables.notation.Notation`; without an order of day, month and year the
            values must tell it.
        learned: as for `to_numbers`.

    Raises:
        InputError: a value is no date, or could be two (01/02/2024); it names the first.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        zone = values.dt.tz
        utc = values if zone is None else values.dt.tz_convert("UTC").dt.tz_localize(None)
        local = values if zone is None else values.dt.tz_localize(None)
        return Dates(local.to_numpy("datetime64[s]"), utc.to_numpy("datetime64[s]"))
    categories = to_categories(values)
    texts = categories.categories.tolist()
    local, utc = read_dates(texts, notation.date_order or _order_of(texts, where, learned))
    wrong = np.isnat(local) & np.array([bool(text.strip()) for text in texts], bool)
    wrong = np.append(wrong, False)[categories.codes]  # -1 is missing, not wrong
    if wrong.any():
        row = int(np.argmax(wrong))
        text, row = categories[row], first_row + row
        if date_readings([text], any_century=True) and not date_readings([text]):
            raise open_century(f"{where}, row {row},", text, learned)
        if learned:
            raise _not_as_learned(where, text, row, notation, "date")
        raise not_a_number(where, text, row, "date")
    nothing = np.datetime64("NaT")
    return Dates(*(np.append(dates, nothing)[categories.codes] for dates in (local, utc)))


def open_century(where, text, learned=False):
    """The InputError about years of two digits, of dates that may lie ahead or long ago."""
    others = "" if learned else ", or name the column in --categorical or --drop"
    return InputError(
        f"{where} holds dates whose century is open, such as {text[:40]!r}; write years with "
        f"four digits{others}."
    )


def open_order(where, text, orders, learned=False):
    """The InputError about dates such as 01/02/2024; orders: those in which all can be read."""
    others = "" if learned else f"give --date-order {' or '.join(orders)}, or "
    return InputError(
        f"{where} holds dates that can be read in two ways, such as {text[:40]!r}; {others}write "
        "them as YYYY-MM-DD."
    )


def _order_of(texts, where, learned):
    """The order of day, month and year that most dates have; "" where they tell it themselves."""
    if all(map(YEAR_FIRST.match, texts)):
        return ""
    readings = date_readings(texts)
    most = max((fits.sum() for fits in readings.values()), default=0)
    orders = [order for order, fits in readings.items() if fits.sum() == most]
    if len(orders) > 1:
        raise open_order(where, texts[0], orders, learned)
    return orders[0] if orders else ""


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
    if values.dtype != object and pd.api.types.is_string_dtype(values.dtype):
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
