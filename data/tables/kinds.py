"""What the values of a column look like: numbers, dates, text, and how they may be read."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from data.tables.notation import PLAIN, Notation
from data.tables.numbers import number_readings, read_numbers
from data.tables.timestamps import date_readings

INTEGER = re.compile(r"[ \t]*[+-]?(0|[1-9][0-9]{0,19})[ \t]*")
NUMBER = re.compile(
    r"[ \t]*[+-]?(0|[1-9][0-9]*|(?=\.[0-9]))(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?[ \t]*"
)
LEADING_ZERO = re.compile(r"[ \t]*[+-]?0[0-9]+[ \t]*")
# Groups of three digits throughout, so that the point may group them.
GROUPS = re.compile(r"[ \t]*[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})?[ \t]*|0")
ISO_DATE = re.compile(r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}([ T][0-9]{2}:[0-9]{2}.*)?")
DAY = re.compile(r"(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
BOOLEANS = {"true", "false"}
# With so many distinct numbers, marks that are always followed by three digits group them where
# whole numbers without the mark are among them: whoever cuts .000 off would cut .120 short, too.
GROUPED = 50
# So few distinct numbers with a text among them may well be codes: 1, 2, 2A.
FEW = 20
# A column with so large a share of numbers is one of numbers, and the rest of it a mistake.
MOSTLY = 0.95
# Texts that come again and again among numbers: so many at most stand for missing.
MARKS = 3


@dataclass(frozen=True)
class Reading:
    """One way to read a column.

    Attributes:
        kind: "int", "float" or "date"; notation: Notation.
        fits: bool [texts], the texts that can be read so; whole: whether all can.
        century: whether that of years of two digits is known.
    """

    kind: str
    notation: Notation
    fits: np.ndarray
    century: bool = True

    @property
    def whole(self):
        return bool(self.fits.all())


@dataclass
class Values:
    """The values of a column, or of its first rows, by which its role is decided.

    Attributes:
        texts: distinct values as text; codes: int [rows], positions in `texts`, -1 for missing.
        declared: the type that the file itself declares, if any.
    """

    texts: list
    codes: np.ndarray
    declared: str = None

    @cached_property
    def counts(self):
        """int64 [len(texts)], rows of each text."""
        counts = np.zeros(len(self.texts) + 1, "int64")
        for start in range(0, len(self.codes), 1 << 20):  # of a column on disk
            part = np.asarray(self.codes[start : start + (1 << 20)])
            counts += np.bincount(part + 1, minlength=len(counts))
        return counts[1:]

    @cached_property
    def _written(self):
        """Positions of the texts that occur and are not blank."""
        counts = self.counts
        return [i for i, text in enumerate(self.texts) if counts[i] and text.strip()]

    @property
    def written(self):
        """The texts that occur and are not blank."""
        return [self.texts[i] for i in self._written]

    @cached_property
    def _plain(self):
        return kind(self.written, self.declared)

    @cached_property
    def date_readings(self):
        """The readings as dates, list of Reading: those that read all, else the best."""
        texts, counts = self.written, self.counts[self._written]
        if self._plain in ("int", "float"):
            return [Reading("date", PLAIN, np.ones(len(texts), bool))] if _are_days(texts) else []
        if self._plain == "date":
            return [Reading("date", PLAIN, np.ones(len(texts), bool))]
        if self._plain != "str" or not _likely(texts, _dates_among):
            return []
        found, century = date_readings(texts), True
        if not any(fits.all() for fits in found.values()):
            loosely = date_readings(texts, any_century=True)
            if any(fits.all() for fits in loosely.values()):
                found, century = loosely, False
        if found.get("dmy", np.zeros(1)).all() and all(re.search(r"\d\.", text) for text in texts):
            found = {"dmy": found["dmy"]}  # no other order is written with points
        readings = [
            Reading("date", Notation(date_order=order), fits, century)
            for order, fits in found.items()
        ]
        return _best(readings, counts)

    @cached_property
    def number_readings(self):
        """The readings as numbers, list of Reading: those that read all, else the best."""
        texts, counts = self.written, self.counts[self._written]
        if self._plain in ("int", "float"):
            plain = Reading(self._plain, PLAIN, np.ones(len(texts), bool))
            if self.declared or not all(map(GROUPS.fullmatch, texts)) or self._plain == "int":
                return [plain]
            grouped = Reading("int", Notation(",", "."), plain.fits)
            return _without_doubt([plain, grouped], texts)
        if self._plain != "str" or not _likely(texts, _numbers_among):
            return []
        found = [
            Reading("int" if whole else "float", notation, fits)
            for notation, fits, whole in number_readings(texts)
        ]
        if self.declared:  # text on purpose, but for what no number of the file could be
            found = [each for each in found if each.whole and each.notation != PLAIN]
        return _without_doubt(_best(found, counts), texts)

    @property
    def dates(self):
        """Reading as dates, or None where most values are none."""
        return self.date_readings[0] if self.date_readings else None

    @property
    def numbers(self):
        """Reading as numbers, or None where most values are none."""
        return self.number_readings[0] if self.number_readings else None

    @property
    def kind(self):
        """What all values look like; see `kind`."""
        for reading in (self.dates, self.numbers):
            if reading is not None and reading.whole:
                return reading.kind
        return self._plain

    @property
    def present(self):
        """The texts that occur; blank ones only where they may be categories."""
        if self.kind in ("int", "float", "date"):
            return self.written
        return [text for text, count in zip(self.texts, self.counts, strict=True) if count]

    @property
    def present_counts(self):
        """int64 [len(present)], rows of each."""
        if self.kind in ("int", "float", "date"):
            return self.counts[self._written]
        return self.counts[self.counts > 0]

    @property
    def rows(self):
        """Rows that are not missing."""
        return int(self.present_counts.sum())

    @property
    def distinct(self):
        return len(self.present)

    def as_numbers(self):
        """float64 [len(present)]."""
        numbers = pd.to_numeric(pd.Series(self.present, dtype=object), errors="coerce")
        numbers = numbers.to_numpy("float64")
        if self.numbers.notation != PLAIN or np.isnan(numbers).any():
            numbers = read_numbers(self.present, self.numbers.notation)
        return numbers

    def first_row(self, texts):
        """(text, row) of the first value that is one of some texts."""
        wanted = np.append(np.isin(np.array(self.texts, dtype=object), texts), False)
        for start in range(0, len(self.codes), 1 << 20):
            codes = np.asarray(self.codes[start : start + (1 << 20)])
            if wanted[codes].any():
                at = int(np.argmax(wanted[codes]))
                return self.texts[codes[at]], start + at
        raise KeyError(texts)

    def first_text(self):
        """(text, row) of the first value that is no number; of the first one where all are, but
        the file declares them to be text."""
        odd = [text for text in self.written if not NUMBER.fullmatch(text)]
        return self.first_row(odd or self.written)

    def share(self, reading):
        """The part of the rows that can be read so, blank ones left aside."""
        counts = self.counts[self._written]
        return counts[reading.fits].sum() / max(counts.sum(), 1)

    def strays(self):
        """The texts among numbers or dates that are mistakes, or marks of missing values.

        Few distinct numbers with a text among them may well be codes (1, 2, 2A), and so may
        numbers with zeros before them.

        Returns:
            ("number" or "date", list of these texts), or None
        """
        for what, reading in (("date", self.dates), ("number", self.numbers)):
            if reading is None or reading.whole or self.declared:
                continue
            counts = self.counts[self._written]
            odd = [t for t, fits in zip(self.written, reading.fits, strict=True) if not fits]
            if np.count_nonzero(reading.fits) <= FEW or any(map(LEADING_ZERO.fullmatch, odd)):
                continue
            share = self.share(reading)
            marks = len(odd) <= MARKS and counts[~reading.fits].min() > 1 and share >= 0.5
            if share >= MOSTLY or marks:
                return what, odd
        return None


def _dates_among(texts):
    return date_readings(texts, any_century=True).values()


def _numbers_among(texts):
    return [fits for _, fits, _ in number_readings(texts)]


def _likely(texts, readings, some=200):
    """Whether it is worth while to look at all texts: some evenly spaced ones can be read so."""
    some = texts[:: -(-len(texts) // some) or 1]
    return any(2 * np.count_nonzero(fits) >= len(some) - 2 for fits in readings(some))


def _best(readings, counts):
    """Those that read all; else the one that reads the most rows, if it reads half of them."""
    whole = [each for each in readings if each.whole]
    if whole or not readings:
        return whole
    best = max(readings, key=lambda each: counts[each.fits].sum())
    return [best] if 2 * counts[best.fits].sum() >= counts.sum() else []


def _without_doubt(readings, texts):
    """Only the reading that groups digits, where the evidence for it is overwhelming."""
    grouped = [each for each in readings if each.notation.thousands in (",", ".")]
    if len(readings) == 2 and len(grouped) == 1:
        mark = grouped[0].notation.thousands
        bare = [text for text in texts if mark not in text]
        enough = len(texts) - len(bare) >= GROUPED
        if bare and enough and not any(re.search("[0-9]{4}", text) for text in bare):
            return grouped
    return sorted(readings, key=lambda each: each.kind != "float")


def _are_days(texts):
    """Whether numbers are days without marks between year, month and day, such as 20241231."""
    texts = [text.removesuffix(".0") for text in texts]
    if len(texts) < 3 or not all(map(DAY.fullmatch, texts)):
        return False
    return date_readings(texts).get("", np.zeros(1)).all()  # 20230230 is none


def kind(texts, declared=None):
    """What the values of a column look like.

    Args:
        texts: list of str: distinct values as they stand in the file, without missing ones.
        declared: the type that the file itself declares, if any.

    Returns:
        "empty", "bool", "int" (of 64 bits), "float", "date", "str" or "compound".
    """
    if declared not in (None, "str"):
        return declared
    if not len(texts):
        return "empty"
    if all(map(ISO_DATE.fullmatch, texts)):
        dates = pd.to_datetime(
            pd.Series(texts, dtype=object), errors="coerce", format="ISO8601", utc=True
        )
        if dates.notna().all():
            return "date"
    if declared:
        return declared
    if all(text.lower() in BOOLEANS for text in texts):
        return "bool"
    if all(map(INTEGER.fullmatch, texts)):
        # More digits than a 64-bit number has room for are text, as they are to pandas.
        return "int" if all(fits_64_bits(text) for text in texts if len(text) > 18) else "str"
    if all(map(NUMBER.fullmatch, texts)):
        return "float"
    # Not only decimals: pandas reads "inf" as a number, too; leading zeros are kept, as text.
    if any(map(LEADING_ZERO.fullmatch, texts)):
        return "str"
    return "float" if pd.to_numeric(pd.Series(texts), errors="coerce").notna().all() else "str"


def fits_64_bits(text):
    return -(2**63) <= int(text) < 2**64
