"""The copy of a model that learns, and the average of its weights that the model itself holds."""

import keras
import numpy as np
import tensorflow as tf

from data.training.optimizer import LazyAdam

COPIED_EACH_TIME = 2_000_000  # weights, when the average takes in a block of steps


class Lookup(keras.layers.Embedding):
    """An embedding that reads no more than the rows of the batch.

    Keras's own reads the table, which TensorFlow then copies at each step as rows of it change.
    """

    def call(self, rows):
        return tf.gather(self.embeddings.value, rows)


def learning_copy(layer):
    """A layer like this one; of an embedding, a `Lookup`."""
    kind = Lookup if isinstance(layer, keras.layers.Embedding) else type(layer)
    return kind.from_config(layer.get_config())


def make_learner(model, schedule, rates, strategy):
    """A compiled copy of a model, on all devices of a strategy.

    Args:
        schedule: learning rate or keras schedule.
        rates: list of float, the share of that rate which each trainable variable gets.
    """
    with strategy.scope():
        learner = keras.models.clone_model(model, clone_function=learning_copy)
        learner.compile(LazyAdam(schedule, rates))
        learner.optimizer.build(learner.trainable_variables)
    learner.set_weights(model.get_weights())
    return learner


def training_steps(learner, loss, strategy):
    """The function that trains: (iterator of batches, steps, int32) -> sum of the steps' losses.

    Keras's own `fit` fails where several workers train (keras-team/keras issue 20585). Each replica
    gives its share of the mean over a batch, and the optimizer adds up their gradients.
    """
    variables = learner.trainable_variables

    def step(inputs, target):
        with tf.GradientTape() as tape:
            losses = loss(target, learner(inputs, training=True))
            share = tf.reduce_mean(losses) / strategy.num_replicas_in_sync
        learner.optimizer.apply(tape.gradient(share, variables), variables)
        return share

    @tf.function
    def run_steps(iterator, steps):
        total = 0.0
        for _ in tf.range(steps):
            shares = strategy.run(step, next(iterator))
            total += tf.add_n(strategy.experimental_local_results(shares))
        return total

    return lambda iterator, steps: run_steps(iterator, tf.constant(steps))


class Average:
    """The average of a learner's weights over its last steps, held by the model.

    The k-th share taken in weighs (eta + 1) / (k + eta), with eta = 4: Shamir and Zhang (2013),
    Stochastic Gradient Descent for Non-smooth Optimization, section 4.

    Attributes:
        blocks: int64 [], blocks of steps seen so far.
    """

    def __init__(self, model, learner):
        pairs = list(zip(model.trainable_variables, learner.trainable_variables, strict=True))
        # So seldom that copying a large table costs little beside the steps between.
        n_weights = sum(average.shape.num_elements() for average, _ in pairs)
        self.seldom = 1 + n_weights // COPIED_EACH_TIME
        self.variables = [average for average, _ in pairs]
        self.blocks = np.array(0)

        @tf.function
        def draw_towards(share):
            for average, weight in pairs:
                average.assign_add(share * (weight - average))

        self._draw_towards = draw_towards

    def see_block(self):
        """Take in the learner's weights after a block of steps, if it is their turn."""
        self.blocks = self.blocks + 1
        if self.blocks % self.seldom == 0:
            share = 5 / (self.blocks // self.seldom + 4)
            self._draw_towards(tf.constant(share, "float32"))


def state_of(learner, best, average):
    """All from which training goes on bit for bit, list of arrays: weights, the states of the
    random generators (of dropout), the optimizer's moments and step; the best weights; the average.
    """
    state = [variable.numpy() for variable in _variables(learner)]
    return [*state, *best, *(variable.numpy() for variable in average.variables), average.blocks]


def restore(learner, average, arrays):
    """Put what `state_of` returned back in place; returns the best weights."""
    state, n_average = _variables(learner), len(average.variables)
    for variable, array in zip(state, arrays, strict=False):
        variable.assign(array)
    for variable, array in zip(average.variables, arrays[-1 - n_average : -1], strict=True):
        variable.assign(array)
    average.blocks = arrays[-1]
    return arrays[len(state) : -1 - n_average]


def _variables(learner):
    return [*learner.variables, *learner.optimizer.variables]
