"""What is said of the target: its task, its classes, what is taken for missing."""

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import call, make_table, predictions, read_json, refused, succeeded, write
from test_reading import read, refusal

from data.tables.encoding import Target
from data.training.scoring import prediction_table

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"


def table(target, rows=200):
    random = np.random.default_rng(0)
    return pd.DataFrame({"c": random.choice(list("abc"), rows), "y": target})


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("sales", "task: regression; --task to change it"),
        ("paint", "task: 3 classes: blue, green, red; --task to change it"),
        ("shop", "task: 12 classes: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...; --task to change it"),
    ],
)
def test_the_task_is_printed(tmp_path, target, line):
    path = write(make_table(300)[["city", target]], tmp_path / "t.csv")
    more = ["--task", "multiclass"] if target == "shop" else []
    said = succeeded(call(FIRST, "--data", path, "--target", target, *more, "--epochs", 1,
                          "--output", tmp_path / "o")).stdout  # fmt: skip
    assert line in said.splitlines()


@pytest.mark.parametrize("text", ["None", "NA", "null"])
def test_a_class_that_is_taken_for_missing_is_named(tmp_path, text):
    frame = table([text, "yes", "no", "yes"] * 50)
    (note,) = read(tmp_path, frame).notes
    assert note.startswith("50 rows have no 'y'") and f"'{text}'" in note and "--keep-na y" in note
    kept = read(tmp_path, frame, keep_na=["y"])
    assert kept.notes == [] and len(kept.encoding.target.classes) == 3


def test_classes_taken_for_missing_by_an_option_are_named(tmp_path):
    (note,) = read(tmp_path, table(["?", "yes", "no", "no"] * 50), na_values=["?"]).notes
    assert "'?'" in note


def test_one_class_beside_missing_ones_is_refused_by_name(tmp_path):
    message = refusal(read, tmp_path, table(["None", "yes"] * 100))
    assert "'None'" in message and "--keep-na y" in message


def test_missing_numbers_and_empty_classes_need_no_advice(tmp_path):
    (note,) = read(tmp_path, table(["NA", *np.arange(199) / 7])).notes
    assert note == "1 rows have no 'y' and are left out."
    (note,) = read(tmp_path, table([None, "yes", "no", "no"] * 50)).notes
    assert note == "50 rows have no 'y' and are left out."


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-45, 1e-39])
def test_a_target_that_float32_cannot_hold_is_refused(tmp_path, scale):
    path = write(table(np.arange(200) * scale), tmp_path / "t.csv")
    for script, more in ((FIRST, []),):
        message = refused(call(script, "--data", path, "--target", "y", *more, "--output",
                               tmp_path / "o"))  # fmt: skip
        assert message.startswith("--target: 'y'") and "multiply" in message


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_negative_target_outside_training_is_told_and_judged(tmp_path, part):
    """A refund among the sales: the training rows have none, so the logarithm is learned."""
    frame = make_table(400)[["city", "shop", "x", "sales"]]
    odd = make_table(80, seed=1)[frame.columns]
    odd.loc[:2, "sales"] = [-1.0, -20.0, -5_000.0]
    train, other = write(frame, tmp_path / "t.csv"), write(odd, tmp_path / "odd.csv")
    said = succeeded(call(FIRST, "--data", train, f"--{part}-data", other, "--target", "sales",
                          "--epochs", 2, "--output", tmp_path / "o")).stdout  # fmt: skip
    assert f"'sales' is negative in 3 {part} rows" in said
    succeeded(call(SECOND, "--embeddings", tmp_path / "o", "--epochs", 2))
    for folder in (tmp_path / "o", tmp_path / "o" / "embed_model"):
        metrics = read_json(folder / "metrics.json")
        assert all(np.isfinite(metrics[p]["rmse"]) for p in ("validation", "test"))
        assert (predictions(folder)[["predicted", "predicted_median"]] >= 0).all(axis=None)


def test_many_classes_are_tabled_without_a_warning():
    target = Target("y", "multiclass", classes=[f"k{i}" for i in range(150)])
    with warnings.catch_warnings(action="error"):
        table = prediction_table(np.arange(5), np.eye(150)[:5], target)
        table.insert(1, "actual", target.label(np.arange(5)))
    assert table["predicted"].tolist() == table["actual"].tolist()
    assert table["probability_k3"].tolist() == [0, 0, 0, 1, 0]


def test_a_small_target_is_learned(tmp_path):
    path = write(table(np.arange(200) * 1e-29), tmp_path / "t.csv")
    succeeded(call(FIRST, "--data", path, "--target", "y", "--epochs", 1, "--output",
                   tmp_path / "o"))  # fmt: skip
    succeeded(call(SECOND, "--embeddings", tmp_path / "o", "--epochs", 1))


def test_control_characters_do_not_reach_the_screen(tmp_path):
    odd = "a\x1b[31m\tb"
    frame = make_table(200)[["city", "shop", "sales"]].assign(day=range(200)).fillna("none")
    frame = frame.rename(columns={"city": odd, "sales": "s\x1b[2J", "day": "d\x07"})
    frame["kind"] = np.array(["x\x1b[1m", "y\x08"])[frame["shop"] % 2]
    path = write(frame, tmp_path / "t\x1b[0m.csv")
    for target, more in (("s\x1b[2J", ["--split-by", "d\x07"]), ("kind", ["--group", odd])):
        said = succeeded(call(FIRST, "--data", path, "--target", target, *more, "--epochs", 1,
                              "--categorical", "shop", "--output", tmp_path / "o"))  # fmt: skip
        again = succeeded(call(SECOND, "--embeddings", tmp_path / "o", "--epochs", 1))
        assert all(c.isprintable() or c == "\n" for c in said.stdout + again.stdout)
