"""What a column does: predictions over the range of a number, and by category."""

import numpy as np

from data.progress import Progress
from data.reports.categories import category_text, known_well
from data.reports.charts import axis, boxes, chart, dots, line, spread_axis
from data.reports.comparison import drawn_rows
from data.reports.intervals import mean_interval, share_interval
from data.tables.encoding import MISSING, UNSEEN

ROWS = 300  # test rows that take each value
VALUES = 17  # of a numeric column
SINGLE = 8  # rows drawn one by one
SHOWN = 20  # categories
CLASSES = 3  # of several, the largest
HISTOGRAM_ROWS = 20_000
BINS = 24


def number_effects(dataset, predict, columns, seed=0):
    """Partial dependence (Friedman, 2001) of the prediction on numeric columns: list of charts.

    Args:
        predict: function of (codes, numbers), see `data.training.results.predictor`.
        columns: names, in the order of the charts.
    """
    numerics = {n.column: j for j, n in enumerate(dataset.encoding.numerics)}
    columns = [column for column in columns if column in numerics]
    if not columns:
        return []
    random = np.random.default_rng(seed)
    rows = drawn_rows(dataset.split["test"], ROWS, random)
    shown = drawn_rows(dataset.split["train"], HISTOGRAM_ROWS, random)
    codes, numbers = dataset.encoded.codes(rows), dataset.encoded.numbers(rows)
    occurring = dataset.encoded.numbers(shown)
    charts, progress = [], Progress("finding what the numbers do", "columns")
    for done, column in enumerate(columns):
        progress(done, done / len(columns))
        j = numerics[column]
        known = occurring[:, j][np.isfinite(occurring[:, j])]
        known = known if len(known) else np.zeros(1, "float32")
        grid = np.unique(np.quantile(known, np.linspace(0.01, 0.99, VALUES), method="nearest"))
        changed = np.tile(numbers, (len(grid), 1))
        changed[:, j] = np.repeat(grid, len(rows))
        predicted = predict(np.tile(codes, (len(grid), 1)), changed)
        outputs, names = _outputs(dataset, predicted.reshape(len(grid), len(rows), -1))
        numeric = dataset.encoding.numerics[j]
        charts.append(_number_chart(dataset, numeric, grid, known, outputs, names))
    progress.done()
    return charts


def _number_chart(dataset, numeric, grid, known, outputs, names):
    """Args: outputs: float [values, rows, outputs]."""
    values = grid.astype("float64") * numeric.scale + numeric.center
    low, high = float(values[0]), float(values[-1])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    means = outputs.mean(axis=1)
    singles = outputs[:, :SINGLE, 0] if len(names) == 1 else outputs[:, :0, 0]
    y = spread_axis(_label(dataset), [*means.ravel(), *singles.ravel()])
    room = (y["high"] - y["low"]) * 0.22
    inside = known.astype("float64") * numeric.scale + numeric.center
    counts, edges = np.histogram(inside[(inside >= low) & (inside <= high)], BINS, (low, high))
    foot = y["low"] - room
    heights = foot + 0.8 * room * counts / max(counts.max(), 1)
    marks = [
        boxes(edges[:-1], edges[1:], np.full(BINS, foot), heights, "middle", "how often"),
        *(line(values, single, "soft", faint=True) for single in singles.T),
        *(
            line(values, means[:, k], colour, name if len(names) > 1 else "mean", dots=True)
            for k, (name, colour) in enumerate(zip(names, ("accent", "high", "ink"), strict=False))
        ),
    ]
    return chart(numeric.column, axis(numeric.column, low, high), y | {"low": foot}, marks)


