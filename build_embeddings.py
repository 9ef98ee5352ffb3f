"""Learn one vector per category from the categorical columns of a table, and save the vectors.

    python build_embeddings.py                                # the shipped table
    python build_embeddings.py --data sales.csv --target Sales
    python build_embeddings.py --data sales.csv --target Sales --split-by Date \\
        --categorical Store DayOfWeek State --numeric CompetitionDistance Promo

Read the table, encode it on its training rows, build a Keras model with one Embedding for each
categorical column, train it on the target, save the vectors in saved_embeddings/<table>/, where
build_embed_model.py takes them up.

The method: Guo and Berkhahn, Entity Embeddings of Categorical Variables (2016),
https://arxiv.org/abs/1604.06737.
"""

import argparse
import contextlib
import ctypes
import errno
import hashlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError, one_line
from data.checkpoint import Checkpoint
from data.dataset import read_dataset, settings_of
from data.disk import blocks_of, keep_on_disk
from data.encoding import MISSING, RESERVED, UNSEEN
from data.manifest import describe
from data.neighbours import telling_lines, write_neighbours, write_projector
from data.pictures import draw_pictures
from data.progress import Progress
from data.reading import table_name
from data.report import write_errors, write_report
from data.saving import file_names, load_embeddings, publish, seal, working_folder, write_vectors
from data.shuffling import regrouped, shuffled
from data.table import DATE_PARTS

__all__ = ["EmbeddingTransformer", "build_model", "load_embeddings", "train"]  # noqa: F822

HERE = Path(__file__).resolve().parent
SAVED = HERE / "saved_embeddings"
ROWS_AT_ONCE = 1 << 15  # between disk and network
COPIED_EACH_TIME = 2_000_000  # weights, when the average takes in a block of steps
SHIPPED = {"data": [str(HERE / "data/campaigns/campaigns.csv.gz")], "target": "profit"}


def __getattr__(name):
    """`from build_embeddings import EmbeddingTransformer`, loading scikit-learn only then."""
    if name == "EmbeddingTransformer":
        from data.transformer import EmbeddingTransformer

        return EmbeddingTransformer
    raise AttributeError(name)


def main():
    options = parse()
    name = table_name(options.data)
    output = options.output or SAVED / file_names([name])[name]
    workers = join_workers()
    started = time.monotonic()
    with workers.folder(output) as work:
        # Read and encode; everything is fitted on training rows alone.
        dataset = read_dataset(settings_of(options), work / "cache")
        show_columns(dataset)

        # Build and train the model of the categorical columns.
        start_tensorflow()
        recipe = recipe_for(dataset, options)
        checkpoint = checkpoint_of(work, dataset, recipe, options, workers)
        model = build_model(dataset.encoding, recipe, options.seed)
        history = train(
            model, dataset, recipe, seed=options.seed, checkpoint=checkpoint, workers=workers
        )
        if workers.index:
            return  # the chief saves what all have learned
        to_mean(model, dataset)
        vectors = learned_vectors(model, dataset.encoding.vocabularies)
        trained = time.monotonic()

        # Judge it on the test rows, beside a baseline that knows no features.
        metrics = judge(model, dataset)
        metrics["test"], predicted = evaluate(model, dataset, "test")
        show_metrics({"embeddings": metrics["test"], "baseline": metrics["baseline"]})

        # Save the vectors for any tool, and all that says which row is which category.
        staging = work / "staging"
        manifest = describe(dataset, name)
        metrics["seconds"] = seconds(dataset, started, trained)
        write_vectors(staging, manifest, vectors)
        write_results(staging, dataset, history, metrics, predicted, manifest)
        write_neighbours(staging, manifest, vectors)
        write_projector(staging, manifest, vectors)
        show_note(draw_pictures(staging, manifest, vectors, history))
        write_report(staging, manifest)
        seal(staging, manifest)
        publish(staging, output)
        checkpoint.remove()
    for line in telling_lines(manifest, vectors):
        print(line)
    print(f"saved in {output}; next: python build_embed_model.py")


# The model


def build_model(encoding, recipe, seed=0):
    """The categorical-only network: codes, one embedding for each column, dense layers, outputs.

    Args:
        encoding: `data.encoding.Encoding`: vocabularies and target.
        recipe: `Recipe`.

    Returns:
        keras.Model: int32 [batch, columns] embedding rows -> float32 [batch, members, outputs].
    """
    import keras

    keras.utils.set_random_seed(seed)
    codes = keras.Input((len(encoding.vocabularies),), dtype="int32", name="codes")
    hidden = embed(codes, encoding.vocabularies, recipe)
    return keras.Model({"codes": codes}, head(hidden, encoding.target, recipe), name="embeddings")


def embed(codes, vocabularies, recipe):
    """One Embedding for each column, concatenated, with dropout.

    Returns:
        float32 [batch, sum of the embeddings' sizes]
    """
    import keras

    vectors = []
    for i, vocabulary in enumerate(vocabularies):
        embedding = keras.layers.Embedding(
            vocabulary.cardinality,
            vocabulary.size,
            embeddings_initializer=keras.initializers.RandomUniform(-0.05, 0.05),
            name=f"embedding_{i}",
        )
        vectors.append(embedding(codes[:, i]))
    joined = keras.layers.Concatenate(name="vectors")(vectors) if len(vectors) > 1 else vectors[0]
    return keras.layers.Dropout(recipe.embedding_dropout)(joined)


def head(hidden, target, recipe):
    """The dense layers of all members, and their outputs: one for regression and two classes, else
    one for each class.

    Members share what comes before, and nothing else: each has weights of its own.

    Returns:
        float32 [batch, members, outputs]
    """
    import keras

    members, (first, *widths) = recipe.members, recipe.widths
    hidden = keras.layers.Dense(members * first, "relu", kernel_initializer="he_normal")(hidden)
    hidden = keras.layers.Dropout(recipe.dropout)(hidden)
    if members > 1:
        hidden = keras.layers.Reshape((members, first))(hidden)
    he_normal = keras.initializers.VarianceScaling(2.0 * members)  # for each member
    for width in widths:
        layer = dense(width, members, activation="relu", kernel_initializer=he_normal)
        hidden = keras.layers.Dropout(recipe.dropout)(layer(hidden))
    outputs = dense(target.outputs, members, name="outputs")(hidden)
    return keras.layers.Reshape((members, target.outputs), name="members")(outputs)


