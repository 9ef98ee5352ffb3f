"""Vectors carried over to another table and another target."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import (
    CITIES,
    arrays,
    call,
    make_table,
    manifest,
    predictions,
    read_json,
    refused,
    sha256,
    succeeded,
    tree,
    write,
)

from build_embed_model import eighths_of
from data.sets.loading import read_set

SECOND = "build_embed_model.py"


def customers(rows, seed):
    """Another table with another target; none of its cities is missing.

    A city of three is unknown to the saved sets, and so are most of its shops.
    """
    random = np.random.default_rng(seed)
    cities = np.array([*CITIES, "Quito", "Lima", "Kyoto", "Dakar"], dtype=object)
    effect = np.random.default_rng(1).normal(size=len(cities))
    home, work, birth = random.integers(0, len(cities), (3, rows))
    age = random.normal(45, 15, rows)
    signal = effect[home] + effect[work] / 2 + (age - 45) / 15 + random.normal(0, 0.3, rows)
    return pd.DataFrame(
        {
            "home": cities[home],
            "work": cities[work],
            "birth": cities[birth],
            "shop": random.integers(9, 25, rows),  # 9 to 12 are known
            "weather": np.array(["sun", "rain", "snow"])[random.integers(0, 3, rows)],
            "age": age.round(1),
            "spent": (50 + 10 * signal).round(2),
            "left": signal < 0,
        }
    )


@pytest.fixture(scope="module")
def source(regression, multiclass, tmp_path_factory):
    """Two sets that both have a column city, and the new table in two files."""
    folder = tmp_path_factory.mktemp("reuse")
    shutil.copytree(regression.before, folder / "sales")
    shutil.copytree(multiclass.before, folder / "paint")
    write(customers(400, 20), folder / "customers.csv")
    write(customers(60, 21), folder / "later.csv")
    return folder


OPTIONS = ["--data", "customers.csv", "--test-data", "later.csv", "--epochs", 2]
BOTH = ["--embeddings", "sales", "paint", "--target", "left", "--drop", "spent", "--frozen"]
BOTH += ["--use", "sales:city=home", "sales:city=work", "paint:city=birth", "sales:shop=shop"]


@pytest.fixture(scope="module")
def frozen(source):
    """Two sets at once, one saved column for two columns, frozen, two classes."""
    return succeeded(call(SECOND, *OPTIONS, *BOTH, "--output", "frozen", cwd=source))


@pytest.fixture(scope="module")
def fine_tuned(source):
    """One set, fine-tuned, a regression; so slowly that the start can be seen in the end."""
    options = ["--embeddings", "sales", "--target", "spent", "--drop", "left", "--fine-tune"]
    options += ["--use", "city=home", "--learning-rate", 1e-12, "--no-report"]
    return succeeded(call(SECOND, *OPTIONS, *options, "--output", "fine-tuned", cwd=source))


def test_which_saved_column_serves_which_is_shown(frozen, source):
    lines = {line.split()[0]: line for line in frozen.stdout.splitlines() if ": " in line}
    table = pd.read_csv(source / "customers.csv")
    vocabulary = manifest(source / "paint")["columns"]["city"]["vocabulary"]
    for column, saved in {
        "home": "sales: city",
        "work": "sales: city",
        "birth": "paint: city",
        "shop": "sales: shop",
    }.items():
        known = table[column].isin(range(1, 13) if column == "shop" else vocabulary).mean()
        assert saved in lines[column]
        share = int(lines[column].split()[-1].rstrip("%"))  # of the training rows, most of these
        assert share == pytest.approx(100 * known, abs=3)
    assert "learned here" in next(
        line for line in frozen.stdout.splitlines() if "weather" in line and "none" in line
    )


def test_a_set_that_knows_less_than_half_is_warned_of(frozen):
    notes = [line for line in frozen.stdout.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "'shop'" in notes[0]
    assert "'sales'" in notes[0]


def test_frozen_vectors_are_the_saved_ones_bit_for_bit(frozen, source):
    """Also that of missing values, though this table has none; unknown categories get no rows."""
    saved, found = arrays(source / "sales"), arrays(source / "frozen" / "embed_model")
    assert set(found) == {"home", "work", "birth", "shop", "weather"}
    for column, name in {"home": "city", "work": "city", "shop": "shop"}.items():
        assert found[column].tobytes() == saved[name].tobytes()
    assert found["birth"].tobytes() == arrays(source / "paint")["city"].tobytes()
    columns = manifest(source / "frozen" / "embed_model")["columns"]
    assert "Quito" not in columns["home"]["vocabulary"]


def test_vectors_start_as_they_were_saved_on_the_same_table_and_on_another(
    fine_tuned, regression, source, tmp_path
):
    options = ["--embeddings", regression.before, "--learning-rate", 1e-12, "--epochs", 1]
    options.append("--no-report")
    succeeded(call(SECOND, *options, "--fine-tune", "--output", tmp_path / "new"))
    for column, saved in arrays(regression.before).items():
        started = arrays(tmp_path / "new" / "embed_model")[column]
        np.testing.assert_allclose(started, saved, atol=1e-6)
    carried = arrays(source / "fine-tuned" / "embed_model")
    before = arrays(source / "sales")["city"]
    np.testing.assert_allclose(carried["home"][: len(before)], before, atol=1e-6)


def test_fine_tuned_unknown_categories_get_rows_that_start_as_the_unseen_one(fine_tuned, source):
    saved = arrays(source / "sales")
    found = arrays(source / "fine-tuned" / "embed_model")
    columns = manifest(source / "fine-tuned" / "embed_model")["columns"]
    for column, name, new in (
        ("home", "city", ["Dakar", "Kyoto", "Lima", "Quito"]),
        ("shop", "shop", list(range(13, 25))),
    ):
        before = manifest(source / "sales")["columns"][name]["vocabulary"]
        assert columns[column]["vocabulary"] == before + new
        start = np.vstack([saved[name], np.tile(saved[name][1], (len(new), 1))])
        np.testing.assert_allclose(found[column], start, atol=1e-7)
    assert manifest(source / "fine-tuned" / "embed_model")["target"]["task"] == "regression"


def test_a_set_split_by_a_column_says_so_where_the_new_table_is_split_at_random(source, tmp_path):
    shutil.copytree(source / "sales", tmp_path / "sales")
    told = read_json(tmp_path / "sales/embeddings.json")
    told["options"]["split_by"] = "age"
    (tmp_path / "sales/embeddings.json").write_text(json.dumps(told))
    options = ["--data", source / "customers.csv", "--target", "left", "--drop", "spent", "shop"]
    options += ["--use", "city=home", "--epochs", 1, "--embeddings", tmp_path / "sales"]
    options.append("--no-report")
    said = succeeded(call(SECOND, *options, "--output", tmp_path / "random")).stdout
    assert "note: 'sales' was split in the order of 'age'" in said
    assert "saved vectors: fine-tuned" in said
    options += ["--split-by", "age", "--frozen"]
    said = succeeded(call(SECOND, *options, "--output", tmp_path / "ordered")).stdout
    assert "in the order of" not in said
    assert "saved vectors: frozen" in said


def test_the_sets_are_recorded_with_their_sha256(frozen, source):
    found = {item["set"]: item for item in manifest(source / "frozen" / "embed_model")["sources"]}
    assert set(found) == {str(source / "sales"), str(source / "paint")}
    for name, columns in {
        "sales": {"home": "city", "work": "city", "shop": "shop"},
        "paint": {"birth": "city"},
    }.items():
        item = found[str(source / name)]
        assert item["columns"] == columns
        assert item["sha256"] == sha256(source / name / "embeddings.npz")


def test_a_carried_set_has_the_final_model_alone(frozen, source):
    found = tree(source / "frozen")
    assert {name.split("/")[0] for name in found} == {"embed_model", "report.html"}
    listed = manifest(source / "frozen" / "embed_model")["files"]
    for name, digest in listed.items():
        assert found[f"embed_model/{name}"] == digest
    read_set(source / "frozen" / "embed_model")


@pytest.fixture(scope="module")
def alone(frozen, fine_tuned, source, tmp_path_factory):
    """The results where the sets that they came from are not."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("frozen", "fine-tuned"):
        shutil.copytree(source / name, folder / name)
    return folder


