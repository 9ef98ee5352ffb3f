"""The trained network as a model of raw rows, and back out of the saved file.

Imports Keras at its top: import it once TensorFlow has been started.
"""

import re
import warnings

import keras
import numpy as np
from keras import ops

from data import InputError
from data.tables.dialect import USUAL
from data.tables.encoding import LARGEST_LOG, UNSEEN
from data.tables.scaling import FARTHEST, FLOAT32_TINY, as_float32

EXPORTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


def raw_model(network, encoding, dialect=USUAL):
    """The network behind layers that take raw columns, so that the saved file is complete.

    Args:
        network: of build_embed_model.py; it is copied.
        dialect: `data.tables.dialect.Dialect` of the table: which texts stand for missing values.

    Returns:
        keras.Model: dict of column -> [batch], text for categories (empty for missing), float64
        for numbers (NaN for missing) -> float64 [batch, 2], the mean and the median in the
        target's units, or class probabilities [batch, classes].
    """
    columns = [each.column for each in (*encoding.vocabularies, *encoding.numerics)]
    inputs = {}
    for column, name in zip(columns, input_names(columns), strict=True):
        dtype = "string" if len(inputs) < len(encoding.vocabularies) else "float64"
        inputs[column] = keras.Input((), dtype=dtype, name=name)
    # A model knows its layers and inputs by one set of names. All layers are therefore in a model
    # of their own, whose name no column has.
    inner = encoded_model(network, encoding, dialect, unused_name("raw_rows", columns))
    with warnings.catch_warnings():  # Keras warns of names that it does not allow in a layer
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        return keras.Model(inputs, inner(list(inputs.values())))


def encoded_model(network, encoding, dialect, name):
    """The same for a list of inputs: first categorical columns, then numeric ones."""
    copy = keras.Model.from_config(network.get_config())  # it knows nothing of our optimizer
    copy.set_weights(network.get_weights())
    texts = [
        keras.Input((), dtype="string", name=f"text_{i}") for i in range(len(encoding.vocabularies))
    ]
    numbers = [
        keras.Input((), dtype="float64", name=f"number_{i}") for i in range(len(encoding.numerics))
    ]
    codes = [
        embedding_row(text, vocabulary, dialect.missing_texts(vocabulary.column))
        for text, vocabulary in zip(texts, encoding.vocabularies, strict=True)
    ]
    arrays = {"codes": ops.stack(codes, axis=1)}
    if numbers:
        scaled = [
            scaled_number(number, numeric, dialect.na_values_of(numeric.column))
            for number, numeric in zip(numbers, encoding.numerics, strict=True)
        ]
        arrays["numbers"] = ops.stack(scaled, axis=1)
    outputs = predictions(copy(arrays), encoding.target)
    return keras.Model([*texts, *numbers], outputs, name=name)


def embedding_row(text, vocabulary, missing_texts):
    """Texts of one column, string [batch] -> rows of its embedding, int32 [batch].

    What `data.tables.encoding.Vocabulary.find` says of each text, and row 0 for missing ones.
    """
    rows = vocabulary.row_of_texts(missing_texts)
    lookup = keras.layers.StringLookup(
        vocabulary=[*rows],
        mask_token=None,
        num_oov_indices=1,
        oov_token=unused_name("[UNK]", rows),  # Keras would take a category of this name for it
    )
    found = ops.cast(lookup(text), "int32")  # 0 where unseen, then as in `rows`
    return ops.take(np.array([UNSEEN, *rows.values()], "int32"), found)


def scaled_number(number, numeric, na_values):
    """One numeric column, float64 [batch] -> float32 [batch], scaled; missing ones NaN.

    What `data.tables.encoding.EncodedRows.numbers` gives for the same numbers.
    """
    nearest = ops.cast(ops.cast(number, "float32"), "float64")
    nearest = ops.where(ops.abs(nearest) < FLOAT32_TINY, 0.0, nearest)
    known = ops.isfinite(nearest)
    for missing in as_float32(np.array([*map(_as_number, na_values)], "float64")):
        known = ops.logical_and(known, ops.not_equal(nearest, float(missing)))
    scaled = ops.clip((nearest - numeric.center) / numeric.scale, -FARTHEST, FARTHEST)
    return ops.cast(ops.where(known, scaled, float("nan")), "float32")


def _as_number(text):
    try:
        return float(text)
    except ValueError:
        return np.nan  # which no number equals


