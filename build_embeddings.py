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
import errno
import itertools
import json
import os
import sys
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
    started = time.monotonic()
    with working_folder(output) as work:
        # Read and encode; everything is fitted on training rows alone.
        dataset = read_dataset(settings_of(options), work / "cache")
        show_columns(dataset)

        # Build and train the model of the categorical columns.
        start_tensorflow()
        recipe = recipe_for(dataset, options)
        checkpoint = checkpoint_of(work, dataset, recipe, options)
        model = build_model(dataset.encoding, recipe, options.seed)
        history = train(model, dataset, recipe, seed=options.seed, checkpoint=checkpoint)
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
    """Dense layers, and one output for regression and two classes, else one for each class."""
    import keras

    for width in recipe.widths:
        hidden = keras.layers.Dense(width, "relu", kernel_initializer="he_normal")(hidden)
        hidden = keras.layers.Dropout(recipe.dropout)(hidden)
    outputs = keras.layers.Dense(target.outputs)(hidden)
    return keras.layers.Reshape((1, target.outputs), name="members")(outputs)


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
    embedding_dropout: float = 0.2
    embedding_rate: float = 1.0  # of the learning rate, for vectors that come trained
    patience: int = 5
    widths: tuple = (256, 128)


def recipe_for(dataset, options, **chosen):
    """The recipe for a table, from its number of training rows; options take precedence.

    Some 256 steps an epoch, within bounds; Adam's rate goes with the square root of the batch
    size (Malladi et al., 2022); some 4,000 steps in all, at least three epochs; dropout against
    overfitting where rows are few.
    """
    rows = len(dataset.split["train"])
    for name in ("epochs", "batch_size", "learning_rate"):
        if getattr(options, name) is not None:
            chosen[name] = getattr(options, name)
    batch = chosen.get("batch_size") or int(2 ** np.clip(np.round(np.log2(rows / 256)), 5, 9))
    recipe = Recipe(
        epochs=int(np.clip(round(4000 * batch / rows), 3, 40)),
        batch_size=batch,
        learning_rate=0.008 * (batch / 1024) ** 0.5,
        dropout=min(0.2, 10 / rows**0.5),
    )
    return replace(recipe, **chosen)


def checkpoint_of(work, dataset, recipe, options, **run):
    """The checkpoint of this run: it is known by the table, the options and the recipe."""
    run |= {"settings": dataset.settings, "files": dataset.sources, "recipe": asdict(recipe)}
    return Checkpoint(work / "checkpoint", run, options.resume)


