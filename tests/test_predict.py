"""New rows: predictions in input order, whatever else their table does."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import (
    ROOT,
    call,
    manifest,
    predictions,
    read_json,
    refused,
    sha256,
    succeeded,
    tree,
    write,
)

from build_embed_model import load_model
from data import InputError
from data.sets.prediction import with_texts
from data.tables.dialect import USUAL

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"
LONG = "long name " * 30
# Names that mean something to Keras, NumPy, a file system or us.
ODD = {"country": "codes", "shop": "a/b: \n", "size": LONG, "score": "numbers", "day": "rows"}


def new_table(rows, seed):
    """Countries (one named NA), shops, prices of an article, numbers, dates; a class to predict."""
    random = np.random.default_rng(seed)
    country = random.choice(["NA", "DE", "FR", 'é, "q"'], rows)
    shop, score = random.integers(1, 7, rows), random.normal(size=rows)
    day = pd.Timestamp("2024-01-29") + pd.to_timedelta(random.integers(0, 60, rows), unit="D")
    signal = (
        (country == "NA") + shop / 6 + score + (day.day_of_week == 0) + random.normal(0, 0.1, rows)
    )
    table = pd.DataFrame(
        {
            "country": country.astype(object),
            "shop": shop,
            "size": random.choice([0.5, 1.0, 37.5], rows),
            "score": score,
            "day": day.strftime("%Y-%m-%d").astype(object),
            "level": np.array(["low", "7", "top, or so"])[np.digitize(signal, [0.5, 1.5])],
        }
    )
    table.loc[random.random(rows) < 0.1, ["country", "score"]] = None
    return table.rename(columns=ODD)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A multiclass model of a table with odd names; (its set, the folder with its table)."""
    folder = tmp_path_factory.mktemp("new rows")
    write(new_table(600, 0), folder / "train.csv")
    output = folder / "sets" / "train"
    options = ["--data", "train.csv", "--target", "level", "--categorical", LONG, "--keep-na"]
    options += ["codes", "--epochs", 2, "--output", output]
    first = succeeded(call(FIRST, *options, cwd=folder))
    # One aligned table: all parts of it, the name that is two lines long in one.
    lines = [line for line in first.stdout.splitlines() if not line.startswith("note")]
    (line,) = [line for line in lines if "a/b: \\n" in line]
    assert "categorical" in line and "few integers" in line and "8 x 4" in line
    assert "rows_weekday" in first.stdout and "rows_year" not in first.stdout
    second = succeeded(call(SECOND, "--embeddings", output, "--epochs", 2, cwd=folder))
    # The second one, of the same table, tells which column has vectors, not what each is again.
    assert "rows_weekday" in second.stdout and "few integers" not in second.stdout
    assert "480 train, 60 validation, 60 test rows" in second.stdout
    return output, folder


def predict(model, table, name="new.csv", *options):
    """The predictions of new rows, given as DataFrame."""
    output, folder = model
    path = folder / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    result = folder / "predicted.csv"
    result.unlink(missing_ok=True)
    shown = succeeded(
        call(SECOND, "--predict", path, "--embeddings", output, "--output", result, *options)
    ).stdout
    return pd.read_csv(result, keep_default_na=False), shown


def test_the_test_rows_get_the_same_predictions_again(model):
    output, folder = model
    saved = predictions(output / "embed_model")
    train = pd.read_csv(folder / "train.csv", dtype=str, keep_default_na=False)
    rows = train.iloc[saved["row"]].drop(columns="level")
    found, _ = predict(model, rows)
    assert found["row"].tolist() == list(range(len(rows)))
    assert found["predicted"].tolist() == saved["predicted"].tolist()
    classes = ["7", "low", "top, or so"]
    assert manifest(output / "embed_model")["target"]["classes"] == classes
    assert list(found.columns) == ["row", "predicted", *(f"probability_{c}" for c in classes)]
    np.testing.assert_allclose(found.iloc[:, 2:], saved.iloc[:, 3:], rtol=1e-4, atol=1e-6)


