"""Which column is what, and what kind of target: decided on the first rows, and told.

The rules were tried on many public tables (see `decide`). Each can be overridden by naming the
column in --categorical, --numeric, --dates or --drop.
"""

import difflib
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from data import InputError
from data.tables.values import not_a_number

# So few distinct integers, each coming so often, are codes whatever they are called.
FEW, OFTEN = 20, 5
# Values that hardly repeat identify rows; nothing can be learned about values seen once.
NEAR_UNIQUE = 0.5
# A column with so large a share of numbers is one of numbers, and the rest of it a mistake.
MOSTLY = 0.95
CODE_NAME = re.compile(r"(^|[ _.-])(id|code|zip|zipcode|postcode|postal|key|sku|plz|nr|no)$", re.I)
CODE_CAMEL = re.compile(r"[a-z](Id|ID|Code|Key|Nr|No)$")
INTEGER = re.compile(r"[ \t]*[+-]?(0|[1-9][0-9]{0,19})[ \t]*")
NUMBER = re.compile(
    r"[ \t]*[+-]?(0|[1-9][0-9]*|(?=\.[0-9]))(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?[ \t]*"
)
LEADING_ZERO = re.compile(r"[ \t]*[+-]?0[0-9]+[ \t]*")
ISO_DATE = re.compile(r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}([ T][0-9]{2}:[0-9]{2}.*)?")
BOOLEANS = {"true", "false"}


@dataclass
class Role:
    """What a column is used as, and why.

    Attributes:
        role: "categorical", "numeric", "date", "target", "split" or "left out".
        why: a few words for the table of roles.
        warn: whether leaving it out deserves a line of its own.
    """

    role: str
    why: str
    warn: bool = False


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
    def present(self):
        """The texts that occur."""
        return [text for text, count in zip(self.texts, self.counts, strict=True) if count]

    @cached_property
    def kind(self):
        return kind(self.present, self.declared)

    @property
    def rows(self):
        """Rows that are not missing."""
        return int(self.counts.sum())

    @property
    def distinct(self):
        return int(np.count_nonzero(self.counts))

    def first_text(self):
        """(text, row) of the first value that is no number."""
        strange = np.array([not NUMBER.fullmatch(text) for text in self.texts] + [False])
        row = int(np.argmax(strange[self.codes]))
        return self.texts[self.codes[row]], row

    def stray_text(self):
        """`first_text` where nearly all values are numbers, so that it is a mistake; else None.

        Few distinct numbers with a text among them may well be codes (1, 2, 2A): no mistake.
        """
        if self.kind != "str" or self.declared or any(map(LEADING_ZERO.fullmatch, self.present)):
            return None
        numbers = self.counts[[bool(NUMBER.fullmatch(text)) for text in self.texts]]
        if np.count_nonzero(numbers) <= FEW or numbers.sum() < MOSTLY * self.rows:
            return None
        return self.first_text()


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


def decide(name, values):
    """The role of a column for which nobody named one.

    Text, booleans and categories are categorical, numbers numeric. Integers are codes (so
    categorical) when they are few and each comes often, are called so (store_id, zip), or number
    things from 0 or 1 without gaps and about equally often, as stores or days do and counts or
    ages do not.

    Args:
        name: the column's; values: Values.

    Returns:
        Role
    """
    kind, distinct, rows = values.kind, values.distinct, values.rows
    if kind == "empty":
        return Role("left out", "no value at all", warn=True)
    if kind == "compound":
        return Role("left out", "lists or other compound values", warn=True)
    if kind == "date":
        return Role("date", "dates")
    if kind == "float" and not (_whole(values) and distinct < rows):
        return Role("numeric", "numbers")
    if distinct == rows > 1 and kind != "bool":
        return Role("left out", "every value is distinct", warn=True)
    if kind == "bool":
        return Role("categorical", "yes or no")
    named = CODE_NAME.search(name) or CODE_CAMEL.search(name)
    if (kind == "str" or named) and distinct > NEAR_UNIQUE * rows and distinct > FEW:
        why = "text that hardly repeats" if kind == "str" else "codes that hardly repeat"
        return Role("left out", why, warn=True)
    if kind == "str":
        return Role("categorical", "text")
    if distinct <= FEW and rows >= OFTEN * distinct:
        return Role("categorical", "few integers")
    if named:
        return Role("categorical", "integers named as codes")
    numbers = pd.to_numeric(pd.Series(values.present)).astype("float64")
    low, high = numbers.min(), numbers.max()
    shares = values.counts[values.counts > 0] / rows
    evenness = -(shares * np.log(shares)).sum() / np.log(max(distinct, 2))
    if low in (0, 1) and distinct > 0.95 * (high - low + 1) and evenness > 0.95:
        return Role("categorical", "integers that number things")
    return Role("numeric", "integers")


def _whole(values):
    """Whether the floats are integers, which a missing value has made 1.0, 2.0, ..."""
    numbers = pd.to_numeric(pd.Series(values.present), errors="coerce").astype("float64")
    return bool((numbers % 1 == 0).all())


