"""Tables in every form that is read, and values that must stay what they are."""

import hashlib
import http.server
import json
import sys
import threading
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT  # noqa: F401 (puts the project on the path)

from data import InputError
from data.sets.manifest import describe, saved_vocabulary
from data.tables import kinds
from data.tables.cache import read_table
from data.tables.dataset import read_dataset
from data.tables.dates import calendar_columns
from data.tables.dialect import USUAL, Dialect
from data.tables.encoding import MISSING, UNSEEN, as_value, extend_vocabulary, fit_vocabulary
from data.tables.formats import chunks
from data.tables.notation import Notation
from data.tables.openml import openml_table
from data.tables.sources import table_name
from data.tables.values import to_dates

OPTIONS = (
    "data", "validation_data", "test_data", "target", "categorical", "numeric", "dates", "drop",
    "keep_na", "na_values", "task", "split_by", "separator", "encoding", "seed",
)  # fmt: skip


def read(tmp_path, data, vocabularies=None, **options):
    """The dataset of a table: a DataFrame, or names of files."""
    if isinstance(data, pd.DataFrame):
        data.to_csv(tmp_path / "table.csv", index=False)
        data = [tmp_path / "table.csv"]
    defaults = dict.fromkeys(OPTIONS) | {"task": "auto", "encoding": "utf-8", "seed": 0}
    options = defaults | {"data": [str(name) for name in data], "target": "y"} | options
    return read_dataset(options, tmp_path / "cache", vocabularies)


def vocabulary(dataset, column):
    return next(v for v in dataset.encoding.vocabularies if v.column == column)


