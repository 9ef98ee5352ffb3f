"""The trained network as a model of raw rows, and back out of the saved file.

Imports Keras at its top: import it once TensorFlow has been started.
"""

import warnings

import keras
import numpy as np
from keras import ops

from data import InputError
from data.tables.encoding import FARTHEST, MISSING, RESERVED
from data.tables.values import MISSING_TEXTS


def raw_model(network, encoding):
    """The network behind layers that take raw columns, so that the saved file is complete.

    Returns:
        keras.Model: dict of column -> [batch], text for categories (empty for missing), float64
        for numbers (NaN for missing) -> {"predicted", "predicted_median"}, the mean and the median
        in the target's units, float32 [batch, 1] each, or class probabilities [batch, classes].
    """
    trained, network = network, keras.Model.from_config(network.get_config())
    network.set_weights(trained.get_weights())  # a copy that knows nothing of our optimizer
    inputs, codes, numbers = {}, [], []
    for i, vocabulary in enumerate(encoding.vocabularies):
        texts = vocabulary.texts()
        # Other spellings of a category, and of a missing value, after the categories themselves.
        others = {text: MISSING for text in ("", *MISSING_TEXTS)} | vocabulary.spellings
        others = {text: row for text, row in others.items() if text not in set(texts)}
        text = keras.Input((), dtype="string", name=input_name(vocabulary.column, i))
        lookup = keras.layers.StringLookup(
            vocabulary=[*texts, *others], mask_token=None, num_oov_indices=1, name=f"lookup_{i}"
        )
        index = ops.cast(lookup(text), "int32")  # 0 where unseen, then the categories in order
        other = ops.take(
            np.array([0, *others.values()], "int32"), ops.maximum(index - len(texts), 0)
        )
        row = ops.where(index > len(texts), other, index + (RESERVED - 1))
        inputs[vocabulary.column] = text
        codes.append(row)
    arrays = {"codes": ops.stack(codes, axis=1)}
    for i, numeric in enumerate(encoding.numerics):
        number = keras.Input((), dtype="float64", name=input_name(numeric.column, i))
        inputs[numeric.column] = number
        scaled = ops.clip((number - numeric.center) / numeric.scale, -FARTHEST, FARTHEST)
        numbers.append(ops.cast(scaled, "float32"))
    if numbers:
        arrays["numbers"] = ops.stack(numbers, axis=1)
    with warnings.catch_warnings():  # Keras warns of names that it does not allow in a layer
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        return keras.Model(inputs, predictions(network(arrays), encoding.target))


def predictions(outputs, target):
    """The layers after the network: the mean over its members, in the target's units."""
    if target.task == "regression":
        found = {}
        for name, shift in (("predicted", target.shift), ("predicted_median", 0.0)):
            values = (outputs + shift) * target.std + target.mean
            if target.transform == "log1p":
                values = ops.expm1(ops.clip(values, 0.0, 88.0))
            found[name] = ops.mean(values, axis=1)
        return found
    if target.task == "binary":
        positive = ops.mean(ops.sigmoid(outputs), axis=1)
        return ops.concatenate([1.0 - positive, positive], axis=1)
    return ops.mean(ops.softmax(outputs, axis=-1), axis=1)


def input_name(column, i):
    """The name of a column's input layer: its own, where Keras allows it."""
    return column if "/" not in column and column else f"column {i}"


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
        network = keras.saving.load_model(path, safe_mode=True).get_layer("network")
        shape = network.predict(inputs, verbose=0).shape
        fits = len(shape) == 3 and shape[0] == 1 and shape[2] == encoding.target.outputs
    except Exception as error:  # whatever Keras raises on a file that is not what we saved
        raise InputError(
            f"{path} cannot be used: Keras refuses it ({type(error).__name__}); train it again"
        ) from error
    if not fits:
        raise InputError(f"{path} cannot be used: it is another model; train it again")
    return network


def frozen_network(path, encoding, i):
    """The network of a saved model, to be a part of another one: it learns and drops nothing."""
    network = load_network(path, encoding)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    frozen = keras.Model.from_config(network.get_config() | {"name": f"saved_network_{i}"})
    frozen.set_weights(network.get_weights())
    frozen.trainable = False
    return frozen
