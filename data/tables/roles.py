"""Which column is what, and what kind of target: decided on the first rows, and told.

The rules were tried on many public tables (see `decide`). Each can be overridden by naming the
column in --categorical, --numeric, --dates or --drop.
"""

import re
import shlex
from dataclasses import dataclass

import numpy as np

from data import InputError
from data.tables.columns import nearest
from data.tables.kinds import FEW, LEADING_ZERO
from data.tables.scaling import are_told_apart, fit_numeric
from data.tables.values import not_a_number

# So few distinct integers (`FEW`), each coming so often, are codes whatever they are called.
OFTEN = 5
FEW_INTEGERS = "few integers"
LONG_CODE = 5  # digits that all integers of a column have where they may well be codes
# Values that hardly repeat identify rows; nothing can be learned about values seen once.
NEAR_UNIQUE = 0.5
CODES = {"id", "code", "zip", "zipcode", "postcode", "postal", "key", "sku", "plz", "nr", "no"}
# Words that say, anywhere in a name, that something was counted or measured; and words at its end
# that say that it was then put into classes.
QUANTITIES = {
    "age", "amount", "balance", "cost", "count", "discount", "distance", "duration", "fee",
    "height", "income", "length", "price", "profit", "qty", "quantity", "revenue", "salary",
    "sales", "sum", "total", "units", "weight", "width",
}  # fmt: skip
COUNTED = {("number", "of"), ("no", "of"), ("num",), ("n",)}  # at its beginning
CLASSES = CODES | {
    "band", "bin", "bracket", "bucket", "category", "class", "cluster", "flag", "group", "kind",
    "level", "name", "range", "rank", "segment", "status", "tier", "type", "unit",
}  # fmt: skip
INDEX_NAME = re.compile(r"Unnamed: 0|__index_level_[0-9]+__")  # as pandas writes them
WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass
class Role:
    """What a column is used as, and why.

    Attributes:
        role: "categorical", "numeric", "date", "target", "split", "group" or
            "left out".
        why: a few words for the table of columns.
        note: a line of its own, where there is something to do about it.
        overrule: the option that makes the other thing of integers.
    """

    role: str
    why: str
    note: str = ""
    overrule: str = ""


def decide(name, values):
    """The role of a column for which nobody named one.

    Text, booleans and categories are categorical, numbers numeric. Integers are codes (so
    categorical) when they are few and each comes often, are called so (store_id, zip), or number
    things from 0 or 1 without gaps and about equally often, as stores or days do and counts or
    ages do not; but not where their name says that they are quantities (price, qty).

    Args:
        name: the column's; values: Values.

    Returns:
        Role
    """
    kind, distinct, rows = values.kind, values.distinct, values.rows
    if kind == "empty":
        return _left_out("no value at all")
    if kind == "compound":
        return _left_out("lists or other compound values")
    if kind == "date":
        return Role("date", f"dates{values.dates.notation}")
    if kind == "int" and INDEX_NAME.fullmatch(name):
        return _left_out("numbers of rows without a name")
    written = str(values.numbers.notation) if kind in ("int", "float") else ""
    if kind == "float" and not (_whole(values) and distinct < rows):
        return Role("numeric", f"numbers{written}")
    if kind in ("int", "float") and distinct > 2 and is_quantity(name):
        why = f"integers named as a quantity{written}"
        # Nobody would embed one of many values, so there is nothing to overrule.
        return Role("numeric", why, overrule="--categorical" if distinct <= FEW else "")
    if distinct == rows > 1 and kind != "bool" and not written:
        return _left_out("every value is distinct", _mixture(values))
    if kind == "bool":
        return Role("categorical", "yes or no")
    named = is_code(name)
    if (kind == "str" or named) and distinct > NEAR_UNIQUE * rows and distinct > FEW:
        what = "text that hardly repeats" if kind == "str" else "codes that hardly repeat"
        return _left_out(what, _mixture(values))
    if kind == "str":
        mixture = _mixture(values)
        return Role("categorical", "text", f"is taken as text: {mixture}." if mixture else "")
    if named:
        return Role("categorical", "integers named as codes", overrule="--numeric")
    return _decide_by_values(name, values, written)


