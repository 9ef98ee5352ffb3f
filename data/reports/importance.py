"""Which columns matter: how much worse the model becomes when a column's values change rows."""

from pathlib import Path

import numpy as np
import pandas as pd

from data.progress import Progress
from data.reports.bootstrap import drawn_together
from data.reports.charts import axis, boxes, chart, spans
from data.reports.comparison import drawn_rows
from data.reports.intervals import half_width
from data.tables.dates import calendar_columns, elapsed_column
from data.training.scoring import row_losses

REPEATS = 5
MOST_ROWS = 5_000  # test rows
MOST_PREDICTIONS = 200_000
SHOWN = 20  # columns in the chart
TELLS = 0.01  # of the loss: a column that may make this much of it matters


def column_groups(dataset, numbers):
    """The columns as they stand in the table; the parts of a date are one.

    Args:
        numbers: whether numeric columns are used.

    Returns:
        dict of column -> (positions among the codes, positions among the numbers)
    """
    encoding, part_of = dataset.encoding, {}
    for column, role in dataset.roles.items():
        if role.role == "date":
            parts = (*calendar_columns(column), elapsed_column(column))
            part_of |= dict.fromkeys(parts, column)
    groups = {}
    for i, vocabulary in enumerate(encoding.vocabularies):
        name = part_of.get(vocabulary.column, vocabulary.column)
        groups.setdefault(name, ([], []))[0].append(i)
    for j, numeric in enumerate(encoding.numerics if numbers else ()):
        name = part_of.get(numeric.column, numeric.column)
        groups.setdefault(name, ([], []))[1].append(j)
    return groups


def permutation_importance(dataset, predict, groups, seed=0):
    """How much the loss on test rows grows when a column is shuffled, as scikit-learn's
    `permutation_importance` defines it (Breiman, 2001).

    Args:
        predict: function of (codes, numbers), see `data.training.results.predictor`.
        groups: of `column_groups`.

    Returns:
        DataFrame, the most important first: column; importance, the mean growth of the loss over
        five shuffles; low and high, its 95 % interval over test rows; std, its standard deviation
        over the shuffles; share, importance as a share of the loss; distinct, how many values these
        rows have; rows and repeats.
    """
    random, target = np.random.default_rng(seed), dataset.encoding.target
    most = min(MOST_ROWS, max(500, MOST_PREDICTIONS // (REPEATS * len(groups))))
    rows = drawn_rows(dataset.split["test"], most, random)
    actual, codes = dataset.target[rows], dataset.encoded.codes(rows)
    numbers = dataset.encoded.numbers(rows) if dataset.encoding.numerics else None
    before = row_losses(target, actual, predict(codes, numbers))
    together, _ = drawn_together(dataset, rows)
    lines, progress = [], Progress("finding which columns matter", "columns")
    for done, (column, (in_codes, in_numbers)) in enumerate(groups.items()):
        progress(done, done / len(groups))
        orders = np.concatenate([random.permutation(len(rows)) for _ in range(REPEATS)])
        changed_codes = np.tile(codes, (REPEATS, 1))
        changed_codes[:, in_codes] = codes[orders][:, in_codes]
        changed_numbers = None
        if numbers is not None:
            changed_numbers = np.tile(numbers, (REPEATS, 1))
            changed_numbers[:, in_numbers] = numbers[orders][:, in_numbers]
        predicted = predict(changed_codes, changed_numbers)
        after = row_losses(target, np.tile(actual, REPEATS), predicted).reshape(REPEATS, -1)
        growth = after - before
        by_row = growth.mean(axis=0)
        mean, half = by_row.mean(), half_width(by_row, together)
        values = [codes[:, in_codes], *([] if numbers is None else [numbers[:, in_numbers]])]
        lines.append(
            {
                "column": column,
                "importance": mean,
                "low": mean - half,
                "high": mean + half,
                "std": growth.mean(axis=1).std(),
                "share": mean / max(before.mean(), 1e-300),
                "distinct": len(pd.DataFrame(np.hstack(values)).drop_duplicates()),
                "rows": len(rows),
                "repeats": REPEATS,
            }
        )
    progress.done()
    table = pd.DataFrame(lines)
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def in_order(columns, order, dates=()):
    """Columns by their importance, list of str; a date in the order stands for its parts.

    Args:
        columns: iterable of str; order: list of str, the most important first; dates: those that
            are columns of dates.
    """

    def place(column):
        names = {column, *(date for date in dates if column.startswith(f"{date}_"))}
        return min((order.index(name) for name in names if name in order), default=len(order))

    return sorted(columns, key=place)


def write_importance(folder, importance):
    """importance.csv, with what `permutation_importance` returns."""
    importance.to_csv(
        Path(folder) / "importance.csv", index=False, float_format="%.6g", errors="backslashreplace"
    )


def unimportant(importance):
    """Columns without which the model is no worse, list of str, the least important last.

    Their interval holds 0 and nothing that matters: one that holds more tells of too few rows. Test
    rows that all have one value, such as the last year, cannot tell either.
    """
    low, high = _share_interval(importance)
    differ = importance["distinct"] > 1
    return importance["column"][(low <= 0) & (high < TELLS) & differ].tolist()


def _share_interval(importance):
    """The 95 % interval of the importance as a share of the loss: (low, high), Series."""
    scale = (importance["share"] / importance["importance"]).dropna()
    scale = scale.iloc[0] if len(scale) else 1.0
    return importance["low"] * scale, importance["high"] * scale


def importance_report(importance):
    """What the page shows of it: dict of "text", "chart" and "order", columns by importance."""
    shown = importance.head(SHOWN)
    low, high = _share_interval(shown)
    at = -np.arange(len(shown), dtype=float)
    tips = [
        f"{column}: the loss grows by {share:.1%} ({a:.1%} to {b:.1%})"
        for column, share, a, b in zip(shown["column"], shown["share"], low, high, strict=True)
    ]
    drawn = chart(
        "Importance of the columns",
        axis("growth of the loss when the column is shuffled", min(0, low.min()) - 0.01,
             max(high.max(), 0.01) * 1.03, percent=True),
        axis("", at[-1] - 0.6, 0.6, ticks=list(zip(at, shown["column"], strict=True))),
        [
            boxes(np.minimum(0, shown["share"]), np.maximum(0, shown["share"]), at - 0.32,
                  at + 0.32, "accent", tips=tips),
            spans(low, at, high, at, "ink", name="95% interval"),
        ],
        f"Each column's values were shuffled among {shown['rows'].iloc[0]:,} test rows, 5 times.",
    )  # fmt: skip
    return {"text": _in_words(importance), "chart": drawn, "order": importance["column"].tolist()}


def _in_words(importance):
    useless, columns = unimportant(importance), importance["column"]
    telling = columns[importance["low"] > 0].tolist()
    unsure = columns[(importance["low"] <= 0) & ~columns.isin(useless)].tolist()
    if len(useless) == len(columns):
        return "No column matters: shuffling any of them makes the model no worse."
    text = ""
    if telling:
        text += f"{_listed(telling[:3])} matter{'s' if len(telling[:3]) == 1 else ''} most. "
    if useless:
        text += f"Without {_listed(useless[:5])} the model is no worse. "
    if unsure:
        text += f"For {_listed(unsure[:5])} these {importance['rows'][0]:,} rows cannot tell. "
    return text + "Columns that say the same share their importance, or hide it from each other."


def _listed(names):
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
