"""What --split-by orders the rows by: numbers, dates, times, or text whose order is plain."""

import itertools
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data import InputError
from data.tables.dates import elapsed_column
from data.tables.disk import Column
from data.tables.kinds import NUMBER, Values
from data.tables.notation import PLAIN
from data.tables.numbers import read_numbers
from data.tables.recognition import settle
from data.tables.timestamps import date_readings, read_dates
from data.tables.values import open_order

MONTHS = (
    "jan(uary)?", "feb(ruary)?", "mar(ch)?", "apr(il)?", "may", "june?", "july?", "aug(ust)?",
    "sept?(ember)?", "oct(ober)?", "nov(ember)?", "dec(ember)?",
)  # fmt: skip
DAYS_AND_MONTHS = re.compile(
    rf"\b((mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?|{'|'.join(MONTHS)})\b", re.I
)
TIME = re.compile(r"\s*(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d*)?))?\s*(?:([ap])\.?m\.?)?\s*", re.I)
# 2024-W05, 2024Q1, 2024-7, KW 5/2024: a year, and a number within it.
PERIODS = (
    re.compile(r"(?P<year>(?:19|20)\d\d)[-/. ]?(?P<unit>[A-Za-z]{0,2})[-. ]?(?P<number>\d{1,2})"),
    re.compile(r"(?P<unit>[A-Za-z]{0,2})[-. ]?(?P<number>\d{1,2})[-/. ]+(?P<year>(?:19|20)\d\d)"),
)
# 01/24, Q1 24: either number may be the year.
SHORT_YEAR = re.compile(r"\D{0,4}\d{1,2}[-/'. ]+\d{2}")
LATER_YEAR = re.compile(r"\d\D+(?:\d+\D+)*(?:19|20)\d\d(?!\d)")  # a number comes before the year


@dataclass
class Order:
    """The order of a table's rows.

    Attributes:
        column: the column that orders them.
        values: Column of float64, NaN for missing: numbers, days since 1970, seconds of a day, or
            ranks of texts.
        shown: "number", "date", "time" or "text", what the values stand for.
        texts: dict of value -> text, where that is "text".
    """

    column: str
    values: Column
    shown: str
    texts: dict = None

    def keys(self, row_ids):
        """uint64 [len(row_ids)] in the same order as the values, for none that is missing."""
        bits = (self.values[row_ids] + 0.0).view("uint64")  # one zero only
        return np.where(bits >> 63, ~bits, bits | 1 << 63)

    def show(self, value):
        """A value as people read it."""
        if np.isnan(value):
            return "nothing"
        if self.shown == "text":
            return self.texts[value]
        if self.shown == "number":
            return str(int(value)) if value % 1 == 0 and abs(value) < 2**53 else repr(float(value))
        seconds = np.timedelta64(round(value * 86400 if self.shown == "date" else value), "s")
        day, _, time = str(np.datetime64("1970-01-01", "s") + seconds).partition("T")
        if self.shown == "time":
            return time
        return day if time == "00:00:00" else f"{day} {time}"


def order_of(table, settings):
    """The order that --split-by gives the rows of a table, None where it is not given.

    Args:
        table: `data.tables.cache.Table`; settings: as for `data.tables.recognition.settle`, with
            "split_by".

    Raises:
        InputError: its text looks like numbers or dates, but has no order as such.
    """
    column = settings["split_by"]
    if column is None:
        return None
    if column in table.numeric:
        return Order(column, table.values(column), "number")
    if column not in table.dictionaries:
        return Order(column, table.values(elapsed_column(column)), "date")
    texts, codes = table.texts(column)
    values = Values(texts, codes, table.types.get(column))
    settle({column: values}, settings | {"notations": None})
    found, shown = text_order(column, values)
    lookup, names = np.append(found, np.nan), None
    if shown == "text":
        names = dict(zip(found.tolist(), texts, strict=True))
    return Order(column, Column(table.codes, codes.j, lookup), shown, names)