def refusal(function, *arguments, **options):
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def shops(rows=60):
    """Codes, text, missing values and numbers, in a known order."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "shop": random.integers(1, 6, rows),
            "city": random.choice(["Łódź", "São, Paulo", 'The "Hague"', "a;b"], rows),
            "open": random.random(rows) < 0.5,
            "x": random.normal(size=rows),
            "y": random.normal(size=rows),
        }
    ).astype({"city": object})


def same(one, other):
    """Whether two datasets hold the same rows and categories."""
    everything = np.arange(one.table.rows)
    for a, b in zip(one.encoding.vocabularies, other.encoding.vocabularies, strict=True):
        assert (a.column, a.type, a.values) == (b.column, b.type, b.values)
    np.testing.assert_array_equal(one.encoded.codes(everything), other.encoded.codes(everything))
    np.testing.assert_array_equal(
        one.encoded.numbers(everything), other.encoded.numbers(everything)
    )
    np.testing.assert_array_equal(one.target, other.target)


# --------------------------------------------------------------------------- forms of tables


@pytest.mark.parametrize("form", ["tsv", "semicolon", "pipe", "gz", "bz2", "xz", "zip", "bom",
                                  "utf-16", "cp1250", "crlf", "parquet"])  # fmt: skip
def test_every_form_gives_the_same_table(tmp_path, form):
    frame = shops()
    if form == "cp1250":
        frame["city"] = frame["city"].str.replace("ã", "a")
    plain = read(tmp_path, frame)
    options = {}
    name = tmp_path / f"other.{form if form in ('gz', 'bz2', 'xz', 'zip', 'parquet') else 'txt'}"
    if form == "parquet":
        frame.to_parquet(name)
    elif form in ("utf-16", "cp1250"):
        frame.to_csv(name, index=False, encoding=form)
        options = {"encoding": form}
    else:
        separator = {"tsv": "\t", "semicolon": ";", "pipe": "|"}.get(form, ",")
        encoding = "utf-8-sig" if form == "bom" else "utf-8"
        ends = "\r\n" if form == "crlf" else "\n"
        frame.to_csv(name, index=False, sep=separator, encoding=encoding, lineterminator=ends)
    same(read(tmp_path, [name], **options), plain)


def test_several_files_are_one_table(tmp_path):
    frame = shops()
    whole = read(tmp_path, frame)
    (tmp_path / "parts").mkdir()
    frame[:20].to_csv(tmp_path / "parts/1.csv", index=False)
    frame[20:40][frame.columns[::-1]].to_csv(tmp_path / "parts/2.csv", index=False, sep="\t")
    frame[40:].to_parquet(tmp_path / "parts/3.parquet")
    names = [tmp_path / "parts" / name for name in ("1.csv", "2.csv", "3.parquet")]
    same(read(tmp_path, names), whole)
    same(read(tmp_path, [tmp_path / "parts/*"]), whole)
    assert table_name(["parts/sales.csv.gz"]) == "sales"


def test_a_file_longer_than_a_chunk_is_one_table(tmp_path, monkeypatch):
    frame = shops(500)
    whole = read(tmp_path, frame)
    monkeypatch.setattr("data.tables.formats.CHUNK_ROWS", 70)
    monkeypatch.setattr(chunks, "__defaults__", (USUAL, 70))
    name = tmp_path / "again.csv"
    frame.to_csv(name, index=False)
    (tmp_path / "other").mkdir()
    same(read(tmp_path / "other", [name]), whole)


ODD = {
    "quotes": '"x"y,1\nx"y,2\n"x""y",3\n"a,b",4\n',
    "never closed": 'x,1\ny,2\nz,"3\nu,4\n',
    "newlines": '"x\ny",1\n"x\r\ny",2\nz,3',
    "blank lines": "\nx,1\n\n\ny,2\n   \nz,3\n",
    "short row": "x,1\ny\nz,3\n",
    "missing": 'NA,1\n"NA",\n"",""\n NA,2\n',
    "numbers": "x,1e5\ny,+3\nz,.5\nu,5.\nv,inf\nw,0.1234567890123456789\n",
    "a text": "x,1\ny,one\n",
    "not a number": "x,1\ny,NAN\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_csv_is_the_same_with_and_without_pyarrow(tmp_path, monkeypatch, text):
    """Also where Arrow's reader gives up half-way: nothing is read twice or left out."""

    def read():
        values = []
        try:
            for columns, _ in chunks(str(name), {"c": "categorical", "y": "numeric"}, rows=3):
                values += zip(columns["c"], columns["y"].tolist(), strict=True)
        except InputError as error:
            values.append(str(error))
        return repr(values)

    name = tmp_path / "t.csv"
    name.write_text("c,y\n" + "k,7\n" * 10 + text, newline="")
    monkeypatch.setattr("data.tables.arrow_csv.BLOCK", 16)
    with_arrow = read()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert read() == with_arrow
    assert with_arrow.count("'k'") >= 9 or "cannot be read" in with_arrow or "1 field" in with_arrow


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    shops().to_parquet(tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install pyarrow" in refusal(read, tmp_path, [tmp_path / "t.parquet"])


def test_parquet_keeps_its_types(tmp_path):
    frame = shops()
    frame["text"] = np.array(["1", "01", "1.0"], dtype=object)[np.arange(60) % 3]
    frame["some"] = pd.array([None, 2**53, 2**53 + 1] * 20, dtype="Int64")
    frame["price"] = np.array([1.0, 2.5])[np.arange(60) % 2]
    frame["day"] = pd.to_datetime("2024-01-30") + pd.to_timedelta(np.arange(60) % 50, unit="D")
    frame["lists"] = [[1, 2]] * 60
    frame.index = pd.Index(np.arange(60) % 7, name="index")
    frame.to_parquet(tmp_path / "t.parquet")
    dataset = read(tmp_path, [tmp_path / "t.parquet"], categorical=["price", "index"])
    assert vocabulary(dataset, "text").values == ["01", "1", "1.0"]
    assert vocabulary(dataset, "some").type == "int"
    assert vocabulary(dataset, "some").values == [2**53, 2**53 + 1]
    assert vocabulary(dataset, "price").values == [1.0, 2.5]
    assert vocabulary(dataset, "open").values == [False, True]
    assert vocabulary(dataset, "index").values == list(range(7))
    assert vocabulary(dataset, "day_month").values == [1, 2, 3]
    assert dataset.roles["lists"].role == "left out"
    message = refusal(read, tmp_path, [tmp_path / "t.parquet"], categorical=["lists"])
    assert "'lists'" in message and "compound" in message


@pytest.fixture
def openml(monkeypatch, tmp_path):
    """A server of one data set, in the format of openml.org; scikit-learn is sent there."""
    from sklearn.datasets import _openml

    arff = "@relation t\n@attribute colour {red,blue}\n@attribute size real\n"
    arff += "@attribute y {a,b}\n@data\n"
    arff += "".join(
        f"{'red' if i % 3 else 'blue'},{i / 4},{'a' if i % 2 else 'b'}\n" for i in range(60)
    )
    base = {"id": "61", "name": "toy", "version": "1", "format": "ARFF", "status": "active"}
    features = [
        {"index": str(i), "name": n, "data_type": t, "is_target": str(n == "y").lower(),
         "is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
        for i, (n, t) in enumerate([("colour", "nominal"), ("size", "numeric"), ("y", "nominal")])
    ]  # fmt: skip

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = urlparse(self.path).path
            if path == "/t.arff":
                body = arff.encode()
            elif "/list/data_name/toy" in path:
                body = json.dumps({"data": {"dataset": [base | {"did": 61}]}}).encode()
            elif path.endswith("/json/data/61"):
                details = {
                    "url": f"{url}/t.arff", "file_id": "1", "default_target_attribute": "y",
                    "description": "", "licence": "", "processing_date": "",
                    "md5_checksum": hashlib.md5(arff.encode()).hexdigest(),
                }  # fmt: skip
                body = json.dumps({"data_set_description": base | details}).encode()
            elif path.endswith("/features/61"):
                body = json.dumps({"data_features": {"feature": features}}).encode()
            elif path.endswith("/qualities/61"):
                quality = [{"name": "NumberOfInstances", "value": "60"}]
                body = json.dumps({"data_qualities": {"quality": quality}}).encode()
            else:
                self.send_response(412)
                self.end_headers()
                self.wfile.write(json.dumps({"error": {"code": "111"}}).encode())
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    for name in (
        "_SEARCH_NAME",
        "_DATA_INFO",
        "_DATA_FEATURES",
        "_DATA_QUALITIES",
        "_OPENML_PREFIX",
    ):
        if hasattr(_openml, name):
            value = getattr(_openml, name)
            monkeypatch.setattr(_openml, name, value.replace("https://www.openml.org", url))
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "kept"))
    import sklearn.datasets

    fetch = sklearn.datasets.fetch_openml
    monkeypatch.setattr(
        sklearn.datasets,
        "fetch_openml",
        lambda **options: fetch(**options, n_retries=1, delay=0.01),
    )
    openml_table.cache_clear()
    yield url
    server.shutdown()
    server.server_close()
    openml_table.cache_clear()


