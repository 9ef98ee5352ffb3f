"""A date column as what a network can learn from: parts of the calendar, and elapsed days."""

import numpy as np
import pandas as pd

from data import InputError

# What each part is, of a DatetimeIndex. To add a part, add a line.
CALENDAR = {
    "year": lambda days: days.year,
    "month": lambda days: days.month,
    "day": lambda days: days.day,
    "weekday": lambda days: days.day_of_week,  # Monday 0
    "week": lambda days: days.isocalendar().week,
    "hour": lambda days: days.hour,
}


def calendar_columns(column):
    """The categorical columns that a date column becomes, list of str."""
    return [f"{column}_{part}" for part in CALENDAR]


def elapsed_column(column):
    """The numeric column that a date column becomes."""
    return f"{column}_elapsed"


def date_columns(column, dates):
    """The parts of a date: categories of its calendar, and the days since 1970 as a number.

    Args:
        dates: `data.tables.values.Dates`. The calendar is that of the clock at the place; time
            has elapsed alike everywhere.

    Returns:
        dict of new column -> pandas.Categorical or float64 [rows].
    """
    codes, days = pd.factorize(dates.local)  # a calendar has few days, a table many rows
    days = pd.DatetimeIndex(days)
    columns = {}
    for name, part in zip(calendar_columns(column), CALENDAR.values(), strict=True):
        part_codes, parts = pd.factorize(np.asarray(part(days), "int64"))
        columns[name] = pd.Categorical.from_codes(
            np.append(part_codes, -1)[codes], [str(value) for value in parts]
        )
    elapsed = (dates.utc - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")
    columns[elapsed_column(column)] = elapsed.astype("float64")
    return columns


def check_date_names(column, roles):
    for part in (*calendar_columns(column), elapsed_column(column)):
        if part in roles:
            raise InputError(
                f"--dates: the parts of '{column}' would take the name of the column '{part}'; "
                "rename or --drop one of the two."
            )
