"""A date column as what a network can learn from: parts of the calendar, and elapsed days."""

import numpy as np
import pandas as pd

from data import InputError

DATE_PARTS = ("year", "month", "day", "weekday", "week", "hour")


def date_columns(column, dates):
    """The parts of a date: categories of its calendar, and the days since 1970 as a number.

    Args:
        dates: datetime64[s] [rows], NaT for missing.

    Returns:
        dict of new column -> pandas.Categorical or float64 [rows].
    """
    codes, days = pd.factorize(dates)  # a calendar has few days, a table many rows
    index = pd.DatetimeIndex(days)
    calendar = {
        "year": index.year,
        "month": index.month,
        "day": index.day,
        "weekday": index.day_of_week,  # Monday 0
        "week": index.isocalendar().week,
        "hour": index.hour,
    }
    columns = {}
    for part, values in calendar.items():
        part_codes, parts = pd.factorize(np.asarray(values, "int64"))
        columns[f"{column}_{part}"] = pd.Categorical.from_codes(
            np.append(part_codes, -1)[codes], [str(value) for value in parts]
        )
    elapsed = (dates - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")
    columns[f"{column}_elapsed"] = elapsed.astype("float64")
    return columns


def check_date_names(column, roles):
    for part in (*DATE_PARTS, "elapsed"):
        if f"{column}_{part}" in roles:
            raise InputError(
                f"--dates: the parts of '{column}' would take the name of the column "
                f"'{column}_{part}'; rename or --drop one of the two."
            )
