"""The optimizer: the same steps as Keras's Adam, for less; and what members of a network say."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from data.tables.encoding import Target
from data.training.losses import combine_members
from data.training.optimizer import DENSE_ROWS, LazyAdam
from data.training.scoring import to_predictions

LARGE, SMALL = 5_000, 60  # categories: above 4,096 only the rows of a batch are updated
TOUCHED = [3, 17, 17, 42, 17]  # rows of a batch; one row comes three times


def gradients(categories, steps=5, rows=TOUCHED):
    """What an embedding passes back: a gradient for each lookup, float32 [len(rows), 4]."""
    random = np.random.default_rng(1)
    for _ in range(steps):
        values = random.normal(size=(len(rows), 4)).astype("float32")
        yield tf.IndexedSlices(values, tf.constant(rows), tf.constant([categories, 4]))


def train(optimizer, start, gradients, dense=False):
    """The weights after a step with each gradient, and the optimizer's variables of that shape: the
    mean squares last, before them the momentum of a table that is updated as a whole."""
    variable = keras.Variable(start, name="embeddings")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([tf.convert_to_tensor(gradient) if dense else gradient], [variable])
    moments = [v.numpy() for v in optimizer.variables if v.shape == variable.shape]
    assert len(moments) == (2 if len(start) <= DENSE_ROWS or dense else 1)
    return variable.numpy(), moments


def start(categories):
    return np.random.default_rng(0).normal(size=(categories, 4)).astype("float32")


def keras_adam(like, rate=0.01, categories=SMALL):
    """Keras's Adam; for a large table without momentum, which rows that stand still cannot have."""
    beta_1 = like.beta_1 if categories <= DENSE_ROWS else 0.0
    return keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=like.beta_2, epsilon=like.epsilon)


@pytest.mark.parametrize("categories", [LARGE, SMALL])
def test_rows_of_every_batch_move_as_with_kerass_adam(categories):
    """Gradients of a row that comes more than once in a batch add up."""
    lazy = LazyAdam(0.01, [1.0])
    found, moments = train(lazy, start(categories), gradients(categories))
    adam = keras_adam(lazy, categories=categories)
    wanted, expected = train(adam, start(categories), gradients(categories), True)
    rows = np.unique(TOUCHED)
    assert np.abs(wanted - start(categories))[rows].max(axis=1).min() > 1e-3
    np.testing.assert_allclose(found[rows], wanted[rows], rtol=1e-5, atol=1e-6)
    for one, other in zip(moments[::-1], expected[::-1], strict=False):
        np.testing.assert_allclose(one[rows], other[rows], rtol=1e-5, atol=1e-7)


def test_tiny_gradients_move_as_with_kerass_adam():
    """Here epsilon matters, and where it stands in the formula."""
    lazy = LazyAdam(0.01, [1.0])
    tiny = [tf.IndexedSlices(g.values * 1e-7, g.indices, g.dense_shape) for g in gradients(LARGE)]
    found, _ = train(lazy, np.zeros((LARGE, 4), "float32"), tiny)
    adam = keras_adam(lazy, categories=LARGE)
    wanted, _ = train(adam, np.zeros((LARGE, 4), "float32"), tiny, True)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_in_a_large_table_other_rows_and_their_moments_stay_to_the_bit():
    begun = start(LARGE)
    other = np.setdiff1d(np.arange(LARGE), TOUCHED)
    found, moments = train(LazyAdam(0.01, [1.0]), begun, gradients(LARGE))
    np.testing.assert_array_equal(found[other], begun[other])
    assert all((moment[other] == 0).all() for moment in moments)

    # A row that was in a batch stands still while no batch has it: no momentum moves it on.
    first, then = list(gradients(LARGE, steps=1)), list(gradients(LARGE, steps=3, rows=[9]))
    once, kept = train(LazyAdam(0.01, [1.0]), begun, first)
    later, moments = train(LazyAdam(0.01, [1.0]), begun, first + then)
    rows = np.unique(TOUCHED)
    assert (once[rows] != begun[rows]).all() and all((moment[rows] != 0).all() for moment in kept)
    for before, after in ((once, later), *zip(kept, moments, strict=True)):
        np.testing.assert_array_equal(after[rows], before[rows])


def test_a_rare_row_moves_as_far_for_a_batch_as_with_kerass_adam():
    """There momentum moves it on for some ten steps after the batch; here it moves at once."""
    touch = list(gradients(LARGE, steps=1, rows=[3]))
    rest = list(gradients(LARGE, steps=60, rows=[9]))
    lazy = LazyAdam(0.01, [1.0])
    begun = np.zeros((LARGE, 4), "float32")
    found, _ = train(lazy, begun, rest + touch + rest)
    wanted, _ = train(keras_adam(lazy), begun, rest + touch + rest, True)
    np.testing.assert_allclose(found[3], wanted[3], rtol=0.15)


def test_in_a_small_table_all_rows_move_as_with_kerass_adam():
    """There a row goes on by its momentum while no batch has it."""
    batches = [*gradients(SMALL, steps=2), *gradients(SMALL, steps=3, rows=[9, 9])]
    lazy = LazyAdam(0.01, [1.0])
    found, moments = train(lazy, start(SMALL), batches)
    wanted, expected = train(keras_adam(lazy), start(SMALL), batches, True)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    for one, other in zip(moments, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("categories", [LARGE, SMALL])
def test_a_share_of_the_rate_is_a_share_of_the_change(categories):
    begun = np.zeros((categories, 4), "float32")
    whole, _ = train(LazyAdam(0.01, [1.0]), begun, gradients(categories))
    part, _ = train(LazyAdam(0.01, [0.3]), begun, gradients(categories))
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(part, 0.3 * whole, rtol=1e-4, atol=1e-8)


def test_each_variable_has_its_own_rate_and_layers_move_as_with_kerass_adam():
    random = np.random.default_rng(2)
    changes = random.normal(size=(4, 2, 3, 2)).astype("float32")
    lazy = LazyAdam(0.01, [1.0, 0.5])
    ours = [keras.Variable(np.ones((3, 2), "float32")) for _ in range(2)]
    theirs = [keras.Variable(np.ones((3, 2), "float32")) for _ in range(2)]
    adams = [keras_adam(lazy, rate) for rate in (0.01, 0.005)]
    for pair in changes:
        lazy.apply([tf.constant(change) for change in pair], ours)
        for adam, change, variable in zip(adams, pair, theirs, strict=True):
            adam.apply([tf.constant(change)], [variable])
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.numpy(), their.numpy(), rtol=1e-5)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_validation_judges_what_the_members_predict_together(task):
    target = Target("y", task, classes=["a", "b", "c"][: 3 if task == "multiclass" else 2])
    outputs = np.random.default_rng(0).normal(0, 30, (20, 4, target.outputs)).astype("float32")
    joint = combine_members(tf.constant(outputs), target).numpy()
    assert joint.shape == (20, 1, target.outputs)
    np.testing.assert_allclose(
        to_predictions(joint, target), to_predictions(outputs, target), rtol=1e-4, atol=1e-6
    )
