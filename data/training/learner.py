"""The copy of a model that learns, and the average of its weights that the model itself holds."""

import contextlib
import threading
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from data.training import devices
from data.training.batches import training_batches
from data.training.folds import FOLDS
from data.training.optimizer import DENSE_ROWS, LazyAdam, warmed_up

COPIED_EACH_TIME = 2_000_000  # weights, when the average takes in a block of steps


class Lookup(keras.layers.Embedding):
    """An embedding that reads no more than the rows of the batch.

    Keras's own reads the table, which TensorFlow then copies at each step as rows of it change.

    Attributes:
        shifts: where there is a table for each fold, how far its vectors are from the mean of all,
            float32 [folds * cardinality, size]; rows of fold k are those of the model plus k
            cardinalities.
    """

    shifts = None

    def call(self, rows):
        if self.shifts is None:
            return tf.gather(self.embeddings.value, rows)
        found = tf.gather(self.embeddings.value, rows % self.input_dim)
        return found + tf.gather(self.shifts, rows)


class Learner:
    """A copy of a model that learns, on as many devices and workers as there are.

    Args:
        model: keras.Model that holds the average of the copy's weights.
        n_rows: of training; recipe: `build_embeddings.Recipe`.
        rates: list of float, by what factor the rate of each trainable variable differs.
        loss: function of (target, outputs) -> [batch, ...].
        workers: `data.training.workers.Workers`.
        folds: `data.training.folds.FoldTables` where each row sees one of several tables.

    Attributes:
        batch_size: rows of a step, on all devices together; steps: of an epoch.
        average: `Average`.
    """

    def __init__(self, model, n_rows, recipe, rates, loss, workers, folds=None):
        self.model, self.recipe, self.workers, self.folds = model, recipe, workers, folds
        self.strategy = workers.strategy or devices.local_strategy()
        self.batch_size = devices.whole_shares(recipe.batch_size, n_rows, self.strategy)
        self.steps = n_rows // self.batch_size
        warm_up = min(200, self.steps * (recipe.planned or recipe.epochs) // 10 + 1)
        with self.strategy.scope():
            copied = partial(_learning_layer, shifts=_shifts(folds))
            self.copy = keras.models.clone_model(model, clone_function=copied)
            own_tables = FOLDS if folds and folds.vectors is None else 1
            schedule = warmed_up(recipe.learning_rate, warm_up)
            self.copy.compile(LazyAdam(schedule, rates, own_tables * DENSE_ROWS))
            self.copy.optimizer.build(self.copy.trainable_variables)
        self.copy.set_weights(model.get_weights())
        self.average = Average(model, self.copy)
        self._run_steps = _training_steps(self.copy, loss, self.strategy)

    @property
    def learning_rate(self):
        return float(self.copy.optimizer.learning_rate)

    @contextlib.contextmanager
    def batches(self, dataset, rows, seed, first_epoch, trained):
        """Yield an iterator over the training batches of the devices that are here, from the first
        epoch on; see `data.training.batches.training_batches`. Their shuffling ends with it."""
        stopped = threading.Event()
        batches = training_batches(
            dataset,
            rows,
            self.copy,
            replace(self.recipe, batch_size=self.batch_size),
            seed,
            first_epoch=first_epoch,
            trained=trained,
            folds=self.folds,
            share=devices.replicas_here(self.strategy, self.workers),
            stopped=stopped,
        )
        try:
            yield iter(self.strategy.distribute_datasets_from_function(lambda _: batches))
        finally:
            stopped.set()

    def take_steps(self, batches, count):
        """Train; returns the sum of the steps' losses.

        Args:
            batches: of `batches`; count: of steps.
        """
        return float(self.workers.sum(self._run_steps(batches, tf.constant(count))))

    def take_up(self, checkpoint, label):
        """(history, best weights) to go on from: those of the checkpoint, if there is one, which
        the chief has and tells the others; else of a training that begins with the model."""
        history, best = [], self.model.weights
        if checkpoint is not None and (found := checkpoint.load(label, self.state(), best)):
            history, arrays = found
            best = self.restore(arrays) or self.model.get_weights()
        if self.workers.count > 1:
            history, arrays = self.workers.from_chief(history, self.state(best))
            best = self.restore(arrays)
        devices.spread_seeds(self.copy, self.strategy)
        return history, best

    def state(self, best=()):
        """All from which training goes on bit for bit: weights, the states of the random generators
        (of dropout), the optimizer's moments and step; the average; the best weights.

        Args:
            best: list of arrays; empty where the model, which holds the average, is the best.

        Returns:
            list of variables and arrays; large tables are not copied for it.
        """
        return [self.average.taken, *self._variables(), *best]

    def restore(self, arrays):
        """Put what `state` returned back in place; returns the best weights, or none."""
        taken, *arrays = arrays
        self.average.taken, variables = taken, self._variables()
        for variable, array in zip(variables, arrays, strict=False):
            variable.assign(array)
        return arrays[len(variables) :]

    def _variables(self):
        return [*self.copy.variables, *self.copy.optimizer.variables, *self.average.variables]


def _learning_layer(layer, shifts):
    """A layer like this one; of an embedding, a `Lookup`.

    Args:
        shifts: dict of layer's name -> see `Lookup`.
    """
    if not isinstance(layer, keras.layers.Embedding):
        return type(layer).from_config(layer.get_config())
    lookup = Lookup.from_config(layer.get_config())
    if layer.name in shifts:
        lookup.shifts = tf.Variable(shifts[layer.name], trainable=False)
    return lookup


def _shifts(folds):
    if folds is None or folds.vectors is None:
        return {}
    return {
        f"embedding_{i}": (tables - tables.mean(axis=0)).reshape(-1, tables.shape[2])
        for i, tables in enumerate(folds.vectors.values())
    }


def _training_steps(learner, loss, strategy):
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

    return run_steps


class Average:
    """The average of a learner's weights over its last steps, held by the model.

    The k-th share taken in weighs (eta + 1) / (k + eta), with eta = 4: Shamir and Zhang (2013),
    Stochastic Gradient Descent for Non-smooth Optimization, section 4.

    Attributes:
        taken: int64 [], how often it has taken in the learner's weights.
    """

    def __init__(self, model, learner):
        pairs = list(zip(model.trainable_variables, learner.trainable_variables, strict=True))
        # So seldom that copying a large table costs little beside the steps between.
        n_weights = sum(average.shape.num_elements() for average, _ in pairs)
        self.seldom = 1 + n_weights // COPIED_EACH_TIME
        self.variables = [average for average, _ in pairs]
        self.taken, self._blocks = np.array(0), 0

        @tf.function
        def draw_towards(share):
            for average, weight in pairs:
                average.assign_add(share * (weight - average))

        self._draw_towards = draw_towards

    def see_block(self, ends_epoch):
        """Take in the learner's weights after a block of steps, if it is their turn; at the end of
        an epoch it always is, as what is validated must have learned from all of it."""
        self._blocks += 1
        if ends_epoch or self._blocks % self.seldom == 0:
            self.taken = self.taken + 1
            self._draw_towards(tf.constant(5 / (self.taken + 4), "float32"))
        if ends_epoch:
            self._blocks = 0
