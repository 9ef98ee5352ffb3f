"""Whatever you would keep if the method changed: tables, training, saved sets, reports.

README.md describes the packages. Imports go one way: tables, training, sets, reports, then the
scripts.
"""

import re


class InputError(ValueError):
    """Bad input, told in one sentence that names the file, column, row or option and the way out.

    The scripts print the sentence and end with exit status 2.
    """


class LostWorker(Exception):
    """Another worker has ended or is out of reach. The scripts end with exit status 1."""


def one_line(text):
    """The text for the screen: a name from a table may hold newlines, control codes, anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_passwords(text):
    """The text with the passwords of all addresses in it replaced by ***."""
    return re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", text)