def assign(
    sample, *, target, categorical, numeric, dates, drop, split_by=None, saved=(), saved_numeric=(),
    where="the table",
):  # fmt: skip
    """The role of every column of a table.

    Args:
        sample: dict of column -> Values.
        target, categorical, numeric, dates, drop, split_by: as given on the command line. With
            both `categorical` and `numeric` the columns that are in no list are left out; with
            None in one of them they are decided here.
        saved: columns for which there are saved vectors; they are categorical unless named.
        saved_numeric: columns that were numeric beside those; if they hold numbers and are in no
            list, they are so again.
        where: the file, for messages.

    Returns:
        dict of column -> Role, in the table's order.

    Raises:
        InputError: a column that is not there (the nearest name is suggested), one named twice,
            or text in a column that is all numbers otherwise.
    """
    named = {}
    for option, columns in (
        ("--target", [target]),
        ("--categorical", categorical or []),
        ("--numeric", numeric or []),
        ("--dates", dates or []),
        ("--drop", drop or []),
    ):
        for column in columns:
            check_column(sample, column, option)
            if column in named:
                other = named[column]
                also = f", also in {other}" if other != option else ""
                raise InputError(
                    f"{option}: the column '{column}' is named twice{also}; name it once."
                )
            named[column] = option
            if sample[column].kind == "compound" and option != "--drop":
                raise InputError(
                    f"{option}: the column '{column}' holds lists or other compound values; "
                    "flatten it, or leave it out."
                )
    if split_by is not None:
        check_column(sample, split_by, "--split-by")
    # Whoever lists both kinds has described the table: what is not listed is not wanted.
    complete = categorical is not None and numeric is not None
    by_option = {
        "--target": Role("target", "named"),
        "--categorical": Role("categorical", "named"),
        "--numeric": Role("numeric", "named"),
        "--dates": Role("date", "named"),
        "--drop": Role("left out", "named"),
    }
    roles = {}
    for column, values in sample.items():
        if column in named:
            roles[column] = by_option[named[column]]
        elif column in saved:
            roles[column] = Role("categorical", "saved vectors")
        elif column == split_by:
            roles[column] = Role("split", "orders the rows")
        elif complete:
            roles[column] = Role("left out", "not named")
        elif column in saved_numeric and values.kind in ("int", "float"):
            roles[column] = Role("numeric", "as in the saved set")
        else:
            if stray := values.stray_text():
                raise not_a_number(f"{where}: the numeric column '{column}'", *stray)
            roles[column] = decide(column, values)
    return roles


def check_column(columns, column, option):
    """Raise InputError, with the nearest name, unless the table has the column."""
    if column not in columns:
        near = difflib.get_close_matches(column, list(columns), 1, 0.5)
        lower = [c for c in columns if c.lower() == column.lower()]
        hint = (lower or near or [None])[0]
        raise InputError(
            f"{option}: the table has no column '{column}'; "
            + (f"did you mean '{hint}'?" if hint else f"it has {_listed(list(columns))}.")
        )


def _listed(columns, most=12):
    names = [f"'{column}'" for column in columns[:most]]
    return ", ".join(names) + (f" and {len(columns) - most} more" if len(columns) > most else "")


def likely_task(values):
    """What kind of target the values make: "regression", "binary" or "multiclass".

    Text and booleans are classes; two distinct values are binary; up to ten consecutive integers
    that each come often are classes; other numbers are regression.
    """
    if values.distinct == 2:
        return "binary"
    if values.kind not in ("int", "float"):
        return "multiclass"
    if values.distinct <= 10 and (values.kind == "int" or _whole(values)):
        numbers = pd.to_numeric(pd.Series(values.present)).astype("float64")
        often = values.counts[values.counts > 0].min() >= OFTEN
        if often and numbers.max() - numbers.min() == values.distinct - 1:
            return "multiclass"
    return "regression"


def task_of(target, values, task="auto"):
    """Regression, binary or multiclass, by all values of the target.

    Args:
        target: the column's name; values: Values of the whole table; task: "auto" or what is
            asked for.

    Raises:
        InputError: the target has one value only, none, too many classes for its rows, dates, or
            text although regression was asked for.
    """
    kind, distinct = values.kind, values.distinct
    if distinct == 0:
        raise InputError(f"--target: the column '{target}' has no value at all; name another.")
    if distinct == 1:
        raise InputError(
            f"--target: the column '{target}' is always {values.present[0][:40]!r}; name another."
        )
    if kind == "date" and task != "multiclass":
        raise InputError(f"--target: the column '{target}' holds dates; name numbers or classes.")
    if kind not in ("int", "float") and task == "regression":
        text, row = values.first_text()
        raise InputError(
            f"--task regression: the target '{target}' holds {text[:40]!r} in row {row}; correct "
            "it, name a numeric column, or leave out --task."
        )
    if task == "auto" and (stray := values.stray_text()):
        raise InputError(
            f"--target: the column '{target}' holds numbers, but {stray[0][:40]!r} in row "
            f"{stray[1]}; correct it, or give --task multiclass."
        )
    if task == "binary" and distinct > 2:
        raise InputError(
            f"--task binary: the target '{target}' has {distinct:,} distinct values; "
            "use --task multiclass."
        )
    task = likely_task(values) if task == "auto" else task
    if task == "multiclass" and distinct > max(2, NEAR_UNIQUE * values.rows):
        raise InputError(
            f"--target: the column '{target}' has {distinct:,} classes in {values.rows:,} rows; "
            "give more rows of each class, or name another."
        )
    return task