def predict(folder, name, table):
    path = write(table, folder / "rows.csv")
    options = ["--predict", path, "--embeddings", folder / name]
    succeeded(call(SECOND, *options, "--output", folder / f"{name}.csv", cwd=folder))
    return pd.read_csv(folder / f"{name}.csv")


@pytest.mark.parametrize(
    ("name", "column"), [("frozen", "probability_True"), ("fine-tuned", "predicted")]
)
def test_the_result_stands_on_its_own(name, column, alone, source):
    found = predict(alone, name, pd.read_csv(source / "later.csv"))
    expected = predictions(source / name / "embed_model")
    np.testing.assert_allclose(found[column], expected[column], rtol=1e-4, atol=1e-6)


def test_frozen_unknown_categories_are_one_and_the_same(alone, source):
    """Quito was in the training rows, Atlantis never; rows without any city differ from them."""
    rows = pd.read_csv(source / "later.csv").head(1)
    rows = pd.concat([rows.assign(home=city) for city in ("Quito", "Atlantis", None)])
    found = predict(alone, "frozen", rows)["probability_True"]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] != pytest.approx(found[2], rel=1e-6)


def test_test_rows_of_the_new_table_influence_nothing(frozen, source, tmp_path):
    """Two vectors are learned here: those of weather and the network behind; both stay."""
    table = pd.read_csv(source / "later.csv")
    table["age"], table["left"], table["weather"] = 1e4, ~table["left"], "hail"
    table["home"], table["shop"] = "Ys", 24
    path = write(table, tmp_path / "later.csv")
    options = [path if option == "later.csv" else option for option in OPTIONS]
    options += [*BOTH, "--output", tmp_path / "set", "--no-report"]
    succeeded(call(SECOND, *options, cwd=source))
    first, second = source / "frozen" / "embed_model", tmp_path / "set" / "embed_model"
    assert sha256(first / "embeddings.npz") == sha256(second / "embeddings.npz")
    pd.testing.assert_frame_equal(
        pd.read_csv(first / "history.csv").drop(columns="seconds"),
        pd.read_csv(second / "history.csv").drop(columns="seconds"),
    )
    assert (predictions(first)["actual"] != predictions(second)["actual"]).all()