def dense(units, members, **how):
    """A dense layer for each member, [batch, members, inputs] -> [batch, members, units].

    Of one member alone there is no such axis: TensorFlow multiplies plain matrices faster.
    """
    import keras

    if members == 1:
        return keras.layers.Dense(units, **how)
    return keras.layers.EinsumDense("bmi,mio->bmo", (members, units), bias_axes="mo", **how)


def learned_vectors(model, vocabularies, start=None):
    """The embeddings' weights.

    A missing row that no training row used takes the unseen row's vector, in the model too: it
    stands for as little.

    Args:
        start: dict of column -> saved vectors that it began with, whose missing row stays.

    Returns:
        dict of column -> float32 [cardinality, size]
    """
    vectors = {}
    for i, vocabulary in enumerate(vocabularies):
        layer = model.get_layer(f"embedding_{i}")
        (vector,) = layer.get_weights()
        before = (start or {}).get(vocabulary.column)
        trained = before is not None and not np.array_equal(before[MISSING], before[UNSEEN])
        if not vocabulary.rows[MISSING] and not trained:
            vector[MISSING] = vector[UNSEEN]
            layer.set_weights([vector])
        vectors[vocabulary.column] = vector
    return vectors


# Training


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `recipe_for` fits it to the table."""

    epochs: int
    batch_size: int
    learning_rate: float
    dropout: float
    widths: tuple  # units of the dense layers
    members: int = 1  # networks that share the embeddings; their mean is the prediction
    embedding_dropout: float = 0.1
    embedding_rate: float = 1.0  # of the learning rate, for vectors that come trained
    carried: bool = False  # such vectors come from another table
    patience: int = 5


def recipe_for(dataset, options, **chosen):
    """The recipe for a table, from its number of training rows; options take precedence.

    Some 256 steps an epoch, within bounds; a rate that grows with the batch size, between its
    square root (Malladi et al., 2022) and itself; some two million rows seen, in 3 to 40 epochs;
    dropout in the dense layers where rows are few. Where they are very few, one such layer, which
    bears a higher rate at small batches.
    """
    rows = len(dataset.split["train"])
    for name in ("epochs", "batch_size", "learning_rate"):
        if getattr(options, name) is not None:
            chosen[name] = getattr(options, name)
    batch = chosen.get("batch_size") or int(2 ** np.clip(np.round(np.log2(rows / 256)), 5, 10))
    rate = 0.0055 * (batch / 512) ** 0.75
    very_few = rows < 10_000
    recipe = Recipe(
        epochs=int(np.clip(2_000_000 // rows, 3, 40)),
        batch_size=batch,
        learning_rate=min(3 * rate, 0.0055) if very_few else rate,
        dropout=min(0.1, 10 / rows**0.5) if rows < 100_000 else 0.0,  # which costs time
        widths=(256,) if very_few else (256, 128),
    )
    return replace(recipe, **chosen)


def checkpoint_of(work, dataset, recipe, options, workers, **run):
    """The checkpoint of this run: it is known by the table, the options and the recipe.

    The chief alone has one.

    Raises:
        InputError: another worker has another table or other options.
    """
    run |= {"settings": dataset.settings, "files": dataset.sources, "recipe": asdict(recipe)}
    table = [run["files"], {part: len(rows) for part, rows in dataset.split.items()}]
    others = {name: part for name, part in run.items() if name not in ("files", "sources")}
    agree(workers, rows=table, vectors=run.get("sources"), options=others)
    return None if workers.index else Checkpoint(work / "checkpoint", run, options.resume)


def train(model, dataset, recipe, *, seed=0, last_fit=False, checkpoint=None, workers=None):
    """Train at a constant rate; the model is the average of its weights at the best epoch.

    The rate stays what it is after a short warm-up, and what is validated and kept is an average
    of the weights over the last steps (Shamir and Zhang, 2013, section 4, eta = 4). So each epoch
    ends in a finished model, and the best one may go on training with other rows.

    What learns is a copy of the model, on as many devices and workers as there are; the model
    itself holds the average.

    Args:
        model: of `build_model`, here or in build_embed_model.py.
        last_fit: train on training and validation rows together, without validation.
        checkpoint: `data.checkpoint.Checkpoint` to write after each epoch, or None.
        workers: `Workers` that train together, and end with the same weights; None for no others.

    Returns:
        DataFrame, one row an epoch: epoch, loss, val_loss, learning_rate, seconds.

    Raises:
        InputError: the loss is no longer a number, and no epoch before was good.
    """
    import keras
    import tensorflow as tf

    workers = workers or Workers()
    strategy = workers.strategy or local_strategy()
    rows = dataset.split["train"]
    if last_fit:
        parts = (dataset.split[part] for part in ("train", "validation"))
        rows = keep_on_disk(
            itertools.chain.from_iterable(map(blocks_of, parts)), dataset.table.folder
        )
    recipe = replace(recipe, batch_size=whole_shares(recipe.batch_size, len(rows), strategy))
    steps = len(rows) // recipe.batch_size
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 25,
        decay_steps=1,
        alpha=1.0,  # no decay: the average takes its place
        warmup_target=recipe.learning_rate,
        warmup_steps=min(200, steps * recipe.epochs // 10 + 1),
    )
    trained = {id(layer.embeddings) for layer in model.layers if hasattr(layer, "came_trained")}
    rates = [recipe.embedding_rate if id(v) in trained else 1.0 for v in model.trainable_variables]
    with strategy.scope():
        learner = keras.models.clone_model(model, clone_function=learning_copy)
        learner.compile(lazy_adam(schedule, rates))
        learner.optimizer.build(learner.trainable_variables)
    learner.set_weights(model.get_weights())
    log = epoch_log(model, recipe, steps, checkpoint, "last fit" if last_fit else "training")
    first = log.resume(learner, workers)
    spread_seeds(learner, strategy)

    share = replicas_here(strategy, workers)
    iterator = iter(
        strategy.distribute_datasets_from_function(
            lambda _: batches(dataset, rows, model, recipe, seed + last_fit, first, share=share)
        )
    )
    run_steps = training_steps(learner, loss_of(dataset.encoding.target), strategy)
    validate = None if last_fit else validation_loss(model, dataset, workers)
    block = max(1, min(32, steps // 8))
    callbacks = keras.callbacks.CallbackList([log], model=learner)
    learner.stop_training = False
    callbacks.on_train_begin()
    for epoch in range(first, recipe.epochs):
        callbacks.on_epoch_begin(epoch)
        done, total = 0, 0.0
        while done < steps and not learner.stop_training:
            callbacks.on_train_batch_begin(done)
            count = min(block, steps - done)
            total += float(workers.sum(run_steps(iterator, tf.constant(count))))
            done += count
            callbacks.on_train_batch_end(done - 1, {"loss": total / done})
        logs = {"loss": total / done}
        if validate is not None:
            logs["val_loss"] = validate()
        callbacks.on_epoch_end(epoch, logs)
        if learner.stop_training:
            break
    callbacks.on_train_end()
    model.set_weights(log.best)
    return pd.DataFrame(log.history)


def learning_copy(layer):
    """A layer like this one; of an embedding, one that reads no more than the rows of the batch.

    Keras's own reads the table, which TensorFlow then copies at each step as rows of it change.
    """
    import keras
    import tensorflow as tf

    class Lookup(keras.layers.Embedding):
        def call(self, rows):
            return tf.gather(self.embeddings.value, rows)

    kind = Lookup if isinstance(layer, keras.layers.Embedding) else type(layer)
    return kind.from_config(layer.get_config())


def training_steps(learner, loss, strategy):
    """The function that trains: (iterator of batches, steps, int32) -> sum of the steps' losses.

    Keras's own `fit` fails where several workers train (keras-team/keras issue 20585). Each replica
    gives its share of the mean over a batch, and the optimizer adds up their gradients.
    """
    import tensorflow as tf

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


def validation_loss(model, dataset, workers):
    """A function that gives the model's mean loss over the validation rows; each worker takes its
    share of them."""
    import tensorflow as tf

    rows, loss = dataset.split["validation"], loss_of(dataset.encoding.target)
    data = fixed_batches(dataset, rows[workers.index :: workers.count], model)

    @tf.function
    def total(data):
        found = tf.constant(0.0, "float64")
        for inputs, target in data:
            outputs = as_one(model(inputs, training=False), dataset.encoding.target)
            mean = tf.reduce_mean(loss(target, outputs))
            found += tf.cast(mean, "float64") * tf.cast(tf.shape(target)[0], "float64")
        return found

    return lambda: float(workers.sum(total(data)) / len(rows))


def as_one(outputs, target):
    """The outputs of one network that predicts what the members predict in the mean.

    Returns:
        float32 [batch, 1, outputs]
    """
    from keras import ops

    if target.task == "regression":
        return ops.mean(outputs, axis=1, keepdims=True)

    def log_sum(logarithms):
        return ops.logsumexp(logarithms, axis=1, keepdims=True)

    if target.task == "binary":
        return log_sum(ops.log_sigmoid(outputs)) - log_sum(ops.log_sigmoid(-outputs))
    return log_sum(ops.log_softmax(outputs, axis=-1))


def epoch_log(model, recipe, steps, checkpoint, label):
    """The callback that averages the learner's weights in the model, keeps the best average and
    the history."""
    import keras

    class EpochLog(keras.callbacks.Callback):
        def resume(self, learner, workers):
            """Take up the checkpoint, if there is one; returns the number of epochs done.

            The chief has it, and tells the others; without one they take up its first weights.
            """
            self.history, self.best, self.lowest = [], model.get_weights(), np.inf
            self.blocks, self.take_in = np.array(0), averaging(model, learner)
            # So seldom that copying a large table costs little beside the steps between.
            weights = sum(weight.shape.num_elements() for weight in model.trainable_weights)
            self.seldom = 1 + weights // COPIED_EACH_TIME
            self.set_model(learner)
            arrays = self.arrays()
            if checkpoint is not None and (found := checkpoint.load(label, arrays)):
                self.history, arrays = found
            self.history, arrays = workers.from_chief(self.history, arrays)
            state, average = state_of(learner), model.trainable_variables
            for variable, array in zip(state, arrays, strict=False):
                variable.assign(array)
            self.best = arrays[len(state) : -1 - len(average)]
            for variable, array in zip(average, arrays[-1 - len(average) : -1], strict=True):
                variable.assign(array)
            self.blocks = arrays[-1]
            if self.history:
                self.lowest = min(self.watched(epoch) for epoch in self.history)
                if self.waited() >= recipe.patience:
                    return recipe.epochs
            return len(self.history)

        def arrays(self):
            """All from which training goes on bit for bit."""
            state = [variable.numpy() for variable in state_of(self.model)]
            average = [variable.numpy() for variable in model.trainable_variables]
            return [*state, *self.best, *average, self.blocks]

        def watched(self, logs):
            """Without validation the last epoch is taken, as being the one wanted."""
            return logs["val_loss"] if "val_loss" in logs else -logs["epoch"]

        def waited(self):
            """Epochs since the best one."""
            losses = [self.watched(epoch) for epoch in self.history]
            return len(losses) - 1 - int(np.argmin(losses))

        def on_train_begin(self, logs=None):
            self.progress = Progress(label, "steps")

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch, self.started = epoch, time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            if not np.isfinite(logs["loss"]):
                self.model.stop_training = True
            self.blocks = self.blocks + 1
            if self.blocks % self.seldom == 0:
                self.take_in(5 / (self.blocks // self.seldom + 4))
            done = self.epoch * steps + batch + 1
            note = f", epoch {self.epoch + 1} of {recipe.epochs}"
            self.progress(done, done / (recipe.epochs * steps), note)

        def on_epoch_end(self, epoch, logs=None):
            if not np.isfinite([logs["loss"], logs.get("val_loss", 0.0)]).all():
                self.progress.done()
                if not self.history:
                    raise InputError(
                        "--learning-rate: the loss is no longer a number in the first epoch; give "
                        f"a rate below {recipe.learning_rate:g}, or look for huge numbers."
                    )
                show_note(f"the loss is no longer a number; epoch {epoch} is kept.")
                self.model.stop_training = True
                return
            self.history.append(
                {
                    "epoch": epoch + 1,
                    **logs,
                    "learning_rate": float(self.model.optimizer.learning_rate),
                    "seconds": time.monotonic() - self.started,
                }
            )
            if self.watched(self.history[-1]) < self.lowest:
                self.lowest = self.watched(self.history[-1])
                self.best = model.get_weights()
            if self.waited() >= recipe.patience:
                self.model.stop_training = True
            if checkpoint is not None:
                checkpoint.save(label, self.history, self.arrays())

        def on_train_end(self, logs=None):
            done, waited = len(self.history), self.waited()
            early = f"{label} stopped after epoch {done}: {done - waited} was the best, and is kept"
            self.progress.done(early if waited >= recipe.patience else None)

    return EpochLog()


def averaging(model, learner):
    """A function that draws the model's weights towards the learner's, by some share of the way."""
    import tensorflow as tf

    pairs = list(zip(model.trainable_variables, learner.trainable_variables, strict=True))

    @tf.function
    def take_in(share):
        for average, weight in pairs:
            average.assign_add(share * (weight - average))

    return lambda share: take_in(tf.constant(share, "float32"))


def state_of(model):
    """The variables from which training goes on bit for bit: weights, the states of the random
    generators (of dropout), the optimizer's moments and step."""
    return [*model.variables, *model.optimizer.variables]


