"""EmbeddingTransformer: saved vectors inside scikit-learn, used as its users do."""

import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from data import InputError  # noqa: E402
from data.sets.loading import read_set  # noqa: E402
from data.sets.saving import seal, write_vectors  # noqa: E402
from data.transformer import EmbeddingTransformer  # noqa: E402

COLUMNS = {
    "country": ("str", ["1", "Italy", "Spain"]),
    "shop": ("int", [1, 2, 30]),
    "weight": ("float", [0.5, 2.0]),
    "open": ("bool", [False, True]),
}


def save(folder, **more):
    manifest = {
        "format": "keras-entity-embeddings", "version": 1, "table": "trips", "numeric": {},
        "target": {"name": "price", "task": "regression"},
        "columns": {
            name: {
                "role": "categorical", "type": kind, "vocabulary": words,
                "cardinality": len(words) + 2, "size": 2, "rows": [0] * (len(words) + 2),
            }
            for name, (kind, words) in COLUMNS.items()
        },
    } | more  # fmt: skip
    arrays = {
        name: np.arange(1.0, 2 * len(words) + 5, dtype="float32").reshape(-1, 2)
        for name, (_, words) in COLUMNS.items()
    }
    write_vectors(folder, manifest, arrays)
    seal(folder, manifest)
    return arrays


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "trips"
    save(folder)
    return folder


@pytest.fixture(scope="module")
def arrays(folder):
    return read_set(folder)[1]


@pytest.fixture
def table():
    return pd.DataFrame({
        "km": [1.5, np.nan, 3.0, 4.0],
        "country": ["Spain", "1", None, "Peru"],
        "shop": [2, 30, 1, 99],
    })  # fmt: skip


def test_it_keeps_the_contract_of_scikit_learn(folder):
    """All of scikit-learn's checks apply: none is declared as an expected failure.

    They hand over arrays of numbers without names, so position 0 stands for the column "shop".
    """
    check_estimator(EmbeddingTransformer(folder, columns={0: "shop"}), on_skip=None)


def test_dates_are_taken_apart_as_the_set_did(tmp_path):
    manifest = {
        "format": "keras-entity-embeddings", "version": 1, "table": "trips",
        "target": {"name": "price", "task": "regression"},
        "numeric": {"day_elapsed": {}}, "split": {"sources": {}},
        "options": {
            "data": [], "validation_data": [], "test_data": [], "dates": ["day"], "encoding":
            "utf-8", "separator": None, "keep_na": [], "seed": 0,
            "notations": {"day": {"date_order": "dmy"}}, "na_values": ["?"],
        },
        "columns": {
            name: {
                "role": "categorical", "type": "int", "vocabulary": words,
                "cardinality": len(words) + 2, "size": 2, "rows": [0] * (len(words) + 2),
            }
            for name, words in {"day_month": [1, 2, 3], "day_weekday": [0, 6]}.items()
        },
    }  # fmt: skip
    arrays = {
        name: np.arange(2.0 * column["cardinality"], dtype="float32").reshape(-1, 2)
        for name, column in manifest["columns"].items()
    }
    write_vectors(tmp_path, manifest, arrays)
    seal(tmp_path, manifest)
    rows = pd.DataFrame({"when": ["01.02.2024", "03.03.2024", None, "05.02.2024"], "n": range(4)})
    transformer = EmbeddingTransformer(tmp_path, columns={"when": "day"})
    with pytest.warns(UserWarning, match="25.0% of the rows of 'day_weekday'"):
        found = transformer.fit_transform(rows)
    assert list(found.columns) == [
        "when_month_dim_0", "when_month_dim_1", "when_weekday_dim_0", "when_weekday_dim_1",
        "when_elapsed", "n",
    ]  # fmt: skip
    months, weekdays = arrays["day_month"], arrays["day_weekday"]
    np.testing.assert_array_equal(found.iloc[:, :2], months[[3, 4, 0, 3]])
    np.testing.assert_array_equal(found.iloc[:, 2:4], weekdays[[1, 3, 0, 2]])
    assert found["when_elapsed"].iloc[0] == 19754 and np.isnan(found["when_elapsed"].iloc[2])
    for mark in ("?", "NA", ""):
        marked = rows.fillna({"when": mark})
        pd.testing.assert_frame_equal(transformer.transform(marked), found)
    # Dates as pandas holds them are the same, and come back.
    whole = rows.assign(when=pd.to_datetime(rows["when"], format="%d.%m.%Y"))
    pd.testing.assert_frame_equal(transformer.transform(whole), found)
    back = transformer.inverse_transform(found)
    assert pd.to_datetime(back["when"]).equals(whole["when"].astype("datetime64[s]"))