def category_effects(dataset, manifest, predicted, columns):
    """Mean prediction by category beside the mean target, on test rows: list of charts.

    Args:
        manifest: of the set, which says how well each vector is known.
        predicted: of all test rows; columns: names, in the order of the charts.
    """
    vocabularies = {v.column: i for i, v in enumerate(dataset.encoding.vocabularies)}
    columns = [column for column in columns if column in vocabularies]
    test = dataset.split["test"]
    chosen = np.arange(len(test))[:: -(-len(test) // 200_000)]
    codes, actual = dataset.encoded.codes(test[chosen]), dataset.target[test[chosen]]
    outputs, names = _outputs(dataset, predicted[chosen].reshape(len(chosen), -1))
    facts = _facts(dataset, actual)
    found = []
    for column in columns:
        rows = codes[:, vocabularies[column]]
        entry = manifest["columns"][column]
        counts = np.bincount(rows, minlength=entry["cardinality"])
        shown = np.argsort(-counts, kind="stable")[:SHOWN]
        shown = shown[counts[shown] > 0]
        of_row = [rows == row for row in shown]
        means = np.array([outputs[kept].mean(axis=0) for kept in of_row]).T
        lows, highs = np.moveaxis([_interval(facts[kept], dataset) for kept in of_row], 0, -1)
        found.append(
            _category_chart(dataset, column, entry, shown, counts, means, lows, highs, names)
        )
    return found


def _interval(values, dataset):
    """The 95 % interval of what was, (low, high): float [outputs].

    Args:
        values: float [rows, outputs].
    """
    if dataset.encoding.target.task == "regression":
        return np.transpose([mean_interval(output) for output in values.T])
    return share_interval(values.sum(axis=0), len(values))


def _category_chart(dataset, column, entry, shown, counts, means, lows, highs, names):
    """Args: means, lows, highs: float [outputs, categories shown]."""
    at = -np.arange(len(shown), dtype=float)
    sure = known_well(entry)
    ticks, tips = [], []
    for y, row in zip(at, shown, strict=True):
        name = category_text(entry, row) or "(missing)"
        ticks.append((y, f"{name}{'' if sure[row] or row in (MISSING, UNSEEN) else ' ?'}"))
        tips.append(f"{name}: {counts[row]:,} test rows, {entry['rows'][row]:,} training rows")
    marks = []
    colours = ("accent", "high", "ink")
    for k, colour in zip(range(len(names)), colours, strict=False):
        suffix = f", {names[k]}" if len(names) > 1 else ""
        half = 0.35 / len(names)
        beside = at + (len(names) - 1 - 2 * k) * half
        marks.append(
            boxes(lows[k], highs[k], beside - half, beside + half, colour,
                  f"actual mean, 95% interval{suffix}", shades=np.full(len(at), 0.3), tips=tips)
        )  # fmt: skip
        marks.append(dots(means[k], beside, colour, f"mean prediction{suffix}", size=6, tips=tips))
    x = spread_axis(_label(dataset), [*means.ravel(), *lows.ravel(), *highs.ravel()])
    low = float(at[-1]) if len(at) else 0.0
    drawn = chart(column, x, axis("", low - 0.7, 0.7, ticks=ticks), marks)
    if len(entry["vocabulary"]) > len(shown):
        drawn["note"] = f"The {len(shown)} most frequent of {len(entry['vocabulary']):,}."
    return drawn


NOTE = (
    "Test rows of each category: what the model predicts on average, and what it was, with a 95% "
    "interval. The most frequent first. A question mark: the category's vector is not known well."
)


def _outputs(dataset, predicted):
    """(float [.., outputs shown], their names): one, or the largest of several classes."""
    target = dataset.encoding.target
    if target.task == "regression":
        return predicted[..., :1], [target.column]
    shown = _shown_classes(dataset)
    return predicted[..., shown], [str(target.classes[k]) for k in shown]


def _shown_classes(dataset):
    """The second of two classes, or the largest of several: int [classes shown]."""
    if dataset.encoding.target.task == "binary":
        return np.array([1])
    return np.argsort(-dataset.prior, kind="stable")[:CLASSES]


def _facts(dataset, actual):
    """What was, in the same form: float [rows, outputs shown]."""
    target = dataset.encoding.target
    if target.task == "regression":
        return np.asarray(actual, dtype="float64")[:, None]
    return (actual[:, None] == _shown_classes(dataset)).astype("float64")


def _label(dataset):
    target = dataset.encoding.target
    if target.task == "regression":
        return f"predicted {target.column}"
    if target.task == "binary":
        return f"probability of {target.classes[1]}"
    return f"probability of the class of {target.column}"
