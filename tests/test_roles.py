"""What each column is taken for when nobody says, and what kind of target is learned."""

import numpy as np
import pandas as pd
import pytest
from test_reading import read, refusal, vocabulary

from data.tables import roles
from data.tables.kinds import Values


def values(cells, declared=None):
    """The Values of a column, given as Python values or text; None and "" are missing."""
    texts = pd.Series([None if c in (None, "") else str(c) for c in cells], dtype=object)
    codes, distinct = pd.factorize(texts)
    return Values(list(distinct), codes, declared)


def role(cells, name="c", declared=None):
    return roles.decide(name, values(cells, declared))


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("city", ["Oslo", "Bern", ""] * 20, "categorical"),
        ("open", ["True", "FALSE"] * 20, "categorical"),
        ("level", [0.5, 1.5, 2.5] * 20, "numeric"),
        ("rooms", list(range(1, 9)) * 10, "categorical"),  # few, and often
        ("rooms", [1, 2, 3, 5, 8, 13, 21], "left out"),  # each value once
        ("rooms", [1, 2, 3, 5, 8, 13, 21] * 2, "numeric"),  # few, but seldom
        ("store", list(range(1, 200)) * 10, "categorical"),  # numbered, and equally often
        ("age", RANDOM.binomial(90, 0.4, 2000).tolist(), "numeric"),
        ("count", [*RANDOM.poisson(9, 3000).tolist(), 40], "numeric"),
        ("count", [*RANDOM.poisson(9, 3000).tolist(), *range(31)], "numeric"),  # not equally often
        ("area", [f"{i:05}" for i in range(0, 90000, 90)] * 3, "categorical"),
        ("price", (RANDOM.integers(100, 9999, 2000) * 5).tolist(), "numeric"),
        ("zip_code", RANDOM.integers(10000, 10400, 2000).tolist(), "categorical"),
        ("storeId", RANDOM.integers(7, 999, 5000).tolist(), "categorical"),
        ("paid", RANDOM.integers(10000, 10400, 2000).tolist(), "numeric"),  # "id" is no part of it
        ("customer", [2**60 + i % 90 for i in range(900)], "categorical"),  # one number as floats
        ("customer", [10**9 + i % 90 for i in range(900)], "categorical"),  # and these as float32
        ("plz", ["01234", "99999", "1000"] * 9, "categorical"),
        ("grade", ["1.0", "2.0", "3.0", ""] * 20, "categorical"),  # integers with some missing
        ("hour", [f"{i % 24}.0" for i in range(2000)], "categorical"),
        ("weight", [f"{i}.0" for i in range(200)], "numeric"),
        ("day", ["2024-01-01", "2024-01-02"] * 9, "date"),
        ("when", ["2024-01-01 10:00", "2024-01-01T11:00:05"], "date"),
        ("day", ["2024-02-30", "2024-01-02"] * 9, "categorical"),  # no such day
        ("version", ["1.0.2", "1.1.0"] * 9, "categorical"),
        ("customer_id", [*RANDOM.permutation(900).tolist(), 1, 2], "left out"),
        ("id", list(range(100)), "left out"),
        ("name", [f"Smith, {i}" for i in range(70)] + ["Smith, 1"] * 30, "left out"),
        ("comment", [f"text {i}" for i in range(100)], "left out"),
        ("empty", ["", None] * 9, "left out"),
        ("x", RANDOM.normal(size=99).tolist(), "numeric"),  # all distinct, as numbers are
        ("x", ["inf", "1.5", "2.5e300"] * 9, "numeric"),
        ("constant", [7] * 30, "categorical"),
        ("qty", [1, 2, 3, 4, 5] * 20, "numeric"),  # quantities by their name
        ("unitPrice", [10, 20, 25] * 20, "numeric"),
        ("units_sold", [0, 1, 2, 3] * 20, "numeric"),
        ("Age", list(range(20, 35)) * 9, "numeric"),
        ("num_children", [0, 1, 2, 3] * 20, "numeric"),
        ("price_category", [1, 2, 3] * 20, "categorical"),  # and what is made of them
        ("AgeGroup", [1, 2, 3] * 20, "categorical"),
        ("discount_code", [1, 2, 3] * 20, "categorical"),
        ("price", [0, 1] * 30, "categorical"),  # yes or no
        ("language", [1, 2, 3] * 20, "categorical"),  # "age" is no word of it
        ("Unnamed: 0", list(range(30)) * 3, "left out"),
        ("__index_level_0__", list(range(30)) * 3, "left out"),
        ("amount", ["$1,200", "$950", "$10,000"] * 9, "numeric"),
        ("amount", [f"${1000 + 7 * i:,}" for i in range(90)], "numeric"),  # distinct, and no ids
    ],
)
def test_roles_without_asking(name, cells, expected):
    assert role(cells, name).role == expected