@pytest.mark.parametrize("name", ["openml:toy", "openml:61"])
def test_openml_by_name_and_by_number(tmp_path, openml, name):
    dataset = read(tmp_path, [name], target=None)  # the data set names its own
    assert dataset.settings["target"] == "y"
    assert dataset.encoding.target.classes == ["a", "b"]
    assert vocabulary(dataset, "colour").values == ["blue", "red"]
    assert [n.column for n in dataset.encoding.numerics] == ["size"]
    assert dataset.sources["data"] == [{"path": name, "id": "61"}]
    assert table_name([name]) == name.replace(":", "-")
    message = refusal(read, tmp_path, ["openml:nothing"])
    assert message.startswith("openml:nothing: OpenML does not give it")


# --------------------------------------------------------------- categories stay what they are


def test_leading_zeros_and_separators_in_text_stay(tmp_path):
    frame = shops().assign(zip=["01234", "1234", "00501"] * 20)
    dataset = read(tmp_path, frame)
    assert vocabulary(dataset, "zip").values == ["00501", "01234", "1234"]
    assert vocabulary(dataset, "city").values == ["São, Paulo", 'The "Hague"', "a;b", "Łódź"]


def test_missing_looking_texts_are_categories_when_asked(tmp_path):
    frame = shops().assign(
        country=["NA", "DE", None] * 20, answer=["None", "some"] * 30, other=["NA", "b"] * 30
    )
    dataset = read(tmp_path, frame, keep_na=["country", "answer"])
    assert vocabulary(dataset, "country").values == ["DE", "NA"]
    assert vocabulary(dataset, "country").counts[MISSING] > 0
    assert vocabulary(dataset, "answer").values == ["None", "some"]
    assert vocabulary(dataset, "other").values == ["b"]
    assert not any("--keep-na" in note for note in dataset.notes)
    # Among codes of two letters it is Namibia, or North America.
    codes = frame.assign(country=["NA", "DE", "FR"] * 20)
    told = "'country': cells with 'NA' are taken as missing; if it is a category: --keep-na country"
    assert [told + "."] == [n for n in read(tmp_path, codes).notes if "--keep-na" in n]
    for options in ({"keep_na": ["country"]}, {"drop": ["country"], "categorical": ["other"]}):
        assert not any("--keep-na" in note for note in read(tmp_path, codes, **options).notes)
    # A saved vocabulary with such a text reads new rows the same way, without being asked.
    manifest = json.loads(json.dumps(describe(dataset, "t")))
    saved = {"country": saved_vocabulary(manifest, "country")}
    again = read(tmp_path, frame[["country", "y"]], saved)
    assert vocabulary(again, "country").counts.tolist()[1:] == [
        0, *vocabulary(dataset, "country").counts[2:]
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_texts_that_stand_for_missing(tmp_path, form):
    frame = shops().assign(
        size=["S", "?", "L"] * 20,
        stock=[2**53 + 1, -999, 7] * 20,
        width=np.where(np.arange(60) % 6, np.arange(60) / 8, -999.0),
        kept=["?", "a", "b"] * 20,
    )
    name = tmp_path / f"t.{form}"
    frame.to_parquet(name) if form == "parquet" else frame.to_csv(name, index=False)
    dataset = read(
        tmp_path, [name], na_values=["?", "-999"], keep_na=["kept"],
        categorical=["size", "stock", "kept"], numeric=["width"],
    )  # fmt: skip
    assert vocabulary(dataset, "size").values == ["L", "S"]
    assert vocabulary(dataset, "stock").values == [7, 2**53 + 1]
    assert vocabulary(dataset, "kept").values == ["?", "a", "b"]
    width = dataset.table.values("width")[:]
    np.testing.assert_array_equal(np.isnan(width), np.arange(60) % 6 == 0)
    assert dataset.settings["na_values"] == ["?", "-999"]


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["1", "2", "10"], "int", [1, 2, 10]),
        (["1.0", "2", "1"], "float", [1.0, 2.0]),
        (["0.5", "1e-05", "-2"], "float", [-2.0, 1e-05, 0.5]),  # as Python writes it
        (["1E2", "10E1", "5"], "str", ["10E1", "1E2", "5"]),
        (["1e3", "5"], "str", ["1e3", "5"]),
        (["1.1", "1.10", "1.2"], "str", ["1.1", "1.10", "1.2"]),  # versions
        (["1.10", "2.50"], "float", [1.1, 2.5]),
        (["102", "102.0", "7"], "float", [7.0, 102.0]),
        (["1", "+1"], "str", ["+1", "1"]),
        (["True", "false", "TRUE"], "bool", [False, True]),
        (["1", "a"], "str", ["1", "a"]),
        (["007", "7"], "str", ["007", "7"]),
        (["9007199254740992", "9007199254740993"], "int", [2**53, 2**53 + 1]),
        (["18446744073709551615"], "int", [2**64 - 1]),
        (["18446744073709551616", "1"], "str", ["1", "18446744073709551616"]),
        (["9007199254740993", "0.5"], "str", ["0.5", "9007199254740993"]),
        (["inf", "1.5"], "str", ["1.5", "inf"]),
        (["1_000", "2"], "str", ["1_000", "2"]),
        (["-0", "0"], "int", [0]),
        (["-0.0", "0.0", "1.5"], "float", [0.0, 1.5]),
        (["٣", "1"], "str", ["1", "٣"]),
        ([" 1", "2 "], "int", [1, 2]),
    ],
)
def test_numbers_and_booleans_as_categories_keep_their_type(texts, kind, values):
    made = fit_vocabulary("c", texts, [1] * len(texts))
    assert (made.type, repr(made.values)) == (kind, repr(values))  # 0.0 == -0.0
    assert [type(value).__name__ for value in made.values] == [kind] * len(values)
    rows = made.find(texts)
    for text, row in zip(texts, rows, strict=True):
        assert made.values[row - 2] == as_value(text, kind)


