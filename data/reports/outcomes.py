"""The pictures that people look for: what was predicted beside what was, by the kind of target."""

import numpy as np
import pandas as pd

from data.reports.charts import axis, boxes, chart, dots, line, spread_axis
from data.reports.intervals import mean_interval, share_interval

POINTS = 1_500  # more become a density
CELLS = 32  # of a density, on each side
BINS = 30  # of a distribution
CLASSES = 10  # of a confusion matrix, the largest; the others together
PERIODS = 24  # of the error over time
THRESHOLDS = 100


def outcome_charts(target, actual, predicted, dates=None):
    """Charts of the test rows, the most telling first.

    Args:
        target: `data.tables.encoding.Target`.
        actual: float64 [rows], or int class positions; predicted: float64 [rows, 2], mean
            and median, or probabilities [rows, classes].
        dates: float64 [rows], days since 1970, or None.

    Returns:
        list of charts, see `data.reports.charts`.
    """
    if target.task == "regression":
        charts = _regression(target, actual, predicted)
    elif target.task == "binary":
        charts = _two_classes(target, actual, predicted[:, 1])
    else:
        charts = _many_classes(target, actual, predicted)
    if dates is not None and len(np.unique(dates[np.isfinite(dates)])) > 3:
        charts.append(_over_time(target, actual, predicted, dates))
    return charts


# A number


def _regression(target, actual, predicted):
    name, (mean, median) = target.column, predicted.T
    is_log = target.transform == "log1p"
    # Of a long tail most rows lie below the mean: beside it, right predictions would look too high.
    errors = _residuals(actual, median, name, f"predicted {'median of ' * is_log}{name}")
    charts = [_against(actual, mean, name), errors, _distributions(actual, mean, name)]
    if is_log:
        logs = target.transformed(actual), target.transformed(median)
        log_name = f"log(1 + {name})"
        charts[:1] = [_against(*logs, log_name), charts[0]]
        charts += [_residuals(*logs, log_name, f"predicted {log_name}")]
        charts += [_distributions(*logs, log_name)]
    return charts


def _against(actual, predicted, name):
    """Predicted against actual: points, or how many rows lie where."""
    both = np.concatenate([actual, predicted])
    low, high = float(both.min()), float(both.max())
    scale = axis(f"actual {name}", low, high)
    same = line([low, high], [low, high], "soft", "predicted = actual", dashed=True)
    if len(actual) <= POINTS:
        marks = [same, dots(actual, predicted, "accent", size=3)]
    else:
        edges = np.linspace(low, high if high > low else low + 1, CELLS + 1)
        counts, _, _ = np.histogram2d(actual, predicted, [edges, edges])
        i, j = np.nonzero(counts)
        found = counts[i, j]
        shades = 0.15 + 0.85 * np.log1p(found) / np.log1p(found.max())
        tips = [f"{count:,.0f} rows" for count in found]
        cells = boxes(edges[i], edges[i + 1], edges[j], edges[j + 1], "accent", shades=shades,
                      tips=tips)  # fmt: skip
        marks = [cells, same]
    return chart(
        f"Predicted and actual {name}", scale, scale | {"label": f"predicted {name}"}, marks,
        "On the dashed line a prediction is right; the darker, the more test rows.",
    )  # fmt: skip