def predictions(outputs, target):
    """The layers after the network, as `data.training.scoring.to_predictions`, in float64: means
    over the members of the mean and the median in the target's units, or of probabilities."""
    outputs = ops.cast(outputs, "float64")
    if target.task == "regression":
        found = []
        for shift in (target.shift, 0.0):
            values = (outputs + shift) * target.std + target.mean
            if target.transform == "log1p":
                values = ops.expm1(ops.clip(values, 0.0, LARGEST_LOG))
            found.append(ops.mean(values, axis=1))
        return ops.concatenate(found, axis=1)
    if target.task == "binary":
        positive = ops.mean(ops.sigmoid(outputs), axis=1)
        return ops.concatenate([1.0 - positive, positive], axis=1)
    return ops.mean(ops.softmax(outputs, axis=-1), axis=1)


def input_names(columns):
    """The name of each column's input layer: the column's own where TensorFlow can export it.

    An exported model has names of Latin letters, digits and underscores, which are different
    without capitals, too. Where they cannot be the column's, "ad group" becomes ad_group.
    """
    plain = [re.sub(r"[^A-Za-z0-9]", "_", column).lower() for column in columns]
    names, taken = [], {"self", *plain}
    for column, as_plain in zip(columns, plain, strict=True):
        name = column
        if not EXPORTED.fullmatch(column) or plain.count(as_plain) > 1 or column == "self":
            name = re.sub(r"[^A-Za-z0-9]", "_", column)
            if plain.count(as_plain) > 1 or not EXPORTED.fullmatch(name) or name == "self":
                name = unused_name(f"column_{len(names)}", taken)
                taken.add(name)
        names.append(name)
    return names


def unused_name(name, taken):
    """The name, lengthened by underscores until it is none of those taken."""
    while name in taken:
        name += "_"
    return name


def load_network(path, encoding):
    """The network inside a saved model, once it is known to take what the encoding gives.

    Raises:
        InputError: Keras refuses the file, or it holds another model.
    """
    largest = [[vocabulary.cardinality - 1 for vocabulary in encoding.vocabularies]]
    inputs = {"codes": np.array(largest, "int32")}
    if encoding.numerics:
        inputs["numbers"] = np.zeros((1, len(encoding.numerics)), "float32")
    try:
        network = network_inside(keras.saving.load_model(path, safe_mode=True, compile=False))
        shape = network(inputs, training=False).shape
        fits = len(shape) == 3 and shape[0] == 1 and shape[2] == encoding.target.outputs
    except Exception as error:  # whatever Keras raises on a file that is not what we saved
        raise InputError(
            f"{path} cannot be used: Keras refuses it ({type(error).__name__}); train it again"
        ) from error
    if not fits:
        raise InputError(f"{path} cannot be used: it is another model; train it again")
    return network


def network_inside(model):
    """The network inside a model of `raw_model`, of today or as it was first made."""
    (inner,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    return inner if inner.name == "network" else inner.get_layer("network")


def frozen_networks(models):
    """The networks of saved models, to be parts of another one: list of (network, its encoding).

    Args:
        models: list of `data.sets.matching.SavedModel`.
    """
    return [
        (frozen_network(model.path, model.encoding, i), model.encoding)
        for i, model in enumerate(models)
    ]


def frozen_network(path, encoding, i):
    """The network of a saved model, to be a part of another one: it learns and drops nothing."""
    network = load_network(path, encoding)
    for layer in layers_within(network):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    frozen = keras.Model.from_config(network.get_config() | {"name": f"saved_network_{i}"})
    frozen.set_weights(network.get_weights())
    frozen.trainable = False
    return frozen


def layers_within(model):
    """Yield the layers of a model, and those of the models among them."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers_within(layer)
        else:
            yield layer


def network_outputs(network, other, codes, numbers, encoding):
    """What a saved network makes of the rows: outputs for its own target, the mean of its members.

    Its dense layers know how the vectors act together, which few rows cannot teach anew.

    Args:
        other: the network's encoding; its columns are all among those of `encoding`.
        codes, numbers: Keras tensors, int32 and float32 [batch, columns], as `encoding` has them.

    Returns:
        float32 [batch, outputs of the network]
    """
    columns = [vocabulary.column for vocabulary in encoding.vocabularies]
    cardinalities = np.array([v.cardinality for v in other.vocabularies], "int32")
    codes = ops.stack([codes[:, columns.index(v.column)] for v in other.vocabularies], axis=1)
    inputs = {"codes": ops.where(codes < cardinalities, codes, UNSEEN)}
    if other.numerics:
        mine, scaled = {n.column: (i, n) for i, n in enumerate(encoding.numerics)}, []
        for numeric in other.numerics:
            i, own = mine[numeric.column]
            shift = (own.center - numeric.center) / numeric.scale
            scaled.append(numbers[:, i] * (own.scale / numeric.scale) + shift)
        inputs["numbers"] = ops.clip(ops.stack(scaled, axis=1), -FARTHEST, FARTHEST)
    return ops.mean(network(inputs), axis=1)
