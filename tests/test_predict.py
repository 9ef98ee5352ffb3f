"""New rows: predictions in input order, whatever else their table does."""

import numpy as np
import pandas as pd
import pytest
from conftest import call, manifest, predictions, read_json, refused, succeeded, tree, write

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
    assert "rows_weekday" in second.stdout
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


def test_a_set_without_a_model_says_what_to_run(model, tmp_path):
    output, _ = model
    good = write(new_table(20, 3), tmp_path / "good.csv")
    (tmp_path / "set").mkdir()
    for path in output.iterdir():
        if path.is_file():
            (tmp_path / "set" / path.name).write_bytes(path.read_bytes())
    message = refused(call(SECOND, "--predict", good, "--embeddings", tmp_path / "set"))
    assert "build_embed_model.py first" in message


def test_predictions_beside_the_model_do_not_block_the_next_run(model):
    output, folder = model
    write(new_table(20, 4), folder / "later.csv")
    shown = succeeded(call(SECOND, "--predict", folder / "later.csv", "--embeddings", output))
    (written,) = (output / "embed_model").rglob("later.csv")
    assert str(written) in shown.stdout
    assert len(pd.read_csv(written)) == 20
    succeeded(call(SECOND, "--embeddings", output, "--epochs", 1, cwd=folder))
    assert read_json(output / "embed_model" / "metrics.json")["task"] == "multiclass"


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
