"""Cross-fitted vectors: each training row sees vectors that were learned without it."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import arrays, call, read_json, refused, succeeded, write
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from build_embeddings import load_embeddings, out_of_fold_vectors
from data.training.folds import FOLDS, fold_of, spread_of, tables_to_train

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=50), st.integers(0, 2**32 - 1))
def test_no_row_trains_the_table_of_its_own_fold(rows, seed):
    own, table_of = fold_of(rows, seed), tables_to_train(seed).table_of
    seen = np.stack([table_of(rows, epoch) for epoch in range(FOLDS - 1)])
    assert not (seen == own).any()
    assert all(len(set(tables)) == FOLDS - 1 for tables in seen.T)  # in turn all the others


def test_folds_are_of_one_size_and_follow_from_the_seed():
    rows = np.arange(30_000)
    sizes = np.bincount(fold_of(rows, 0), minlength=FOLDS)
    assert sizes.min() > 0.97 * len(rows) / FOLDS
    assert (fold_of(rows, 0) == fold_of(rows, 0)).all()
    assert (fold_of(rows, 0) != fold_of(rows, 1)).mean() > 0.5


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Of 2,000 people each has two rows, whose target is chance: there is nothing to learn of them.
    A city tells something."""
    folder, random = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    people, city = np.repeat(np.arange(2_000), 2), random.integers(0, 5, 4_000)
    noise = random.normal(size=4_000)
    table = pd.DataFrame({"person": [f"p{i}" for i in people], "city": city.astype(str)})
    table["size"] = random.normal(size=4_000)
    table["y"] = noise + 0.3 * city + 0.2 * table["size"]
    data = write(table, folder / "people.csv")
    options = ["--data", data, "--target", "y", "--categorical", "person", "city"]
    succeeded(call(FIRST, *options, "--epochs", 10, "--output", folder / "set", "--no-report"))
    return SimpleNamespace(folder=folder / "set", table=table, options=options, noise=noise)


def explained(vectors, target):
    return Ridge(1e-3).fit(vectors, target).score(vectors, target)


def test_vectors_learned_without_a_row_know_nothing_of_its_chance(people):
    vectors = out_of_fold_vectors(people.folder)
    assert vectors.index.is_unique and (vectors.dtypes == "float32").all()
    persons = [column for column in vectors if column.startswith("person_")]
    noise, who = people.noise[vectors.index], people.table["person"][vectors.index]
    without = explained(vectors[persons], noise)
    saved = load_embeddings(people.folder)["person"].loc[who].to_numpy()
    memorised = explained(saved, noise)
    assert memorised > 0.2 and without < 0.1 * memorised


def test_the_saved_vectors_are_the_mean_and_say_how_sure_they_are(people):
    manifest, vectors = read_json(people.folder / "embeddings.json"), arrays(people.folder)
    with np.load(people.folder / "folds.npz") as tables:
        for column, entry in manifest["columns"].items():
            table = tables[entry["array"]]
            assert table.shape == (FOLDS, entry["cardinality"], entry["size"])
            assert (table.mean(axis=0) == vectors[column]).all()
            assert entry["spread"] == pytest.approx(spread_of(table), abs=1e-6)
    spread = {column: np.mean(e["spread"][2:]) for column, e in manifest["columns"].items()}
    assert spread["person"] > 2 * spread["city"]  # a city has 800 rows, a person two
    lines = pd.read_csv(people.folder / manifest["columns"]["city"]["csv"])
    assert list(lines.columns[:3]) == ["category", "rows", "spread"]
    assert lines["spread"].tolist() == manifest["columns"]["city"]["spread"][2:]


def test_frozen_vectors_are_those_saved_and_by_default_two_networks_predict(people, tmp_path):
    model = tmp_path / "frozen"
    command = [SECOND, "--embeddings", people.folder, "--epochs", 3, "--no-report"]
    succeeded(call(*command, "--frozen", "--output", model))
    for column, vectors in arrays(people.folder).items():
        assert (arrays(model / "embed_model")[column] == vectors).all()
    tried = succeeded(call(*command, "--output", tmp_path / "both")).stdout
    (line,) = [line for line in tried.splitlines() if line.startswith("validation loss: ")]
    assert re.search(r"prediction: fine-tuned \d/8, scratch \d/8", line)
    manifest = read_json(tmp_path / "both" / "embed_model" / "embeddings.json")
    assert not manifest["frozen"]


def test_a_second_script_of_another_seed_finds_the_same_folds(people):
    """Else training rows would be given vectors that have learned from them."""
    vectors = out_of_fold_vectors(people.folder)
    again = ["--embeddings", people.folder, "--seed", 5, "--epochs", 1, "--frozen", "--no-report"]
    succeeded(call(SECOND, *again, "--output", people.folder.parent / "other"))
    pd.testing.assert_frame_equal(out_of_fold_vectors(people.folder), vectors)


def test_a_table_that_has_changed_gets_no_vectors(people):
    """Rows in another order would be given vectors that have learned from them."""
    path = people.folder.parent / "people.csv"
    whole = path.read_bytes()
    try:
        write(people.table[::-1], path)
        with pytest.raises(ValueError, match="changed since"):
            out_of_fold_vectors(people.folder)
    finally:
        path.write_bytes(whole)


def test_without_rare_categories_there_is_one_vector_for_each(tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"city": random.integers(0, 3, 900).astype(str)})
    table["y"] = random.normal(size=900) + table["city"].astype(int)
    data = write(table, tmp_path / "cities.csv")
    options = ["--target", "y", "--categorical", "city", "--epochs", 2, "--no-report"]
    succeeded(call(FIRST, "--data", data, *options, "--output", tmp_path / "set"))
    manifest = json.loads((tmp_path / "set" / "embeddings.json").read_text())
    assert "folds" not in manifest and not (tmp_path / "set" / "folds.npz").exists()
    with pytest.raises(ValueError, match="none is rare"):
        out_of_fold_vectors(tmp_path / "set")


def test_damaged_folds_are_refused(people, tmp_path):
    path = people.folder / "folds.npz"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-200])
        command = [SECOND, "--embeddings", people.folder, "--output", tmp_path / "never"]
        assert "folds.npz" in refused(call(*command))
    finally:
        path.write_bytes(whole)
