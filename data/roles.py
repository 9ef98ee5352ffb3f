"""Which column is what, and what kind of target: decided on the first rows, and told.

The rules were tried on many public tables (see `decide`). Each can be overridden by naming the
column in --categorical, --numeric, --dates or --drop.
"""

import difflib
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data import InputError

# Few enough distinct integers to be read as codes whatever they look like.
FEW_INTEGERS = 20
# Text that hardly repeats identifies rows; nothing can be learned about values seen once.
NEAR_UNIQUE = 0.5
CODE_NAME = re.compile(r"(^|[ _.-])(id|code|zip|zipcode|postcode|postal|key|sku|plz|nr|no)$", re.I)
CODE_CAMEL = re.compile(r"[a-z](Id|ID|Code|Key|Nr|No)$")
ISO_DATE = re.compile(r"\d{4}[-/]\d{2}[-/]\d{2}([ T]\d{2}:\d{2}.*)?")
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


def kind(texts, declared=None):
    """What the values of a column look like.

    Args:
        texts: Series of object dtype: text as it stands in the file, missing values NaN.
        declared: the type that the file itself declares, if any.

    Returns:
        "empty", "bool", "int", "float", "date" or "str".
    """
    texts = texts.dropna()
    if texts.empty:
        return "empty"
    if declared:
        return declared
    values = pd.unique(texts)
    if all(value.lower() in BOOLEANS for value in values):
        return "bool"
    if all(re.fullmatch(r"[+-]?(0|[1-9]\d{0,17})", value) for value in values):
        return "int"
    if any(re.fullmatch(r"[+-]?0\d+", value) for value in values):
        return "str"  # leading zeros, as in postcodes
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    if numbers.notna().all():
        return "float"
    if all(ISO_DATE.fullmatch(value) for value in values):
        return "date"
    return "str"


def decide(texts, kind):
    """The role of a column for which nobody named one.

    Text, booleans and categories are categorical, numbers numeric. Integers are codes (so
    categorical) when they are few, are called so (store_id, zip), or number things from 0 or 1
    without gaps and about equally often, as stores or days do and counts or ages do not.

    Returns:
        Role
    """
    present = texts.dropna()
    distinct = present.nunique()
    if kind == "empty":
        return Role("left out", "no value at all", warn=True)
    if kind == "date":
        return Role("date", "dates")
    if kind == "float":
        return Role("numeric", "numbers")
    if distinct == len(present) > 1 and kind != "bool":
        return Role("left out", "every value is distinct", warn=True)
    if kind == "bool":
        return Role("categorical", "yes or no")
    if kind == "str":
        if distinct > NEAR_UNIQUE * len(present) and distinct > FEW_INTEGERS:
            return Role("left out", "text that hardly repeats", warn=True)
        return Role("categorical", "text")
    if distinct <= FEW_INTEGERS:
        return Role("categorical", "few integers")
    name = str(texts.name)
    if CODE_NAME.search(name) or CODE_CAMEL.search(name):
        return Role("categorical", "integers named as codes")
    numbers = pd.to_numeric(present)
    low, high = numbers.min(), numbers.max()
    shares = present.value_counts(normalize=True).to_numpy()
    evenness = -(shares * np.log(shares)).sum() / np.log(distinct)
    if low in (0, 1) and distinct > 0.95 * (high - low + 1) and evenness > 0.95:
        return Role("categorical", "integers that number things")
    return Role("numeric", "integers")


def assign(texts, declared, *, target, categorical, numeric, dates, drop, split_by=None, saved=()):
    """The role of every column of a table.

    Args:
        texts: DataFrame from `reading.sample`; declared: its dict of types.
        target, categorical, numeric, dates, drop, split_by: as given on the command line.
            `categorical` and `numeric` None: decided here; a list in one of them only leaves the
            undecided columns to the rules unless both are given.
        saved: columns for which there are saved vectors; they are categorical unless named.

    Returns:
        dict of column -> Role, in the table's order.

    Raises:
        InputError: a column that is not there (the nearest name is suggested), one named twice,
            or no categorical column at all.
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
            check_column(texts.columns, column, option)
            if column in named:
                other = named[column]
                raise InputError(
                    f"{option}: the column '{column}' is named twice"
                    + (f", also in {other}" if other != option else "")
                    + "; name it once."
                )
            named[column] = option
    if split_by is not None:
        check_column(texts.columns, split_by, "--split-by")
    # Whoever lists both kinds has described the table: what is not listed is not wanted.
    complete = categorical is not None and numeric is not None
    roles = {}
    for column in texts.columns:
        option = named.get(column)
        if option == "--target":
            roles[column] = Role("target", "named")
        elif option == "--drop":
            roles[column] = Role("left out", "named")
        elif option:
            role = {"--categorical": "categorical", "--numeric": "numeric", "--dates": "date"}
            roles[column] = Role(role[option], "named")
        elif column in saved:
            roles[column] = Role("categorical", "saved vectors")
        elif column == split_by:
            roles[column] = Role("split", "orders the rows")
        elif complete:
            roles[column] = Role("left out", "not named")
        else:
            roles[column] = decide(texts[column], kind(texts[column], declared.get(column)))
    return roles


def check_column(columns, column, option):
    """Raise InputError, with the nearest name, unless the table has the column."""
    if column not in columns:
        near = difflib.get_close_matches(str(column), [str(c) for c in columns], 1, 0.5)
        lower = [c for c in columns if str(c).lower() == str(column).lower()]
        hint = (lower or near or [None])[0]
        raise InputError(
            f"{option}: the table has no column '{column}'; "
            + (f"did you mean '{hint}'?" if hint else f"it has {_listed(columns)}.")
        )


def _listed(columns, most=12):
    names = [f"'{column}'" for column in columns[:most]]
    return ", ".join(names) + (f" and {len(columns) - most} more" if len(columns) > most else "")


def task_of(target, texts, kind, task="auto"):
    """Regression, binary or multiclass.

    Text and booleans are classes; two distinct values are binary; up to ten consecutive integers
    that each come often are classes; other numbers are regression.

    Raises:
        InputError: the target has one value only, none, too many classes, or is text although
            regression was asked for.
    """
    present = texts.dropna()
    distinct = present.nunique()
    if distinct == 0:
        raise InputError(f"--target: the column '{target}' has no value at all; name another.")
    if distinct == 1:
        raise InputError(
            f"--target: the column '{target}' is always {present.iloc[0]!r}; name another."
        )
    if task == "regression" and kind in ("str", "bool", "date"):
        raise InputError(
            f"--task regression: the target '{target}' holds text such as {present.iloc[0]!r}; "
            "name a numeric column, or leave out --task."
        )
    if task == "binary" and distinct > 2:
        raise InputError(
            f"--task binary: the target '{target}' has {distinct} distinct values; "
            "use --task multiclass."
        )
    if task != "auto":
        return task
    if distinct == 2:
        return "binary"
    if kind in ("str", "bool"):
        return "multiclass"
    if kind == "date":
        raise InputError(f"--target: the column '{target}' holds dates; name numbers or classes.")
    if kind == "int" and distinct <= 10:
        numbers = pd.to_numeric(present)
        often = present.value_counts().min() >= 5
        if often and numbers.max() - numbers.min() == distinct - 1:
            return "multiclass"
    return "regression"
