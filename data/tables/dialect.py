"""How a table is written: one object that goes from the options down to the readers."""

import codecs
import csv
from dataclasses import dataclass, field

from data import InputError
from data.tables.notation import PLAIN, Notation
from data.tables.values import MISSING_TEXTS


@dataclass(frozen=True)
class Dialect:
    """How the files of a table are written.

    Attributes:
        separator: between the fields of a CSV file; None to find it in each file.
        encoding: of a CSV file's text.
        quote: "double" where quotes enclose fields, "none" where they are letters like others;
            None to take them as quotes and doubt those that enclose whole rows.
        keep_na: columns in which texts such as "NA" are categories and only empty is missing.
        na_values: texts that stand for a missing value in all other columns.
        notations: dict of column -> Notation, where it is not the plain one.
        sheet: of a workbook; None for its only one.
        sql: the table of a database, or a SELECT.
        part: what the rows are: "data", "validation", "test", or "new" ones to predict. All but the
            first have to be written as that has told.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    quote: str | None = None
    keep_na: tuple = ()
    na_values: tuple = ()
    notations: dict = field(default_factory=dict)
    sheet: str | None = None
    sql: str | None = None
    part: str = "data"

    @property
    def quoting(self):
        """The same as the `csv` module and pandas know it."""
        return csv.QUOTE_NONE if self.quote == "none" else csv.QUOTE_MINIMAL

    def notation(self, column):
        return self.notations.get(column, PLAIN)

    def na_values_of(self, column):
        """`na_values`, as far as they are no categories of this column."""
        return () if column in self.keep_na else self.na_values

    def missing_texts(self, column):
        """The texts of a CSV file that are missing values in a column, list of str."""
        return [""] if column in self.keep_na else ["", *MISSING_TEXTS, *self.na_values]


USUAL = Dialect()


def dialect_of(settings, vocabularies=None):
    """The dialect that options, or a manifest's "options", describe.

    Args:
        settings: dict with "separator", "encoding", "keep_na", "na_values" and "notations".
        vocabularies: dict of column -> `data.tables.encoding.Vocabulary`, those saved: a text
            such as "NA" that is a category of one is no missing value in its column.

    Raises:
        InputError: there is no such separator or encoding.
    """
    held = {
        column
        for column, vocabulary in (vocabularies or {}).items()
        if vocabulary.type == "str" and not set(MISSING_TEXTS).isdisjoint(vocabulary.values)
    }
    return Dialect(
        separator=_separator(settings["separator"]),
        encoding=_encoding(settings["encoding"]),
        quote=settings.get("quote"),
        keep_na=tuple(sorted({*(settings["keep_na"] or []), *held})),
        na_values=tuple(settings.get("na_values") or []),
        notations={c: Notation(**n) for c, n in (settings.get("notations") or {}).items()},
        sheet=settings.get("sheet"),
        sql=settings.get("sql"),
    )


def _separator(separator):
    """One character, None to find it; "tab" and backslash-t are what a shell lets one type."""
    if separator is None:
        return None
    separator = {"\\t": "\t", "tab": "\t"}.get(separator, separator)
    if len(separator) != 1 or separator in '"\r\n\0':
        raise InputError("--separator: give one character, or 'tab'.")
    return separator


def _encoding(encoding):
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError):
        raise InputError(
            f"--encoding {encoding}: there is no such encoding; try utf-8, cp1252 or latin-1."
        ) from None
    return encoding