def text_order(column, values):
    """What orders the texts of a column.

    Args:
        values: `data.tables.kinds.Values`.

    Returns:
        (float64 [texts], "number", "date", "time" or "text", what these are)

    Raises:
        InputError: they look like numbers, dates or times, but are not all of the kind; or their
            letters are in another order than the numbers among them.
    """
    texts, where = values.texts, f"--split-by: the column '{column}'"
    if values.dates is not None:
        found, shown = _days(where, values), "date"
    elif values.kind == "str" and (some := list(date_readings(texts).values())):
        found, shown = np.where(max(some, key=np.count_nonzero), 0.0, np.nan), "date"
    elif values.numbers is not None or any(map(NUMBER.fullmatch, texts)):
        found, shown = _numbers(where, values), "number"
    elif any(map(TIME.fullmatch, texts)):
        found, shown = np.array([_seconds(TIME.fullmatch(text)) for text in texts]), "time"
    elif (periods := _periods(texts)) is not None:
        return _ranks(periods), "text"
    else:
        _check_letters(where, texts)
        return _ranks(np.array(texts, dtype=object)), "text"
    if np.isnan(found).any():
        text, row = values.first_row([texts[i] for i in np.flatnonzero(np.isnan(found))])
        raise InputError(
            f"{where} holds {shown}s, but {text[:40]!r} in row {row}; correct it, or split by "
            "another column."
        )
    return found, shown


def _days(where, values):
    """Days since 1970, NaN for what is no date."""
    if len(values.date_readings) > 1:
        orders = [each.notation.date_order for each in values.date_readings]
        raise open_order(where, values.texts[0], orders)
    _, dates = read_dates(values.texts, values.dates.notation.date_order)
    return (dates - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")


def _numbers(where, values):
    """float64, NaN for what is no number."""
    if len(values.number_readings) > 1:
        raise InputError(
            f"{where} holds numbers that can be read in two ways, such as {values.texts[0]!r}; "
            "give --decimal or --thousands."
        )
    if values.numbers is not None and values.numbers.notation != PLAIN:
        return read_numbers(values.texts, values.numbers.notation)
    texts = pd.Series(values.texts, dtype=object)
    return pd.to_numeric(texts, errors="coerce").to_numpy("float64")


def _ranks(values):
    """Positions among the distinct values in ascending order, float64."""
    return np.unique(values, return_inverse=True)[1].astype("float64")


def _seconds(match):
    """Seconds of a day, NaN for what is no time."""
    if match is None:
        return np.nan
    hour, minute, second, half = match.groups()
    hour, minute, second = int(hour), int(minute), float(second or 0)
    if half:
        hour = hour % 12 + 12 * (half.lower() == "p") if 1 <= hour <= 12 else 99
    return hour * 3600 + minute * 60 + second if hour < 24 and max(minute, second) < 60 else np.nan


def _periods(texts):
    """The months, quarters or weeks that all texts name with their year, None if they do not."""
    plain = [text.strip() for text in texts]
    for number, month in enumerate(MONTHS, 1):
        plain = [re.sub(rf"\b{month}\b\.?", str(number), text, flags=re.I) for text in plain]
    for form in PERIODS:
        found = [form.fullmatch(text) for text in plain]
        if all(found) and len({match["unit"].lower() for match in found}) == 1:
            return np.array([int(match["year"]) * 100 + int(match["number"]) for match in found])
    return None


def _check_letters(where, texts):
    """Raise InputError where the order of the letters may not be the one that is meant."""
    if 2 * sum(map(bool, map(DAYS_AND_MONTHS.search, texts))) >= len(texts):
        raise InputError(
            f"{where} holds names of days or months, which letters put in another order; split by "
            "dates or numbers."
        )
    for text in texts:
        if LATER_YEAR.search(text) or SHORT_YEAR.fullmatch(text.strip()):
            raise InputError(
                f"{where} holds text such as {text[:40]!r}, whose year comes last or may do so; "
                "write the year first and with four digits, or split by another column."
            )
    for text, following in itertools.pairwise(sorted(texts)):
        if _natural(text) >= _natural(following):
            raise InputError(
                f"{where} holds {text[:40]!r} and {following[:40]!r}, which letters and numbers "
                "put in different orders; write the numbers with zeros in front, as W09, or split "
                "by dates or numbers."
            )


def _natural(text):
    """A key under which numbers within the text count as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]