def test_a_carried_set_is_a_set_to_carry_on(fine_tuned, source, tmp_path):
    """embed_model/ serves as --embeddings for a third table."""
    options = ["--embeddings", source / "fine-tuned" / "embed_model", "--target", "left"]
    options += ["--drop", "spent", "--frozen", "--epochs", 1, "--data", "later.csv", "--no-report"]
    succeeded(call(SECOND, *options, "--output", tmp_path / "set", cwd=source))
    first, second = arrays(source / "fine-tuned/embed_model"), arrays(tmp_path / "set/embed_model")
    assert first["home"].tobytes() == second["home"].tobytes()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # which of the two sets?
        (["--embeddings", "sales", "paint", "--use", "city=home"], "sales:city=home"),
        (["--embeddings", "sales", "--use", "town=home"], "no set has 'town'; the saved columns"),
        (["--embeddings", "sales", "--use", "city"], "SAVED=COLUMN"),
        (["--embeddings", "sales", "--use", "city=hoem"], "'hoem'"),
        # the set knows no kind of weather
        (["--embeddings", "sales", "--use", "city=weather"], "'weather'"),
        # no column has vectors
        (["--embeddings", "sales", "--drop", "shop"], "--use"),
        (["--embeddings", "absent"], "absent"),
        (["--embeddings", "sales", "--target", "profit"], "'profit'"),
    ],
)
def test_bad_input_ends_with_a_sentence_and_no_output(options, expected, source, tmp_path):
    target = [] if "--target" in options else ["--target", "left"]
    output = tmp_path / "set"
    result = call(SECOND, *OPTIONS, *options, *target, "--output", output, cwd=source)
    assert expected in refused(result)
    assert not output.exists()