def train(model, dataset, recipe, *, seed=0, last_fit=False, checkpoint=None):
    """Train at a constant rate; the model is the average of its weights at the best epoch.

    The rate stays what it is after a short warm-up, and what is validated and kept is an average
    of the weights over the last steps (Shamir and Zhang, 2013, section 4, eta = 16). So each epoch
    ends in a finished model, and the best one may go on training with other rows.

    Args:
        model: of `build_model`, here or in build_embed_model.py.
        last_fit: train on training and validation rows together, without validation.
        checkpoint: `data.checkpoint.Checkpoint` to write after each epoch, or None.

    Returns:
        DataFrame, one row an epoch: epoch, loss, val_loss, learning_rate, seconds.

    Raises:
        InputError: the loss is no longer a number, and no epoch before was good.
    """
    import keras

    rows = dataset.split["train"]
    validation = fixed_batches(dataset, dataset.split["validation"], model)
    if last_fit:
        parts = (dataset.split[part] for part in ("train", "validation"))
        rows = keep_on_disk(
            itertools.chain.from_iterable(map(blocks_of, parts)), dataset.table.folder
        )
        validation = None
    steps = max(1, len(rows) // recipe.batch_size)
    together = steps_together(steps)
    steps -= steps % together
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 25,
        decay_steps=1,
        alpha=1.0,  # no decay: the average takes its place
        warmup_target=recipe.learning_rate,
        warmup_steps=min(200, steps * recipe.epochs // 10 + 1),
    )
    trained = {id(layer.embeddings) for layer in model.layers if hasattr(layer, "came_trained")}
    rates = [recipe.embedding_rate if id(v) in trained else 1.0 for v in model.trainable_variables]
    model.compile(
        optimizer=lazy_adam(schedule, rates),
        loss=loss_of(dataset.encoding.target),
        steps_per_execution=together,
        jit_compile=False,  # XLA takes ten times as long on a CPU
    )
    model.optimizer.build(model.trainable_variables)
    log = epoch_log(recipe, steps, checkpoint, "last fit" if last_fit else "training")
    first = log.resume(model)
    if first < recipe.epochs:
        model.fit(
            batches(dataset, rows, model, recipe, seed + last_fit, first),
            steps_per_epoch=steps,
            initial_epoch=first,
            epochs=recipe.epochs,
            validation_data=validation,
            callbacks=[log],
            shuffle=False,  # the batches are
            verbose=0,
        )
    model.set_weights(log.best)
    return pd.DataFrame(log.history)


def steps_together(steps):
    """How many steps TensorFlow does at a time: up to 32, of which an epoch is a multiple, but for
    a step or two that are left out."""
    most = max(1, min(32, steps // 8))
    return min(range(most, most // 2, -1), key=lambda together: steps % together)


def epoch_log(recipe, steps, checkpoint, label):
    """The callback that averages the weights, keeps the best average and the history."""
    import keras

    class EpochLog(keras.callbacks.Callback):
        def resume(self, model):
            """Take up the checkpoint, if there is one; returns the number of epochs done."""
            self.history, self.best, self.lowest = [], None, np.inf
            self.average = [variable.numpy() for variable in model.trainable_variables]
            self.blocks = np.array(0)
            # So seldom that copying a large table costs little beside the steps between.
            self.seldom = 1 + sum(array.size for array in self.average) // COPIED_EACH_TIME
            state = [np.asarray(variable) for variable in state_of(model)]
            like = [*state, *model.get_weights(), *self.average, self.blocks]
            if checkpoint is not None and (found := checkpoint.load(label, like)):
                self.history, arrays = found
                for variable, array in zip(state_of(model), arrays, strict=False):
                    variable.assign(array)
                self.best = arrays[len(state) : len(state) + len(model.weights)]
                self.average, self.blocks = arrays[-1 - len(self.average) : -1], arrays[-1]
                self.lowest = min(self.watched(epoch) for epoch in self.history)
                if self.waited() >= recipe.patience:
                    return recipe.epochs
            return len(self.history)

        def watched(self, logs):
            """Without validation the last epoch is taken, as being the one wanted."""
            return logs["val_loss"] if "val_loss" in logs else -logs["epoch"]

        def waited(self):
            """Epochs since the best one."""
            losses = [self.watched(epoch) for epoch in self.history]
            return len(losses) - 1 - int(np.argmin(losses))

        def swap(self):
            """The average into the model, and its own weights here in place of it; or back."""
            variables = self.model.trainable_variables
            weights = [variable.numpy() for variable in variables]
            for variable, array in zip(variables, self.average, strict=True):
                variable.assign(array)
            self.average = weights

        def on_train_begin(self, logs=None):
            self.progress = Progress(label, "steps")

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch, self.started = epoch, time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            if not np.isfinite(logs["loss"]):
                self.model.stop_training = True
            self.blocks = self.blocks + 1
            if self.blocks % self.seldom == 0:
                share = 7 / (self.blocks // self.seldom + 6)
                variables = self.model.trainable_variables
                for average, variable in zip(self.average, variables, strict=True):
                    average += np.float32(share) * (variable.numpy() - average)
            done = self.epoch * steps + batch + 1
            note = f", epoch {self.epoch + 1} of {recipe.epochs}"
            self.progress(done, done / (recipe.epochs * steps), note)

        def on_test_begin(self, logs=None):
            self.swap()

        def on_test_end(self, logs=None):
            self.swap()

        def on_epoch_end(self, epoch, logs=None):
            if not np.isfinite([logs["loss"], logs.get("val_loss", 0.0)]).all():
                self.progress.done()
                if self.best is None:
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
                self.swap()
                self.best = self.model.get_weights()
                self.swap()
            if self.waited() >= recipe.patience:
                self.model.stop_training = True
            if checkpoint is not None:
                state = [variable.numpy() for variable in state_of(self.model)]
                arrays = [*state, *self.best, *self.average, self.blocks]
                checkpoint.save(label, self.history, arrays)

        def on_train_end(self, logs=None):
            self.progress.done()

    return EpochLog()


def state_of(model):
    """The variables from which training goes on bit for bit: weights, the states of the random
    generators (of dropout), the optimizer's moments and step."""
    return [*model.variables, *model.optimizer.variables]


def batches(dataset, rows, model, recipe, seed, first_epoch=0):
    """The training batches of all epochs, shuffled anew for each, by seed and epoch alone.

    A category is replaced by "unseen" with probability 1 / (1 + its training rows), so that the
    unseen row becomes a trained vector, the mean of rare categories, and rare ones do not
    overfit: word dropout, Kiperwasser and Goldberg (2016), section 5.

    Returns:
        tf.data.Dataset of (inputs, target)
    """
    import tensorflow as tf

    batch = min(recipe.batch_size, len(rows))
    unseen = [1 / (1 + np.maximum(v.rows, 1)) for v in dataset.encoding.vocabularies]
    for chance in unseen:
        chance[:RESERVED] = 0
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
                arrays = {name: np.ascontiguousarray(part[name]) for name in dtype.names}
                codes = arrays["codes"]
                for j, chance in enumerate(unseen):
                    replaced = random.random(len(part), "float32") < chance[codes[:, j]]
                    codes[replaced, j] = UNSEEN
                target = arrays.pop("target").reshape(-1, batch, 1, 1)
                yield {name: a.reshape(-1, batch, a.shape[1]) for name, a in arrays.items()}, target

    data = tf.data.Dataset.from_generator(
        blocks, output_signature=signature(dataset, model, (None, batch))
    )
    return data.unbatch().prefetch(8)


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
    # The length spares Keras the discovery that the data has an end, and the warning about it.
    return data.apply(tf.data.experimental.assert_cardinality(-(-len(rows) // batch))).prefetch(2)


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
    rows in every batch it is the same as Adam. All else is updated by one fused kernel.

    Args:
        rates: list of float, the share of the learning rate that each trainable variable gets.
    """
    import keras
    import tensorflow as tf

    class LazyAdam(keras.optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            momentum, velocity = self._momentums[index].value, self._velocities[index].value
            beta_1, beta_2 = tf.constant(self.beta_1), tf.constant(self.beta_2)
            step = tf.cast(self.iterations + 1, "float32")
            rate = tf.cast(learning_rate, "float32") * rates[index]
            if isinstance(gradient, tf.IndexedSlices):
                if variable.shape[0] > 4096:
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
                gradient = tf.math.unsorted_segment_sum(
                    gradient.values, gradient.indices, variable.shape[0]
                )
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


# Evaluation


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


def start_tensorflow():
    """Import TensorFlow, which takes seconds, without the lines that it writes at its start."""
    sys.stderr.flush()
    screen = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow as tf

        tf.zeros(1)
        tf.get_logger().setLevel("ERROR")
    finally:
        os.dup2(screen, 2)
        os.close(screen)
    warnings.filterwarnings("ignore", module=r"keras\.")  # about names of columns, for one


def fail(reason):
    """End the script with one sentence, however long the names in it are."""
    reason = one_line(str(reason))
    if len(reason) > 2000:
        reason = f"{reason[:1000]} ... {reason[-300:]}"
    print(f"{Path(sys.argv[0]).name}: error: {reason}", file=sys.stderr)
    sys.exit(2)


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
        if not isinstance(error, OSError) or error.errno is None:
            raise
        fail(f"{error.filename or 'a file'}: {error.strerror}; the previous output is as it was.")


if __name__ == "__main__":
    run(main)
