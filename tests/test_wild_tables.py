"""Any table ends in a dataset that holds it exactly, or in one sentence that says what is wrong.

The suite tries a few hundred tables; WILD_TABLES=5000 pytest tests/test_wild_tables.py tries more.
"""

import collections
import csv
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from data import InputError  # noqa: E402
from data.sets.manifest import describe, saved_encoding, saved_vocabulary  # noqa: E402
from data.sets.saving import write_vectors  # noqa: E402
from data.tables.cache import read_table  # noqa: E402
from data.tables.dataset import read_dataset  # noqa: E402
from data.tables.dialect import dialect_of  # noqa: E402
from data.tables.encoding import MISSING, RESERVED, UNSEEN, EncodedRows  # noqa: E402
from data.tables.values import MISSING_TEXTS  # noqa: E402

TRIED = int(os.environ.get("WILD_TABLES", 400))
outcomes = collections.Counter()
OPTIONS = (
    "data", "validation_data", "test_data", "target", "categorical", "numeric", "dates", "drop",
    "keep_na", "na_values", "task", "split_by", "separator", "encoding", "seed",
)  # fmt: skip

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
WILD_TEXTS = [
    "a,b", "a;b", "\t", "x\ny", "x\r\ny", "\0", "nul\0in", "😀", "é", "e\u0301", '"', "'", '""',
    "NA", "None", "nan", "inf", "-inf", "007", "1", "1.0", "1.50", "1e3", " 1", "True", "=1+1", "#",
    "\\", "\\N", "/", "..", " ", "x" * 300, "9007199254740992", "9007199254740993", "9" * 25,
    "1e400", "5e-324", "0x10", "1_000", "٣", "2024-01-01", "2024-02-30",
]  # fmt: skip
WILD_NAMES = [
    "a b", "a/b", "a.b", "../x", '"q"', "'", "line\nbreak", "ü", "N" * 300, "rows", "codes", "A",
    "numbers", "file", "category", "target", "date_year", "date", "", "a", "index",
]  # fmt: skip
WILD_TEXT = st.one_of(TEXT, st.sampled_from(WILD_TEXTS))
NAMES = st.one_of(TEXT, st.sampled_from(WILD_NAMES))
INTEGERS = st.one_of(
    st.integers(-3, 12), st.integers(2**53 - 2, 2**53 + 2), st.integers(-(2**63), 2**64 - 1)
)
FLOATS = st.one_of(
    st.floats(), st.floats(-2, 2), st.sampled_from([1e300, -1e300, 5e-324, 0.0, -0.0, 1.0])
)
DATES = st.datetimes().map(lambda date: date.isoformat(sep=" ", timespec="minutes"))
# The values that a column is filled from, and the role that suits them.
CODES = [str(i) for i in range(500)]
FRACTIONS = [f"{i / 7}" for i in range(-100, 400)]
POOLS = st.one_of(
    *(
        st.tuples(st.lists(values, min_size=1, max_size=size), st.just(role))
        for values, role in (
            (WILD_TEXT, "categorical"), (INTEGERS.map(str), "categorical"),
            (FLOATS.map(repr), "numeric"), (FLOATS.map(repr), "categorical"), (DATES, "dates"),
        )
        for size in (1, 6, 40)
    ),
    st.just((["True", "False"], "categorical")),
    st.just(([""], "categorical")),
    st.just((CODES, "categorical")),
    st.just(([f"{i:03}" for i in range(40)], "categorical")),
    st.just((["1", "1.0", "01", "1.50", "1.5", "TRUE"], "categorical")),
    st.just((["1", "1.0", "2", "1.50", "1.5"], "categorical")),
    st.just((FRACTIONS, "numeric")),
)  # fmt: skip
TARGETS = st.one_of(
    *(st.just((pool, "numeric")) for pool in (FRACTIONS, FRACTIONS, CODES, CODES, CODES[:3])),
    st.just((["yes", "no"], "categorical")),
    st.just((["a", "b", "c, d", "\0"], "categorical")),
)


