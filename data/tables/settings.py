"""The options that say how a table is read and split: their names stand here, and only here.

The command line is made from them, and the manifest records them, so that the second script reads
the table as the first one did. To add one, add a line, and read it where it matters.
"""

import os

from data.tables.dates import CALENDAR
from data.tables.sql import is_database, without_password

COLUMNS = {"nargs": "+", "metavar": "COLUMN"}
FILES = {"nargs": "+", "metavar": "FILE"}

# name -> keywords of argparse's add_argument
TABLE_OPTIONS = {
    "data": FILES
    | {
        "help": "CSV, TSV, Parquet, Arrow, JSON or Excel files or globs that make one table, a "
        "folder of Parquet files, a database as postgresql://USER@HOST/NAME or sqlite:///FILE, or "
        "openml:NAME_OR_ID (default: the shipped table)"
    },
    "target": {"metavar": "COLUMN", "help": "the column to predict"},
    "categorical": COLUMNS
    | {"help": "columns to embed (default: text, booleans and integers that look like codes)"},
    "numeric": COLUMNS
    | {
        "help": "columns that are quantities (default: the other numbers); where --categorical is "
        "given too, no other column is used"
    },
    "dates": COLUMNS
    | {
        "help": f"columns to take apart into {', '.join(CALENDAR)} and elapsed days (default: "
        "those that hold dates)"
    },
    "drop": COLUMNS | {"help": "columns to leave out"},
    "keep_na": COLUMNS
    | {
        "help": "columns in which texts such as NA and None are categories and only empty is "
        "missing"
    },
    "na_values": {
        "nargs": "+",
        "metavar": "TEXT",
        "help": "texts that stand for a missing value, such as ? or -, beside the usual ones",
    },
    "decimal": {
        "choices": (".", ","),
        "metavar": "MARK",
        "help": "of numbers: . or , where they can be read in two ways",
    },
    "thousands": {
        "choices": (",", ".", "'", "space"),
        "metavar": "MARK",
        "help": "between groups of digits: , . ' or space, where numbers can be read in two ways",
    },
    "date_order": {
        "choices": ("dmy", "mdy", "ymd"),
        "help": "the order of day, month and year, where dates can be read in two ways",
    },
    "task": {
        "choices": ("auto", "regression", "binary", "multiclass"),
        "default": "auto",
        "help": "the kind of target (default: found from its values)",
    },
    "separator": {"metavar": "CHARACTER", "help": "between a CSV's fields (default: found)"},
    "quote": {
        "choices": ("double", "none"),
        "help": "whether quotes enclose a CSV's fields, or are letters like others (default: they "
        "enclose fields, unless one of these would hold whole rows)",
    },
    "encoding": {
        "default": "utf-8",
        "metavar": "NAME",
        "help": "of a CSV's text (default: utf-8)",
    },
    "sheet": {"metavar": "NAME", "help": "of a workbook (default: its only one)"},
    "sql": {"metavar": "TABLE_OR_SELECT", "help": "what to read from a database"},
}
SPLIT_OPTIONS = {
    "split_by": {
        "metavar": "COLUMN",
        "help": "cut in this column's order, such as a date's: the last tenth is the test set, the "
        "tenth before it the validation set",
    },
    "group": {
        "metavar": "COLUMN",
        "help": "keep all rows of a group, such as a customer's, in one part: at random, or with "
        "--split-by by the group's last row",
    },
    "validation_data": FILES | {"help": "validation rows in files of their own"},
    "test_data": FILES | {"help": "test rows in files of their own"},
}
RECORDED = TABLE_OPTIONS | SPLIT_OPTIONS  # all but the seed: each script may have its own


# part of a table -> the option that names its files
OPTION_OF = {"data": "data", "validation": "validation_data", "test": "test_data"}


def option(name):
    """The option's spelling on the command line."""
    return "--" + name.replace("_", "-")


def option_of(part):
    """The option that gives the files of a part, "data", "validation" or "test"."""
    return option(OPTION_OF[part])


def settings_of(options):
    """The options that say how a table is read, as the manifest keeps them: dict.

    Files get absolute paths, so that they are found again from any folder; addresses of databases
    lose their passwords, see `data.tables.sql.without_password`.
    """
    settings = {name: getattr(options, name) for name in (*RECORDED, "seed")}
    for name in OPTION_OF.values():
        settings[name] = [_as_recorded(source) for source in settings[name] or []]
    return settings


def _as_recorded(source):
    """A source as it is found again from any folder; never a password."""
    if is_database(source):
        return without_password(source)
    if source.startswith("openml:") or "://" in source:
        return source
    return os.path.abspath(source)


def given(options):
    """The spellings of the recorded options that differ from their defaults, list of str."""
    return [
        option(name)
        for name, keywords in RECORDED.items()
        if getattr(options, name) != keywords.get("default")
    ]