def test_order_of_columns_extra_ones_and_other_forms_change_nothing(model):
    table = new_table(80, 1)
    expected, _ = predict(model, table.drop(columns="level"))
    other = table[table.columns[::-1]].assign(extra="x", more=1)
    found, shown = predict(model, other)
    pd.testing.assert_frame_equal(found, expected)
    assert "not needed: level, extra, more" in shown
    # Parquet, with its own types; 1 and 1.0 are one shop.
    typed = other.assign(**{ODD["shop"]: other[ODD["shop"]].astype(float)})
    found, _ = predict(model, typed, "new.parquet")
    pd.testing.assert_frame_equal(found, expected)
    found, _ = predict(model, typed, "new.tsv")
    pd.testing.assert_frame_equal(found, expected)


def test_every_row_is_predicted_alone(model):
    """In input order, and whatever the other rows are."""
    table = new_table(50, 2)
    table.loc[3, list(table.columns[:5])] = None  # nothing known
    table.loc[4, ["codes", "a/b: \n", LONG]] = ["Atlantis", 99, 1e9]  # nothing seen
    table.loc[5, "numbers"] = np.inf
    table.loc[6, "rows"] = "2031-12-24"
    expected, _ = predict(model, table)
    order = np.random.default_rng(0).permutation(50)
    found, _ = predict(model, table.iloc[order])
    np.testing.assert_allclose(
        found.iloc[:, 2:].astype(float),
        expected.iloc[order, 2:].astype(float),
        rtol=1e-5,
        atol=1e-7,
    )
    probabilities = expected.iloc[:, 2:].astype(float)
    assert np.isfinite(probabilities).all(axis=None)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    one, _ = predict(model, table.iloc[[7]])
    np.testing.assert_allclose(
        one.iloc[0, 2:].astype(float), expected.iloc[7, 2:].astype(float), rtol=1e-5, atol=1e-7
    )
    # A country named NA is not a missing one.
    pair = table.iloc[[8, 8]].assign(codes=["NA", None])
    found, _ = predict(model, pair)
    assert not np.allclose(found.iloc[0, 2:].astype(float), found.iloc[1, 2:].astype(float))


def test_bad_new_rows_are_refused(model, tmp_path):
    output, _ = model
    table = new_table(20, 3)
    cases = {
        "absent.csv": (table.drop(columns="codes"), ["absent.csv", "'codes' is missing"]),
        "date.csv": (table.drop(columns="rows"), ["'rows' is missing"]),
        "text.csv": (table.astype({"numbers": object}).replace({"numbers": {None: "soon"}}),
                     ["'numbers' holds 'soon' in row"]),
        "day.csv": (table.assign(rows="01/02/2024"), ["'rows'", "two ways"]),
        "none.csv": (table[:0], ["no rows"]),
    }  # fmt: skip
    cases["text.csv"][0].loc[2, "numbers"] = "soon"
    before = tree(output)
    for name, (wrong, parts) in cases.items():
        write(wrong, tmp_path / name)
        result = tmp_path / "out.csv"
        message = refused(
            call(SECOND, "--predict", tmp_path / name, "--embeddings", output, "--output", result)
        )
        for part in parts:
            assert part in message, message
        assert not result.exists()
    good = write(table, tmp_path / "good.csv")
    message = refused(call(SECOND, "--predict", good, "--embeddings", output, "--output", tmp_path))
    assert "this is a folder" in message
    message = refused(
        call(SECOND, "--predict", good, "--embeddings", output, "--output", good / "x.csv")
    )
    assert "x.csv" in message
    assert tree(output) == before


def test_a_last_row_may_have_any_category(model):
    """Of a table to learn from it would be refused: a sum of the others."""
    table = new_table(3, 12).assign(codes=["DE", "NA", "Total"])
    found, _ = predict(model, table)
    assert len(found) == 3


