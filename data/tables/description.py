"""What is told about a split: the range and the groups of each part, and what may flatter."""

import re
import shlex

import numpy as np

from data.tables.disk import blocks_of

PARTS = ("train", "validation", "test")
CODE = re.compile("[A-Z]{2}")  # of a country or state
FAR_FROM_A_TENTH = (0.05, 0.2)  # of the rows


def split_lines(split, order, groups):
    """What each part holds, list of str such as "test: 2024-09-20 to 2024-12-01"."""
    lines = []
    if order is not None:
        for part in PARTS:
            low, high = value_range(order, split[part])
            lines.append(f"{part}: {order.show(low)} to {order.show(high)}")
    if groups is not None:
        counts = [f"{_n_groups(groups, split[part]):,} {part}" for part in PARTS]
        lines.append(f"groups of '{groups.column}': {', '.join(counts)}")
    return lines


def value_range(order, row_ids):
    """(lowest, highest value) of some rows, NaN where all are missing."""
    low, high = np.inf, -np.inf
    for rows in blocks_of(row_ids):
        values = order.values[rows]
        values = values[~np.isnan(values)]
        if len(values):
            low, high = min(low, values.min()), max(high, values.max())
    return (low, high) if low <= high else (np.nan, np.nan)


def notes_on_missing_targets(table, target, split, kept_out):
    """What is done about rows without a target, list of str.

    Args:
        target: `data.tables.target.TargetColumn`.
        kept_out: function of a column -> the texts in its first rows that are taken for missing.
    """
    left_out = table.rows - sum(map(len, split.values()))
    if not left_out:
        return []
    note = f"{left_out:,} rows have no '{target.column}' and are left out"
    texts = kept_out(target.column) if target.task != "regression" else []
    if texts:
        column = shlex.quote(target.column)
        note += f", as those of {quoted(texts)}; to make classes of these: --keep-na {column}"
    return [note + "."]


def notes_on_country_codes(table, roles, saved, kept_out):
    """Columns in which NA may be Namibia, or North America, list of str.

    Args:
        roles: dict of column -> `data.tables.roles.Role`; saved: columns whose categories a set
            has settled; kept_out: as above.
    """
    notes = []
    for column, role in roles.items():
        if role.role == "categorical" and column not in saved:
            texts = table.dictionaries[column]
            if len(texts) > 1 and all(map(CODE.fullmatch, texts)) and "NA" in kept_out(column):
                notes.append(
                    f"'{column}': cells with 'NA' are taken as missing; if it is a category: "
                    f"--keep-na {shlex.quote(column)}."
                )
    return notes


def quoted(texts, most=5):
    """Some texts between quotation marks, for a message."""
    told = ", ".join(repr(text[:40]) for text in texts[:most])
    return told + (f" and {len(texts) - most} more" if len(texts) > most else "")


def task_line(target):
    """What is to be learned: regression, or how many classes, and which.

    Args:
        target: `data.tables.encoding.Target`.
    """
    what = "regression"
    if target.task != "regression":
        n_classes, most = len(target.classes), 10
        names = ", ".join(str(name)[:40] for name in target.classes[:most])
        what = f"{n_classes:,} classes: {names}{', ...' if n_classes > most else ''}"
    return f"task: {what}; --task to change it"


def _n_groups(groups, row_ids):
    seen = np.zeros(len(groups), bool)
    for rows in blocks_of(row_ids):
        seen[groups.find(rows)] = True
    return np.count_nonzero(seen)


def notes_on_negative_targets(target, values, split):
    """What to know of a log target that is negative in rows outside training, list of str.

    Args:
        target: `data.tables.encoding.Target`; values: Column of float64.
    """
    if target.transform != "log1p":
        return []
    found = {
        part: sum(np.count_nonzero(values[rows] < 0) for rows in blocks_of(split[part]))
        for part in PARTS[1:]
    }
    told = " and ".join(f"{n:,} {part} row{'s' if n > 1 else ''}" for part, n in found.items() if n)
    if not told:
        return []
    return [
        f"'{target.column}' is negative in {told}, as in no training row; its logarithm is "
        "learned, so nothing below 0 is predicted."
    ]


def notes_on_split(table, split, order, groups, roles):
    """What a reader of the figures should know, list of str.

    Args:
        roles: dict of column -> `data.tables.roles.Role`.
    """
    dates = [column for column, role in roles.items() if role.role == "date"]
    notes, n = [], sum(map(len, split.values()))
    drawn = [part for part in PARTS[1:] if not table.parts[part]]
    if drawn and order is None and dates:
        notes.append(
            f"'{dates[0]}' holds dates, and the {' and '.join(drawn)} rows are drawn at random "
            f"from all of them, which flatters a forecast; --split-by {dates[0]} takes the latest."
        )
    if groups is not None and roles[groups.column].role == "categorical":
        notes.append(
            f"no category of '{groups.column}' in the {' and '.join(PARTS[1:])} rows is one that "
            "training has seen, as --group keeps its rows together."
        )
    low, high = FAR_FROM_A_TENTH
    shares = {part: len(split[part]) / n for part in drawn}
    if (order or groups) and any(not low <= share <= high for share in shares.values()):
        together = " and ".join(f"'{each.column}'" for each in (groups, order) if each)
        told = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
        notes.append(f"rows with an equal {together} stay together, so the shares are: {told}.")
    if order is not None:
        _, last = value_range(order, split["train"])
        for part in PARTS[1:]:
            first, _ = value_range(order, split[part])
            if table.parts[part] and first < last:
                notes.append(
                    f"some {part} rows come before training rows by '{order.column}', which "
                    "flatters a forecast."
                )
    return notes