def batches(dataset, rows, model, recipe, seed, first_epoch=0, share=(1, slice(None))):
    """The training batches of all epochs, shuffled anew for each, by seed and epoch alone.

    A category is replaced by "unseen" with probability 1 / (1 + its training rows), so that the
    unseen row becomes a trained vector, the mean of rare categories, and rare ones do not
    overfit: word dropout, Kiperwasser and Goldberg (2016), section 5. Not so one whose vector
    comes from another table: it is no worse for being rare in this one.

    Args:
        share: (replicas that divide each batch among them, the slice of those that are here).

    Returns:
        tf.data.Dataset of (inputs, target), an element for each replica here in turn.
    """
    import tensorflow as tf

    batch = min(recipe.batch_size, len(rows))
    replicas, here = share
    unseen = [1 / (1 + np.maximum(v.rows, 1)) for v in dataset.encoding.vocabularies]
    for i, chance in enumerate(unseen):
        came = getattr(model.get_layer(f"embedding_{i}"), "came_trained", 0)
        chance[: max(RESERVED, came * recipe.carried)] = 0
    dtype = record_type(dataset, model)
    at_once = batch * max(1, ROWS_AT_ONCE // batch)

    def blocks():
        for epoch in range(first_epoch, recipe.epochs):
            random = np.random.default_rng([seed, epoch])
            order = shuffled(
                records(dataset, rows, model, dtype), len(rows), dtype, random, dataset.table.folder
            )
            for part in regrouped(order, at_once):
                part = part[: len(part) // batch * batch]  # the last batch of all may be short
                if not len(part):
                    break
                mine = np.arange(len(part)).reshape(-1, replicas, batch // replicas)[:, here]
                mine = mine.ravel()
                arrays = {name: np.ascontiguousarray(part[name][mine]) for name in dtype.names}
                codes = arrays["codes"]
                for j, chance in enumerate(unseen):
                    drawn = random.random(len(part), "float32")[mine]
                    codes[drawn < chance[codes[:, j]], j] = UNSEEN
                shape = (-1, batch // replicas)
                target = arrays.pop("target").reshape(*shape, 1, 1)
                yield {n: a.reshape(*shape, a.shape[1]) for n, a in arrays.items()}, target

    data = tf.data.Dataset.from_generator(
        blocks, output_signature=signature(dataset, model, (None, batch // replicas))
    ).unbatch()
    return read_ahead(data, tf.data.INFINITE_CARDINALITY, 8)


def record_type(dataset, model):
    """What a training row holds, as a structured dtype: "codes", "numbers" if used, "target"."""
    inputs, target = model_arrays(dataset, np.arange(1), model)
    fields = {**inputs, "target": target[:, 0, 0]}
    return np.dtype([(name, array.dtype, array.shape[1:]) for name, array in fields.items()])


def records(dataset, rows, model, dtype):
    """The encoded rows in order, as arrays of records."""
    progress, done = Progress("shuffling"), 0
    for chosen in blocks_of(rows, 2 * ROWS_AT_ONCE):
        inputs, target = model_arrays(dataset, chosen, model)
        block = np.empty(len(chosen), dtype)
        for name, array in inputs.items():
            block[name] = array
        block["target"] = target[:, 0, 0]
        yield block
        done += len(chosen)
        progress(done, done / len(rows))
    progress.done()


def fixed_batches(dataset, rows, model, batch=8192, label="evaluating"):
    """Each row once, in order: for validation and prediction."""
    import tensorflow as tf

    def blocks():
        progress = Progress(label)
        for start in range(0, len(rows), batch):
            yield model_arrays(dataset, rows[start : start + batch], model)
            progress(start, start / len(rows))
        progress.done()

    data = tf.data.Dataset.from_generator(
        blocks, output_signature=signature(dataset, model, (None,))
    )
    return read_ahead(data, -(-len(rows) // batch), 2)


def read_ahead(data, length, elements):
    """The same data, so many elements of it prepared in advance.

    Its length, known, spares Keras the discovery that it has an end, and the warning about it.
    TensorFlow's search for better buffer sizes is off: the end of an iterator waits for the next
    round of it, and the rounds come at double the interval each, so training would take up to
    twice its time.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.apply(tf.data.experimental.assert_cardinality(length)).prefetch(elements)
    return data.with_options(options)


def model_arrays(dataset, rows, model, codes=None):
    """What the model takes of some rows, by its inputs' names, and their target [rows, 1, 1]."""
    inputs = {"codes": dataset.rows.codes(rows) if codes is None else codes}
    if "numbers" in model.input:
        inputs["numbers"] = dataset.rows.numbers(rows)
    target = dataset.encoding.target.encode(dataset.target[rows])
    return inputs, target[:, None, None]


def signature(dataset, model, leading):
    """The shapes and dtypes of batches, as tf.data wants them."""
    import tensorflow as tf

    inputs, target = model_arrays(dataset, np.arange(1), model)
    specs = {
        name: tf.TensorSpec((*leading, *array.shape[1:]), array.dtype)
        for name, array in inputs.items()
    }
    return specs, tf.TensorSpec((*leading, 1, 1), target.dtype)


def loss_of(target):
    """The loss, averaged over an ensemble's members: [batch, members, outputs] -> scalar."""
    import keras

    def loss(actual, outputs):
        if target.task == "regression":
            return keras.ops.square(outputs - actual)
        if target.task == "binary":
            actual = keras.ops.cast(actual, outputs.dtype) + keras.ops.zeros_like(outputs)
            return keras.ops.binary_crossentropy(actual, outputs, from_logits=True)
        actual = keras.ops.repeat(actual[:, :, 0], outputs.shape[1], axis=1)
        return keras.ops.sparse_categorical_crossentropy(actual, outputs, from_logits=True)

    return loss


def lazy_adam(learning_rate, rates):
    """Adam whose step costs what the batch holds, not what the embedding tables hold.

    Keras's Adam turns an embedding's sparse gradient into an update of the whole table
    (keras-team/keras issue 19992). In tables of more than 4,096 rows this one updates only the
    rows of the batch, and their moments; these stand still while no batch has the row, and for
    rows in every batch it is the same as Adam. All else is updated by one fused kernel. What
    several devices or workers exchange is as much: the gradients of those rows, and all others in
    one piece.

    Args:
        rates: list of float, the share of the learning rate that each trainable variable gets.
    """
    import keras
    import tensorflow as tf

    def small_as_dense(gradient, variable):
        if not isinstance(gradient, tf.IndexedSlices) or variable.shape[0] > 4096:
            return gradient
        return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])

    class LazyAdam(keras.optimizers.Adam):
        def apply(self, gradients, variables):
            super().apply(list(map(small_as_dense, gradients, variables)), variables)

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            momentum, velocity = self._momentums[index].value, self._velocities[index].value
            beta_1, beta_2 = tf.constant(self.beta_1), tf.constant(self.beta_2)
            step = tf.cast(self.iterations + 1, "float32")
            rate = tf.cast(learning_rate, "float32") * rates[index]
            if isinstance(gradient, tf.IndexedSlices):
                rows, position = tf.unique(gradient.indices)
                g = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
                m = beta_1 * tf.gather(momentum, rows) + (1 - beta_1) * g
                v = beta_2 * tf.gather(velocity, rows) + (1 - beta_2) * tf.square(g)
                rate *= tf.sqrt(1 - beta_2**step) / (1 - beta_1**step)
                change = rate * m / (tf.sqrt(v) + self.epsilon)
                momentum.scatter_update(tf.IndexedSlices(m, rows))
                velocity.scatter_update(tf.IndexedSlices(v, rows))
                variable.scatter_sub(tf.IndexedSlices(change, rows))
                return
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=momentum.handle,
                v=velocity.handle,
                beta1_power=beta_1**step,
                beta2_power=beta_2**step,
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )

    return LazyAdam(learning_rate, beta_2=0.99)


# Several workers


@dataclass(frozen=True)
class Workers:
    """The processes that train together, started each with TensorFlow's own TF_CONFIG.

    Attributes:
        index: this one's number; worker 0 is the chief, the only one that saves anything.
        strategy: tf.distribute.MultiWorkerMirroredStrategy where they are several, else None.
    """

    index: int = 0
    count: int = 1
    strategy: object = None

    def sum(self, array):
        """The sum of one array from each worker, the same on all; each must ask for it."""
        if self.count == 1:
            return np.asarray(array)
        return self.strategy.reduce("SUM", array, axis=None).numpy()

    def from_chief(self, history, arrays):
        """The chief's history (JSON) and arrays, on all workers."""
        if self.count == 1:
            return history, arrays
        text = np.frombuffer(json.dumps(history).encode(), "uint8").astype("int32")
        length = int(self.sum(len(text) if self.index == 0 else 0))
        text = self.sum(text if self.index == 0 else np.zeros(length, "int32"))
        told = []
        for array in arrays:
            kind = "int64" if array.dtype.kind in "iu" else array.dtype
            found = self.sum(array.astype(kind) if self.index == 0 else np.zeros_like(array, kind))
            told.append(found.astype(array.dtype))
        return json.loads(text.astype("uint8").tobytes()), told

    @contextlib.contextmanager
    def folder(self, output):
        """Where this worker works: the chief beside the output, the others in a folder of their
        own that goes with them."""
        if self.index == 0:
            with working_folder(output) as work:
                yield work
        else:
            with tempfile.TemporaryDirectory() as work:
                yield Path(work)


def join_workers():
    """Meet the other workers that TF_CONFIG names; one alone, or none, is no matter of it.

    Raises:
        InputError: TF_CONFIG is not what TensorFlow's guides describe, or its port is taken.
    """
    index, addresses = place_among(os.environ.get("TF_CONFIG", ""))
    if len(addresses) < 2:
        return Workers()
    print(
        f"worker {index} of {len(addresses)}, at {addresses[index]}; waiting for the others",
        flush=True,
    )
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)  # TensorFlow's waiting hears no other
    try:
        strategy = start_tensorflow(several=True)
    except Exception as error:  # TensorFlow has no one class for it
        raise InputError(
            f"TF_CONFIG: worker {index} cannot work at {addresses[index]} "
            f"({type(error).__name__}); is the port free, and are the others there?"
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)
    if index:  # the chief tells what goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Workers(index, len(addresses), strategy)


def place_among(text):
    """TF_CONFIG -> (this worker's number, addresses of all, the chief's first)."""
    if not text.strip():
        return 0, []
    example = (
        '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    wrong = f"; write it as {example}, with this worker's own index, or unset it."
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        jobs = {job: list(cluster[job]) for job in ("chief", "worker") if job in cluster}
        addresses = [address for job in jobs.values() for address in job]
        if cluster and (len(jobs) < len(cluster) or not all(map(is_address, addresses))):
            raise ValueError
        if len(set(addresses)) < len(addresses):
            raise InputError(f"TF_CONFIG: two workers have the same address{wrong}")
        if len(addresses) < 2:
            return 0, addresses
        index = task["index"]
        if type(index) is not int or not 0 <= index < len(jobs[task["type"]]):
            raise InputError(f"TF_CONFIG: its task is none of the cluster{wrong}")
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise InputError(f"TF_CONFIG: it is not a cluster and a task in JSON{wrong}") from None
    return addresses.index(jobs[task["type"]][index]), addresses


def is_address(text):
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def agree(workers, **parts):
    """Raise InputError, on all workers, unless each part (JSON) is the same on all.

    Files may lie elsewhere on each machine.
    """
    places = ("path", "set", "data", "validation_data", "test_data")

    def without_places(value):
        if isinstance(value, dict):
            return {k: without_places(part) for k, part in value.items() if k not in places}
        return [without_places(part) for part in value] if isinstance(value, list) else value

    for name, part in parts.items():
        text = json.dumps(without_places(json.loads(json.dumps(part))), sort_keys=True)
        digests = np.zeros((workers.count, 8), "int32")
        digests[workers.index] = np.frombuffer(hashlib.sha256(text.encode()).digest(), "int32")
        digests = workers.sum(digests)
        for other in np.flatnonzero((digests != digests[0]).any(axis=1)):
            raise InputError(
                f"worker {other} has other {name} than worker 0: start all workers with the same "
                "options and the same files."
            )


def lost_worker(error):
    """Whether TensorFlow gave up because it no longer reaches another worker."""
    if "tensorflow" not in sys.modules:
        return False
    from tensorflow import errors

    kinds = "Unavailable", "Aborted", "Cancelled", "DeadlineExceeded", "FailedPrecondition"
    return isinstance(error, tuple(getattr(errors, f"{kind}Error") for kind in kinds))


def local_strategy():
    """All GPUs of this machine where there are several, else TensorFlow's default."""
    import tensorflow as tf

    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def replicas_here(strategy, workers):
    """(replicas in all, the slice of those that are this worker's): a replica is a device."""
    replicas = strategy.num_replicas_in_sync
    here = replicas // workers.count
    return replicas, slice(workers.index * here, (workers.index + 1) * here)


def whole_shares(batch_size, rows, strategy):
    """The batch size, or as many rows less as make the replicas' shares equal."""
    replicas = strategy.num_replicas_in_sync
    if rows < replicas:
        raise InputError(f"TF_CONFIG: {rows} training rows are too few for {replicas} devices.")
    batch = min(batch_size, rows)
    return max(batch - batch % replicas, replicas)


def spread_seeds(learner, strategy):
    """Let each replica draw dropout of its own; the first one's seeds stay."""
    import tensorflow as tf

    generators = [
        layer.seed_generator for layer in learner.layers if hasattr(layer, "seed_generator")
    ]

    @tf.function
    def spread():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for generator in generators:
            generator.state.assign(generator.state + tf.cast([replica, 0], generator.state.dtype))

    if generators and strategy.num_replicas_in_sync > 1:
        strategy.run(spread)


# Evaluation


def to_mean(model, dataset):
    """Move the outputs of a log target, so that predictions are means.

    A network that learns the logarithm predicts something like the median, which is less than the
    mean: Duan, Smearing Estimate (1983). What the spread of the validation rows' errors makes of
    it goes to the outputs' bias; a common error of all of them does not, as it is of their time.

    Returns:
        float, what was added to the outputs' bias.
    """
    target, rows = dataset.encoding.target, dataset.split["validation"]
    if target.transform != "log1p":
        return 0.0
    actual, predicted = dataset.target[rows], predict(model, dataset, rows)
    common = np.log1p(actual).mean() - np.log1p(predicted).mean()
    shift = float((np.log((1 + actual).sum() / (1 + predicted).sum()) - common) / target.std)
    move_outputs(model, shift)
    return shift


def move_outputs(model, shift):
    """Add a number to the bias of all outputs."""
    bias = model.get_layer("outputs").bias
    bias.assign_add(np.full(bias.shape, shift, "float32"))


def judge(model, dataset):
    """What metrics.json holds beside the test metrics: validation rows, baseline, counts."""
    target, test = dataset.encoding.target, dataset.split["test"]
    return {
        "task": target.task,
        "rows": {part: len(rows) for part, rows in dataset.split.items()},
        "validation": evaluate(model, dataset, "validation")[0],
        "baseline": score(target, dataset.target[test], featureless(dataset, len(test))),
    }


def evaluate(model, dataset, part):
    """Metrics and predictions of the rows of one part: "validation" or "test"."""
    rows = dataset.split[part]
    predicted = predict(model, dataset, rows)
    return score(dataset.encoding.target, dataset.target[rows], predicted), predicted


def predict(model, dataset, rows):
    """Predictions in the target's units, float64 [rows], or probabilities [rows, classes]."""
    # Keras would unroll the steps of one execution: half a minute to compile, and all in memory.
    model.steps_per_execution = 1
    outputs = model.predict(fixed_batches(dataset, rows, model), verbose=0)
    return to_predictions(outputs, dataset.encoding.target)


def to_predictions(outputs, target):
    """Network outputs [rows, members, outputs] -> predictions: the mean over the members."""
    from scipy.special import expit, softmax

    if target.task == "regression":
        return target.decode(outputs[:, :, 0]).mean(axis=1)
    outputs = outputs.astype("float64")
    if target.task == "binary":
        positive = expit(outputs[:, :, 0]).mean(axis=1)
        return np.column_stack([1 - positive, positive])
    return softmax(outputs, axis=2).mean(axis=1)


def featureless(dataset, rows):
    """What a baseline without features predicts for some rows: the training mean, or shares."""
    return np.broadcast_to(dataset.prior, (rows, *np.shape(dataset.prior)))


def featureless_loss(dataset):
    """The validation loss of the baseline without features."""
    target, actual = dataset.encoding.target, dataset.target[dataset.split["validation"]]
    if target.task == "regression":
        return float(np.square(target.encode(actual)).mean())
    return score(target, actual, featureless(dataset, len(actual)))["log_loss"]


def score(target, actual, predicted):
    """Metrics under their names in scikit-learn.

    Args:
        actual: float64 [rows], or int class positions; predicted: as `predict` returns.
    """
    from sklearn import metrics

    if target.task == "regression":
        found = {
            "rmse": metrics.root_mean_squared_error(actual, predicted),
            "mae": metrics.mean_absolute_error(actual, predicted),
            "r2": metrics.r2_score(actual, predicted) if len(actual) > 1 else None,
            "mape": relative_error(actual, predicted),
        }
    else:
        classes = np.arange(len(target.classes))
        chosen = predicted.argmax(axis=1)
        found = {
            "log_loss": metrics.log_loss(actual, predicted, labels=classes),
            "accuracy": metrics.accuracy_score(actual, chosen),
        }
        if target.task == "multiclass":
            found["macro_f1"] = metrics.f1_score(actual, chosen, average="macro")
        elif len(np.unique(actual)) == 2:
            found["roc_auc"] = metrics.roc_auc_score(actual, predicted[:, 1])
            found["average_precision"] = metrics.average_precision_score(actual, predicted[:, 1])
        else:  # one class only: there is nothing to rank
            found |= {"roc_auc": None, "average_precision": None}
    return {name: None if value is None else float(value) for name, value in found.items()}


def relative_error(actual, predicted):
    """The mean absolute percentage error of the rows whose target is not 0; None without any.

    A block at a time: scikit-learn's takes five arrays of the rows' length.
    """
    total, rows = 0.0, 0
    for known, guess in zip(blocks_of(actual), blocks_of(predicted), strict=True):
        nonzero = known != 0
        total += np.abs((guess[nonzero] - known[nonzero]) / known[nonzero]).sum()
        rows += np.count_nonzero(nonzero)
    return total / rows if rows else None


# Showing and saving


def seconds(dataset, started, trained):
    """Seconds by phase, for metrics.json."""
    phases = dataset.seconds | {"train": trained - started - sum(dataset.seconds.values())}
    return phases | {"total": time.monotonic() - started}


def show_columns(dataset):
    """Print what each column is used as, aligned, and what was done about odd things."""
    vocabularies = {v.column: v for v in dataset.encoding.vocabularies}
    numerics = {n.column: n for n in dataset.encoding.numerics}
    lines = []

    def add(column, role, why):
        line = {"column": one_line(column), "role": role, "why": why, "distinct": "", "missing": ""}
        line["embedding"] = ""
        if vocabulary := vocabularies.get(column):
            line["distinct"] = f"{len(vocabulary.values):,}"
            line["missing"] = f"{vocabulary.rows[MISSING]:,}"
            line["embedding"] = f"{vocabulary.cardinality:,} x {vocabulary.size}"
        elif column in numerics:
            line["missing"] = f"{numerics[column].missing:,}"
        lines.append(line)

    for column, role in dataset.roles.items():
        add(column, role.role, role.why)
        if role.role == "date":
            parts = [f"{column}_{part}" for part in (*DATE_PARTS, "elapsed")]
            for part in parts:
                if part in vocabularies or part in numerics:
                    kind = "categorical" if part in vocabularies else "numeric"
                    add(part, kind, "part of a date")
    print(pd.DataFrame(lines).to_string(index=False))
    rows = {part: f"{len(rows):,}" for part, rows in dataset.split.items()}
    print(", ".join(f"{count} {part}" for part, count in rows.items()), "rows")
    for note in dataset.notes:
        show_note(note)


def show_metrics(scores):
    """Print one small table: a line for each model, a column for each metric."""
    frame = pd.DataFrame(scores).T
    print(frame.to_string(float_format=lambda value: f"{value:.4g}"))


def write_results(folder, dataset, history, metrics, predicted, manifest):
    """history.csv, metrics.json, test_predictions.csv and errors.csv.

    Args:
        predicted: of the test rows, as `predict` returns them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    history.to_csv(folder / "history.csv", index=False)
    text = json.dumps(metrics, indent=2, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    test, target = dataset.split["test"], dataset.encoding.target
    progress, done = Progress("writing predictions"), 0
    with open(folder / "test_predictions.csv", "w", encoding="utf-8", newline="") as file:
        for rows in blocks_of(test, ROWS_AT_ONCE):
            table = prediction_table(
                dataset.table.source_rows(rows), predicted[done : done + len(rows)], target
            )
            table.insert(1, "actual", target.label(dataset.target[rows]))
            table.to_csv(file, index=False, header=done == 0)
            done += len(rows)
            progress(done, done / len(test))
    progress.done()
    write_errors(folder, manifest, error_blocks(dataset, predicted))


def error_blocks(dataset, predicted):
    """(embedding rows [rows, columns], target, predictions) of the test rows, by blocks."""
    progress, done = Progress("finding errors"), 0
    for rows in blocks_of(dataset.split["test"], 4 * ROWS_AT_ONCE):
        yield dataset.rows.codes(rows), dataset.target[rows], predicted[done : done + len(rows)]
        done += len(rows)
        progress(done, done / len(predicted))
    progress.done()


def prediction_table(rows, predicted, target):
    """One line a row: its number, what is predicted, the probability of each class."""
    if target.task == "regression":
        return pd.DataFrame({"row": rows, "predicted": predicted})
    table = pd.DataFrame({"row": rows, "predicted": target.label(predicted.argmax(axis=1))})
    for i, label in enumerate(target.classes):
        table[f"probability_{label}"] = predicted[:, i]
    return table


def show_note(note):
    """Print what was done about something odd, if anything."""
    if note:
        print(f"note: {one_line(note)}")


# The command line


def add_options(parser):
    """The options that both scripts share."""

    def columns(group, option, text):
        group.add_argument(option, nargs="+", metavar="COLUMN", help=text)

    def files(group, option, text):
        group.add_argument(option, nargs="+", metavar="FILE", help=text)

    table = parser.add_argument_group("the table")
    files(
        table,
        "--data",
        "CSV, TSV or Parquet files or globs that make one table, or openml:NAME_OR_ID (default: "
        "the shipped table)",
    )
    table.add_argument("--target", metavar="COLUMN", help="the column to predict")
    columns(
        table,
        "--categorical",
        "columns to embed (default: text, booleans and integers that look like codes)",
    )
    columns(
        table,
        "--numeric",
        "columns that are quantities (default: the other numbers); where --categorical is given "
        "too, no other column is used",
    )
    columns(
        table,
        "--dates",
        "columns to take apart into year, month, day, weekday, week, hour and elapsed days "
        "(default: those written as 2024-12-31)",
    )
    columns(table, "--drop", "columns to leave out")
    columns(
        table,
        "--keep-na",
        "columns in which texts such as NA and None are categories and only empty is missing",
    )
    table.add_argument(
        "--task",
        choices=("auto", "regression", "binary", "multiclass"),
        default="auto",
        help="the kind of target (default: found from its values)",
    )
    table.add_argument(
        "--separator", metavar="CHARACTER", help="between a CSV's fields (default: found)"
    )
    table.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="of a CSV's text (default: utf-8)"
    )
    split = parser.add_argument_group("the split (default: 80/10/10 at random)")
    split.add_argument(
        "--split-by",
        metavar="COLUMN",
        help="cut in this column's order, such as a date's: the last tenth is the test set, the "
        "tenth before it the validation set",
    )
    files(split, "--validation-data", "validation rows in files of their own")
    files(split, "--test-data", "test rows in files of their own")
    training = parser.add_argument_group("training (defaults: by the table's length)")
    training.add_argument(
        "--epochs", type=positive(int), metavar="N", help="passes over the training rows at most"
    )
    training.add_argument(
        "--batch-size", type=positive(int), metavar="ROWS", help="rows of a training step"
    )
    training.add_argument(
        "--learning-rate", type=positive(float), metavar="RATE", help="at its highest"
    )
    training.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        metavar="N",
        help="of the split, the initial weights and the shuffling (default: 0)",
    )
    training.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last completed epoch of the same command, interrupted",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to save (default: saved_embeddings/<table name>)",
    )


def positive(kind):
    """An argparse type: a number above zero."""

    def convert(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    convert.__name__ = f"{kind.__name__} above zero"
    return convert


def seed_number(text):
    value = int(text)
    if not 0 <= value < 2**32:
        raise ValueError
    return value


def parse():
    description, _, _ = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog="example:\n"
        "  python build_embeddings.py --data sales.csv --target Sales --split-by Date",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser)
    options = parser.parse_args()
    if options.data is None:
        options.data = SHIPPED["data"]
        options.target = options.target or SHIPPED["target"]
    return options


def start_tensorflow(several=False):
    """Import TensorFlow, which takes seconds, without the lines that it writes at its start.

    Returns:
        the strategy that joins several workers, once they are all there; else None
    """
    keep_freed_memory()
    sys.stderr.flush()
    screen = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else None
        tf.zeros(1)
    finally:
        os.dup2(screen, 2)
        os.close(screen)
    warnings.filterwarnings("ignore", module=r"keras\.")  # about names of columns, for one
    return strategy


def keep_freed_memory():
    """Let the C library keep the memory that a training step frees for the next step.

    glibc gives it back to the system, which then clears each page anew: 40 % of an epoch's time
    on two cores. See mallopt(3); elsewhere all stays as it is.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # as malloc.h numbers them
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 32 << 20)  # bytes; the most that glibc allows
        mallopt(trim_threshold, 256 << 20)
        mallopt(top_pad, 16 << 20)


def fail(reason, status=2):
    """End the script with one sentence, however long the names in it are."""
    reason = one_line(str(reason))
    if len(reason) > 2000:
        reason = f"{reason[:1000]} ... {reason[-300:]}"
    print(f"{Path(sys.argv[0]).name}: error: {reason}", file=sys.stderr)
    sys.exit(status)


def run(main):
    """Run a script: bad input ends with exit status 2 and one sentence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without Unicode must not end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except InputError as error:
        fail(error)
    except KeyboardInterrupt:
        way_on = "; the same command with --resume goes on after the last completed epoch"
        name = Path(sys.argv[0]).name
        print(f"\n{name}: interrupted{way_on if Checkpoint.present else ''}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever read our lines, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except MemoryError:
        fail("out of memory; give fewer rows or columns, or a smaller --batch-size.")
    except Exception as error:
        # TensorFlow and HDF5 make errors of their own of a full disk; their text tells.
        if os.strerror(errno.ENOSPC) in str(error):
            fail("the disk is full: free some space or give an --output on another disk; "
                 "the previous output is as it was.")  # fmt: skip
        if lost_worker(error):
            fail(
                "another worker has ended or is out of reach; see what it says, then start all "
                "of them again, with --resume to go on after the last completed epoch.",
                status=1,
            )
        if not isinstance(error, OSError) or error.errno is None:
            raise
        fail(f"{error.filename or 'a file'}: {error.strerror}; the previous output is as it was.")


if __name__ == "__main__":
    run(main)