def _residuals(actual, predicted, name, label):
    """The errors by decile of the predictions: median, quartiles, and the middle 90 %."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(actual[order] - predicted[order], 10) if len(part)]
    quantiles = np.array([np.quantile(part, [0.05, 0.25, 0.5, 0.75, 0.95]) for part in parts])
    at = np.arange(1, len(parts) + 1)
    marks = [
        boxes(at - 0.04, at + 0.04, quantiles[:, 0], quantiles[:, 4], "soft", "middle 90%"),
        boxes(at - 0.3, at + 0.3, quantiles[:, 1], quantiles[:, 3], "accent", "middle half"),
        dots(at, quantiles[:, 2], "ink", "median", size=5),
        line([0.4, len(parts) + 0.6], [0, 0], "soft", dashed=True),
    ]
    x = axis("tenth of the test rows, by prediction", 0.4, len(parts) + 0.6,
             ticks=[(k, str(k)) for k in at])  # fmt: skip
    return chart(
        f"Errors by size of the prediction: {name}", x,
        spread_axis(f"actual − {label}", [0, *quantiles.ravel()]), marks,
        "A box above the line: predictions of this size are too low.",
    )  # fmt: skip


def _distributions(actual, predicted, name):
    """How often which values are, and are predicted."""
    low, high = np.quantile(np.concatenate([actual, predicted]), [0, 0.995])
    if not high > low:
        high = max(actual.max(), predicted.max(), low + 1)
    edges = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(values, edges)[0] for values in (actual, predicted)]
    steps = np.repeat(edges, 2)[1:-1]
    marks = [
        boxes(edges[:-1], edges[1:], np.zeros(BINS), counts[0], "middle", "actual"),
        line(steps, np.repeat(counts[1], 2), "accent", "predicted"),
    ]
    beyond = int((actual > high).sum())
    note = f"{beyond:,} test rows lie further to the right." if beyond else ""
    return chart(
        f"Distribution of {name}", axis(name, low, high),
        axis("test rows", 0, float(max(map(max, counts))) * 1.05), marks,
        "Predictions keep to the middle where the columns do not tell more. " + note,
    )  # fmt: skip


# Two classes


def _two_classes(target, actual, probability):
    positive = str(target.classes[1])
    if len(np.unique(actual)) < 2:
        return [_calibration(actual, probability, positive)]
    return [
        _roc(actual, probability, positive),
        _calibration(actual, probability, positive),
        _precision_recall(actual, probability, positive),
        _lift(actual, probability, positive),
    ]


def _roc(actual, probability, positive):
    from sklearn.metrics import roc_auc_score, roc_curve

    wrong, right, _ = roc_curve(actual, probability)
    wrong, right = _thinned(wrong, right)
    marks = [
        line(wrong, right, "accent", "model"),
        line([0, 1], [0, 1], "soft", "chance", dashed=True),
    ]
    return chart(
        f"ROC curve, for {positive}",
        axis(f"share of the others that are called {positive}", 0, 1, percent=True),
        axis(f"share of {positive} found", 0, 1, percent=True), marks,
        f"Area {roc_auc_score(actual, probability):.3f}: the chance that a row of {positive} is "
        "ranked above a row of the other class.",
    )  # fmt: skip


def _precision_recall(actual, probability, positive):
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(actual, probability)
    recall, precision = _thinned(recall[::-1], precision[::-1])
    base = float(np.mean(actual))
    marks = [
        line(recall, precision, "accent", "model"),
        line([0, 1], [base, base], "soft", "chance", dashed=True),
    ]
    return chart(
        f"Precision and recall, for {positive}",
        axis(f"recall: share of {positive} found", 0, 1, percent=True),
        axis(f"precision: share that are {positive}", 0, 1, percent=True), marks,
        f"Finding more of {positive} means accepting more false alarms.",
    )  # fmt: skip


def _calibration(actual, probability, positive):
    """Share of the positive class by predicted probability, with the rows of each bin."""
    parts = np.array_split(np.argsort(probability, kind="stable"), 10)
    parts = [part for part in parts if len(part)]
    said = np.array([probability[part].mean() for part in parts])
    rows, hits = np.array([(len(part), actual[part].sum()) for part in parts]).T
    found, (lower, upper) = hits / rows, share_interval(hits, rows)
    high = max(0.05, float(max(said.max(), upper.max())))
    tips = [
        f"{len(part):,} rows: said {s:.1%}, were {f:.1%}"
        for part, s, f in zip(parts, said, found, strict=True)
    ]
    marks = [
        line([0, high], [0, high], "soft", "as said", dashed=True),
        boxes(said - high / 400, said + high / 400, lower, upper, "accent", "95% interval"),
        dots(said, found, "accent", "a tenth of the test rows each", size=6, tips=tips),
    ]  # fmt: skip
    return chart(
        f"Calibration, for {positive}",
        axis(f"predicted probability of {positive}", 0, high, percent=True),
        axis(f"share that are {positive}", 0, min(1.0, high * 1.05), percent=True), marks,
        f"On the line probabilities mean what they say. {len(actual):,} test rows, "
        f"{int(np.sum(actual)):,} of them {positive}.",
    )  # fmt: skip


def _lift(actual, probability, positive):
    parts = np.array_split(actual[np.argsort(-probability, kind="stable")], 10)
    base = max(float(np.mean(actual)), 1e-12)
    lifts = np.array([part.mean() / base if len(part) else 0.0 for part in parts])
    at = np.arange(1, 11)
    tips = [
        f"{part.sum():,} of {len(part):,} rows are {positive}: {lift:.2f} times the mean share"
        for part, lift in zip(parts, lifts, strict=True)
    ]
    marks = [
        boxes(at - 0.36, at + 0.36, np.zeros(10), lifts, "accent", tips=tips),
        line([0.4, 10.6], [1, 1], "soft", "mean of all rows", dashed=True),
    ]
    return chart(
        f"Lift, for {positive}",
        axis("tenth of the test rows, the most probable first", 0.4, 10.6,
             ticks=[(k, str(k)) for k in at]),
        axis(f"share of {positive}, times the mean", 0, float(lifts.max()) * 1.08), marks,
        f"How much more often than on average the rows of each tenth are {positive}.",
    )  # fmt: skip


def threshold_counts(target, actual, predicted):
    """What comes of each threshold for the second of two classes; None for other tasks.

    Returns:
        dict of "negative", "positive" (names) and "counts": for thresholds 0, 0.01, ... 1 the rows
        [rightly called positive, wrongly, missed, rightly not called so].
    """
    if target.task != "binary":
        return None
    step = np.minimum(np.floor(predicted[:, 1] * THRESHOLDS + 1e-9), THRESHOLDS).astype(int)
    found = [np.bincount(step[actual == k], minlength=THRESHOLDS + 1) for k in (0, 1)]
    above = [np.cumsum(counts[::-1])[::-1] for counts in found]  # probability >= threshold
    counts = [
        [int(above[1][k]), int(above[0][k]), int(above[1][0] - above[1][k]),
         int(above[0][0] - above[0][k])]
        for k in range(THRESHOLDS + 1)
    ]  # fmt: skip
    negative, positive = map(str, target.classes)
    return {"negative": negative, "positive": positive, "counts": counts}


# Many classes


def _many_classes(target, actual, predicted):
    chosen = predicted.argmax(axis=1)
    rows = np.bincount(actual, minlength=len(target.classes))
    largest = np.argsort(-rows, kind="stable")[:CLASSES]
    names = [str(target.classes[k]) for k in largest]
    place = np.full(len(rows), len(largest))
    place[largest] = np.arange(len(largest))
    if len(rows) > len(largest):
        names.append("all others")
    return [_confusion(place[actual], place[chosen], names), _recalls(actual, chosen, target, rows)]


def _confusion(actual, chosen, names):
    n = len(names)
    counts = np.bincount(actual * n + chosen, minlength=n * n).reshape(n, n)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    i, j = np.indices((n, n)).reshape(2, -1)
    tips = [
        f"{counts[a, b]:,} rows of {names[a]} were called {names[b]}, {shares[a, b]:.0%} of them"
        for a, b in zip(i, j, strict=True)
    ]
    texts = [f"{counts[a, b]:,}" if counts[a, b] else "" for a, b in zip(i, j, strict=True)]
    cells = boxes(j - 0.5, j + 0.5, -i - 0.5, -i + 0.5, "accent", texts=texts, tips=tips,
                  shades=0.75 * shares.ravel())  # fmt: skip
    return chart(
        "Confusion matrix",
        axis("predicted", -0.5, n - 0.5, ticks=list(enumerate(names))),
        axis("actual", -n + 0.5, 0.5, ticks=[(-k, name) for k, name in enumerate(names)]),
        [cells],
        "Test rows of each class (a line) by the class that they were given.",
    )


def _recalls(actual, chosen, target, rows):
    """The share of each class that is found, the largest classes first."""
    shown = np.argsort(-rows, kind="stable")[:20]
    shown = shown[rows[shown] > 0]
    hits = np.array([np.sum(chosen[actual == k] == k) for k in shown])
    recalls, (low, high) = hits / rows[shown], share_interval(hits, rows[shown])
    at = -np.arange(len(shown), dtype=float)
    tips = [
        f"{target.classes[k]}: {r:.0%} of {rows[k]:,} test rows"
        for k, r in zip(shown, recalls, strict=True)
    ]
    marks = [
        boxes(np.zeros(len(shown)), recalls, at - 0.34, at + 0.34, "accent", tips=tips),
        boxes(low, high, at - 0.04, at + 0.04, "ink", "95% interval"),
    ]  # fmt: skip
    ticks = [(y, f"{target.classes[k]} ({rows[k]:,})") for y, k in zip(at, shown, strict=True)]
    return chart(
        "Recall of each class",
        axis("share of its test rows that were given the class", 0, 1, percent=True),
        axis("", float(at[-1]) - 0.6, 0.6, ticks=ticks), marks,
        "The largest classes first, with their test rows.",
    )  # fmt: skip


# Any


def _over_time(target, actual, predicted, dates):
    """The mean error by date, of as many rows each."""
    known = np.flatnonzero(np.isfinite(dates))
    order = known[np.argsort(dates[known], kind="stable")]
    parts = [p for p in np.array_split(order, min(PERIODS, max(2, len(order) // 30))) if len(p)]
    at = np.array([dates[part].mean() for part in parts])
    if target.task == "regression":
        errors, label = np.abs(actual - predicted[:, 1]), f"mean absolute error of {target.column}"
    else:
        given = predicted[np.arange(len(actual)), actual]
        errors, label = -np.log(np.maximum(given, 1e-15)), "log loss"
    means = np.array([errors[part].mean() for part in parts])
    low, high = np.transpose([mean_interval(errors[part]) for part in parts])
    width = (at[-1] - at[0]) / 400
    ticks = [(day, _date_text(day, at[-1] - at[0])) for day in np.linspace(at[0], at[-1], 5)]
    marks = [
        boxes(at - width, at + width, np.maximum(low, 0), high, "soft", "95% interval"),
        line(at, means, "accent", "test rows", dots=True),
    ]  # fmt: skip
    return chart(
        "Error over time", axis("date", at[0] - 3 * width, at[-1] + 3 * width, ticks=ticks),
        axis(label, 0, float(np.fmax(means, high).max()) * 1.05), marks,
        "A rising line means that the model is getting out of date.",
    )  # fmt: skip


def _date_text(day, span):
    date = pd.Timestamp("1970-01-01") + pd.Timedelta(days=float(day))
    if span <= 120:
        return f"{date.day} {date:%b}"  # %-d is not known everywhere
    return f"{date:%Y}" if span > 1500 else f"{date:%b %Y}"


def _thinned(x, y, most=200):
    """At most so many points of a curve, evenly along it."""
    if len(x) <= most:
        return x, y
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(max=len(x) - 1))
    return x[kept], y[kept]