def test_known_columns_become_vectors_and_others_stay(folder, arrays, table):
    transformer = EmbeddingTransformer(folder).fit(table)
    assert transformer.get_feature_names_out().tolist() == [
        "km", "country_dim_0", "country_dim_1", "shop_dim_0", "shop_dim_1",
    ]  # fmt: skip
    with pytest.warns(UserWarning, match=r"25.0% of the rows of 'country', 25.0% .* 'shop'"):
        frame = transformer.transform(table)
    assert frame.columns.tolist() == transformer.get_feature_names_out().tolist()
    assert frame.index.equals(table.index) and frame["km"].dtype == np.float64
    found = frame.to_numpy()
    np.testing.assert_array_equal(found[:, 0], table["km"])
    np.testing.assert_array_equal(found[:, 1:3], arrays["country"][[4, 2, 0, 1]])
    np.testing.assert_array_equal(found[:, 3:], arrays["shop"][[3, 4, 2, 1]])
    assert transformer.transform(table.head(0)).shape == (0, 5)
    for wrong in (["km"], ["km", "shop", "country"]):
        with pytest.raises(ValueError, match="input_features"):
            transformer.get_feature_names_out(wrong)
    named = transformer.set_output(transform="pandas").transform(table)
    assert named.columns.tolist() == transformer.get_feature_names_out().tolist()
    assert named.index.equals(table.index)
    array = transformer.set_output(transform="default").transform(table)
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, named.to_numpy())


@pytest.mark.parametrize(
    ("column", "values", "rows"),
    [
        ("shop", [1, 2.0, "30", "2.0", None, "two", 1.5], [2, 3, 4, 3, 0, 1, 1]),
        ("shop", pd.array([1, None, 7], dtype="Int64"), [2, 0, 1]),
        ("shop", np.array([1.0, np.nan, np.inf]), [2, 0, 1]),
        ("shop", pd.Categorical(["30", None, "1"], categories=["0", "1", "30"]), [4, 0, 2]),
        ("weight", ["0.5", ".50", 2, "2", np.nan], [2, 1, 3, 3, 0]),
        ("country", ["1", 1, "1.0", "01", "spain", "Spain ", pd.NA], [2, 2, 1, 1, 1, 1, 0]),
        ("open", [True, False, "True", "false", None, "yes"], [3, 2, 3, 2, 0, 1]),
    ],
)
def test_values_match_by_what_they_are(folder, arrays, column, values, rows):
    table = pd.DataFrame({column: pd.Series(values, dtype=getattr(values, "dtype", object))})
    found = EmbeddingTransformer(folder).fit_transform(table)
    assert (found.dtypes == np.float32).all()
    np.testing.assert_array_equal(found, arrays[column][rows])


@pytest.mark.filterwarnings("error")
def test_what_training_took_for_missing_is_missing(arrays, tmp_path):
    options = {"data": [], "validation_data": [], "test_data": [], "encoding": "utf-8", "seed": 0}
    options |= {"na_values": ["?", "-9"], "keep_na": ["open"]}
    save(tmp_path, options=options, split={"sources": {}})
    table = pd.DataFrame({"country": ["?", "NA", "", "Spain"], "shop": [-9, 1, 2, 30]})
    transformer = EmbeddingTransformer(tmp_path).fit(table)
    found = transformer.transform(table)
    np.testing.assert_array_equal(found.iloc[:, :2], arrays["country"][[0, 0, 0, 4]])
    np.testing.assert_array_equal(found.iloc[:, 2:], arrays["shop"][[0, 2, 3, 4]])
    same = transformer.transform(table.assign(shop=["-9", 1.0, "2", 30]))
    pd.testing.assert_frame_equal(same, found)
    kept = EmbeddingTransformer(tmp_path, columns={"country": "open"}).fit(table)
    with pytest.raises(UserWarning, match="rows get the vector for unseen categories"):
        kept.transform(table)


def test_columns_of_any_type_pass_through(folder, arrays, table):
    table["when"] = pd.to_datetime("2024-02-29")
    table["count"] = pd.array([1, None, 3, 4], dtype="Int64")
    found = EmbeddingTransformer(folder).fit_transform(table)
    assert found["when"].iloc[0] == pd.Timestamp("2024-02-29") and pd.isna(found["count"].iloc[1])
    assert found.dtypes[["when", "count", "km"]].equals(table.dtypes[["when", "count", "km"]])
    arrays_out = EmbeddingTransformer(folder).set_output(transform="default")
    found = arrays_out.fit_transform(table)
    assert found[0, 5] == pd.Timestamp("2024-02-29") and np.isnan(found[1, 6])
    numbers = arrays_out.fit_transform(table.drop(columns="when"))
    assert numbers.dtype == np.float64 and numbers[2, 5] == 3


