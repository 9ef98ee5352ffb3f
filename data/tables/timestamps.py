"""Dates and times as people write them: which texts are dates, and in which order they stand."""

import datetime
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

ORDERS = ("dmy", "mdy", "ymd")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Hours of the zones that have names in RFC 5322, and some of Europe; others are taken for UTC.
ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
         "CET": 1, "CEST": 2, "BST": 1, "EET": 2, "EEST": 3}  # fmt: skip
DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +)?"
MONTH = rf"(?P<name>{'|'.join(MONTHS)})[a-z]*\.?"
TIME = (
    r"(?:(?:T| *,? +|:)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d*)?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?)?"
    r" ?(?P<zone>(?:Z|[A-Z]{3,5}|(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?)(?: ?[\[(][\w/+-]+[\])])?)?"
)
FORMS = tuple(
    re.compile(rf"\s*{DAY_NAME}(?:{form}){TIME}\s*", re.I)
    for form in (
        r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
        r"(?P<one>\d{1,2})(?P<mark>[-/ ]|\. ?)(?P<two>\d{1,2})(?P=mark)(?P<three>\d{4}|\d{2})",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?:\.0)?",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[T ]?"
        r"(?P<h>\d{2}):?(?P<m>\d{2}):?(?P<s>\d{2})?",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[ /.-]*{MONTH}[ ,/.-]*(?P<year>\d{{4}}|\d{{2}})",
        rf"{MONTH}[ /.-]*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[ ,/.-]+(?P<year>\d{{4}}|\d{{2}})",
        rf"(?P<year>\d{{4}})[ /.-]*{MONTH}[ /.-]*(?P<day>\d{{1,2}})",
    )
)
# ISO 8601: a sign after the day begins an offset, which may have two digits only.
WITHOUT_ZONE = r"\d{4}-\d\d-\d\d(?:[^+-]*[^+\-A-Za-z\])])?$"
NOTHING = (0, 0, 0, 0, False, 0, 0)


@dataclass
class Parts:
    """The numbers in the texts of some dates, arrays [texts]; all 0 where a text is no date.

    Attributes:
        parts: int64 [texts, 3]: year, month and day, or what is to be read by an order.
        year_digits: 4 or 2, digits of the year; open: whether an order is to be told.
        seconds: of the day; offset: seconds that the clock is ahead of UTC.
    """

    parts: np.ndarray
    year_digits: np.ndarray
    open: np.ndarray
    seconds: np.ndarray
    offset: np.ndarray

    def dates(self, order, any_century=False):
        """(datetime64[s] [texts] of the clock at the place, the same moments in UTC).

        Args:
            order: "dmy", "mdy" or "ymd", for those texts that do not tell it.
            any_century: take years of two digits that may be of the last century for this one's.
        """
        at = [order.index(letter) for letter in "ymd"] if order else [0, 1, 2]
        parts = np.where(self.open[:, None], self.parts[:, at], self.parts)
        year, month, day = parts.T
        short = self.year_digits == 2
        # A year of four digits is the last of three numbers, and tells that it is the year.
        wrong = self.open & (not order or ((order == "ymd") & ~short))
        # Nobody can tell the century of a date that would lie ahead if it were in this one.
        this_year = datetime.date.today().year
        year = np.where(short, year + 2000, year)
        wrong |= short & (year > this_year + 1) & (not any_century)
        wrong |= (year < 1) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
        months = np.where(wrong, 0, (year - 1970) * 12 + month - 1).astype("datetime64[M]")
        days = months.astype("datetime64[D]") + np.where(wrong, 0, day - 1)
        wrong |= days.astype("datetime64[M]") != months  # the 30th of February
        local = days.astype("datetime64[s]") + self.seconds
        local[wrong] = np.datetime64("NaT")
        return local, local - self.offset


def take_apart(texts):
    """The `Parts` of some texts, list of str."""
    rows, likely = [], list(FORMS)
    for text in texts:
        row = NOTHING
        for form in likely:
            if match := form.fullmatch(text):
                row = _numbers(match.groupdict()) or NOTHING
                if form is not likely[0]:  # a column is written in one form
                    likely.remove(form)
                    likely.insert(0, form)
                break
        rows.append(row)
    table = np.array(rows or [NOTHING], "int64")[: len(texts)]
    return Parts(table[:, :3], table[:, 3], table[:, 4] > 0, table[:, 5], table[:, 6])


def _numbers(found):
    """(three parts, digits of the year, whether their order is open, seconds, offset) or None."""
    hour, minute, second = (
        int(found.get(long) or found.get(short) or 0)
        for long, short in (("hour", "h"), ("minute", "m"), ("second", "s"))
    )
    if half := found.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half.lower() == "p")
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds, offset = hour * 3600 + minute * 60 + second, _offset(found.get("zone") or "")
    if found.get("one"):
        parts = int(found["one"]), int(found["two"]), int(found["three"])
        return *parts, len(found["three"]), True, seconds, offset
    name = (found.get("name") or "").lower()
    month = MONTHS.index(name) + 1 if name else int(found["month"])
    return int(found["year"]), month, int(found["day"]), len(found["year"]), False, seconds, offset


def _offset(zone):
    """Seconds ahead of UTC."""
    name = re.match("[A-Za-z]*", zone)[0].upper()
    if match := re.search(r"([+-])(\d{2}):?(\d{2})?", zone.partition("[")[0]):
        seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60
        return -seconds if match[1] == "-" else seconds
    return ZONES.get(name, 0) * 3600


def read_dates(texts, order=""):
    """Texts as dates: (datetime64[s] [texts] of the clock at the place, the same in UTC).

    Args:
        texts: list of str; order: of day, month and year where only that tells them apart.
    """
    index = pd.Index(texts, dtype=object)
    if index.str.match(WITHOUT_ZONE).all():  # many times as fast
        dates = pd.to_datetime(index, errors="coerce", format="ISO8601")
        dates = dates.to_numpy().astype("datetime64[s]")
        return dates, dates
    return take_apart(texts).dates(order)


def date_readings(texts, any_century=False):
    """How the dates of a column may be read, where some of its values are no dates, too.

    Args:
        any_century: see `Parts.dates`.

    Returns:
        dict of order -> bool [texts], which texts are dates in it. Where all tell their order
        themselves, it is "".
    """
    parts = take_apart(texts)
    orders = ORDERS if parts.open.any() else ("",)
    found = {order: ~np.isnat(parts.dates(order, any_century)[0]) for order in orders}
    return {order: dates for order, dates in found.items() if dates.any()}
