"""What is decided on the first rows of a long table is true of all of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reading import read, refusal

from data.tables import formats, survey
from data.tables.survey import Survey, surveyed_values

ROWS, FIRST = 3000, 1000  # of the table, and of those that decide


@pytest.fixture(autouse=True)
def short_sample(monkeypatch):
    """The first thousand rows decide, and a thousand are read at a time."""
    monkeypatch.setattr(formats, "SAMPLE_VALUES", 0)
    monkeypatch.setattr(formats, "CHUNK_VALUES", 0)


def table(**columns):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"c": random.choice(list("abc"), ROWS), "y": random.normal(size=ROWS)})
    return frame.assign(**columns)


def late(values):
    """A column that is empty in the first rows."""
    values = pd.Series(values, dtype=object)
    values[: FIRST + 200] = None
    return values


random = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("loyalty", late(random.choice(["gold", "silver"], ROWS)), "categorical"),
        ("fee", late(random.normal(size=ROWS).round(2)), "numeric"),
        ("since", late(pd.date_range("2020-01-01", periods=ROWS).strftime("%d.%m.%Y")), "date"),
        ("shop", late(random.integers(1, 9, ROWS)), "categorical"),
        ("customer", [f"k{i % 1500}" for i in range(ROWS)], "categorical"),
        ("customer", [i % 1500 for i in range(ROWS)], "categorical"),
        ("x", [min(i, 7) + i % 3 if i < 1200 else i for i in range(ROWS)], "numeric"),
    ],
)
def test_a_column_is_what_all_rows_say(tmp_path, name, values, role):
    dataset = read(tmp_path, table(**{name: values}))
    assert dataset.roles[name].role == role
    assert not any("left out" in note for note in dataset.notes)
    again = read(tmp_path, table(**{name: values}), **{
        option: dataset.settings[option] for option in ("categorical", "numeric", "dates")
    })  # fmt: skip
    np.testing.assert_array_equal(again.target[:], dataset.target[:])
    assert [v.values for v in again.encoding.vocabularies] == [
        v.values for v in dataset.encoding.vocabularies
    ]


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("empty", [None] * ROWS, "no value at all"),
        ("one", range(ROWS), "every value is distinct"),
        ("other", [f"u{i}" for i in range(ROWS)], "every value is distinct"),
        ("code", [f"u{i // 2 if i % 3 else i}" for i in range(ROWS)], "text that hardly repeats"),
    ],
)
def test_a_column_stays_out_where_all_rows_say_so(tmp_path, name, values, why):
    dataset = read(tmp_path, table(**{name: values}))
    assert (dataset.roles[name].role, dataset.roles[name].why) == ("left out", why)


def test_a_column_that_some_files_lack_may_be_surveyed(tmp_path):
    frame = table(u=[f"u{i}" for i in range(ROWS)])
    frame.to_csv(tmp_path / "one.csv", index=False)
    for name in ("two", "test"):
        frame.sample(frac=0.9, random_state=len(name)).drop(columns="u").to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    names = [str(tmp_path / f"{name}.csv") for name in ("one", "two", "test")]
    dataset = read(tmp_path, names[:2], test_data=names[2:])
    assert dataset.roles["u"].role == "left out"


def test_a_mistake_among_late_values_is_named_with_its_row(tmp_path):
    values = late(random.normal(size=ROWS).round(2))
    values[2017] = "unknown"
    message = refusal(read, tmp_path, table(fee=values))
    assert "'fee'" in message and "'unknown' in row 2017" in message


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "", "1", None, "é"])), max_size=6))
def test_a_survey_counts_as_the_whole_does(parts):
    whole, counted = [text for part in parts for text in part], Survey(4)
    for part in parts:
        counted.add(pd.Categorical(part))
    values = surveyed_values(counted.found(), None)
    present = [(i, text) for i, text in enumerate(whole) if text is not None]
    assert (values.rows, values.distinct) == (len(present), len({t for _, t in present}))
    assert [values.texts[code] for code in values.codes] == [text for _, text in present[:4]]
    assert values.row_ids == [i for i, _ in present[:4]]


@pytest.mark.parametrize("times", [1, 2, 10])
def test_a_survey_of_many_values_is_near_enough(monkeypatch, times):
    monkeypatch.setattr(survey, "COUNTED", 4096)
    counted = Survey(10)
    for start in range(0, 200_000, 20_000):
        numbers = np.arange(start, start + 20_000) % (200_000 // times)
        counted.add(pd.Categorical([f"v{i}" for i in numbers]))
    found = counted.found()
    assert found["all_rows"] == 200_000 and len(counted.hashes) == 4096
    assert found["all_distinct"] == pytest.approx(200_000 / times, rel=0.05)
    assert (found["all_distinct"] == 200_000) == (times == 1)
    if times == 1:  # not all of them were counted
        assert surveyed_values(found, None).distinct == 199_999