def test_names_that_differ_are_mapped_and_one_column_may_serve_two(folder, arrays):
    table = pd.DataFrame({"from": ["Spain", "Italy"], "to": ["Italy", "x"], "country": [1, 2]})
    columns = {"from": "country", "to": "country"}
    transformer = EmbeddingTransformer(folder, columns=columns).fit(table)
    found = transformer.transform(table)
    np.testing.assert_array_equal(found.iloc[:, :2], arrays["country"][[4, 3]])
    np.testing.assert_array_equal(found.iloc[:, 2:4], arrays["country"][[3, 1]])
    np.testing.assert_array_equal(found.iloc[:, 4], [1, 2])
    only = EmbeddingTransformer(folder, columns=["country"]).fit(table)
    assert only.get_feature_names_out().tolist() == ["from", "to", "country_dim_0", "country_dim_1"]
    assert only.transform(table).iloc[0].tolist() == ["Spain", "Italy", 3.0 + 2, 6.0]
    array = EmbeddingTransformer(folder, columns={1: "country"}).fit_transform(table.to_numpy())
    assert array[0].tolist() == ["Spain", 7.0, 8.0, 1]


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        (["region"], "'region'"),
        ({"km": "town"}, "'town'.*country"),
        ({0: "country"}, "0"),
    ],
)
def test_a_column_that_is_not_there_is_named(folder, table, columns, word):
    with pytest.raises(InputError, match=word):
        EmbeddingTransformer(folder, columns=columns).fit(table)


def test_a_table_without_any_known_column_or_with_a_double_name_is_refused(folder, table):
    with pytest.raises(InputError, match="none of the columns of X: it has country, shop"):
        EmbeddingTransformer(folder).fit(table[["km"]])
    with pytest.raises(InputError, match="shop_dim_1"):
        EmbeddingTransformer(folder).fit(table.assign(shop_dim_1=0))
    with pytest.raises(InputError, match="nowhere"):
        EmbeddingTransformer(folder.parent / "nowhere").fit(table)
    with pytest.raises(InputError, match="compound"):
        EmbeddingTransformer(folder).fit(table).transform(table.assign(country=[[1]] * 4))


def test_it_works_where_transformers_work(folder):
    random = np.random.default_rng(0)
    table = pd.DataFrame({
        "country": random.choice(["1", "Italy", "Spain"], 60),
        "shop": random.choice([1, 2, 30, 5], 60),
        "km": random.normal(size=60),
    })  # fmt: skip
    target = table["country"].map({"1": 0.0, "Italy": 1.0, "Spain": 2.0}) + table["km"] / 10
    alone = make_pipeline(EmbeddingTransformer(folder), StandardScaler(), Ridge())
    within = make_pipeline(
        make_column_transformer(
            (EmbeddingTransformer(folder), ["shop", "country"]), (StandardScaler(), ["km"])
        ),
        Ridge(),
    )
    for model in (alone, within, clone(alone)):
        assert cross_val_score(model, table, target, cv=3, error_score="raise").min() > 0.9
    grid = {"embeddingtransformer__columns": [["country"], ["country", "shop"]]}
    assert GridSearchCV(alone, grid, cv=2, error_score="raise").fit(table, target).best_score_ > 0.9
    names = within.fit(table, target)[0].get_feature_names_out().tolist()
    assert names[0] == "embeddingtransformer__shop_dim_0" and names[-1] == "standardscaler__km"


def test_a_fitted_one_needs_its_files_no_more(folder, table, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    transformer = EmbeddingTransformer(tmp_path / "copy").fit(table)
    expected = transformer.transform(table)
    shutil.rmtree(tmp_path / "copy")
    again = pickle.loads(pickle.dumps(transformer))
    np.testing.assert_array_equal(again.transform(table), expected)


def test_vectors_turn_back_into_categories(folder, table):
    transformer = EmbeddingTransformer(folder).fit(table)
    back = transformer.inverse_transform(transformer.transform(table))
    assert back.columns.tolist() == ["km", "country", "shop"]
    assert back["country"].tolist()[:2] == ["Spain", "1"] and back["country"][2:].isna().all()
    assert back["shop"].tolist()[:3] == [2, 30, 1] and back["shop"].isna()[3]
    np.testing.assert_array_equal(back["km"].astype(float), table["km"])
    assert transformer.inverse("shop", [5.0, 6.1]).tolist() == [1]
    assert transformer.inverse("shop", [[9.0, 9.0], [0, 0]], k=2).tolist() == [[30, 2], [1, 2]]
    with pytest.raises(InputError, match="'km'"):
        transformer.inverse("km", [1.0, 2.0])