def test_a_set_without_a_model_says_what_to_run(model, tmp_path):
    output, _ = model
    good = write(new_table(20, 3), tmp_path / "good.csv")
    (tmp_path / "set").mkdir()
    for path in output.iterdir():
        if path.is_file():
            (tmp_path / "set" / path.name).write_bytes(path.read_bytes())
    message = refused(call(SECOND, "--predict", good, "--embeddings", tmp_path / "set"))
    assert "build_embed_model.py first" in message


def test_predictions_lie_beside_the_set_and_outlive_the_next_run(model):
    output, folder = model
    write(new_table(20, 4), folder / "later.csv")
    shown = succeeded(call(SECOND, "--predict", folder / "later.csv", "--embeddings", output))
    written = folder / "sets" / "train-predictions" / "later.csv"
    assert str(written) in shown.stdout and not (output / "embed_model" / "predictions").exists()
    assert len(pd.read_csv(written)) == 20
    before = sha256(written)
    again = ["--embeddings", output, "--epochs", 1, "--no-report"]
    succeeded(call(SECOND, *again, cwd=folder))
    assert sha256(written) == before
    # A second prediction replaces the first; another file stays.
    succeeded(call(SECOND, "--predict", folder / "later.csv", "--embeddings", output))
    written.write_text("my notes\n")
    options = ["--predict", folder / "later.csv", "--embeddings", output]
    assert "give --replace" in refused(call(SECOND, *options))
    assert written.read_text() == "my notes\n"
    succeeded(call(SECOND, *options, "--replace"))
    assert len(pd.read_csv(written)) == 20


def test_from_python_a_data_frame_gets_the_same_predictions(model):
    """As pandas reads it, with its index, from any folder."""
    output, folder = model
    table = new_table(60, 5).drop(columns="level")
    expected, shown = predict(model, table)
    frame = pd.read_csv(folder / "new.csv", keep_default_na=False, na_values={"numbers": [""]})
    frame = frame.set_index(frame.index + 1000)
    frame["rows"] = pd.to_datetime(frame["rows"])
    loaded = load_model(output)
    found = loaded.predict(frame.assign(extra=1))
    assert list(found.columns) == list(expected.columns[1:])
    assert found.index.equals(frame.index)
    assert found["predicted"].tolist() == expected["predicted"].tolist()
    numbers = expected.iloc[:, 2:].astype("float64")
    np.testing.assert_allclose(found.iloc[:, 1:], numbers, rtol=1e-5, atol=1e-7)
    assert len(loaded.predict(frame[:0])) == 0
    with pytest.raises(ValueError, match="'codes' is missing; did you mean 'Codes'"):
        loaded.predict(frame.rename(columns={"codes": "Codes"}))
    with pytest.raises(ValueError, match="'numbers' holds 'soon'"):
        loaded.predict(frame.assign(numbers="soon"))
    # How much of it is known, missing values aside.
    half = frame.copy()
    half["codes"] = ["Atlantis", "DE", "", "NA"] * 15
    assert loaded.known(half)["codes"] == pytest.approx(2 / 3)
    assert loaded.known(half)[LONG] == 1 and "rows_weekday" in loaded.known(half)
    (line,) = [line for line in shown.splitlines() if line.strip().startswith("codes")]
    assert line.split() == ["codes", "100%"] and "note: 'codes'" not in shown


def test_new_rows_that_the_model_hardly_knows_are_warned_of(model):
    table = new_table(40, 6).assign(codes=["Atlantis", "Ys", "DE", None] * 10)
    _, shown = predict(model, table)
    assert "note: 'codes': the model knows the category of 33% of the rows only" in shown
    assert "is missing in" not in shown
    _, shown = predict(model, table.assign(rows=None))
    assert "note: 'rows_elapsed' is missing in 100% of the rows, in training in 0%" in shown


