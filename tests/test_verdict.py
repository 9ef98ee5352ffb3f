"""The verdict: words that follow from the numbers, and claim no more than these hold."""

import shlex
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from data.reports import peers
from data.reports.advice import command_of, explains_all, hangs_on, next_steps, shareable
from data.reports.bootstrap import drawn_together, paired_difference
from data.reports.comparison import change_by_embeddings
from data.reports.importance import (
    column_groups,
    importance_report,
    permutation_importance,
    unimportant,
)
from data.reports.intervals import half_width
from data.reports.peers import LINEAR, NOTHING, TREES, peer_predictions, peers_note
from data.reports.verdict import EMBEDDINGS, dominance, judge
from data.tables.dataset import read_dataset
from data.tables.encoding import Target, Vocabulary
from data.tables.groups import groups_of
from data.tables.order import order_of
from data.tables.scaling import Numeric
from data.tables.settings import RECORDED
from data.training.scoring import relative_error, score

REGRESSION = Target("price", "regression", "identity", 10.0, 3.0)
BINARY = Target("bought", "binary", classes=["no", "yes"])


def make_dataset(target=REGRESSION, rows=3000, roles=None, **settings):
    """A dataset of a column that tells, one of noise, the parts of a date, and a number."""
    random = np.random.default_rng(0)
    codes = random.integers(2, 12, (rows, 4)).astype("int32")
    numbers = random.normal(size=(rows, 1)).astype("float32")
    signal = codes[:, 0] + 0.5 * codes[:, 2] + numbers[:, 0]
    if target.task == "regression":
        values = signal + random.normal(0, 0.5, rows)
    else:
        values = (signal + random.normal(0, 0.5, rows) > signal.mean()).astype("int64")
    parts = np.split(np.arange(rows), [rows // 2, rows // 4 * 3])
    names = ["tells", "noise", "day_month", "day_week"]
    columns = {name: SimpleNamespace(role="categorical") for name in ("tells", "noise")}
    train, table = values[parts[0]], make_table(rows)
    settings = {
        "seed": 0,
        "split_by": None,
        "group": None,
        "test_data": [],
        "validation_data": [],
        "dates": ["day"],
    } | settings
    return SimpleNamespace(
        encoding=SimpleNamespace(
            vocabularies=[Vocabulary(n, "int", list(range(10))) for n in names],
            numerics=[Numeric("number", 0.0, 1.0, 0)],
            target=target,
        ),
        encoded=SimpleNamespace(codes=lambda r: codes[r], numbers=lambda r: numbers[r]),
        target=values,
        prior=train.mean() if target.task == "regression" else np.bincount(train) / len(train),
        split=dict(zip(("train", "validation", "test"), parts, strict=True)),
        settings=settings,
        roles=roles or columns | {"day": SimpleNamespace(role="date")},
        order=order_of(table, settings),
        groups=groups_of(table, settings["group"], lambda column: []),
        table=table,
    )


def make_table(rows):
    """The table of that dataset: each customer has 25 rows, and so has each shift of a day."""
    values = {"customer": np.arange(rows) // 25, "shift": np.arange(rows) // 25 / 2}
    return SimpleNamespace(
        source_rows=lambda r: r, dictionaries={}, numeric=["customer"],
        values=lambda column: values["customer" if column == "customer" else "shift"],
    )  # fmt: skip


def scores(test, validation):
    """Metrics of a regression, beside a baseline that is ten times as bad."""
    baseline = {"rmse": 10 * test, "r2": 0.0}
    return {"test": {"rmse": test, "r2": 0.99}, "validation": {"rmse": validation, "r2": 0.99},
            "baseline": baseline}  # fmt: skip


def history(loss=1.0, val_loss=1.1, rate=0.004):
    return pd.DataFrame({"loss": [loss], "val_loss": [val_loss], "learning_rate": [rate]})


def judged(ours, others, target=REGRESSION, actual=None):
    actual = np.random.default_rng(1).normal(10, 3, 2000) if actual is None else actual
    others = {name: predict(actual) for name, predict in others.items()}
    return actual, judge_alone(target, actual, ours(actual), others)


def judge_alone(target, actual, predicted, others, numbers=True):
    """The verdict where no two rows are alike."""
    return judge(target, actual, predicted, others, "The model", numbers, alone(actual), "A note.")


def difference(ours, theirs, root=False):
    return paired_difference(ours, theirs, root, alone(ours))


def alone(rows):
    return np.arange(len(rows))


def off_by(size, seed=0):
    """Predictions that miss by so much."""
    return lambda actual: both(actual + size * np.random.default_rng(seed).normal(size=len(actual)))


def both(values):
    """The same as mean and as median."""
    return np.column_stack([values, values])


def nothing(actual):
    return both(np.full(len(actual), 10.0))


# ----------------------------------------------------------------------------------- the bootstrap


@pytest.mark.parametrize("rows", [400, 20_000])
def test_intervals_hold_the_truth_as_often_as_they_say(rows):
    held = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        found = difference(random.exponential(0.8, rows), random.exponential(1.0, rows))
        held += found.low <= -0.2 <= found.high
    assert 50 <= held <= 60


def test_a_difference_inside_the_noise_is_none_and_pairs_count():
    random = np.random.default_rng(0)
    ours = random.exponential(1, 500)
    assert difference(ours, random.permutation(ours)).words == "no clear difference"
    # the same rows, each a little harder for the other: clear, though less than the noise
    found = difference(ours, 1.02 * ours)
    assert found.words == "better" and found.high < 0
    assert difference(1.02 * ours, ours).words == "worse"
    assert difference(ours, ours, root=True).words == "no clear difference"


@pytest.mark.parametrize("settings", [{"group": "customer"}, {"split_by": "day"}])
def test_rows_that_are_alike_are_not_taken_for_many_facts(settings):
    groups, note = drawn_together(make_dataset(**settings), np.arange(2000))
    size = 25 if "group" in settings else 50
    assert np.array_equal(groups, np.arange(2000) // size)
    assert f"those of the same {settings.get('group', 'day')} together" in note
    wrong = np.zeros(2)
    for seed in range(100):  # no model is better, but each has customers whom it suits
        random = np.random.default_rng(seed)
        ours = np.repeat(random.normal(2, 0.3, 2000 // size), size) + random.normal(0, 0.3, 2000)
        found = paired_difference(ours, np.full(2000, 2.0), False, groups)
        wrong += (
            found.words != "no clear difference",
            abs(ours.mean() - 2) > half_width(ours, groups),
        )
    assert (wrong <= 12).all()


@pytest.mark.parametrize("option", ["group", "split_by"])
def test_groups_and_days_are_those_of_the_table(tmp_path, option):
    random = np.random.default_rng(0)
    seconds = np.sort(random.integers(0, 200 * 86_400, 1500))
    table = pd.DataFrame({
        "customer": [f"c{i}" for i in random.integers(0, 200, 1500)],
        "when": (pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, "s")).astype(str),
        "shop": random.choice(list("abcd"), 1500), "sales": random.normal(10, 3, 1500),
    })  # fmt: skip
    table.to_csv(tmp_path / "sales.csv", index=False)
    settings = {name: keywords.get("default") for name, keywords in RECORDED.items()} | {
        "seed": 0, "data": [str(tmp_path / "sales.csv")], "target": "sales", "validation_data": [],
        "test_data": [], option: "customer" if option == "group" else "when",
    }  # fmt: skip
    dataset = read_dataset(settings, tmp_path)
    rows = dataset.split["test"][:]
    groups, _ = drawn_together(dataset, rows)
    alike = table["customer"] if option == "group" else table["when"].str[:10]
    expected = pd.factorize(alike[rows])[0]
    assert (
        10 < len(set(expected)) == len(set(groups)) == len(set(zip(groups, expected, strict=True)))
    )


def test_too_few_groups_are_told():
    groups, note = drawn_together(make_dataset(group="customer"), np.arange(100))
    assert np.array_equal(groups, np.arange(100))
    assert "the same customer are alike, the intervals are too narrow: with only 4" in note


# --------------------------------------------------------------------------------------- the words


def test_a_good_model_is_called_good_with_intervals():
    others = {NOTHING: nothing, LINEAR: off_by(2, 1), TREES: off_by(1.5, 2), EMBEDDINGS: off_by(2)}
    _, verdict = judged(off_by(1), others)
    assert verdict["level"] == "good" and not verdict["failed"]
    assert f"better than {LINEAR} and than {TREES}" in verdict["text"]
    assert "50% " in verdict["text"] and "off the error" in verdict["text"]
    assert [line["words"] for line in verdict["comparisons"]] == ["better"] * 4
    assert all(" to " in line["interval"] for line in verdict["comparisons"])


def test_what_may_be_chance_is_never_called_better():
    others = {NOTHING: nothing, LINEAR: off_by(1.001, 1), TREES: off_by(1, 2)}
    _, verdict = judged(off_by(1), others)
    assert verdict["words"][TREES] == verdict["words"][LINEAR] == "no clear difference"
    assert verdict["level"] == "fair" and "about as much as" in verdict["text"]
    assert "good" not in verdict["text"] and "better" not in verdict["text"].split(";")[0]


def test_trees_that_do_better_are_told():
    _, verdict = judged(off_by(1), {NOTHING: nothing, LINEAR: off_by(2, 1), TREES: off_by(0.5, 2)})
    assert verdict["level"] == "fair" and "but boosted trees do better" in verdict["text"]


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (nothing, "no better than always predicting the mean"),
        (off_by(4), "worse than always predicting the mean"),
        (lambda actual: both(actual * 1e4), "times that of always predicting the mean"),
        (lambda actual: both(actual * np.nan), "failed: the error is not a finite number."),
    ],
)
def test_a_result_that_is_no_good_says_so_and_what_to_try(ours, words):
    _, verdict = judged(ours, {NOTHING: nothing, LINEAR: off_by(2, 1), TREES: off_by(1, 2)})
    assert verdict["level"] == "bad" and words in verdict["text"]
    (step,) = next_steps(make_dataset(), verdict, ["x/build_embed_model.py"], "out", 0.004)
    assert step["command"] == "python build_embed_model.py --learning-rate 0.0004"
    given = ["build_embeddings.py", "--learning-rate", "5", "--epochs", "3"]
    (step,) = next_steps(make_dataset(), verdict, given, "out", 5.0)
    assert step["command"] == "python build_embeddings.py --epochs 3"


@pytest.mark.parametrize("numbers", [True, False])
def test_numbers_are_spoken_of_only_where_there_are_some(numbers):
    dataset = make_dataset()
    actual = dataset.target[dataset.split["test"]]
    others = {NOTHING: nothing(actual), EMBEDDINGS: both(actual + 2.0)}
    found = judge_alone(REGRESSION, actual, both(actual + 0.5), others, numbers)
    what = "the numeric columns and the second" if numbers else "the second"
    assert f"Compared with the first script's model, {what} training took" in found["text"]
    dataset.encoding.numerics = dataset.encoding.numerics if numbers else []
    steps = next_steps(dataset, found, ["build_embeddings.py"], "out", 0.01)
    assert any(step["why"].startswith("Add the numeric") for step in steps) == numbers


def test_one_row_that_carries_the_error_is_told_and_does_not_decide():
    dataset = make_dataset()
    test = dataset.split["test"]
    dataset.target = dataset.target.copy()
    dataset.target[test[7]] = 4000.0
    actual = dataset.target[test]
    predicted = both(np.where(actual == 4000.0, 12.0, actual + 0.5))
    (sentence, *_) = hangs_on(dataset, predicted, scores(150.0, 140.0), history())
    assert "One test row of 750 carries 100% of the squared error" in sentence
    assert f"row {test[7]} " in sentence and "0.5" in sentence
    found = judge_alone(REGRESSION, actual, predicted, {NOTHING: nothing(actual)})
    assert "mean absolute error" in found["text"] and found["words"][NOTHING] == "better"
    assert dominance(np.ones(1000)) == (pytest.approx(0.01), 10)


def test_what_a_result_hangs_on():
    dataset = make_dataset(BINARY)
    dataset.target = dataset.target.copy()
    dataset.target[dataset.split["test"][5:]] = 0
    codes = dataset.encoded.codes
    dataset.encoded.codes = lambda r: np.where(np.arange(4) == 1, 1, codes(r))
    dataset.split["test"] = dataset.split["test"][:200]
    predicted = np.full((200, 2), 0.5)
    metrics = {"test": {"log_loss": 0.7}, "validation": {"log_loss": 0.4}}
    metrics["baseline"] = {"log_loss": 0.9}
    text = " ".join(hangs_on(dataset, predicted, metrics, history(0.2, 0.9)))
    for words in ("200 test rows only", "fewer than 30 test rows: yes", "dates (day)",
                  "noise (100%)", "It overfits", "0.7 on test rows and 0.4"):  # fmt: skip
        assert words in text
    dataset = make_dataset(split_by="day")
    predicted = both(dataset.target[2250:])
    assert hangs_on(dataset, predicted, scores(1.0, 1.1), history()) == []


def test_a_column_that_tells_the_target_itself_is_named():
    found = {"test": {"rmse": 0.1, "r2": 0.9995}, "validation": {"rmse": 0.2, "r2": 0.9991},
             "baseline": {"rmse": 9.0, "r2": 0.0}}  # fmt: skip
    dataset = make_dataset(split_by="day")
    predicted = both(dataset.target[2250:])
    (sentence,) = hangs_on(dataset, predicted, found, history(), "the status")
    assert "'the status' is known only afterwards" in sentence
    assert "--drop 'the status'" in sentence
    found = {"test": {"log_loss": 0.001}, "baseline": {"log_loss": 0.69}}
    assert explains_all(found) and not explains_all({**found, "test": {"log_loss": 0.01}})
    verdict = {"failed": False, "words": {NOTHING: "better"}}
    given = ["build_embeddings.py", "--data", "f.csv"]
    step, *others = next_steps(dataset, verdict, given, "out", 0.01, ["noise"], 0, "the status")
    assert step["command"] == "python build_embeddings.py --data f.csv --drop 'the status'"
    assert not any("--drop" in other["command"] for other in others)
    # which the second script takes with a table of its own alone
    steps = next_steps(dataset, verdict, ["build_embed_model.py"], "out", 0.01, (), 0, "status")
    assert not any("--drop" in step["command"] for step in steps)


def test_models_that_leave_nothing_are_not_ranked():
    others = {NOTHING: nothing, LINEAR: off_by(0.04, 1), TREES: off_by(0.01, 2)}
    _, verdict = judged(off_by(0.02), others | {EMBEDDINGS: off_by(0.03, 3)})
    assert verdict["words"] == {NOTHING: "better"} | dict.fromkeys(
        (LINEAR, TREES, EMBEDDINGS), "both near zero"
    )
    assert "trees" not in verdict["text"] and "second training" not in verdict["text"]
    assert verdict["text"].startswith("The model leaves almost nothing unexplained")


def test_commands_are_those_of_the_run_and_safe_to_copy():
    verdict = {"failed": False, "words": {NOTHING: "better"}}
    given = ["build_embeddings.py", "--data", "/home/me/my sales.csv", "--target", "a b"]
    first, second, third = next_steps(
        make_dataset(), verdict, given, "out/my set", 0.01, ["day_week", "noise"]
    )
    assert shlex.split(first["command"])[2:] == [*given[1:], "--split-by", "day"]
    assert shlex.split(second["command"])[1:] == [
        "build_embed_model.py", "--embeddings", "out/my set",
    ]  # fmt: skip
    assert third["command"].endswith("--drop noise")
    assert "/home" not in shareable(first["command"])
    assert command_of("s.py", ["--drop", "a", "b", "--seed", "3"], "--drop", "c") == (
        "python s.py --seed 3 --drop a b c"
    )


@pytest.mark.parametrize("given", [["--drop=a"], ["--drop", "a"]])
def test_columns_to_drop_come_beside_those_that_are_dropped(given):
    assert command_of("s.py", [*given, "--seed=3"], "--drop", "b") == (
        "python s.py --seed=3 --drop a b"
    )
    failed = {"failed": True, "words": {}}
    (step,) = next_steps(make_dataset(), failed, ["s.py", "--learning-rate=5"], "out", 5.0)
    assert step["command"] == "python s.py"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "results vary that much from one random split to the next"),
        ({"split_by": "day"}, "the later rows by day are not like those before"),
        ({"split_by": "day", "test_data": ["f.csv"]}, "the rows of these files are not alike"),
        ({"validation_data": ["f.csv"]}, "the rows of these files are not alike"),
    ],
)
def test_why_test_rows_are_worse_than_validation_rows(settings, why):
    dataset = make_dataset(**settings)
    predicted = both(dataset.target[dataset.split["test"]])
    assert why in hangs_on(dataset, predicted, scores(2.0, 1.0), history())[-1]


