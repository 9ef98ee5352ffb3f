"""Encoded rows into batches: shuffled for training, in order for validation and prediction."""

import contextlib

import numpy as np
import tensorflow as tf

from data.progress import Progress
from data.tables.disk import ROWS_AT_ONCE, blocks_of
from data.tables.encoding import RESERVED, UNSEEN
from data.training.shuffling import regrouped, shuffled


def training_batches(
    dataset, rows, model, recipe, seed, *, first_epoch=0, trained=None, share=(1, slice(None)),
    folds=None, stopped=None,
):  # fmt: skip
    """The training batches of all epochs, shuffled anew for each, by seed and epoch alone.

    A category is replaced by "unseen" with probability 1 / (1 + its training rows), so that the
    unseen row becomes a trained vector, the mean of rare categories, and rare ones do not
    overfit: word dropout, Kiperwasser and Goldberg (2016), section 5. Not so one whose vector
    comes from another table: it is no worse for being rare in this one.

    Args:
        trained: dict of column -> rows of its embedding that come from another table.
        folds: `data.training.folds.FoldTables` where each row sees one of several tables: its codes
            are then those of the first table plus as many cardinalities as that table is behind it.
        stopped: threading.Event, set when no further batch is wanted: the next epoch is being
            shuffled ahead of its time.
        share: (replicas that divide each batch among them, the slice of those that are here).

    Returns:
        tf.data.Dataset of (inputs, target), an element for each replica here in turn.
    """
    batch = min(recipe.batch_size, len(rows))
    replicas, here = share
    chances = chances_of_unseen(dataset.encoding.vocabularies, trained or {})
    cardinalities = np.array([len(chance) for chance in chances], "int32")
    dtype = record_type(dataset, model, folds)
    at_once = batch * max(1, ROWS_AT_ONCE // batch)

    def blocks():
        for epoch in range(first_epoch, recipe.epochs):
            random = np.random.default_rng([seed, epoch])
            encoded = _wanted(records(dataset, rows, model, dtype, folds, epoch), stopped)
            order = shuffled(encoded, len(rows), dtype, random, dataset.table.folder)
            for part in _wanted(regrouped(order, at_once), stopped):
                part = part[: len(part) // batch * batch]  # the last batch of all may be short
                if not len(part):
                    break
                mine = np.arange(len(part)).reshape(-1, replicas, batch // replicas)[:, here]
                mine = mine.ravel()
                arrays = {name: np.ascontiguousarray(part[name][mine]) for name in dtype.names}
                codes = arrays["codes"]
                for j, chance in enumerate(chances):
                    drawn = random.random(len(part), "float32")[mine]
                    codes[drawn < chance[codes[:, j]], j] = UNSEEN
                if folds is not None:
                    codes += arrays.pop("table")[:, None] * cardinalities
                shape = (-1, batch // replicas)
                target = arrays.pop("target").reshape(*shape, 1, 1)
                yield {n: a.reshape(*shape, a.shape[1]) for n, a in arrays.items()}, target

    data = tf.data.Dataset.from_generator(
        lambda: _until_stopped(blocks()),
        output_signature=signature(dataset, model, (None, batch // replicas)),
    ).unbatch()
    return read_ahead(data)


def chances_of_unseen(vocabularies, trained):
    """How likely each category is to be replaced by "unseen": list of float64 [cardinality]."""
    chances = [1 / (1 + np.maximum(vocabulary.counts, 1)) for vocabulary in vocabularies]
    for vocabulary, chance in zip(vocabularies, chances, strict=True):
        chance[: max(RESERVED, trained.get(vocabulary.column, 0))] = 0
    return chances


class _NoLongerWanted(Exception):
    """Training has stopped."""


def _wanted(parts, stopped):
    for part in parts:
        if stopped is not None and stopped.is_set():
            raise _NoLongerWanted
        yield part


def _until_stopped(blocks):
    with contextlib.suppress(_NoLongerWanted):
        yield from blocks


def record_type(dataset, model, folds=None):
    """What a training row holds, as a structured dtype: "codes", "numbers" if used, "target", and
    "table" where it sees one of several."""
    inputs, target = model_arrays(dataset, np.arange(1), model)
    fields = {**inputs, "target": target[:, 0, 0]}
    if folds is not None:
        fields["table"] = np.zeros(1, "int32")
    return np.dtype([(name, array.dtype, array.shape[1:]) for name, array in fields.items()])


def records(dataset, rows, model, dtype, folds, epoch):
    """The encoded rows in order, as arrays of records."""
    progress, done = Progress("shuffling"), 0
    for chosen in blocks_of(rows, 2 * ROWS_AT_ONCE):
        inputs, target = model_arrays(dataset, chosen, model)
        block = np.empty(len(chosen), dtype)
        for name, array in inputs.items():
            block[name] = array
        block["target"] = target[:, 0, 0]
        if folds is not None:
            block["table"] = folds.table_of(chosen, epoch)
        yield block
        done += len(chosen)
        progress(done, done / len(rows))
    progress.done()


def in_order(dataset, rows, model, batch=8192):
    """Each row once, in order, for validation and prediction: yields (inputs, target) as arrays."""
    progress = Progress("evaluating")
    for start in range(0, len(rows), batch):
        yield model_arrays(dataset, rows[start : start + batch], model)
        progress(start, start / len(rows))
    progress.done()


def read_ahead(data):
    """The same data, a few elements of it prepared in advance.

    TensorFlow's search for better buffer sizes is off: the end of an iterator waits for the next
    round of it, and the rounds come at double the interval each, so training would take up to
    twice its time.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.prefetch(8).with_options(options)


def model_arrays(dataset, rows, model, codes=None):
    """What the model takes of some rows, by its inputs' names, and their target [rows, 1, 1]."""
    inputs = {"codes": dataset.encoded.codes(rows) if codes is None else codes}
    if "numbers" in model.input:
        inputs["numbers"] = dataset.encoded.numbers(rows)
    target = dataset.encoding.target.encode(dataset.target[rows])
    return inputs, target[:, None, None]


def signature(dataset, model, leading):
    """The shapes and dtypes of batches, as tf.data wants them."""
    inputs, target = model_arrays(dataset, np.arange(1), model)
    specs = {
        name: tf.TensorSpec((*leading, *array.shape[1:]), array.dtype)
        for name, array in inputs.items()
    }
    return specs, tf.TensorSpec((*leading, 1, 1), target.dtype)