def test_the_same_category_only_where_pandas_says_so():
    numbers = fit_vocabulary("c", ["1", "2"], [1, 1])
    assert numbers.find(["1", "1.0", "1e0", "+1", "1.00", "01", "1.5", "x", "True"]).tolist() == [
        2, 2, *[UNSEEN] * 7
    ]  # fmt: skip
    huge = fit_vocabulary("c", ["10000000000000000", "100"], [1, 1])
    assert huge.find(["1e+16", "1e2", "100"]).tolist() == [3, UNSEEN, 2]  # as Python writes it
    texts = fit_vocabulary("c", ["1", "1.0", "a"], [1, 1, 1])
    assert texts.find(["1", "1.0", "01", "A"]).tolist() == [2, 3, UNSEEN, UNSEEN]
    floats = fit_vocabulary("c", ["9007199254740992.0", "0.5"], [1, 1])
    assert floats.find(["9007199254740992", "9007199254740993"]).tolist() == [3, UNSEEN]
    answers = fit_vocabulary("c", ["True", "False"], [1, 1])
    assert answers.find(["true", "FALSE", "1", "yes"]).tolist() == [3, 2, UNSEEN, UNSEEN]


def test_an_extended_vocabulary_holds_each_category_once():
    saved = fit_vocabulary("c", ["2", "1.5", "9007199254740992"], [1, 1, 1])
    more = extend_vocabulary(saved, ["1.50", "2.0", "3", "x", "9007199254740993", "3.0"], [1] * 6)
    assert more.values == [1.5, 2.0, 2.0**53, 3.0]
    assert more.find(["3", "x", "9007199254740993"]).tolist() == [5, UNSEEN, UNSEEN]
    assert saved.values == [1.5, 2.0, 2.0**53]


