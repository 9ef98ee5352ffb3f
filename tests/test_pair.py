"""Both scripts, one after the other, on small tables: what a user finds on disk and relies on.

Each kind of target is learned once (tests/conftest.py); most tests look at what those runs left.
"""

import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import (
    ROOT,
    arrays,
    call,
    manifest,
    predictions,
    read_json,
    read_text,
    refused,
    run,
    sha256,
    succeeded,
    tree,
    write,
)
from sklearn import metrics

from build_embeddings import load_embeddings
from data.sets.publishing import check_output

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"
METRICS = {
    "regression": ["rmse", "mae", "r2", "mape"],
    "binary": ["log_loss", "accuracy", "roc_auc", "average_precision"],
    "multiclass": ["log_loss", "accuracy", "macro_f1"],
}


def recomputed(kind, classes, actual, predicted):
    """scikit-learn's metrics; predicted: means and medians [rows, 2], or probabilities [rows,
    classes]."""
    if kind == "regression":
        mean, median = predicted.T
        some = actual != 0  # a percentage of nothing is nothing, and of next to nothing anything
        near = np.mean(np.abs(actual) < 0.01 * np.abs(actual).mean()) >= 0.05
        return {
            "rmse": metrics.root_mean_squared_error(actual, mean),
            "mae": metrics.mean_absolute_error(actual, median),
            "r2": metrics.r2_score(actual, mean),
            "mape": None
            if near
            else metrics.mean_absolute_percentage_error(actual[some], median[some]),
        }
    chosen = np.array(classes)[predicted.argmax(axis=1)]
    found = {
        "log_loss": metrics.log_loss(actual, predicted, labels=classes),
        "accuracy": metrics.accuracy_score(actual, chosen),
    }
    if kind == "multiclass":
        return found | {"macro_f1": metrics.f1_score(actual, chosen, average="macro")}
    second = actual == classes[1]
    return found | {
        "roc_auc": metrics.roc_auc_score(second, predicted[:, 1]),
        "average_precision": metrics.average_precision_score(second, predicted[:, 1]),
    }


def outputs(table, classes):
    """The predictions in a test_predictions.csv: means and medians, or probabilities, [rows, 2] or
    [rows, classes]."""
    if not classes:
        return table[["predicted", "predicted_median"]].to_numpy()
    return table[[f"probability_{name}" for name in classes]].to_numpy()


# -------------------------------------------------------------------------- the saved vectors