def test_leaving_out_is_told(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": np.arange(60), "name": [f"n{i}" for i in range(60)], "c": ["a", "b"] * 30,
            "none": None, "x": random.normal(size=60), "y": random.normal(size=60),
        }
    )  # fmt: skip
    dataset = read(tmp_path, frame)
    assert [v.column for v in dataset.encoding.vocabularies] == ["c"]
    for column in ("id", "name", "none"):
        assert dataset.roles[column].role == "left out"
        assert any(note.startswith(f"'{column}' is left out: ") for note in dataset.notes)
    assert not any("'x'" in note for note in dataset.notes)
    asked = read(tmp_path, frame, categorical=["id", "name"], numeric=["none"])
    assert [v.column for v in asked.encoding.vocabularies] == ["id", "name"]
    assert not asked.notes


def test_guesses_about_integers_come_with_a_line_to_copy(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "c": ["a", "b"] * 60, "qty": random.integers(1, 6, 120),
            "room type": random.integers(1, 6, 120), "y": random.normal(size=120),
        }
    )  # fmt: skip
    notes = read(tmp_path, frame).notes
    assert any(note.endswith("--categorical qty") for note in notes)
    assert any(note.endswith("--numeric 'room type'") for note in notes)
    other = read(tmp_path, frame, categorical=["qty"])
    assert other.roles["qty"].role == "categorical"
    assert not any("--categorical" in note for note in other.notes)
    other = read(tmp_path, frame, numeric=["room type"])
    assert other.roles["room type"].role == "numeric"


def test_integers_that_are_one_number_as_floats_are_codes_or_refused(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "c": ["a", "b"] * 60, "big client": [f"{2**60 + i % 40}" for i in range(120)],
            "y": random.normal(size=120),
        }
    )  # fmt: skip
    dataset = read(tmp_path, frame)
    assert len(vocabulary(dataset, "big client").values) == 40
    frame["client"] = [f"{2**60 + i % 90}" for i in range(120)]
    message = refusal(read, tmp_path, frame)
    assert message.startswith(f"{tmp_path}/table.csv: ") and "--numeric" not in message
    assert f"give --categorical client if they are codes, else subtract {2**60} from" in message
    message = refusal(read, tmp_path, frame, numeric=["client"])
    assert message.startswith("--numeric: the numbers of 'client'")
    dataset = read(tmp_path, frame, drop=["big client"], group="client")
    assert "groups of 'client': 72 train, 9 validation, 9 test" in dataset.split_lines