def test_both_scripts_agree_about_numbers_in_csv_and_parquet(tmp_path):
    frame = shops()
    first = read(tmp_path, frame)
    saved = {v.column: v for v in first.encoding.vocabularies}
    codes = first.encoded.codes(np.arange(60))
    for version in (
        frame.astype({"shop": float}),
        frame.astype({"shop": str, "open": str}),
        frame.assign(shop=frame["shop"].astype("Int64")),
    ):
        version.to_parquet(tmp_path / "other.parquet")
        version.to_csv(tmp_path / "other.csv", index=False)
        for name in ("other.parquet", "other.csv"):
            other = read(tmp_path, [tmp_path / name], saved)
            order = [[v.column for v in other.encoding.vocabularies].index(c) for c in saved]
            np.testing.assert_array_equal(other.encoded.codes(np.arange(60))[:, order], codes)


def test_values_beyond_the_sample_count_too(tmp_path, monkeypatch):
    monkeypatch.setattr("data.tables.formats.SAMPLE_VALUES", 0)  # a sample of 1000 rows
    frame = shops(1500).assign(flag=False, y=0)
    frame["z"] = np.arange(1500) / 7
    late = frame.index >= 1200
    frame.loc[late, "flag"] = True
    frame["y"] = np.where(late, 2, frame.index % 2)
    dataset = read(tmp_path, frame)
    assert vocabulary(dataset, "flag").values == [False, True]
    assert dataset.encoding.target.task == "multiclass"
    assert dataset.encoding.target.classes == [0, 1, 2]
    # What looked like three classes is a quantity.
    dataset = read(tmp_path, frame.assign(y=np.where(late, frame.index * 1.5, frame["y"])))
    assert dataset.encoding.target.task == "regression"
    assert dataset.target[1201] == 1801.5
    # A constant in the first rows is none in the whole.
    assert read(tmp_path, frame.assign(y=np.where(late, "b", "a"))).encoding.target.task == "binary"
    frame["z"] = frame["z"].astype(object)
    frame.loc[1400, "z"] = "many"
    message = refusal(read, tmp_path, frame)
    assert "'z' holds 'many' in row 1400" in message and "--drop" in message
    message = refusal(read, tmp_path, frame, task="binary", drop=["z"])
    assert message.startswith("--task binary") and "3 distinct" in message


# ------------------------------------------------------------------------------------- dates


def test_dates_become_the_parts_that_vary(tmp_path):
    frame = shops().assign(
        when=pd.date_range("2024-02-27", periods=60, freq="D"), fixed="2024-01-01"
    )
    frame.loc[5, "when"] = pd.NaT
    dataset = read(tmp_path, frame, numeric=["x"])
    columns = [v.column for v in dataset.encoding.vocabularies]
    assert [c for c in columns if "when" in c] == [
        "when_month", "when_day", "when_weekday", "when_week"
    ]  # fmt: skip
    assert not [c for c in columns if "fixed" in c]
    assert dataset.roles["when"].role == "date"
    numbers = dict(zip([n.column for n in dataset.encoding.numerics], range(9), strict=False))
    elapsed = dataset.table.values("when_elapsed")
    assert elapsed[1] - elapsed[0] == 1 and np.isnan(elapsed[5]) and "when_elapsed" in numbers
    rows = dataset.encoded.codes(np.arange(60))
    weekday = vocabulary(dataset, "when_weekday")
    at = columns.index("when_weekday")
    assert weekday.values[rows[0, at] - 2] == 1  # the 27th of February 2024 was a Tuesday
    assert rows[5, at] == MISSING


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2024-12-31", "2024-01-02"], ["2024-12-31", "2024-01-02"]),
        (["2024-12-31T23:30:00+02:00", ""], ["2024-12-31T23:30:00", "NaT"]),
        (["31/12/2024", "02/01/2024"], ["2024-12-31", "2024-01-02"]),
        (["12/31/2024", "02/01/2024"], ["2024-12-31", "2024-02-01"]),
        (["31.12.2024 15:00", "1.2.2024 00:30"], ["2024-12-31T15:00", "2024-02-01T00:30"]),
        (["31 Dec 2024", "2 Jan 2024"], ["2024-12-31", "2024-01-02"]),
        (["9999-12-31", "0001-01-01"], ["9999-12-31", "0001-01-01"]),
    ],
)
def test_dates_are_understood(texts, expected):
    values = pd.Series([text or None for text in texts], dtype=object)
    found = to_dates(values).local
    assert found.tolist() == np.array(expected, "datetime64[s]").tolist()


