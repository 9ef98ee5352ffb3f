"""What files themselves say about their columns: names, and types, where they declare them."""

import difflib

from data import InputError


def check_distinct(names, where):
    """Raise InputError where a column is named twice; `where` begins the message."""
    seen = set()
    for column in names:
        if column in seen:
            raise InputError(f"{where}: the column '{column}' is there twice; rename one of them.")
        seen.add(column)


def nearest(column, names):
    """The name that is most like a column's, None where none is."""
    alike = [name for name in names if name.lower() == column.lower()]
    return (alike or difflib.get_close_matches(column, names, 1, 0.5) or [None])[0]


def agreed(declared):
    """The types on which several files of one table agree.

    Whole numbers and floats together are floats; one nested value makes a column compound; a
    column without any value agrees with all.

    Args:
        declared: list of dict of column -> "int", "float", "bool", "str", "date", "compound" or
            "null"; columns may be absent.

    Returns:
        dict of column -> type, never "null".
    """
    found = {}
    for column in dict.fromkeys(column for types in declared for column in types):
        types = {types.get(column) for types in declared} - {"null"}
        if "compound" in types:
            found[column] = "compound"
        elif types == {"int", "float"}:
            found[column] = "float"
        elif len(types) == 1 and None not in types:
            found[column] = types.pop()
    return found