def _decide_by_values(name, values, written):
    """The role of a column of integers, of whose name nothing can be told; see `decide`."""
    distinct, rows = values.distinct, values.rows
    if distinct <= FEW and rows >= OFTEN * distinct:
        return Role("categorical", FEW_INTEGERS, overrule="--numeric")
    numbers = values.as_numbers()
    if 2 * distinct <= rows and not are_told_apart(fit_numeric(name, numbers, 0), numbers):
        return Role(
            "categorical", "integers close together",
            "is taken as codes: its numbers lie closer together than float32 can tell apart.",
        )  # fmt: skip
    low, high = numbers.min(), numbers.max()
    shares = values.present_counts / values.present_counts.sum()
    evenness = -(shares * np.log(shares)).sum() / np.log(max(distinct, 2))
    if low in (0, 1) and distinct > 0.95 * (high - low + 1) and evenness > 0.95:
        return Role("categorical", "integers that number things", overrule="--numeric")
    # As numbers of accounts do: as many digits each, and each comes often.
    digits = {len(text.removesuffix(".0")) for text in values.present}
    alike = len(digits) == 1 and min(digits) >= LONG_CODE and rows >= OFTEN * distinct
    return Role("numeric", f"integers{written}", overrule="--categorical" if alike else "")


def words_of(name):
    """The words of a column's name in small letters: unitPrice and unit_price -> unit, price."""
    return [word.lower() for word in WORD.findall(name)]


def is_code(name):
    """Whether a column is named as a code or number that identifies something."""
    return words_of(name)[-1:] != [] and words_of(name)[-1] in CODES


def is_quantity(name):
    """Whether a column is named as something counted or measured."""
    words = words_of(name)
    counted = any(tuple(words[: len(start)]) == start for start in COUNTED) and len(words) > 1
    return (counted or not QUANTITIES.isdisjoint(words)) and words[-1] not in CLASSES


def _left_out(why, mixture=""):
    way_on = mixture or "name it in --categorical to keep it"
    return Role("left out", why, f"is left out: {why}; {way_on}.")


def _mixture(values):
    """What to do about text that is in great part dates or numbers; "" where it is not."""
    for what, reading in (("dates", values.dates), ("numbers", values.numbers)):
        if reading and not reading.whole and np.count_nonzero(reading.fits) > FEW:
            odd = [t for t, fits in zip(values.written, reading.fits, strict=True) if not fits]
            if what == "numbers" and any(map(LEADING_ZERO.fullmatch, odd)):
                continue  # codes
            option = "--dates" if what == "dates" else "--numeric"
            return (
                f"{values.share(reading):.0%} of its values are {what}; to use them, correct the "
                f"others, such as {odd[0][:40]!r}, or name these in --na-values, and name the "
                f"column in {option}"
            )
    return ""


def _whole(values):
    """Whether the floats are integers, which a missing value has made 1.0, 2.0, ..."""
    numbers = values.as_numbers()
    return bool((numbers == np.floor(numbers)).all() and np.isfinite(numbers).all())


def assign(
    sample, *, target, categorical, numeric, dates, drop, split_by=None, group=None, saved=(),
    saved_numeric=(), where="the table",
):  # fmt: skip
    """The role of every column of a table.

    Args:
        sample: dict of column -> Values.
        target, categorical, numeric, dates, drop, split_by, group: as given on the command line.
            With both `categorical` and `numeric` the columns that are in no list are left out;
            with None in one of them they are decided here.
        saved: columns for which there are saved vectors; they are categorical unless named.
        saved_numeric: columns that were numeric beside those; if they hold numbers and are in no
            list, they are so again.
        where: the file, for messages.

    Returns:
        dict of column -> Role, in the table's order.

    Raises:
        InputError: a column that is not there (the nearest name is suggested), one named twice,
            or text in a column that is all numbers, or all dates, otherwise.
    """
    named = _named_roles(sample, target, categorical, numeric, dates, drop)
    for option, column in (("--split-by", split_by), ("--group", group)):
        if column is not None:
            check_column(sample, column, option)
        if column == target:
            raise InputError(f"{option}: '{column}' is the target; name another column.")
    # Whoever lists both kinds has described the table: what is not listed is not wanted.
    complete = categorical is not None and numeric is not None
    roles = {}
    for column, values in sample.items():
        if column in named:
            roles[column] = named[column]
        elif column in saved:
            roles[column] = Role("categorical", "saved vectors")
        elif column == split_by:
            roles[column] = Role("split", "orders the rows")
        elif column == group:
            roles[column] = Role("group", "keeps its rows together")
        elif complete:
            roles[column] = Role("left out", "not named")
        elif column in saved_numeric and values.kind in ("int", "float"):
            roles[column] = Role("numeric", "as in the saved set")
        else:
            if strays := values.strays():
                raise _stray(f"{where}: the column '{column}'", values, *strays)
            roles[column] = decide(column, values)
    return roles