@pytest.mark.parametrize(
    ("texts", "part"),
    [
        (["01/02/2024", "03/04/2024"], "two ways"),
        (["2024-01-02", "soon"], "'soon' in row 11"),
        (["2024-02-30", "2024-01-01"], "'2024-02-30' in row 10"),
        (["31/12/2024", "12/31/2024"], "two ways"),
        (["17", "18"], "'17' in row 10"),
    ],
)
def test_a_date_is_never_guessed(texts, part):
    assert part in refusal(to_dates, pd.Series(texts, dtype=object), "column", 10)


def test_the_order_of_day_and_month_is_that_of_the_file(tmp_path):
    name = tmp_path / "d.csv"
    days = [f"{1 + i % 28:02}/02/2024" for i in range(40)] + ["01/02/2024"] * 30
    pd.DataFrame({"day": days, "c": "a"}).to_csv(name, index=False)
    dialect = Dialect(notations={"day": Notation(date_order="dmy")})
    parts = chunks(str(name), {"day": "date"}, dialect, rows=40)
    parts = [part["day"].local for part, _ in parts]
    assert set(np.concatenate(parts).astype("datetime64[M]").astype(str)) == {"2024-02"}


def test_a_part_never_takes_the_name_of_another_column(tmp_path):
    frame = shops().assign(d=pd.date_range("2024-01-01", periods=60), d_month="a")
    assert "'d_month'" in refusal(read, tmp_path, frame)


# ------------------------------------------------------------------------------------ the cache


def count_reads(monkeypatch):
    """How often a file was read from the first row to the last."""
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments[0])
        return chunks(*arguments, **options)

    for module in ("formats", "cache"):
        monkeypatch.setattr(f"data.tables.{module}.chunks", counted)
    return calls


def test_nothing_is_read_twice_and_nothing_stale_is_taken_up(tmp_path, monkeypatch):
    frame = shops()
    read(tmp_path, frame)
    calls = count_reads(monkeypatch)

    def full_reads(**options):
        calls.clear()
        read(tmp_path, [tmp_path / "table.csv"], **options)
        return len(calls) - 1  # one is the sample

    assert full_reads() == 0
    assert full_reads(seed=1) == 0  # the split is another, the table is not
    assert full_reads(numeric=["shop"]) == 1
    assert full_reads(numeric=["shop"]) == 0
    assert full_reads() == 1
    assert full_reads(keep_na=["city"]) == 1
    assert full_reads(target="x") == 1
    frame.loc[0, "x"] = 99.5
    frame.to_csv(tmp_path / "table.csv", index=False)
    assert full_reads() == 1
    folder = next(path for path in (tmp_path / "cache").iterdir())
    (folder / "codes").write_bytes((folder / "codes").read_bytes()[:-4])  # a crash in mid-write
    assert full_reads() == 1
    (folder / "sizes.json").unlink()
    assert full_reads() == 1


def test_a_failed_reading_leaves_nothing_that_is_taken_up(tmp_path):
    frame = shops().astype({"x": object})
    frame.loc[50, "x"] = "far"
    assert "'far' in row 50" in refusal(read, tmp_path, frame, numeric=["x"])
    assert "'far' in row 50" in refusal(read, tmp_path, frame, numeric=["x"])
    frame.loc[50, "x"] = 1.5
    assert read(tmp_path, frame, numeric=["x"]).table.rows == 60


def test_parts_of_new_rows_are_read_as_those_of_training(tmp_path):
    frame = shops().assign(d=pd.date_range("2024-01-01", periods=60))
    name = tmp_path / "t.csv"
    frame.to_csv(name, index=False)
    table = read_table({"data": [str(name)]}, {"d": "date"}, tmp_path / "c")
    assert list(table.dictionaries) == calendar_columns("d")
    assert kinds.kind(table.dictionaries["d_month"]) == "int"
