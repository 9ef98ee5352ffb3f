"""model.keras on raw rows gives what our own encoding of these rows gives, whatever they hold."""

import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import ROOT  # noqa: F401
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import build_embed_model
from build_embeddings import Recipe
from data.sets.raw_model import input_names, load_network, raw_model
from data.tables.dialect import Dialect
from data.tables.encoding import MISSING, Encoding, Target, Vocabulary
from data.tables.scaling import Numeric, as_float32, scaled
from data.training.scoring import to_predictions

# Names of layers, of Keras's own operations, of inputs inside; alike once made plain; none at all.
NAMES = [
    "network", "mean", "m/f", "km/h", "a b", "a_b", "embedding_0", "lookup_0", "concatenate",
    "text_0", "number_0", "raw_rows", "softmax", "cast", "", "self", "é\n$:", "Unnamed: 0", "A B",
    "codes",
]  # fmt: skip
TEXTS = ["NA", "[UNK]", "[UNK]_", "b", "B", "None", "102", "1.5", " x", "ß"]
DIALECT = Dialect(keep_na=("mean",), na_values=("?", "-999"))
NUMBERS = [
    np.nan, np.inf, -np.inf, 0.0, -0.0, 202400000020.0, 202400016400.0, 1e300, -1e39, 5e-324,
    1e-40, -999.0, 0.1, 16777217.0, 3.4e38,
]  # fmt: skip


def vocabulary(column, i):
    texts = [text for text in TEXTS if column == "mean" or text not in ("NA", "None")]
    values = {
        0: ("str", sorted(texts)),
        1: ("int", [0, 7, 102, 10**17]),
        2: ("float", [0.5, 2.0, 102.0]),
        3: ("bool", [False, True]),
    }
    found = Vocabulary(column, *values[0 if column == "mean" else i % 4])
    found.counts = np.ones(found.cardinality, "int64")
    return found


VOCABULARIES = [vocabulary(column, i) for i, column in enumerate(NAMES[:12])]
NUMERICS = [
    Numeric(column, *scale, 1, [-1.0, 0.0, 1.0])
    for column, scale in zip(
        NAMES[12:], [(0.0, 1.0), (202400000000.0, 1e4), (0.1, 1e-9), (5.0, 1e300)] * 2, strict=True
    )
]
TARGETS = {
    "regression": Target("y", "regression", "identity", 50.0, 20.0),
    "log": Target("y", "regression", "log1p", 3.0, 2.0, shift=0.25),
    "binary": Target("y", "binary", classes=["no", "yes"]),
    "multiclass": Target("y", "multiclass", classes=["a", "b", "c"]),
}


@pytest.fixture(scope="module", params=TARGETS)
def saved(request, tmp_path_factory):
    """(encoding, network, the saved model loaded again, its file)"""
    encoding = Encoding(VOCABULARIES, NUMERICS, TARGETS[request.param])
    recipe = Recipe(1, 32, 0.01, 0.0, (8, 8), members=2)
    network = build_embed_model.build_model(encoding, recipe, seed=3)
    path = tmp_path_factory.mktemp(request.param) / "model.keras"
    raw_model(network, encoding, DIALECT).save(path)
    with warnings.catch_warnings(action="ignore"):
        return encoding, network, keras.saving.load_model(path), path


def expected(encoding, network, rows):
    """What our own encoding makes of rows, by the functions that --predict uses."""
    codes = []
    for vocabulary in encoding.vocabularies:
        texts = rows[vocabulary.column]
        found = vocabulary.find(list(texts))
        missing = np.isin(texts, DIALECT.missing_texts(vocabulary.column))
        codes.append(np.where(missing, MISSING, found))
    numbers = []
    for numeric in encoding.numerics:
        values = np.where(rows[numeric.column] == -999, np.nan, rows[numeric.column])
        numbers.append(scaled(as_float32(values), numeric.center, numeric.scale))
    inputs = {"codes": np.stack(codes, axis=1), "numbers": np.stack(numbers, axis=1)}
    return to_predictions(network.predict(inputs, verbose=0), encoding.target)