def test_the_columns_of_the_new_rows_may_stand_before_the_predictions(model):
    _, folder = model
    table = new_table(30, 7).drop(columns="level")
    table["note"] = ["NA", "007", 'a "b", c', None, "two\nlines", " x, y "] * 5
    plain, _ = predict(model, table)
    found, _ = predict(model, table, "new.csv", "--with-input")
    as_written = pd.read_csv(folder / "new.csv", dtype=str, keep_default_na=False)
    assert list(found.columns) == [*as_written.columns, *plain.columns[1:]]
    found = pd.read_csv(folder / "predicted.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(found[as_written.columns], as_written)
    assert found["predicted"].tolist() == plain["predicted"].astype(str).tolist()
    keys, _ = predict(model, table, "new.csv", "--key", "note", "a/b: \n")
    assert list(keys.columns) == ["note", "a/b: \n", *plain.columns[1:]]
    assert keys["note"].tolist() == as_written["note"].tolist()


@pytest.mark.parametrize("keys", [["note"], ["a/b: \n", "codes"], ["part"]])
def test_keys_of_parquet_stand_beside_their_rows(model, monkeypatch, tmp_path, keys):
    """Arrow ends its batches elsewhere where categories are among the columns, or none is."""
    output, _ = model
    table = new_table(200, 11).drop(columns="level").assign(note=np.arange(200))
    plain, _ = predict(model, table)
    path, result = tmp_path / "part=x" / "new.parquet", tmp_path / "p.csv"
    path.parent.mkdir()
    table.astype({"codes": "category"}).to_parquet(path, row_group_size=64)
    monkeypatch.setattr("data.sets.prediction.PREDICTED_AT_ONCE", 50)
    options = ["--embeddings", output, "--output", result, "--key", *keys]
    succeeded(call(SECOND, "--predict", path, *options))
    found = pd.read_csv(result, keep_default_na=False)
    expected = table.assign(part="x").fillna({"codes": ""})[keys]
    pd.testing.assert_frame_equal(found[keys], expected, check_dtype=False)
    assert found["predicted"].tolist() == plain["predicted"].tolist()


@pytest.mark.parametrize("rows", [[50, 30], [50], [50, 50, 20]])
def test_keys_that_lose_step_with_the_rows_end_the_run(monkeypatch, rows):
    def chunks(name, roles, dialect, at_once):
        for n in [50, 50] if "x" in roles else rows:
            yield dict.fromkeys(roles, pd.Categorical(["a"] * n)), 1.0

    monkeypatch.setattr("data.sets.prediction.chunks", chunks)
    model = SimpleNamespace(roles={"x": "numeric"}, dialect=USUAL)
    with pytest.raises(InputError, match="its rows have changed"):
        list(with_texts("t.csv", ["key"], model))


def test_options_that_would_do_nothing_and_outputs_that_would_destroy_are_refused(model, tmp_path):
    output, _ = model
    new = write(new_table(20, 8), tmp_path / "new.csv")
    options = ["--predict", new, "--embeddings", output]
    before = tree(output) | tree(tmp_path)
    for more, word in {
        ("--data", new): "--data: --predict does nothing with it",
        ("--epochs", "3"): "--epochs",
        ("--frozen",): "--frozen",
        ("--compare",): "--compare",
        ("--output", new): "this file holds the new rows",
        ("--output", output / "mine.csv"): "in a saved set",
        ("--output", output / "embed_model" / "model.keras"): "in a saved set",
        ("--key", "Note"): "--key: ",
        ("--output", tmp_path / "p.xlsx"): "predictions are CSV; name a .csv file",
        ("--output", tmp_path / "p.csv.gz"): "predictions are CSV; name a .csv file",
        ("--output", os.devnull): "no plain file",
    }.items():
        assert word in refused(call(SECOND, *options, *more)), more
    link = tmp_path / "link.csv"
    link.symlink_to(new)
    assert "holds the new rows" in refused(call(SECOND, *options, "--output", link))
    link.unlink()
    taken = write(new_table(20, 8).assign(predicted=1), tmp_path / "taken.csv")
    out = tmp_path / "out.csv"
    more = ["--predict", taken, "--embeddings", output, "--with-input", "--output", out]
    assert "--with-input: the new rows have a column 'predicted'" in refused(call(SECOND, *more))
    more[more.index("--with-input") :] = ["--key", "predicted", "--output", out]
    assert "--key: the new rows have a column 'predicted'" in refused(call(SECOND, *more))
    more = ["--predict", taken, new, "--embeddings", output, "--with-input", "--output", out]
    taken = write(new_table(20, 8).assign(note=1), tmp_path / "taken.csv")
    assert f"--with-input: {new}: the column 'note'" in refused(call(SECOND, *more))
    taken.unlink()
    assert "--key: it goes with --predict" in refused(call(SECOND, "--key", "x"))
    assert tree(output) | tree(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="needs files without a name")
def test_a_prediction_that_is_killed_leaves_nothing_behind(model, tmp_path):
    output, _ = model
    new = write(new_table(20, 9), tmp_path / "new.csv")
    killer = (
        "import os, signal, runpy, sys; from data.sets.final_model import Known;"
        "Known.add = lambda *rows: os.kill(os.getpid(), signal.SIGKILL);"
        f"sys.argv = sys.argv[1:]; runpy.run_path({str(ROOT / SECOND)!r}, run_name='__main__')"
    )
    options = ["--predict", new, "--embeddings", output, "--output", tmp_path / "out" / "p.csv"]
    done = subprocess.run(
        [sys.executable, "-c", killer, SECOND, *map(str, options)],
        check=False, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("task", ["regression", "imbalance"])
def test_wild_tables_train_to_finite_results(task, tmp_path):
    """Huge and infinite numbers, constant columns, targets below zero, a class of 1 in 50."""
    random = np.random.default_rng(0)
    rows = 1200
    table = pd.DataFrame(
        {
            "file": random.choice(["NU\0L", "tab\t", "😀", "new\nline", "=1+1"], rows),
            "huge": random.choice([1e300, -1e300, np.inf, 5e-324, np.nan], rows),
            "constant": 0.25,
            "missing": np.nan,
            "target": random.normal(size=rows).round() * 10,
        }
    )
    if task == "imbalance":
        table["target"] = np.where(np.arange(rows) % 50 == 0, "fraud", "fine")
    path = write(table, tmp_path / "wild.csv")
    options = ["--data", path, "--target", "target", "--numeric", "missing", "--epochs", 2]
    options += ["--output", tmp_path / "set"]
    options += ["--task", "regression"] if task == "regression" else []
    shown = succeeded(call(FIRST, *options)).stdout
    assert "'huge': " in shown and "infinite numbers are taken as missing" in shown
    succeeded(call(SECOND, "--embeddings", tmp_path / "set", "--epochs", 2))
    found = predictions(tmp_path / "set" / "embed_model")
    assert np.isfinite(found.select_dtypes("number")).all(axis=None)
    metrics = read_json(tmp_path / "set" / "embed_model" / "metrics.json")
    assert metrics["baseline"].keys() == metrics["test"].keys()
    vocabulary = manifest(tmp_path / "set")["columns"]["file"]["vocabulary"]
    assert vocabulary == sorted(["NU\0L", "tab\t", "😀", "new\nline", "=1+1"])
    if task == "imbalance":
        assert manifest(tmp_path / "set")["target"]["classes"] == ["fine", "fraud"]
        assert set(found["actual"]) == {"fine", "fraud"}  # the split is stratified
    else:
        assert (found["actual"] < 0).any() and (found["actual"] == 0).any()


def test_loading_takes_under_two_seconds_beyond_tensorflow(model, tmp_path):
    """In a fresh process in another folder, as README.md says; seconds of the processor."""
    output, folder = model
    code = (
        "import sys, time, tensorflow, keras\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "start = time.process_time()\n"
        "from build_embed_model import load_model\n"
        "model = load_model(sys.argv[1])\n"
        "print(time.process_time() - start)\n"
        "import pandas\n"
        "print(len(model.predict(pandas.read_csv(sys.argv[2]))))\n"
    )
    new = write(new_table(12, 10), folder / "elsewhere.csv")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, output, new],
        check=False, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, rows = done.stdout.split()
    assert float(seconds) < 2 and rows == "12"
