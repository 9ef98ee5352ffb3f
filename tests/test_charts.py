"""The charts of a report: what they show follows from the rows, and every kind can be drawn."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from test_verdict import BINARY, REGRESSION, both, make_dataset

from data.reports.charts import axis, draw_charts
from data.reports.effects import category_effects, number_effects
from data.reports.intervals import mean_interval
from data.reports.outcomes import outcome_charts, threshold_counts
from data.tables.encoding import Target
from data.tables.scaling import Numeric

LOG = Target("sales", "regression", "log1p", 2.0, 1.0)
MANY = Target("kind", "multiclass", classes=[f"class {k}" for k in range(14)])


def outcome(target, rows=2000):
    """(actual, predicted) of some test rows, good but not perfect."""
    random = np.random.default_rng(0)
    if target.task == "regression":
        actual = random.exponential(10, rows)
        return actual, both(actual * random.uniform(0.5, 1.5, rows))
    classes = len(target.classes)
    actual = np.minimum(random.geometric(0.3, rows) - 1, classes - 1)
    if classes == 2:
        actual = (random.random(rows) < 0.3).astype(int)
    logits = random.normal(size=(rows, classes)) + 2 * np.eye(classes)[actual]
    return actual, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def effects(target):
    dataset = make_dataset(target)
    manifest = {"columns": {
        v.column: {"vocabulary": v.values, "cardinality": 12, "rows": [0, 0, *[100] * 9, 3]}
        for v in dataset.encoding.vocabularies
    }}  # fmt: skip

    def predict(codes, numbers):
        value = codes[:, 0] + 2.0 * numbers[:, 0]
        if target.task == "regression":
            return both(value)
        positive = 1 / (1 + np.exp(-value))
        return np.column_stack([1 - positive, positive])

    test = dataset.split["test"]
    predicted = predict(dataset.encoded.codes(test), dataset.encoded.numbers(test))
    return dataset, [
        *number_effects(dataset, predict, ["number"]),
        *category_effects(dataset, manifest, predicted, ["tells", "noise"]),
    ]


@pytest.mark.parametrize("target", [REGRESSION, LOG, BINARY, MANY])
@pytest.mark.parametrize("rows", [8, 2000])
def test_every_kind_of_target_has_its_pictures(tmp_path, target, rows):
    actual, predicted = outcome(target, rows)
    dates = 19_000 + np.arange(rows) / 10
    charts = outcome_charts(target, actual, predicted, dates)
    titles = [chart["title"] for chart in charts]
    expected = {
        "regression": ("Predicted and actual", "Errors by size", "Distribution"),
        "binary": ("ROC", "Calibration", "Precision and recall", "Lift"),
        "multiclass": ("Confusion", "Recall of each"),
    }[target.task]
    for start in expected:
        assert any(title.startswith(start) for title in titles)
    assert ("Error over time" in titles) == (rows > 3)
    if target is LOG:
        assert sum("log(1 + sales)" in title for title in titles) == 3
    for chart in json.loads(json.dumps(charts, allow_nan=False)):
        for side in ("x", "y"):
            scale = chart[side]
            assert scale["low"] < scale["high"] and scale["ticks"]
    assert draw_charts(tmp_path / "all", charts, "t") is None
    assert (tmp_path / "all.png").is_file() and (tmp_path / "all.svg").is_file()


def test_right_predictions_of_a_long_tail_look_right():
    random = np.random.default_rng(0)
    middle = random.uniform(3, 4, 5000)
    actual = np.exp(middle + random.normal(0, 1, 5000))
    predicted = np.exp(np.column_stack([middle + 0.5, middle]))  # mean and median
    charts = outcome_charts(LOG, actual, predicted)
    errors = next(
        chart for chart in charts if chart["title"] == "Errors by size of the prediction: sales"
    )
    medians = next(mark["y"] for mark in errors["marks"] if mark["name"] == "median")
    assert len(medians) == 10 and np.abs(medians).max() < 6
    assert errors["y"]["label"] == "actual − predicted median of sales"


def test_the_positive_class_is_named():
    charts = outcome_charts(BINARY, *outcome(BINARY))
    assert all("yes" in chart["title"] for chart in charts)


@pytest.mark.parametrize("kind", ["one value", "one class", "a constant"])
def test_pictures_of_odd_rows(tmp_path, kind):
    actual, predicted = outcome(BINARY, 50)
    if kind == "one class":
        charts = outcome_charts(BINARY, np.zeros(50, int), predicted)
    else:
        actual = np.full(50, 3.0)
        predicted = both(actual if kind == "a constant" else np.arange(50.0))
        charts = outcome_charts(REGRESSION, actual, predicted, np.full(50, 1.0))
    json.dumps(charts, allow_nan=False)
    draw_charts(tmp_path / "odd", charts)


def test_counts_at_a_threshold():
    actual = np.array([0, 0, 1, 1])
    probability = np.array([0.1, 0.6, 0.4, 1.0])
    counts = threshold_counts(BINARY, actual, np.column_stack([1 - probability, probability]))
    assert (counts["positive"], counts["negative"]) == ("yes", "no")
    assert counts["counts"][0] == [2, 2, 0, 0] and counts["counts"][50] == [1, 1, 1, 1]
    assert counts["counts"][40] == [2, 1, 0, 1] and counts["counts"][100] == [1, 0, 1, 2]
    assert threshold_counts(REGRESSION, actual, probability) is None


def test_calibration_holds_the_counts_and_recall_the_classes():
    actual, predicted = outcome(BINARY)
    charts = outcome_charts(BINARY, actual, predicted)
    calibration = next(chart for chart in charts if chart["title"].startswith("Calibration"))
    tips = calibration["marks"][-1]["tips"]
    assert len(tips) == 10 and all(tip.startswith("200 rows: said ") for tip in tips)
    actual, predicted = outcome(MANY)
    confusion, recall = outcome_charts(MANY, actual, predicted)
    assert len(confusion["y"]["ticks"]) == 11 and confusion["y"]["ticks"][-1][1] == "all others"
    right = np.mean(predicted.argmax(axis=1)[actual == 0] == 0)
    assert recall["marks"][0]["x1"][0] == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize("target", [REGRESSION, BINARY])
def test_effects_follow_the_model(tmp_path, target):
    dataset, (number, tells, noise) = effects(target)
    mean = next(mark for mark in number["marks"] if mark["name"] == "mean")
    assert mean["y"] == sorted(mean["y"]) and len(mean["x"]) > 10
    if target is REGRESSION:
        slope = (mean["y"][-1] - mean["y"][0]) / (mean["x"][-1] - mean["x"][0])
        assert slope == pytest.approx(2, rel=1e-3)
    assert sum(mark.get("faint", False) for mark in number["marks"]) == 8
    values = [mark["x"] for mark in tells["marks"] if mark["kind"] == "dots"]
    names = [int(text.removesuffix(" ?")) for _, text in tells["y"]["ticks"]]
    order = np.argsort(names)
    if target is REGRESSION:
        assert (np.diff(np.array(values[0])[order]) > 0).all()
    assert [text for _, text in tells["y"]["ticks"] if text.endswith(" ?")] == ["9 ?"]
    counts = [int(tip.split(": ")[1].split()[0]) for tip in tells["marks"][0]["tips"]]
    assert counts == sorted(counts, reverse=True) and sum(counts) == len(dataset.split["test"])
    draw_charts(tmp_path / "effects", [number, tells, noise])


def test_numbers_are_predicted_one_column_at_a_time():
    dataset, asked = make_dataset(), []

    def predict(codes, numbers):
        asked.append(len(codes))
        return both(numbers[:, 0])

    names = [f"number {j}" for j in range(30)]
    dataset.encoding.numerics = [Numeric(name, 0.0, 1.0, 0) for name in names]
    numbers = np.random.default_rng(0).normal(size=(3000, 30)).astype("float32")
    dataset.encoded.numbers = lambda rows: numbers[rows]
    flat = number_effects(dataset, predict, names[1:])
    assert len(flat) == 29 and max(asked) <= 300 * 17
    (steep,) = number_effects(dataset, predict, names[:1])
    reach = [np.ptp(chart["marks"][-1]["y"]) for chart in (*flat, steep)]
    assert max(reach[:-1]) < 1e-3 < 3 < reach[-1]


def interval(chart):
    return next(mark for mark in chart["marks"] if (mark["name"] or "").endswith("95% interval"))


def test_no_interval_says_that_all_is_known():
    actual, _ = outcome(BINARY, 100)
    certain = np.column_stack([1 - actual, actual])  # right in every row
    for chart in (outcome_charts(BINARY, actual, certain)[1],
                  outcome_charts(MANY, actual, np.eye(14)[actual])[1]):  # fmt: skip
        box = interval(chart)
        along = "y" if "Calibration" in chart["title"] else "x"
        assert (np.subtract(box[f"{along}1"], box[f"{along}0"]) > 0.02).all()


def test_the_spread_of_few_rows_is_not_known():
    assert mean_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(
        (3 - 1.96 * np.sqrt(2.5 / 5), 3 + 1.96 * np.sqrt(2.5 / 5))
    )
    assert np.isnan(mean_interval(np.arange(4.0))).all()
    actual, predicted = outcome(REGRESSION, 8)
    over_time = outcome_charts(REGRESSION, actual, predicted, np.arange(8.0))[-1]
    kinds = [mark["kind"] for mark in over_time["marks"]]
    assert "boxes" not in kinds and len(over_time["marks"][kinds.index("line")]["x"]) == 2
    json.dumps(over_time, allow_nan=False)


def test_axes_have_a_few_round_ticks():
    shares = [text for _, text in axis("x", 0, 1, percent=True)["ticks"]]
    assert shares[0] == "0%" and shares[-1] == "100%"
    for low, high in ((0, 7), (-3e5, 2e6), (1e-7, 3e-7), (99.5, 99.6), (5, 5)):
        ticks = axis("x", low, high)["ticks"]
        assert 2 <= len(ticks) <= 8 and len({text for _, text in ticks}) == len(ticks)
    powers = [text for _, text in axis("x", 1, 1000, log=True)["ticks"]]
    assert "1" in powers and "100" in powers and len(powers) <= 7
    assert all(math.isfinite(v) for v, _ in axis("x", np.nan, np.inf)["ticks"])


def test_what_differs_little_beside_its_size_stays_apart():
    scale = axis("id", 10_000_001, 10_000_500)
    assert (scale["low"], scale["high"]) == (10_000_001, 10_000_500)
    assert len({value for value, _ in scale["ticks"]}) == len(scale["ticks"])
    actual, predicted = outcome(REGRESSION, 720)
    hours = 19_700 + np.arange(720) / 240  # three days
    chart = outcome_charts(REGRESSION, actual, predicted, hours)[-1]
    (x,) = (mark["x"] for mark in chart["marks"] if mark["kind"] == "line")
    assert len(set(x)) == 24 and np.ptp(np.diff(x)) < 1e-3
    json.dumps(chart, allow_nan=False)


def test_dates_are_dates():
    actual, predicted = outcome(REGRESSION, 300)
    days = (pd.date_range("2024-01-01", periods=300) - pd.Timestamp("1970-01-01")).days
    chart = outcome_charts(REGRESSION, actual, predicted, np.asarray(days, float))[-1]
    assert chart["x"]["ticks"][0][1] == "Jan 2024"
    chart = outcome_charts(REGRESSION, actual[:90], predicted[:90], np.asarray(days[:90], float))[
        -1
    ]
    assert chart["x"]["ticks"][0][1] == "15 Jan"  # the middle of the first 30 days