def test_two_sets_need_a_table(source):
    assert "--data" in refused(call(SECOND, "--embeddings", "sales", "paint", cwd=source))


def test_the_set_at_output_is_taken_up_and_no_other_is_mixed_with_it(source, tmp_path):
    for name in ("sales", "paint"):
        shutil.copytree(source / name, tmp_path / name)
    succeeded(call(SECOND, "--output", tmp_path / "sales", "--epochs", 1, "--no-report"))
    made = manifest(tmp_path / "sales" / "embed_model")
    assert [one["set"] for one in made["sources"]] == [str(tmp_path / "sales")]
    before = tree(tmp_path / "paint")
    mixed = ["--embeddings", tmp_path / "sales", "--output", tmp_path / "paint"]
    assert "another set" in refused(call(SECOND, *mixed))
    assert tree(tmp_path / "paint") == before


def test_rows_that_the_vectors_have_learned_from_are_no_test_rows(source, tmp_path):
    """The same table and target, split by another seed: noise alone would look like a success."""
    path, fresh = write(customers(200, 22), tmp_path / "t.csv"), source / "later.csv"
    options = ["--epochs", 1, "--no-report", "--output"]
    learned = ["--data", path, "--target", "spent", "--drop", "left"]
    succeeded(call("build_embeddings.py", *learned, *options, tmp_path / "set"))
    again = ["--embeddings", tmp_path / "set", *learned]
    sentence = refused(call(SECOND, *again, "--seed", 1, *options, tmp_path / "o"))
    assert "'spent' from this very table" in sentence and "leave out --data" in sentence
    for more in ([], ["--seed", 1, "--test-data", fresh]):
        assert (
            "very table"
            not in succeeded(call(SECOND, *again, *more, *options, tmp_path / "o")).stdout
        )
    other = ["--embeddings", tmp_path / "set", "--data", path, "--target", "left", "--drop"]
    told = succeeded(call(SECOND, *other, "spent", *options, tmp_path / "p"))
    assert "rows of this very table that are test rows here" in told.stdout


def test_what_is_peculiar_to_a_category_under_the_new_target_is_learned_from_one_row(tmp_path):
    """Frozen vectors know half of it; the other half is each shop's own."""
    random = np.random.default_rng(0)
    shops = np.arange(300).astype(str)
    known, peculiar = random.normal(size=(2, len(shops)))

    def table(rows_of_each, target, name):
        at = np.repeat(np.arange(len(shops)), rows_of_each)
        noise = random.normal(0, 0.1, len(at))
        columns = {"shop": shops[at], "day": random.choice(list("abc"), len(at))}
        return write(pd.DataFrame({**columns, "target": target[at] + noise}), tmp_path / name)

    sales = table(30, known, "sales.csv")  # of which the vectors of each fold see 20
    options = ["--data", sales, "--target", "target", "--categorical", "shop", "day"]
    options.append("--no-report")
    succeeded(call("build_embeddings.py", *options, "--output", tmp_path / "sales"))
    options = ["--data", table(1, known + peculiar, "new.csv"), *options[2:], "--frozen"]
    options += ["--validation-data", table(1, known + peculiar, "validation.csv")]
    options += ["--test-data", table(2, known + peculiar, "test.csv")]
    options += ["--embeddings", tmp_path / "sales", "--output", tmp_path / "new"]
    succeeded(call(SECOND, *options))
    # 0.49; without the wide part 0.73, where rare ones are shown as unseen 0.65
    assert read_json(tmp_path / "new/embed_model/metrics.json")["test"]["rmse"] < 0.57