@st.composite
def tables(draw):
    """(names, rows of texts, separator, settings)"""
    rows = draw(st.sampled_from([0, 1, 9, 10, 12, 30, 30, 60, 60, 200, 200]))
    names = draw(
        st.lists(
            NAMES,
            min_size=draw(st.sampled_from([1, 2, 3, 3])),
            max_size=6,
            unique=draw(st.integers(0, 9)) > 0,
        )
    )
    names = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    target = draw(st.sampled_from([*names * 10, "absent"]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns, by_role = [], collections.defaultdict(list)
    for name in names:
        pool, likely = draw(TARGETS if name == target and draw(st.integers(0, 5)) else POOLS)
        pool = pool + draw(st.sampled_from([[], [], [""], ["NA"]]))
        columns.append([pool[i] for i in random.integers(0, len(pool), rows)])
        if draw(st.integers(0, 9)) == 0:
            likely = draw(st.sampled_from(["categorical", "numeric", "dates"]))
        if draw(st.booleans()) and (name != target or draw(st.integers(0, 9)) == 0):
            by_role[likely].append(name)
    options = {
        "data": None, "validation_data": None, "test_data": None, "drop": None,
        "target": target, "separator": draw(st.sampled_from(",;\t|")), "encoding": "utf-8",
        "categorical": by_role["categorical"] or None, "numeric": by_role["numeric"] or None,
        "dates": by_role["dates"] or None,
        "keep_na": draw(st.lists(st.sampled_from(names), max_size=1)) or None,
        "task": draw(st.sampled_from(["auto"] * 9 + ["regression", "binary", "multiclass"])),
        "split_by": draw(st.sampled_from([None, None, None, *names])),
        "seed": 0,
    }  # fmt: skip
    return names, columns, options


def write_csv(path, names, columns, separator):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerow(names)
        writer.writerows(zip(*columns, strict=True))


@given(tables(), st.booleans())
@settings(
    max_examples=TRIED,
    deadline=None,
    derandomize="WILD_TABLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
def test_a_table_is_held_exactly_or_refused_in_one_sentence(table, parquet):
    names, columns, options = table
    if names[0].startswith("\ufeff"):
        return  # a byte order mark, by any reading
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="error"):
        folder = Path(folder)
        name = folder / ("table.parquet" if parquet else "table.csv")
        if parquet and len(set(names)) == len(names):
            texts = {n: [v or None for v in c] for n, c in zip(names, columns, strict=True)}
            pd.DataFrame(texts, dtype=object).astype("str").to_parquet(name)
        else:
            name = folder / "table.csv"
            write_csv(name, names, columns, options["separator"])
        options["data"] = [str(name)]
        try:
            dataset = read_dataset(options, folder / "cache")
        except InputError as error:
            message = str(error).replace(str(name), "")
            assert message.endswith((".", "?")) and len(message) > 20, message
            outcomes["refused: " + " ".join(message.split()[:3])[:40]] += 1
            event("refused")
            return
        outcomes["read"] += 1
        event("read")
        cells = dict(zip(names, columns, strict=True))
        missing = {"", *(() if name.suffix == ".parquet" else MISSING_TEXTS)}
        check_categories(dataset, cells, missing)
        check_numbers(dataset)
        check_saved(dataset, folder, name, options)


def check_categories(dataset, cells, missing):
    """Every cell of a categorical column comes back from its code."""
    codes = dataset.encoded.codes(np.arange(dataset.table.rows))
    train = set(dataset.split["train"][:].tolist())
    for j, vocabulary in enumerate(dataset.encoding.vocabularies):
        assert len(vocabulary.values) == len({(type(v), v) for v in vocabulary.values})
        assert vocabulary.counts.sum() == len(train)
        if vocabulary.column not in cells:
            continue  # part of a date
        kept = vocabulary.column in dataset.settings["keep_na"]
        absent = {""} if kept else missing
        for row, text in enumerate(cells[vocabulary.column]):
            code = codes[row, j]
            if text in absent:
                assert code == MISSING
            elif code == UNSEEN:
                assert row not in train
            else:
                value = vocabulary.values[code - RESERVED]
                assert value == convert(text, vocabulary.type), (value, text)
                assert type(value).__name__ == vocabulary.type


def convert(text, kind):
    if kind == "bool":
        return {"true": True, "false": False}[text.lower()]
    return {"str": str, "int": lambda t: int(t) if t.strip("+- 0123456789") == "" else float(t),
            "float": float}[kind](text)  # fmt: skip


def check_numbers(dataset):
    """What the network is given is finite or marked as missing, and targets come back."""
    rows, target = np.concatenate(list(dataset.split.values())), dataset.encoding.target
    numbers = dataset.encoded.numbers(rows)
    assert not np.isinf(numbers).any()
    values = dataset.target[rows]
    encoded = target.encode(values)
    assert np.isfinite(encoded).all()
    if target.task == "regression":
        back = target.decode(encoded)
        assert np.isfinite(back).all()
        largest = np.abs(dataset.target[dataset.split["train"]]).max()
        if np.abs(values).max() <= largest:
            np.testing.assert_allclose(
                back, values, rtol=1e-3, atol=1e-3 * target.std + 1e-3 * largest
            )
    else:
        assert set(np.unique(values)) <= set(range(len(target.classes)))
        assert len(target.label(values)) == len(rows)


def check_saved(dataset, folder, name, options):
    """What is saved gives the same codes again: to the second script and to --predict."""
    everything = np.arange(dataset.table.rows)
    codes, numbers = dataset.encoded.codes(everything), dataset.encoded.numbers(everything)
    manifest = describe(dataset, "wild")
    arrays = {
        v.column: np.random.default_rng(0).normal(size=(v.cardinality, v.size)).astype("float32")
        for v in dataset.encoding.vocabularies
    }
    (folder / "set").mkdir()
    write_vectors(folder / "set", manifest, arrays)
    manifest["files"] = {}
    (folder / "set/embeddings.json").write_text(json.dumps(manifest, allow_nan=False))
    manifest = json.loads((folder / "set/embeddings.json").read_text())
    encoding = saved_encoding(manifest)
    assert [v.values for v in encoding.vocabularies] == [
        v.values for v in dataset.encoding.vocabularies
    ]
    saved = {column: saved_vocabulary(manifest, column) for column in manifest["columns"]}
    again = read_dataset(manifest["options"], folder / "cache", saved)
    np.testing.assert_array_equal(again.encoded.codes(everything), codes)
    np.testing.assert_array_equal(again.target, dataset.target)
    for part, rows in dataset.split.items():
        np.testing.assert_array_equal(again.split[part], rows)

    # New rows: without the target, columns in another order.
    features = {c: role.role for c, role in dataset.roles.items()
                if role.role in ("categorical", "numeric", "date")}  # fmt: skip
    features = dict(reversed(features.items()))
    table = read_table(
        {"data": [str(name)]},
        features,
        folder / "new",
        dialect=dialect_of(dataset.settings),
    )
    rows = EncodedRows(table, encoding)
    np.testing.assert_array_equal(rows.codes(everything), codes)
    np.testing.assert_array_equal(rows.numbers(everything), numbers)


def test_many_columns(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.integers(0, 5, (60, 500)), columns=[f"c{i}" for i in range(500)])
    frame.to_csv(tmp_path / "wide.csv", index=False)
    options = dict.fromkeys(OPTIONS) | {
        "data": [str(tmp_path / "wide.csv")],
        "target": "c7",
        "task": "auto",
        "encoding": "utf-8",
        "seed": 0,
    }
    dataset = read_dataset(options, tmp_path / "cache")
    assert len(dataset.encoding.vocabularies) == 499
    assert dataset.encoding.target.task == "multiclass"