def test_arrays_are_float32_of_the_promised_size(task):
    columns, found = manifest(task.output)["columns"], arrays(task.output)
    assert columns
    for name, column in columns.items():
        cardinality = len(column["vocabulary"]) + 2
        size = max(2, min(cardinality // 2, 50))
        assert (column["cardinality"], column["size"]) == (cardinality, size)
        assert found[name].dtype == np.float32
        assert found[name].shape == (cardinality, size)
        assert np.isfinite(found[name]).all()


@pytest.mark.parametrize(
    ("fixture", "column", "size"),
    [("multiclass", "currency", 2), ("multiclass", "shop", 7), ("binary", "publisher", 50)],
)
def test_the_vocabulary_is_that_of_the_training_rows(fixture, column, size, request):
    pair = request.getfixturevalue(fixture)
    if fixture == "multiclass":
        train = pd.read_csv(pair.parts["data"])
    else:
        train = pd.read_csv(pair.table).sort_values("time").head(480)  # 80 % of 600
    entry = manifest(pair.output)["columns"][column]
    assert entry["vocabulary"] == sorted(train[column].dropna().unique().tolist())
    assert entry["size"] == size
    rows = train[column].value_counts()
    assert entry["rows"][2:] == [rows[value] for value in entry["vocabulary"]]


def test_categories_keep_their_type(regression):
    columns = manifest(regression.output)["columns"]
    assert {name: column["type"] for name, column in columns.items()} == {
        "city": "str",
        "shop": "int",
        "online": "bool",
        "grade": "float",
    }
    assert columns["shop"]["vocabulary"] == list(range(1, 13))
    assert columns["online"]["vocabulary"] == [False, True]
    assert columns["grade"]["vocabulary"] == [0.5, 1.0, 2.25]
    assert "東京" in columns["city"]["vocabulary"]


def test_every_file_is_listed_with_its_sha256(task):
    for folder in (task.output, task.model):
        found = tree(folder)
        found = {name: digest for name, digest in found.items() if "embed_model/" not in name}
        del found["embeddings.json"]
        assert manifest(folder)["files"] == found


def test_what_the_sets_hold(task):
    columns = manifest(task.output)["columns"]
    expected = {"embeddings.npz", "embeddings.json", "history.csv", "metrics.json"}
    expected |= {
        "test_predictions.csv",
        "report.html",
        "vectors.parquet",
        "pictures/curves.png",
        "pictures/curves.svg",
    }
    expected |= {f"vectors/{name}.csv" for name in columns}
    expected |= {f"neighbours/{name}.csv" for name in columns}
    for part in ("vectors", "metadata"):
        expected |= {f"projector/{name}_{part}.tsv" for name in columns}
    assert expected <= set(tree(task.before))
    expected = {"model.keras", "embeddings.npz", "embeddings.json", "history.csv"}
    expected |= {
        "metrics.json",
        "test_predictions.csv",
        "pictures/curves.png",
        "pictures/curves.svg",
    }
    assert expected | {f"vectors/{name}.csv" for name in columns} <= set(tree(task.model))


def test_csv_vectors_are_those_of_the_npz(task):
    for folder in (task.output, task.model):
        found = arrays(folder)
        for name, column in manifest(folder)["columns"].items():
            frame = pd.read_csv(folder / column["csv"], index_col=0)
            assert frame.index.tolist() == column["vocabulary"]
            assert frame["rows"].tolist() == column["rows"][2:]
            if "spread" in column:
                assert frame.pop("spread").tolist() == column["spread"][2:]
            vectors = frame.drop(columns="rows")
            assert vectors.columns.tolist() == [f"dim_{i}" for i in range(column["size"])]
            np.testing.assert_array_equal(vectors.to_numpy("float32"), found[name][2:])


def test_load_embeddings_gives_typed_frames_without_tensorflow(regression):
    code = (
        "import sys; from build_embeddings import load_embeddings; "
        f"frames = load_embeddings({str(regression.output)!r}); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'TensorFlow was imported'; "
        "print(frames['shop'].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("(12, 7)\n", "")
    frames = load_embeddings(regression.output)
    kinds = {name: frame.index.dtype.kind for name, frame in frames.items()}
    assert kinds.pop("city") in "OUT"
    assert kinds == {"shop": "i", "online": "b", "grade": "f"}
    found = arrays(regression.output)
    for name, frame in frames.items():
        np.testing.assert_array_equal(frame.to_numpy(), found[name][2:])
        assert frame.index.tolist() == manifest(regression.output)["columns"][name]["vocabulary"]
        assert frame.attrs["unseen"] == found[name][1].tolist()


def test_vectors_of_missing_values(regression):
    """Trained where there were some; elsewhere the vector of the unseen."""
    found = arrays(regression.output)
    assert not np.array_equal(found["city"][0], found["city"][1])
    np.testing.assert_array_equal(found["shop"][0], found["shop"][1])


# --------------------------------------------------------------------- history and metrics


def test_history_has_a_row_for_each_epoch(task):
    for folder in (task.output, task.model):
        history = pd.read_csv(folder / "history.csv")
        assert history["epoch"].tolist() == [1, 2, 3]
        assert {"loss", "val_loss", "learning_rate", "seconds"} <= set(history.columns)
        assert np.isfinite(history.to_numpy("float64")).all()
        assert history["loss"].iloc[-1] < history["loss"].iloc[0]


def test_metrics_have_the_promised_keys(task):
    for folder in (task.output, task.model):
        found = read_json(folder / "metrics.json")
        assert found["task"] == task.task
        promised = {"task", "rows", "seconds", "test", "validation", "baseline"}
        if folder == task.model:
            promised |= {"last_fit_epochs_with_validation_rows", "shares"}
        assert set(found) == promised
        assert list(found["rows"]) == ["train", "validation", "test"]
        assert list(found["seconds"]) == ["read", "encode", "train", "total"]
        assert 0 < found["seconds"]["train"] < found["seconds"]["total"]
        for part in ("test", "validation", "baseline"):
            assert list(found[part]) == METRICS[task.task]


def test_metrics_are_those_of_the_test_predictions(task):
    table = pd.read_csv(task.table)
    for folder in (task.output, task.model):
        found, saved = predictions(folder), read_json(folder / "metrics.json")
        classes = manifest(folder)["target"]["classes"]
        assert len(found) == saved["rows"]["test"]
        actual = table[task.target].iloc[found["row"]].to_numpy()
        np.testing.assert_array_equal(found["actual"].to_numpy(), actual)
        predicted = outputs(found, classes)
        expected = recomputed(task.task, classes, actual, predicted)
        assert saved["test"] == pytest.approx(expected, rel=1e-6)
        if classes:
            np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)
            chosen = np.array(classes)[predicted.argmax(axis=1)]
            np.testing.assert_array_equal(found["predicted"].to_numpy(), chosen)


def test_the_baseline_knows_the_training_rows_alone(binary, multiclass):
    train = pd.read_csv(binary.table).sort_values("time").head(480)["bought"]
    shares = train.value_counts(normalize=True).sort_index()
    actual = predictions(binary.output)["actual"].to_numpy()
    expected = recomputed(
        "binary", list(shares.index), actual, np.tile(shares.to_numpy(), (len(actual), 1))
    )
    assert read_json(binary.output / "metrics.json")["baseline"] == pytest.approx(expected)

    shares = pd.read_csv(multiclass.parts["data"])["paint"].value_counts(normalize=True)
    shares = shares.sort_index()
    actual = predictions(multiclass.output)["actual"].to_numpy()
    expected = recomputed(
        "multiclass", list(shares.index), actual, np.tile(shares.to_numpy(), (len(actual), 1))
    )
    assert read_json(multiclass.output / "metrics.json")["baseline"] == pytest.approx(expected)


def test_validation_rows_are_judged_at_the_best_epoch(binary, multiclass, tmp_path):
    """Which is before a last fit takes them in: the loss of classes is their log loss."""
    for pair in (binary, multiclass):
        alone = tmp_path / pair.task  # one network, whose history is there
        options = ["--embeddings", pair.before, "--output", alone, "--fine-tune", "--epochs", 3]
        succeeded(call(SECOND, *options, "--no-report"))
        for folder in (pair.output, alone / "embed_model"):
            lowest = pd.read_csv(folder / "history.csv")["val_loss"].min()
            saved = read_json(folder / "metrics.json")["validation"]["log_loss"]
            assert saved == pytest.approx(lowest, rel=1e-4)


def test_where_categories_are_rare_the_last_fit_starts_anew_on_all_rows(regression):
    metrics = read_json(regression.model / "metrics.json")
    best = int(pd.read_csv(regression.model / "history.csv")["val_loss"].argmin()) + 1
    assert metrics["last_fit_epochs_with_validation_rows"] == best
    assert f"last fit: anew for {best} epochs, validation rows included" in regression.second.stdout


@pytest.mark.parametrize("target", ["y", "yes"])
def test_few_rows_go_on_with_the_validation_rows_unless_they_would_overfit(target, tmp_path):
    """Of hardly any signal the loss is soon at its lowest: classes do not go on then."""
    random = np.random.default_rng(2)
    shop, effects = random.integers(0, 6, 600), random.normal(0, 0.7, 6)
    table = pd.DataFrame({"shop": shop.astype(str), "y": effects[shop] + random.normal(size=600)})
    path = write(table.assign(yes=table["y"] > 0)[["shop", target]], tmp_path / "noisy.csv")
    options = ["--epochs", 20, "--no-report", "--output", tmp_path / "noisy"]
    succeeded(call("build_embeddings.py", "--data", path, "--target", target, *options))
    result = succeeded(call("build_embed_model.py", *options))
    losses = pd.read_csv(tmp_path / "noisy" / "embed_model" / "history.csv")["val_loss"]
    best = int(losses.argmin()) + 1
    assert 3 <= best < 16
    said = f"last fit: on for {best // 3} epochs, validation rows included"
    assert (said in result.stdout) == (target == "y") == ("last fit" in result.stdout)


def test_it_learns(task):
    """Three epochs on a strong signal beat the baseline, the numbers add to the names."""
    first, second = (read_json(f / "metrics.json") for f in (task.output, task.model))
    measure = METRICS[task.task][0]
    assert first["test"][measure] < first["baseline"][measure]
    assert second["test"][measure] < second["baseline"][measure]
    if task.task != "multiclass":  # which has no numbers
        assert second["test"][measure] < first["test"][measure]


# ------------------------------------------------------------------------------- the split


def test_the_second_script_keeps_the_split(task):
    """Also of the options that only the first was given."""
    first, second = predictions(task.output), predictions(task.model)
    pd.testing.assert_frame_equal(first[["row", "actual"]], second[["row", "actual"]])
    rows = [read_json(folder / "metrics.json")["rows"] for folder in (task.output, task.model)]
    assert rows[0] == rows[1]
    assert set(manifest(task.model)["columns"]) == set(manifest(task.output)["columns"])


def test_a_random_split_is_80_10_10(regression):
    rows = read_json(regression.output / "metrics.json")["rows"]
    assert rows == {"train": 400, "validation": 50, "test": 50}
    row = predictions(regression.output)["row"]
    assert row.is_unique
    assert row.between(0, 499).all()
    assert row.max() > 400  # drawn from all of the table


def test_split_by_cuts_in_the_order_of_a_column(binary):
    times = pd.read_csv(binary.table)["time"]
    last = times.sort_values().index[-60:]
    assert sorted(predictions(binary.output)["row"]) == sorted(last)
    assert "time" not in manifest(binary.output)["columns"]


def test_files_given_as_validation_and_test_rows_are_used_as_they_are(multiclass):
    rows = read_json(multiclass.output / "metrics.json")["rows"]
    assert rows == {"train": 400, "validation": 80, "test": 100}
    assert predictions(multiclass.output)["row"].tolist() == list(range(100))


def test_dropped_columns_are_not_used(binary, regression):
    for pair, dropped in ((binary, {"refund"}), (regression, {"bought", "paint"})):
        for folder in (pair.output, pair.model):
            found = manifest(folder)
            assert not dropped & (set(found["columns"]) | set(found["numeric"]))


def test_another_seed_and_a_task_of_ones_own(regression, tmp_path):
    """shop, integers from 1 to 12, as a quantity, and with other test rows than those of seed 0."""
    options = ["--data", regression.table, "--target", "shop", "--epochs", 1, "--output", tmp_path]
    succeeded(call(FIRST, *options, "--task", "regression", "--seed", 1))
    saved = read_json(tmp_path / "metrics.json")
    assert saved["task"] == "regression"
    assert list(saved["test"]) == METRICS["regression"]
    found = predictions(tmp_path)
    assert len(found) == 50
    assert set(found["row"]) != set(predictions(regression.output)["row"])


# ------------------------------------------------------------------- frozen and fine-tuned


def test_frozen_vectors_stay_bit_for_bit(regression):
    first, second = arrays(regression.before), arrays(regression.model)
    assert list(first) == list(second)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes()


def test_fine_tuned_vectors_are_trained_further_and_saved_in_the_same_form(binary, multiclass):
    for pair in (binary, multiclass):
        first, second = arrays(pair.before), arrays(pair.model)
        for name in first:
            assert first[name].shape == second[name].shape
            assert not np.array_equal(first[name], second[name])
        frames = load_embeddings(pair.model)
        for name, frame in load_embeddings(pair.output).items():
            assert frames[name].index.equals(frame.index)


def test_the_second_script_leaves_the_first_ones_files_alone(task):
    before, after = tree(task.before), tree(task.output)
    for name in before:
        if name not in ("embeddings.json", "report.html"):  # the report now shows both
            assert after[name] == before[name], name


def test_the_model_says_which_vectors_it_began_with(task):
    (source,) = manifest(task.model)["sources"]
    assert source["set"] == str(task.output)
    assert source["sha256"] == sha256(task.before / "embeddings.npz")
    names = list(manifest(task.output)["columns"])
    assert source["columns"] == dict(zip(names, names, strict=True))


def test_the_final_model_may_be_saved_elsewhere(regression, tmp_path):
    """Then the set stays as it was, and the vectors are complete beside the model."""
    before = tree(regression.output)
    options = ["--embeddings", regression.before, "--epochs", 1, "--output", tmp_path / "model"]
    succeeded(call(SECOND, *options))
    assert {name.split("/")[0] for name in tree(tmp_path / "model")} == {
        "embed_model",
        "report.html",
    }
    assert load_embeddings(tmp_path / "model" / "embed_model")["city"].shape == (8, 5)
    assert tree(regression.output) == before


# ------------------------------------------------------------- the model, without our code

USE_THE_MODEL = """
import csv, sys
import keras
import numpy as np

assert "data" not in sys.modules and "build_embeddings" not in sys.modules
for model_file, table, part in zip(*[iter(sys.argv[1:])] * 3):
    model = keras.saving.load_model(model_file, safe_mode=True)
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    inputs = {}
    for column, tensor in model.input.items():
        texts = [row[column] for row in rows]
        if keras.backend.standardize_dtype(tensor.dtype) == "string":
            inputs[column] = np.array(texts, dtype=object)
        else:
            inputs[column] = np.array([float(text or "nan") for text in texts])
    np.save(part, model.predict(inputs, verbose=0), allow_pickle=False)
"""


def odd_rows(table):
    """Rows as no training row was: everything unseen, everything missing, far out, one by one."""
    some = read_text(table).head(8).copy()
    numbers = [column for column in ("x", "y") if column in some]
    others = [column for column in some if column not in numbers]
    some.loc[0, others], some.loc[0, numbers] = "no such thing", "0"
    some.loc[1] = ""
    some.loc[2, others] = ""
    some.loc[3, numbers] = ""
    some.loc[4, others], some.loc[4, numbers] = '🦆, "ü" \n', "1e30"
    some.loc[5, others], some.loc[5, numbers] = "-1", "-1e30"
    some.loc[6, others], some.loc[6, numbers] = "NA", ""
    return some


@pytest.fixture(scope="session")
def reloaded(regression, binary, multiclass, tmp_path_factory):
    """What the saved models say in another process that has Keras and nothing of ours.

    Returns:
        dict of task -> [predictions of the whole table, of odd rows]
    """
    folder = tmp_path_factory.mktemp("without our code")
    arguments, found = [], {}
    for pair in (regression, binary, multiclass):
        tables = [pair.table, write(odd_rows(pair.table), folder / f"odd {pair.task}.csv")]
        found[pair.task] = [folder / f"{pair.task} {i}.npy" for i in range(2)]
        for table, part in zip(tables, found[pair.task], strict=True):
            arguments += [pair.model / "model.keras", table, part]
    done = subprocess.run(
        [sys.executable, "-I", "-c", USE_THE_MODEL, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {task: [np.load(part) for part in parts] for task, parts in found.items()}


def test_the_model_alone_gives_the_test_predictions(task, reloaded):
    found = predictions(task.model)
    predicted = reloaded[task.task][0][found["row"]]
    expected = outputs(found, manifest(task.model)["target"]["classes"])
    if task.task == "regression":
        expected = found[["predicted", "predicted_median"]]
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-6)


def test_the_model_alone_takes_unseen_and_missing_values(task, reloaded):
    predicted = reloaded[task.task][1]
    assert predicted.shape == (8, {"regression": 2, "binary": 2, "multiclass": 3}[task.task])
    assert np.isfinite(predicted).all()
    if task.task != "regression":
        assert (predicted >= 0).all()
        np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-4)


def test_new_rows_are_predicted_from_a_file(regression, tmp_path):
    """In their order, without the target; the set itself stays as it was."""
    table = read_text(regression.table)
    test = predictions(regression.model)
    rows = table.iloc[test["row"]].drop(columns="sales")
    rows = pd.concat([rows, odd_rows(regression.table).drop(columns="sales")])
    path = write(rows, tmp_path / "new.csv")
    before = tree(regression.output)
    output = tmp_path / "predicted.csv"
    succeeded(
        call(SECOND, "--predict", path, "--embeddings", regression.output, "--output", output)
    )
    found = pd.read_csv(output)
    assert found["row"].tolist() == list(range(len(rows)))
    np.testing.assert_allclose(
        found["predicted"].iloc[: len(test)], test["predicted"], rtol=1e-4, atol=1e-6
    )
    assert np.isfinite(found["predicted"]).all()
    assert tree(regression.output) == before


def test_predictions_beside_the_model_are_in_nobodys_way(binary, tmp_path):
    """Without --embeddings and --output; afterwards both scripts still replace their results."""
    rows = read_text(binary.table).head(30).drop(columns="bought")
    write(rows, tmp_path / "new.csv")
    done = succeeded(run(SECOND, "--predict", tmp_path / "new.csv", root=binary.root))
    path = binary.output.with_name("visits-predictions") / "new.csv"
    assert str(path) in done.stdout
    assert len(pd.read_csv(path)) == 30
    check_output(binary.output)


# ---------------------------------------------------------- what test rows must not influence


def altered(table, rows, target):
    """The table with every value of some rows changed, each to one of its kind.

    Integers become one number more only, since many would be read as quantities.
    """
    table = table.copy()
    at = table.index[rows]
    for column in table:
        values = table.loc[at, column]
        if column == target:
            known = sorted(table[column].dropna().unique())
            changed = [known[0] if value != known[0] else known[-1] for value in values]
        elif values.dtype == bool:
            changed = ~values
        elif pd.api.types.is_integer_dtype(values):
            changed = 13
        elif pd.api.types.is_float_dtype(values):
            changed = values.fillna(5) * 100 + 1
        else:
            changed = "new " + values.fillna("").astype(str)
        table.loc[at, column] = changed
    return table


def test_test_rows_of_a_random_split_do_not_influence_the_vectors(regression, tmp_path):
    table = pd.read_csv(regression.table)
    rows = predictions(regression.output)["row"]
    write(altered(table, rows, "sales"), tmp_path / "sales.csv")
    options = [*regression.options, "--output", tmp_path / "set", "--no-report"]
    succeeded(call(FIRST, *options, cwd=tmp_path))
    after = predictions(tmp_path / "set")
    assert after["row"].tolist() == rows.tolist()
    assert (after["actual"] != predictions(regression.output)["actual"]).all()
    assert sha256(tmp_path / "set/embeddings.npz") == sha256(regression.output / "embeddings.npz")


def test_given_test_rows_do_not_influence_the_vectors(multiclass, tmp_path):
    table = pd.read_csv(multiclass.parts["test"])
    path = write(altered(table, slice(None), "paint"), tmp_path / "test.csv")
    options = [path if option == multiclass.parts["test"] else option
               for option in multiclass.options]  # fmt: skip
    assert path in options
    succeeded(call(FIRST, *options, "--output", tmp_path / "set", "--no-report"))
    assert sha256(tmp_path / "set/embeddings.npz") == sha256(multiclass.output / "embeddings.npz")


def test_the_same_command_gives_the_same_vectors_anywhere(regression, tmp_path):
    """In another process, folder, language, time zone and order of hashing."""
    shutil.copy(regression.table, tmp_path)
    surroundings = {"LANG": "C", "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "123"}
    options = [*regression.options, "--output", tmp_path / "set", "--no-report"]
    succeeded(run(FIRST, *options, cwd=tmp_path, env=surroundings))
    assert sha256(tmp_path / "set/embeddings.npz") == sha256(regression.output / "embeddings.npz")


# ------------------------------------------------------------------------- is it worth it?


def test_the_comparison(task, tmp_path):
    shutil.copytree(task.before, tmp_path / "set")
    options = ["--embeddings", tmp_path / "set", "--compare", "--epochs", 1, "--no-report"]
    said = succeeded(call(SECOND, *options)).stdout
    table = pd.read_csv(tmp_path / "set/embed_model/comparison.csv")
    compared = table.groupby("model", sort=False)["input"].agg(list).to_dict()
    without_and_with = ["codes", "embeddings"]
    assert compared == {
        "baseline": ["nothing"],
        "linear": ["one-hot"],
        "boosted trees": without_and_with,
        "random forest": without_and_with,
        "nearest neighbours": without_and_with,
        "our network": ["scratch", "frozen", "fine-tuned"],
    }
    found = read_json(tmp_path / "set/embed_model/metrics.json")
    baseline = table.set_index("model").loc["baseline"]
    for name in METRICS[task.task]:
        assert np.isfinite(table[name]).all()
        assert baseline[name] == pytest.approx(found["baseline"][name])
    best = METRICS[task.task][0]
    assert f"what the embeddings change in {best} (lower is better): boosted trees" in said
    assert table.set_index("model").loc["linear", best] < baseline[best]  # the tables' signal
    if task.task == "regression":  # training other networks leaves the saved one alone
        options = ["--predict", task.table, "--embeddings", tmp_path / "set"]
        succeeded(call(SECOND, *options, "--output", tmp_path / "again.csv"))
        saved = predictions(tmp_path / "set/embed_model")
        again = pd.read_csv(tmp_path / "again.csv")
        np.testing.assert_allclose(again["predicted"][saved["row"]], saved["predicted"], rtol=1e-4)


# -------------------------------------------------------------------- categories not seen before


def test_the_vector_of_unseen_categories_is_trained(tmp_path):
    """New brands earn as rare ones do, which is not as all do; the model is to know that."""
    random = np.random.default_rng(3)
    rare = random.random(3000) < 0.4
    brand = np.where(rare, random.integers(100, 140, 3000), random.integers(0, 5, 3000))
    city = random.integers(0, len("abcdefgh"), 3000)
    table = pd.DataFrame(
        {
            "brand": [f"brand {b}" for b in brand],
            "city": np.array(list("abcdefgh"))[city],
            "sales": np.where(rare, 3.0, 0.0) + city / 4 + random.normal(0, 0.5, 3000),
        }
    )
    new = table[rare].head(300).assign(brand=[f"new {i}" for i in range(300)])
    write(table, tmp_path / "table.csv")
    write(new, tmp_path / "new.csv")
    options = ["--data", tmp_path / "table.csv", "--test-data", tmp_path / "new.csv"]
    options += ["--target", "sales", "--epochs", 10, "--no-report"]
    rmse = {}
    for name, more in {"with": [], "without": ["--drop", "brand"]}.items():
        succeeded(call(FIRST, *options, *more, "--output", tmp_path / name))
        rmse[name] = read_json(tmp_path / name / "metrics.json")["test"]["rmse"]
    assert rmse["with"] < 1.02 * rmse["without"]
    assert rmse["with"] < 1.25  # 0.8; of an untrained vector 1.7, without brands 1.9


# ------------------------------------------------------------------------- the command line


def test_nothing_but_our_own_lines_appears(task):
    for result in (task.first, task.second):
        assert result.stderr == ""
        for word in ("Traceback", "Warning", "WARNING", "tensorflow", "oneDNN", "cuda", "I0000"):
            assert word not in result.stdout
    assert str(task.output.name) in task.first.stdout.splitlines()[-1]


def test_each_column_and_what_it_is_used_as_is_shown(binary):
    lines = {line.split()[0]: line for line in binary.first.stdout.splitlines() if line.split()}
    for column, role in {
        "city": "categorical", "publisher": "categorical", "shop": "categorical",
        "x": "numeric", "time": "split", "refund": "left out", "bought": "target",
    }.items():  # fmt: skip
        assert role in lines[column]


def test_vectors_of_a_final_model_are_for_other_tables(task):
    """They may have learned from the validation rows of their own, in the last fit."""
    sentence = refused(call(SECOND, "--embeddings", task.model))
    assert "validation rows" in sentence and "--data" in sentence


def test_training_that_no_longer_gains_stops_and_tells_which_epoch_is_kept(tmp_path):
    random = np.random.default_rng(0)
    noise = {"shop": random.choice(list("abcdefgh"), 400), "sales": random.normal(size=400)}
    options = ["--data", write(pd.DataFrame(noise), tmp_path / "noise.csv"), "--target", "sales"]
    options += ["--epochs", 30, "--output", tmp_path / "noise", "--no-report"]
    said = succeeded(call("build_embeddings.py", *options)).stdout
    stopped, best = map(int, re.search(r"after epoch (\d+): (\d+) was the best", said).groups())
    losses = pd.read_csv(tmp_path / "noise" / "history.csv")["val_loss"]
    assert len(losses) == stopped < 30
    assert losses.argmin() + 1 == best