def _named_roles(sample, target, categorical, numeric, dates, drop):
    """dict of column -> Role of the columns that options name."""
    options, roles = {}, {}
    for option, role, columns in (
        ("--target", "target", [target]),
        ("--categorical", "categorical", categorical),
        ("--numeric", "numeric", numeric),
        ("--dates", "date", dates),
        ("--drop", "left out", drop),
    ):
        for column in columns or []:
            check_column(sample, column, option)
            if column in options:
                other = options[column]
                also = f", also in {other}" if other != option else ""
                raise InputError(
                    f"{option}: the column '{column}' is named twice{also}; name it once."
                )
            if sample[column].kind == "compound" and option != "--drop":
                raise InputError(
                    f"{option}: the column '{column}' holds lists or other compound values; "
                    "flatten it, or leave it out."
                )
            options[column] = option
            roles[column] = Role(role, f"named{_written(sample[column], role)}")
    return roles


def _written(values, role):
    """How a column is written that is used as numbers or dates: ", decimal comma"."""
    if role == "target" and values.kind not in ("int", "float"):
        return ""
    reading = {"numeric": values.numbers, "target": values.numbers, "date": values.dates}.get(role)
    return str(reading.notation) if reading else ""


def _stray(where, values, what, odd):
    """The InputError about a text among numbers or dates, and all others like it."""
    text, row = values.first_row(odd)
    return not_a_number(where, text, row, what, [text, *(t for t in odd if t != text)])


def notes_on(roles):
    """Lines to print about roles: what can be done about a column, and how to overrule guesses.

    Args:
        roles: dict of column -> Role.
    """
    notes = [f"'{column}' {role.note}" for column, role in roles.items() if role.note]
    for option, taken, other in (
        ("--categorical", "quantities", "embed"),
        ("--numeric", "codes", "take as numbers"),
    ):
        columns = [column for column, role in roles.items() if role.overrule == option]
        if columns:
            names = " ".join(shlex.quote(column) for column in columns)
            notes.append(f"integers taken as {taken}; to {other} some of them: {option} {names}")
    return notes


def check_column(columns, column, option):
    """Raise InputError, with the nearest name, unless the table has the column."""
    if column not in columns:
        hint = nearest(column, list(columns))
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
        numbers = values.as_numbers()
        often = values.present_counts.min() >= OFTEN
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
    if task == "auto" and (strays := values.strays()):
        text, row = values.first_row(strays[1])
        raise InputError(
            f"--target: the column '{target}' holds {strays[0]}s, but {text[:40]!r} in row {row}; "
            "correct it, name it in --na-values, or give --task multiclass."
        )
    if task == "binary" and distinct > 2:
        other = "multiclass" if likely_task(values) == "multiclass" else "regression"
        raise InputError(
            f"--task binary: the target '{target}' has {distinct:,} distinct values; use --task "
            f"{other}."
        )
    task = likely_task(values) if task == "auto" else task
    if task == "multiclass" and distinct > max(2, NEAR_UNIQUE * values.rows):
        raise InputError(
            f"--target: the column '{target}' has {distinct:,} classes in {values.rows:,} rows; "
            "give more rows of each class, or name another."
        )
    return task
