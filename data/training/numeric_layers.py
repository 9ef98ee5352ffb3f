"""Numbers as a network learns from them best: scaled, as waves, and with a vector for each.

Imports Keras at its top: import it once TensorFlow has been started.
"""

import keras
import numpy as np
from keras import ops

from data.tables.scaling import FARTHEST, soft_clip

NUMBER_SCALE = 0.3  # of their spread, for scaled numbers beside vectors
WAVES = 16  # of each number
NUMBER_SIZE = 8  # of the vector of a number


def numeric_features(numbers, numerics, dropout):
    """Scaled numbers with 0 for missing, periodic features, a vector for each, and a flag for each
    column that had some missing in training.

    Periodic features make smooth functions easy to learn, and vectors steps, as trees learn them:
    Gorishniy et al., On Embeddings for Numerical Features (2022), section 3. Numbers are as small
    as the components of a category's vector, else they would outweigh these from the start.
    """
    missing = ops.isnan(numbers)
    filled = ops.where(missing, 0.0, numbers)
    clipped = soft_clip(filled)
    vectors = keras.layers.Dropout(dropout)(piecewise_linear(filled, numerics))
    parts = [NUMBER_SCALE * clipped, NUMBER_SCALE * periodic_features(clipped), vectors]
    flagged = [j for j, numeric in enumerate(numerics) if numeric.missing]
    parts += [ops.cast(missing[:, j : j + 1], "float32") for j in flagged]
    return keras.layers.Concatenate(name="present_numbers")(parts)


def periodic_features(numbers):
    """Linear mixtures of cosines of all numbers, whose frequencies are trained. The biases start as
    in RealMLP (Holzmueller et al., 2024).

    Returns:
        float32 [batch, 3 * numeric columns]
    """
    waves = keras.layers.DepthwiseConv1D(
        1,
        depth_multiplier=WAVES,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=0.2 * np.pi),
        bias_initializer=keras.initializers.RandomUniform(-np.pi, np.pi),
        name="waves",
    )(numbers[:, None, :])
    return keras.layers.Dense(3 * numbers.shape[1], name="mixed_waves")(ops.cos(waves[:, 0]))


def piecewise_linear(numbers, numerics):
    """A vector for each number, linear in its way through the bins of its column: 1 for each bin
    below it and a share of its own (piecewise linear encoding).

    Returns:
        float32 [batch, NUMBER_SIZE * numeric columns]
    """
    most = max(len(numeric.edges) for numeric in numerics) + 1
    edges = np.full((len(numerics), most), 2 * FARTHEST, "float32")  # where there is no bin
    for row, numeric in zip(edges, numerics, strict=True):
        row[: len(numeric.edges)] = numeric.edges
    low, width = edges[:, :-1], np.maximum(np.diff(edges), np.finfo("float32").tiny)
    way = ops.clip((numbers[:, :, None] - low) / width, 0.0, 1.0)
    vectors = keras.layers.EinsumDense(
        "bnk,nkv->bnv",
        (len(numerics), NUMBER_SIZE),
        kernel_initializer=keras.initializers.RandomUniform(-0.05, 0.05),
        name="number_vectors",
    )(way)
    return keras.layers.Flatten()(vectors)