KNOWN = [text for v in VOCABULARIES for text in v.texts()]
TEXT = st.sampled_from(
    ["", "NA", "None", "?", "nan", "102", "102.0", "102.00", "1e2", "0102", "TRUE", "True", "true",
     "2", "2.0", "-0", *KNOWN]
)  # fmt: skip
TEXT |= st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
NUMBER = st.sampled_from(NUMBERS) | st.floats(allow_subnormal=False)
TOLERANCE = {"rtol": 2e-6, "atol": 2e-6}  # of float32; a wrong row of an embedding is off by more
ROW = st.tuples(*[TEXT] * len(VOCABULARIES), *[NUMBER] * len(NUMERICS))


@settings(max_examples=15, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(ROW, min_size=1, max_size=32))
@example([(text, *[text] * 11, *[NUMBERS[i % len(NUMBERS)]] * 8) for i, text in enumerate(KNOWN)])
def test_the_model_alone_equals_our_own_encoding(saved, drawn):
    encoding, network, model, _ = saved
    drawn = (drawn * 32)[:32]  # of one shape, so that Keras traces once
    columns = zip(*drawn, strict=True)
    rows = {}
    for column, values in zip(NAMES, columns, strict=True):
        kind = "float64" if len(rows) >= len(VOCABULARIES) else object
        rows[column] = np.array(values, dtype=kind)
    ours = expected(encoding, network, rows)
    assert set(model.input) == set(NAMES)
    found = model.predict(rows, verbose=0)  # which makes float32 of float64
    np.testing.assert_allclose(found, ours, **TOLERANCE)
    # Exact float64, as tf.data and a call of the model hand it over, is the same number.
    called = model({column: tf.constant(values) for column, values in rows.items()}).numpy()
    np.testing.assert_allclose(called, found, **TOLERANCE)


def test_the_network_is_found_again_and_the_model_exports(saved, tmp_path):
    """As TensorFlow Serving takes it: raw texts and numbers in, predictions out."""
    encoding, network, model, path = saved
    again = load_network(path, encoding)
    for one, other in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if encoding.target.task != "regression":
        return
    with warnings.catch_warnings(action="ignore"):
        model.export(str(tmp_path / "served"), verbose=False)
    signature = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    taken = signature.structured_input_signature[1]
    assert len(taken) == len(NAMES)
    names = dict(zip(NAMES, input_names(NAMES), strict=True))
    assert len(set(names.values())) == len(NAMES) and names["mean"] == "mean"
    rows = {c: ["b", "[UNK]"] if v < 12 else [0.5, 1.0] for v, c in enumerate(NAMES)}
    kinds = sorted(spec.dtype.name for spec in taken.values())
    assert kinds == ["float64"] * 8 + ["string"] * 12
    texts = [tf.constant(["b", "[UNK]"]), tf.constant([0.5, 1.0], "float64")]
    inputs = {name: texts[spec.dtype != tf.string] for name, spec in taken.items()}
    (served,) = signature(**inputs).values()
    arrays = {
        c: np.array(v, object if isinstance(v[0], str) else "float64") for c, v in rows.items()
    }
    np.testing.assert_allclose(served.numpy(), expected(encoding, network, arrays), rtol=1e-5)


def test_names_that_are_alike_get_inputs_of_their_own():
    names = input_names(["a b", "a_b", "m/f", "m_f", "m/f_2", "", "self"])
    assert len(set(names)) == 7
    assert not any("/" in name or name in ("", "self") for name in names)
    assert input_names(["country", "Ad Group", "day.of"]) == ["country", "Ad_Group", "day.of"]


def test_pandas_numbers_become_the_same_numbers_everywhere():
    numbers = as_float32(pd.Series(NUMBERS).to_numpy())
    assert np.isnan(numbers[[0, 1, 2, 7, 8]]).all()
    assert numbers[5] == numbers[6] - 16384 or numbers[5] == np.float32(202400000020.0)
    assert numbers[9] == numbers[10] == 0
