"""How the columns of a table are written: what one of them leaves open, the others may tell."""

from data import InputError
from data.tables.notation import PLAIN, Notation
from data.tables.values import open_century, open_order

# Where these stand at a number a comma groups its digits: nobody writes three decimals of them.
COMMA_GROUPS = {"$", "US$", "USD", "£", "GBP"}


def settle(sample, settings):
    """Narrow the readings of every column: to those asked for, or that other columns tell.

    Args:
        sample: dict of column -> `data.tables.kinds.Values`; their `number_readings` and
            `date_readings` are changed.
        settings: dict with "decimal", "thousands" and "date_order", None where nobody asked; with
            "notations" where the table has been read before.

    Returns:
        the sample

    Raises:
        InputError: the two marks are the same.
    """
    if settings.get("notations") is not None:
        for column, values in sample.items():
            notation = Notation(**settings["notations"].get(column, {}))
            _narrow(values, lambda n, known=notation: n == known)
        return sample
    decimal, order = settings.get("decimal"), settings.get("date_order")
    thousands = " " if settings.get("thousands") == "space" else settings.get("thousands")
    if decimal and decimal == thousands:
        raise InputError("--thousands: this is the decimal mark, too; give another one.")
    for values in sample.values():
        _narrow(values, lambda n: n.date_order == order, lambda n: n.thousands == thousands)
        _narrow(values, lambda n: n.decimal == (decimal or _other_mark(thousands)))
    marks_by_hand, marks, orders = _told(sample)
    for values in sample.values():
        unit = values.numbers.notation.unit if values.numbers else ""
        told = marks_by_hand if unit else marks
        _narrow(values, lambda n, unit=unit: n.thousands == "," and unit in COMMA_GROUPS)
        if len(told) == 1:
            _narrow(values, lambda n, told=told: n.decimal in told)
        if len(orders) == 1:
            _narrow(values, lambda n: n.date_order in orders)
    return sample


def _narrow(values, *tests):
    """Keep the readings whose notation passes a test, where any does."""
    for test in tests:
        for name in ("number_readings", "date_readings"):
            readings = getattr(values, name)
            if kept := [each for each in readings if test(each.notation)]:
                setattr(values, name, kept)


def _other_mark(thousands):
    """The decimal mark beside a mark of thousands."""
    return {",": ".", ".": ",", " ": ",", "'": "."}.get(thousands)


def _told(sample):
    """What the columns tell that leave nothing open.

    Returns:
        (set of decimal marks in numbers that are written for people, the same in all numbers, set
        of orders of day, month and year)
    """
    by_hand, marks, orders = set(), set(), set()
    for values in sample.values():
        if len(values.date_readings) == 1 and values.dates.whole:
            orders.add(values.dates.notation.date_order)
        if len(values.number_readings) == 1 and values.numbers.whole:
            notation = values.numbers.notation
            if values.numbers.kind == "float" or notation.thousands in (".", ","):
                marks.add(notation.decimal)
                if notation != PLAIN:
                    by_hand.add(notation.decimal)
    return by_hand, marks, orders - {""}


def notations(sample, storage):
    """How the columns that are read as numbers or dates are written, if not plainly.

    Args:
        sample: dict of column -> `data.tables.kinds.Values`; storage: dict of column ->
            "categorical", "numeric" or "date".

    Returns:
        dict of column -> Notation

    Raises:
        InputError: a column can be read in two ways.
    """
    found = {}
    for column, role in storage.items():
        values = sample[column]
        readings = {"numeric": values.number_readings, "date": values.date_readings}.get(role, [])
        if len(readings) > 1:
            raise _open_question(column, role, values, readings)
        if readings and not readings[0].century:
            raise open_century(f"'{column}'", values.present[0])
        if readings and readings[0].notation != PLAIN:
            found[column] = readings[0].notation
    return found


def _open_question(column, role, values, readings):
    if role == "date":
        orders = [each.notation.date_order for each in readings]
        return open_order(f"'{column}'", values.present[0], orders)
    grouped = next(each.notation for each in readings if each.notation.thousands)
    mark = grouped.thousands
    text = next(text for text in values.present if mark in text)
    return InputError(
        f"'{column}' holds numbers that can be read in two ways, such as {text!r}; give "
        f"--thousands {mark} if the mark groups the digits, --decimal {mark} if it begins the "
        "fraction, or name the column in --categorical or --drop."
    )