def test_integers_that_look_like_codes_are_told(tmp_path):
    """All of as many digits, and each comes often; a missing one makes floats of them."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"c": ["a", "b"] * 300, "y": random.normal(size=600)})
    frame["account"] = 1_000_000 + random.integers(0, 100, 600) ** 2
    frame["seats"] = 9_000 + random.integers(0, 50, 600) ** 2  # with four digits or five
    frame["depot"] = frame["account"].where(frame.index != 7)
    dataset = read(tmp_path, frame)
    assert {dataset.roles[c].role for c in ("account", "seats", "depot")} == {"numeric"}
    (note,) = [note for note in dataset.notes if "--categorical" in note]
    assert note.endswith("--categorical account depot")


def test_every_role_can_be_named(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "code": random.integers(0, 5, 90), "x": random.integers(0, 3, 90) / 2,
            "day": ["2024-01-01", "2024-03-02", "2023-03-02"] * 30, "c": ["a", "b", "c"] * 30,
            "y": random.normal(size=90),
        }
    )  # fmt: skip
    named = {"code": "numeric", "x": "categorical", "day": "categorical", "c": "left out"}
    options = {"numeric": ["code"], "categorical": ["x", "day"], "drop": ["c"]}
    assert {c: r.role for c, r in read(tmp_path, frame, **options).roles.items()} == {
        **named, "y": "target"
    }  # fmt: skip
    usual = read(tmp_path, frame)
    assert [usual.roles[c].role for c in named] == ["categorical", "numeric", "date", "categorical"]
    # Both lists together describe the whole table.
    both = read(tmp_path, frame, categorical=["c"], numeric=[])
    assert [both.roles[c].role for c in named] == ["left out"] * 3 + ["categorical"]
    # What the first script decided the second one repeats.
    again = read(
        tmp_path, frame, **{k: usual.settings[k] for k in ("categorical", "numeric", "dates")}
    )
    assert [v.column for v in again.encoding.vocabularies] == [
        v.column for v in usual.encoding.vocabularies
    ]


def test_a_number_that_is_text_is_named_not_guessed(tmp_path):
    frame = pd.DataFrame({"c": ["a", "b"] * 60, "x": np.arange(120) / 7, "y": np.arange(120) % 2})
    frame["x"] = frame["x"].astype(object)
    frame.loc[30, "x"] = "n.a."
    message = refusal(read, tmp_path, frame)
    assert "'x' holds 'n.a.' in row 30" in message and "--categorical" in message
    assert read(tmp_path, frame, categorical=["x"]).roles["x"].role == "categorical"
    assert read(tmp_path, frame, drop=["x"]).roles["x"].role == "left out"
    assert values(["1", "2", "2A"] * 30).strays() is None  # codes


@pytest.mark.parametrize(
    ("cells", "kind", "classes"),
    [
        ([0.5, -3, 0] * 8 + list(range(40)), "regression", []),
        ([0, 1] * 30, "binary", [0, 1]),
        (["no", "yes", "yes"] * 20, "binary", ["no", "yes"]),
        ([True, False] * 30, "binary", [False, True]),
        ([1.5, 2.5] * 30, "binary", [1.5, 2.5]),
        ([-1, 1] * 30, "binary", [-1, 1]),
        (["a", "b", "c"] * 20, "multiclass", ["a", "b", "c"]),
        ([1, 2, 3, 4] * 15, "multiclass", [1, 2, 3, 4]),
        ([1, 2, 40] * 20, "regression", []),  # not consecutive
        (list(range(30)) * 2, "regression", []),
        ([1, 2, 3] * 20 + [4], "regression", []),  # too seldom for a class
        (["1", "2", "x"] * 20, "multiclass", ["1", "2", "x"]),
    ],
)
def test_the_task_is_found(tmp_path, cells, kind, classes):
    frame = pd.DataFrame({"y": cells})
    frame["c"] = np.where(np.arange(len(frame)) % 2, "a", "b")
    target = read(tmp_path, frame).encoding.target
    assert target.task == kind
    assert target.classes == classes
    assert [type(c) for c in target.classes] == [type(c) for c in classes]


def test_the_task_can_be_forced(tmp_path):
    frame = pd.DataFrame({"c": ["a", "b"] * 40, "y": np.arange(80) % 4})
    assert read(tmp_path, frame).encoding.target.task == "multiclass"
    dataset = read(tmp_path, frame, task="regression")
    assert dataset.encoding.target.task == "regression"
    assert sorted(set(dataset.target)) == [0, 1, 2, 3]
    frame["y"] = np.arange(80) % 20
    assert read(tmp_path, frame, task="multiclass").encoding.target.classes == list(range(20))
    assert "20 distinct" in refusal(read, tmp_path, frame, task="binary")
    frame["y"] = frame["y"] % 2
    assert read(tmp_path, frame, task="regression").encoding.target.task == "regression"


@pytest.mark.parametrize(
    ("cells", "options", "parts"),
    [
        ([7] * 40, {}, ["'y' is always '7'"]),
        ([""] * 40, {}, ["'y' has no value"]),
        (["a", "b"] * 20, {"task": "regression"}, ["'y' holds 'a' in row 0", "--task"]),
        ([1.5, 2.5, "far", 3.5] * 10, {"task": "regression"}, ["'far' in row 2"]),
        ([f"t{i}" for i in range(40)], {}, ["40 classes in 40 rows"]),
        (["2024-01-01", "2024-01-02"] * 20, {}, ["dates"]),
        ([*np.arange(39).tolist(), "inf"], {}, ["is inf in row 39"]),
        ([*np.arange(39).tolist(), 1e300], {}, ["1e+300 in row 39", "divide"]),
        ([*(np.arange(79) / 7).tolist(), "oops"], {}, ["'oops' in row 79", "multiclass"]),
        ([1, 2, 3], {}, ["3 rows"]),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(tmp_path, cells, options, parts):
    frame = pd.DataFrame({"y": np.array(cells, dtype=object)})
    frame["c"] = np.where(np.arange(len(frame)) % 2, "a", "b")
    message = refusal(read, tmp_path, frame, **options)
    for part in parts:
        assert part in message, message


def test_rows_without_a_target_are_left_out(tmp_path):
    for cells in (np.arange(80) / 7, np.where(np.arange(80) % 2, "a", "b")):
        frame = pd.DataFrame({"c": ["a", "b"] * 40, "y": pd.Series(cells, dtype=object)})
        frame.loc[:9, "y"] = None
        dataset = read(tmp_path, frame)
        used = np.concatenate(list(dataset.split.values()))
        assert sorted(used) == list(range(10, 80))
        assert dataset.notes[0].startswith("10 rows have no 'y'")


def test_rare_classes_do_not_break_the_split(tmp_path):
    rows = ["a"] * 95 + ["b"] * 95 + ["once", "two", "two"]
    for seed in range(6):
        frame = pd.DataFrame({"y": rows, "c": np.arange(len(rows)) % 5})
        dataset = read(tmp_path, frame, seed=seed)
        assert set(dataset.encoding.target.classes) >= {"a", "b"}
        train = set(dataset.target[dataset.split["train"]])
        assert train == set(range(len(dataset.encoding.target.classes)))
        for rows_of_part in dataset.split.values():
            assert (dataset.target[rows_of_part] >= 0).all()


@pytest.mark.parametrize(
    "column",
    [
        [np.nan] * 40, [np.inf, -np.inf] * 20, [1e308, -1e308, 0, 1.0] * 10, [5e-324, 0.0] * 20,
        [3.25] * 40, [1e300, np.nan] * 20, [0.0] * 39 + [1e-320], [-0.0, 0.0] * 20,
    ],
)  # fmt: skip
def test_wild_numbers_reach_the_network_finite(tmp_path, column):
    frame = pd.DataFrame({"c": ["a", "b"] * 20, "x": column, "y": np.arange(40) / 7 - 2})
    dataset = read(tmp_path, frame, numeric=["x"])
    (numeric,) = dataset.encoding.numerics
    assert np.isfinite([numeric.center, numeric.scale]).all() and numeric.scale > 0
    numbers = dataset.encoded.numbers(np.arange(40))[:, 0]
    # The saved model is given float32: what that cannot hold is infinite, in training too.
    known = np.abs(np.array(column, "float64")) <= np.finfo("float32").max
    np.testing.assert_array_equal(np.isnan(numbers), ~known)
    assert np.abs(numbers[~np.isnan(numbers)]).max(initial=0) <= 1e6
    assert numeric.missing == (~known)[dataset.split["train"]].sum()
    assert any("infinite" in note for note in dataset.notes) == (~known & ~np.isnan(column)).any()


@pytest.mark.parametrize(
    "target",
    [np.arange(60) - 30.0, np.arange(60) * 1e30, [0.0, 1e-30] * 30,
     np.exp(np.arange(60.0)), 1e15 + np.arange(60.0), np.arange(60) * -1e-12],
)  # fmt: skip
def test_targets_of_any_size_come_back(tmp_path, target):
    frame = pd.DataFrame({"c": ["a", "b"] * 30, "y": target})
    dataset = read(tmp_path, frame, split_by=None, task="regression")
    encoded = dataset.encoding.target.encode(dataset.target[:])
    assert np.isfinite(encoded).all() and np.abs(encoded).max() < 1e4
    back = dataset.encoding.target.decode(encoded)
    np.testing.assert_allclose(back, target, rtol=1e-4, atol=1e-6 * np.ptp(target) + 5e-324 * 99)


def test_statistics_are_those_of_training_rows(tmp_path):
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"c": random.choice(["a", "b", "c"], 300), "y": random.normal(size=300)})
    frame.loc[::7, "c"] = None
    dataset = read(tmp_path, frame)
    train = frame.loc[dataset.split["train"][:]]
    made = vocabulary(dataset, "c")
    expected = train.groupby("c")["y"].agg(["size", "mean"])
    assert made.counts.tolist() == [train["c"].isna().sum(), 0, *expected["size"]]
    np.testing.assert_allclose(made.mean_target[2:], expected["mean"])
    np.testing.assert_allclose(made.mean_target[0], train.loc[train["c"].isna(), "y"].mean())
    assert np.isnan(made.mean_target[1])