@pytest.fixture(scope="module")
def expecting(regression, tmp_path_factory):
    """A set with its final model, carried to a table that has all of the model's columns, a number
    of it as 0 and 1, which would be codes by themselves; then the set is gone."""
    folder = tmp_path_factory.mktemp("expecting")
    shutil.copytree(regression.output, folder / "sales")
    orders = make_table(300, 30).drop(columns=["sales", "paint"])
    write(orders.assign(y=(orders["y"] > 40).astype(int)), folder / "orders.csv")
    options = ["--embeddings", "sales", "--data", "orders.csv", "--target", "bought"]
    options += ["--categorical", "grade", "--epochs", 2]
    run = succeeded(call(SECOND, *options, "--output", "all", cwd=folder))
    options += ["--drop", "y", "--no-report"]
    lacking = succeeded(call(SECOND, *options, "--output", "lacking", cwd=folder))
    checksum = sha256(folder / "sales" / "embed_model" / "model.keras")
    shutil.rmtree(folder / "sales")
    return SimpleNamespace(folder=folder, run=run, lacking=lacking, checksum=checksum)


def test_what_the_final_model_of_a_set_expects_is_one_more_number(expecting):
    assert "one more number to learn from: the sales that " in expecting.run.stdout
    (source,) = manifest(expecting.folder / "all" / "embed_model")["sources"]
    assert source["model"]["target"] == "sales"
    assert source["model"]["sha256"] == expecting.checksum
    report = expecting.folder / "all" / "report.html"
    assert "the sales its model expects" in report.read_text("utf-8")


def test_of_two_networks_each_counts_the_more_the_lower_its_loss(expecting):
    assert "and a network from scratch beside them" in expecting.run.stdout
    assert re.search(r"prediction: fine-tuned \d/8, scratch \d/8", expecting.run.stdout)
    shares = read_json(expecting.folder / "all/embed_model/metrics.json")["shares"]
    assert sum(shares.values()) == 1 and list(shares) == ["fine-tuned", "scratch"]
    assert eighths_of({"fine-tuned": 1.0, "scratch": 1.0}) == {"fine-tuned": 4, "scratch": 4}
    assert eighths_of({"fine-tuned": 1.0, "scratch": 1.2}) == {"fine-tuned": 5, "scratch": 3}
    assert eighths_of({"fine-tuned": 1.0, "scratch": 2.0}) == {"fine-tuned": 8}
    assert eighths_of({"fine-tuned": 0.1, "scratch": 0.0}) == {"fine-tuned": 1, "scratch": 7}


def test_a_model_whose_columns_the_table_lacks_is_told_and_not_used(expecting):
    (note,) = [line for line in expecting.lacking.stdout.splitlines() if "expects" in line]
    assert note.startswith("note: ")
    assert note.endswith("is not used: this table has no numeric column 'y'.")
    (source,) = manifest(expecting.folder / "lacking" / "embed_model")["sources"]
    assert "model" not in source


def test_a_model_with_another_one_inside_stands_on_its_own(expecting):
    """It predicts the same from raw rows when the set is gone, and can be carried on itself."""
    folder = expecting.folder
    saved = predictions(folder / "all" / "embed_model")
    table = pd.read_csv(folder / "orders.csv", dtype=str, keep_default_na=False)
    write(table.iloc[saved["row"]], folder / "new.csv")
    call(SECOND, "--embeddings", "all", "--predict", "new.csv", "--output", "p.csv", cwd=folder)
    again = pd.read_csv(folder / "p.csv")
    np.testing.assert_allclose(again.filter(like="yes"), saved.filter(like="yes"), atol=1e-5)
    write(make_table(300, 31).drop(columns=["bought", "paint"]), folder / "sales.csv")
    options = ["--embeddings", "all/embed_model", "--data", "sales.csv", "--target", "sales"]
    options += ["--categorical", "grade", "--epochs", 1, "--output", "on", "--no-report"]
    carried = succeeded(call(SECOND, *options, cwd=folder))
    assert "one more number to learn from: the bought that " in carried.stdout