def test_a_comparison_does_not_choose_by_the_test_rows():
    others = ("boosted trees", "random forest", "nearest neighbours")
    errors = {(name, vectors): 1.0 for name in others for vectors in ("codes", "embeddings")}
    ours = (("scratch", 1.0), ("frozen", 1.1), ("fine-tuned", 0.9))
    errors |= {("our network", vectors): error for vectors, error in ours}
    lines = [(*names, 9, error) for names, error in errors.items()]
    said = change_by_embeddings(pd.DataFrame(lines, columns=["model", "input", "rows", "rmse"]))
    assert said.endswith("our network +10% with frozen ones, our network -10% with fine-tuned ones")


def test_mape_is_left_out_where_it_means_nothing():
    actual = np.random.default_rng(0).exponential(1, 1000) + 0.5
    assert relative_error(actual, 1.1 * actual) == pytest.approx(0.1)
    near = np.where(np.arange(1000) % 10 == 0, 1e-6, actual)
    assert relative_error(near, actual) is None
    assert relative_error(np.zeros(5), np.ones(5)) is None
    assert score(REGRESSION, near, both(actual))["mape"] is None


# ------------------------------------------------------------------------------ peers, importance


@pytest.mark.parametrize("target", [REGRESSION, BINARY])
def test_peers_learn_what_there_is_and_numbers_only_where_they_may(target):
    dataset = make_dataset(target)
    position, found = peer_predictions(dataset, True, 0)
    assert list(found) == [NOTHING, LINEAR, TREES] and len(position) == 750
    _, without = peer_predictions(dataset, False, 0)
    actual = dataset.target[dataset.split["test"]]
    first = next(iter(score(target, actual, found[LINEAR])))
    errors = {
        kind: [score(target, actual, some[name])[first] for name in found]
        for kind, some in (("with", found), ("without", without))
    }
    for kind in errors:
        assert max(errors[kind][1:]) < 0.7 * errors[kind][0]
    assert errors["with"][1] < 0.8 * errors["without"][1]


