"""Numeric columns: their scales and bins, and what the final model makes of them."""

import numpy as np
import pandas as pd
from conftest import call, read_json, succeeded, write
from hypothesis import example, given
from hypothesis import strategies as st

from data.tables.scaling import BINS, FARTHEST, ROWS_OF_A_BIN, fit_numeric, scaled


@given(st.lists(st.floats(), max_size=60), st.integers(1, 40))
@example([], 1)
@example([np.nan, -np.inf], 1)
@example([7.0], 500)
@example([-1.7e308, 0.0, 1.7e308], 200)
@example([0.0] * 900 + [1e-320], 1)
def test_whatever_a_column_holds_its_bins_ascend_and_are_never_more_than_its_rows_bear(
    values, times
):
    column = np.array(values * times, "float64")
    numeric = fit_numeric("x", column, 0)
    edges = np.array(numeric.edges)
    assert 1 <= len(edges) <= BINS + 1
    assert len(edges) <= 2 + len(column) // ROWS_OF_A_BIN
    assert (np.diff(edges) > 0).all()
    assert np.abs(edges).max() <= FARTHEST
    finite = column[np.isfinite(column)]
    if len(finite):  # all of them are in some bin
        inside = scaled(finite, numeric.center, numeric.scale)
        assert edges[0] == inside.min() and edges[-1] == inside.max()


def test_bins_hold_as_many_rows_each():
    skewed = np.random.default_rng(0).lognormal(0, 2, 16_000)
    numeric = fit_numeric("x", skewed, 0)
    rows, _ = np.histogram((skewed - numeric.center) / numeric.scale, numeric.edges)
    assert len(rows) == BINS
    np.testing.assert_allclose(rows, len(skewed) / BINS, atol=2)


def test_a_frequent_value_leaves_the_other_bins_to_the_others():
    """As capital gains, which are 0 in nearly all rows; centre and scale are not those of 0."""
    random = np.random.default_rng(0)
    gains = np.where(random.random(20_000) < 0.95, 0.0, random.lognormal(8, 1, 20_000))
    numeric = fit_numeric("gain", gains, 0)
    assert numeric.center == 0 and len(numeric.edges) > 0.9 * BINS
    others = gains[gains > 0]
    assert 0.5 < np.median(others) / numeric.scale < 2
    rows, _ = np.histogram(others / numeric.scale, numeric.edges)
    assert rows[1:].max() < 3 * len(others) / BINS


def test_each_of_few_values_is_a_limit_of_bins():
    numeric = fit_numeric("x", np.repeat([1.0, 2.0, 4.0, 8.0], [5_000, 40, 3_000, 300]), 0)
    edges = np.array(numeric.edges) * numeric.scale + numeric.center
    np.testing.assert_allclose(edges, [1, 2, 4, 8], rtol=1e-6)


def test_steps_in_a_number_are_learned_and_what_lies_beyond_or_is_missing_stays_sane(tmp_path):
    """The target goes up and down four times with x; missing ones have a level of their own."""
    random = np.random.default_rng(0)
    x = random.random(3000)
    target = np.floor(8 * x) % 2
    missing = random.random(3000) < 0.1
    table = pd.DataFrame(
        {
            "city": random.choice(list("abcd"), 3000),
            "x": np.where(missing, np.nan, x),
            "few": random.choice([0.5, 1.5], 3000),  # fewer bins than x has
            "target": np.where(missing, 3.0, target) + random.normal(0, 0.1, 3000),
        }
    )
    options = ["--data", write(table, tmp_path / "table.csv"), "--target", "target"]
    options += ["--categorical", "city", "--numeric", "x", "few", "--epochs", 10, "--no-report"]
    succeeded(call("build_embeddings.py", *options, "--output", tmp_path / "set"))
    options = ["--embeddings", tmp_path / "set", "--epochs", 10, "--no-report"]
    succeeded(call("build_embed_model.py", *options))
    metrics = read_json(tmp_path / "set/embed_model/metrics.json")
    assert metrics["test"]["rmse"] < 0.3  # without vectors of numbers 0.43; of the noise 0.1

    new = pd.DataFrame({"city": "a", "x": [-3e38, -5.0, 5.0, 3e38, None, 1e300], "few": 0.5})
    options = ["--embeddings", tmp_path / "set", "--output", tmp_path / "predicted.csv"]
    succeeded(call("build_embed_model.py", "--predict", write(new, tmp_path / "new.csv"), *options))
    predicted = pd.read_csv(tmp_path / "predicted.csv").predicted
    assert predicted[:4].between(-2, 3).all()
    assert abs(predicted[4] - 3) < 0.3
    assert predicted[5] == predicted[4]  # float32, as the saved model takes it, cannot hold it