def test_what_the_peers_learned_from_is_told(monkeypatch):
    assert peers_note(make_dataset()).endswith("trees have scikit-learn's default settings.")
    monkeypatch.setattr(peers, "LEARNED_FROM", 1000)
    assert peers_note(make_dataset()).endswith(
        "settings; they learned from 1,000 of 1,500 training rows."
    )
    many = Target("kind", "multiclass", classes=list(range(10)))
    dataset = make_dataset(BINARY)
    dataset.encoding.target = many
    assert "but 20 rounds of trees, not 100;" in peers_note(dataset)
    assert peers_note(dataset).endswith("learned from 500 of 1,500 training rows.")


def test_importance_is_no_surer_than_there_are_groups():
    width = {}
    for group in (None, "customer"):
        dataset = make_dataset(group=group)
        codes = np.random.default_rng(1).integers(2, 12, (120, 4))  # of each customer
        dataset.encoded.codes = lambda rows, codes=codes: codes[rows // 25]
        dataset.target = codes[np.arange(3000) // 25, 0].astype("float64")
        predict, groups = lambda codes, _: both(codes[:, 0]), {"tells": ([0], [])}
        found = permutation_importance(dataset, predict, groups)
        width[group] = found["high"][0] - found["low"][0]
    assert width["customer"] > 2 * width[None]


def test_a_column_that_few_rows_cannot_judge_is_not_called_useless():
    found = pd.DataFrame({
        "column": ["store", "price", "day", "noise"], "importance": [0.5, 0.11, 0.02, 0.0],
        "low": [0.4, -0.1, -0.01, -0.001], "high": [0.6, 0.3, 0.05, 0.001],
        "share": [1.0, 0.22, 0.04, 0.0], "distinct": 9, "rows": 500, "std": 0.0, "repeats": 5,
    })  # fmt: skip
    assert unimportant(found) == ["noise"]
    assert unimportant(found.assign(distinct=[9, 9, 9, 1])) == []  # such as the year of later rows
    text = importance_report(found)["text"]
    assert text.startswith(
        "store matters most. Without noise the model is no worse. For price and day these 500 rows "
        "cannot tell. Columns"
    )
    assert importance_report(found[1:3].reset_index())["text"].startswith("For price and day these")
    assert importance_report(found[3:].reset_index())["text"].startswith("No column matters")


def test_importance_finds_what_tells_and_takes_a_date_as_one():
    dataset = make_dataset()
    groups = column_groups(dataset, True)
    assert groups == {"tells": ([0], []), "noise": ([1], []), "day": ([2, 3], []),
                      "number": ([], [0])}  # fmt: skip
    assert "number" not in column_groups(dataset, False)
    found = permutation_importance(
        dataset,
        lambda codes, numbers: both(codes[:, 0] + 0.5 * codes[:, 2] + numbers[:, 0]),
        groups,
    )
    assert found["column"].tolist() == ["tells", "day", "number", "noise"]
    assert (found["importance"][:3] > 0).all() and found["importance"][3] == 0
    # of independent columns: twice the variance of what they add, in units of the target's
    expected = 2 * np.var(dataset.encoded.codes(dataset.split["test"])[:, 0]) / 9
    assert found["importance"][0] == pytest.approx(expected, rel=0.1)
    assert found["low"][0] < found["importance"][0] < found["high"][0]
    assert found["distinct"][0] == 10 and (found["distinct"] > 1).all()
    assert unimportant(found) == ["noise"]
    report = importance_report(found)
    assert report["order"] == found["column"].tolist()
    assert report["text"].startswith("tells, day and number matter most. Without noise the model")
    shares = report["chart"]["marks"][0]["x1"]
    assert shares == sorted(shares, reverse=True)
