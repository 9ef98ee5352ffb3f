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
import itertools
import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.dataset import read_dataset, settings_of
from data.encoding import MISSING, RESERVED, UNSEEN
from data.manifest import describe
from data.neighbours import telling_lines, write_neighbours, write_projector
from data.pictures import draw_pictures
from data.progress import Progress
from data.reading import table_name
from data.report import write_errors, write_report
from data.saving import file_names, load_embeddings, publish, seal, working_folder, write_vectors

__all__ = ["EmbeddingTransformer", "build_model", "load_embeddings", "train"]  # noqa: F822

HERE = Path(__file__).resolve().parent
SAVED = HERE / "saved_embeddings"
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
        model, history, metrics = fit(build_model, dataset, recipe, options.seed, checkpoint)
        vectors = learned_vectors(model, dataset.encoding.vocabularies)
        trained = time.monotonic()

        # Judge it on the test rows, beside a baseline that knows no features.
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


def learned_vectors(model, vocabularies):
    """The embeddings' weights.

    A missing row that no training row used takes the unseen row's vector: it stands for as little.

    Returns:
        dict of column -> float32 [cardinality, size]
    """
    vectors = {}
    for i, vocabulary in enumerate(vocabularies):
        (vector,) = model.get_layer(f"embedding_{i}").get_weights()
        if not vocabulary.rows[MISSING]:
            vector[MISSING] = vector[UNSEEN]
        vectors[vocabulary.column] = vector
    return vectors


# Training


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `recipe_for` fits it to the table."""

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int = 10
    widths: tuple = (256, 128)
    embedding_dropout: float = 0.05
    dropout: float = 0.0


def recipe_for(dataset, options):
    """The recipe for a table, from its number of training rows; options take precedence."""
    rows = len(dataset.split["train"])
    batch = int(np.clip(2 ** np.round(np.log2(rows / 100)), 32, 1024))
    epochs = int(np.clip(3_000_000 / rows, 5, 40))
    recipe = Recipe(epochs=epochs, batch_size=batch, learning_rate=4e-3)
    chosen = {name: getattr(options, name) for name in ("epochs", "batch_size", "learning_rate")}
    return replace(recipe, **{name: value for name, value in chosen.items() if value is not None})


def fit(build, dataset, recipe, seed, checkpoint=None):
    """Build and train a model; where the rows were split by time, fit it a last time.

    Where rows are split by time the validation rows are the latest ones, and the most like those
    to come. So a last fit takes training and validation rows together, for as many epochs as were
    best for training rows alone.

    Args:
        build: function of (encoding, recipe, seed) that gives a new keras.Model.

    Returns:
        (model, history of the first fit, metrics so far: validation rows are judged before a
        last fit)
    """
    model = build(dataset.encoding, recipe, seed)
    history = train(model, dataset, recipe, seed=seed, checkpoint=checkpoint)
    last_fit = dataset.settings["split_by"] is not None
    target, test = dataset.encoding.target, dataset.split["test"]
    metrics = {
        "task": target.task,
        "rows": {part: len(rows) for part, rows in dataset.split.items()},
        "last_fit_with_validation_rows": last_fit,
        "validation": evaluate(model, dataset, "validation")[0],
        "baseline": score(target, dataset.target[test], featureless(dataset, len(test))),
    }
    if last_fit:
        best = int(history["val_loss"].argmin()) + 1
        print(f"last fit: training and validation rows together, {best} epochs")
        model = build(dataset.encoding, recipe, seed)
        recipe = replace(recipe, epochs=best)
        train(model, dataset, recipe, seed=seed, last_fit=True, checkpoint=checkpoint)
    return model, history, metrics


def checkpoint_of(work, dataset, recipe, options, **run):
    """The checkpoint of this run: it is known by the table, the options and the recipe."""
    run |= {"settings": dataset.settings, "sources": dataset.sources, "recipe": asdict(recipe)}
    return Checkpoint(work / "checkpoint", run, options.resume)


def train(model, dataset, recipe, *, seed=0, last_fit=False, checkpoint=None):
    """Train with one warm-up and decay of the learning rate; keep the best validation epoch.

    Args:
        model: of `build_model`, here or in build_embed_model.py.
        last_fit: train on training and validation rows together, without validation.
        checkpoint: `Checkpoint` to write after each epoch and to go on from, or None.

    Returns:
        DataFrame, one row an epoch: epoch, loss, val_loss, learning_rate, seconds.

    Raises:
        InputError: the loss is no longer a number, and no epoch before was good.
    """
    import keras

    rows = dataset.split["train"]
    validation = fixed_batches(dataset, dataset.split["validation"], model)
    if last_fit:
        rows, validation = np.union1d(rows, dataset.split["validation"]), None
    steps = max(1, len(rows) // recipe.batch_size)
    warm_up = steps * recipe.epochs // 4
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 25,
        steps * recipe.epochs - warm_up,
        alpha=1e-3,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
    )
    model.compile(
        optimizer=lazy_adam(schedule),
        loss=loss_of(dataset.encoding.target),
        steps_per_execution=min(32, steps),
        jit_compile=False,  # XLA takes ten times as long on a CPU
    )
    model.optimizer.build(model.trainable_variables)
    log = epoch_log(recipe, steps, checkpoint, "last fit" if last_fit else "training")
    first = log.resume(model)
    if first < recipe.epochs:
        model.fit(
            batches(dataset, rows, model, recipe, seed, first),
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


def epoch_log(recipe, steps, checkpoint, label):
    """The callback that keeps the history and the best weights, and shows progress."""
    import keras

    class EpochLog(keras.callbacks.Callback):
        def resume(self, model):
            """Take up the checkpoint, if there is one; returns the number of epochs done."""
            self.history, self.best, self.lowest = [], None, np.inf
            if checkpoint is not None and checkpoint.exists(label):
                self.history, self.best = checkpoint.load(label, model)
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

        def on_train_begin(self, logs=None):
            self.progress = Progress(label, "steps")

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch, self.started = epoch, time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            if not np.isfinite(logs["loss"]):
                self.model.stop_training = True
            done = self.epoch * steps + batch + 1
            note = f", epoch {self.epoch + 1} of {recipe.epochs}"
            self.progress(done, done / (recipe.epochs * steps), note)

        def on_epoch_end(self, epoch, logs=None):
            if not np.isfinite([logs["loss"], logs.get("val_loss", 0.0)]).all():
                self.progress.done()
                if self.best is None:
                    raise InputError(
                        "--learning-rate: the loss is no longer a number in the first epoch; give "
                        f"a rate below {recipe.learning_rate:g}, or look for huge numbers."
                    )
                print(f"note: the loss is no longer a number; epoch {epoch} is kept.")
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
                self.best = self.model.get_weights()
            if self.waited() >= recipe.patience:
                self.model.stop_training = True
            if checkpoint is not None:
                checkpoint.save(label, self.model, self.history, self.best)

        def on_train_end(self, logs=None):
            self.progress.done()

    return EpochLog()


class Checkpoint:
    """The state after the last completed epoch, from which `--resume` goes on, bit for bit.

    Args:
        folder: pathlib.Path; run: what identifies the run (JSON), so that no other takes it up.
        resume: take up what is there; else it is removed.

    Raises:
        InputError: there is nothing to resume, or it is of a run with other options.
    """

    def __init__(self, folder, run, resume):
        self.folder, self.run = folder, json.loads(json.dumps(run))
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        elif not folder.exists():
            raise InputError("--resume: no run was interrupted here; leave out --resume.")
        elif json.loads((folder / "run.json").read_text(encoding="utf-8")) != self.run:
            raise InputError(
                "--resume: the interrupted run had other options or another table; repeat its "
                "command, or leave out --resume to start anew."
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(self.run), encoding="utf-8")

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def exists(self, label):
        return (self.folder / f"{label}.npz").exists()

    def save(self, label, model, history, best):
        arrays = {f"state_{i}": v.numpy() for i, v in enumerate(self._variables(model))}
        arrays |= {f"best_{i}": array for i, array in enumerate(best)}
        unfinished = self.folder / f"{label}.part"
        with open(unfinished, "wb") as file:
            np.savez(file, history=json.dumps(history), **arrays)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.folder / f"{label}.npz")

    def load(self, label, model):
        with np.load(self.folder / f"{label}.npz", allow_pickle=False) as arrays:
            for i, variable in enumerate(self._variables(model)):
                variable.assign(arrays[f"state_{i}"])
            best = [arrays[f"best_{i}"] for i in range(len(model.weights))]
            return json.loads(str(arrays["history"])), best

    def _variables(self, model):
        """Weights, the states of the random generators, moments and step of the optimizer."""
        return [*model.variables, *model.optimizer.variables]


def batches(dataset, rows, model, recipe, seed, first_epoch=0, block=64):
    """Training batches without end, shuffled anew each epoch.

    A category is replaced by "unseen" with probability 1 / (1 + its training rows), so that the
    unseen row becomes a trained vector, the mean of rare categories, and rare ones do not
    overfit: word dropout, Kiperwasser and Goldberg (2016), section 5.

    Returns:
        tf.data.Dataset of (inputs, target)
    """
    import tensorflow as tf

    batch = min(recipe.batch_size, len(rows))
    steps = len(rows) // batch
    unseen = [1 / (1 + np.maximum(v.rows, 1)) for v in dataset.encoding.vocabularies]
    for chance in unseen:
        chance[:RESERVED] = 0

    def blocks():
        for epoch in itertools.count(first_epoch):
            random = np.random.default_rng([seed, epoch])
            order = random.permutation(rows)
            for start in range(0, steps, block):
                chosen = order[start * batch : min(start + block, steps) * batch]
                codes = dataset.rows.codes(chosen)
                for j, chance in enumerate(unseen):
                    replaced = random.random(len(chosen), "float32") < chance[codes[:, j]]
                    codes[replaced, j] = UNSEEN
                inputs, target = model_arrays(dataset, chosen, model, codes)
                yield (
                    {name: a.reshape(-1, batch, a.shape[1]) for name, a in inputs.items()},
                    target.reshape(-1, batch, 1, 1),
                )

    data = tf.data.Dataset.from_generator(
        blocks, output_signature=signature(dataset, model, (None, batch))
    )
    return data.unbatch().prefetch(8)


def fixed_batches(dataset, rows, model, batch=8192):
    """Each row once, in order: for validation and prediction."""
    import tensorflow as tf

    def blocks():
        for start in range(0, len(rows), batch):
            yield model_arrays(dataset, rows[start : start + batch], model)

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
            error = outputs - actual
            return abs(error) if target.transform == "log1p" else error * error
        if target.task == "binary":
            actual = keras.ops.cast(actual, outputs.dtype) + keras.ops.zeros_like(outputs)
            return keras.ops.binary_crossentropy(actual, outputs, from_logits=True)
        actual = keras.ops.repeat(actual[:, :, 0], outputs.shape[1], axis=1)
        return keras.ops.sparse_categorical_crossentropy(actual, outputs, from_logits=True)

    return loss


def lazy_adam(learning_rate):
    """Adam whose step costs what the batch holds, not what the embedding tables hold.

    Keras's Adam turns an embedding's sparse gradient into an update of the whole table
    (keras-team/keras issue 19992). This one updates only the rows of the batch and their
    moments. It differs from Adam in that the moments of a row stand still while no batch has it;
    for rows in every batch it is the same.
    """
    import keras
    import tensorflow as tf

    class LazyAdam(keras.optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            if not isinstance(gradient, tf.IndexedSlices):
                return super().update_step(gradient, variable, learning_rate)
            index = self._get_variable_index(variable)
            momentum, velocity = self._momentums[index].value, self._velocities[index].value
            rows, position = tf.unique(gradient.indices)
            g = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
            step = tf.cast(self.iterations + 1, g.dtype)
            rate = (
                tf.cast(learning_rate, g.dtype)
                * tf.sqrt(1 - tf.pow(self.beta_2, step))
                / (1 - tf.pow(self.beta_1, step))
            )
            m = self.beta_1 * tf.gather(momentum, rows) + (1 - self.beta_1) * g
            v = self.beta_2 * tf.gather(velocity, rows) + (1 - self.beta_2) * g * g
            momentum.scatter_update(tf.IndexedSlices(m, rows))
            velocity.scatter_update(tf.IndexedSlices(v, rows))
            variable.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))

    return LazyAdam(learning_rate)


# Evaluation


def evaluate(model, dataset, part):
    """Metrics and predictions of the rows of one part: "validation" or "test"."""
    rows = dataset.split[part]
    predicted = predict(model, dataset, rows)
    return score(dataset.encoding.target, dataset.target[rows], predicted), predicted


def predict(model, dataset, rows):
    """Predictions in the target's units, float64 [rows], or probabilities [rows, classes]."""
    return to_predictions(
        model.predict(fixed_batches(dataset, rows, model), verbose=0), dataset.encoding.target
    )


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
    target, train = dataset.encoding.target, dataset.target[dataset.split["train"]]
    if target.task == "regression":
        return np.full(rows, train.mean())
    return np.tile(np.bincount(train, minlength=len(target.classes)) / len(train), (rows, 1))


def score(target, actual, predicted):
    """Metrics under their names in scikit-learn.

    Args:
        actual: float64 [rows], or int class positions; predicted: as `predict` returns.
    """
    from sklearn import metrics

    if target.task == "regression":
        nonzero = actual != 0
        found = {
            "rmse": metrics.root_mean_squared_error(actual, predicted),
            "mae": metrics.mean_absolute_error(actual, predicted),
            "r2": metrics.r2_score(actual, predicted) if len(actual) > 1 else None,
            "mape": metrics.mean_absolute_percentage_error(actual[nonzero], predicted[nonzero])
            if nonzero.any()
            else None,
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


# Showing and saving


def seconds(dataset, started, trained):
    """Seconds by phase, for metrics.json."""
    phases = dataset.seconds | {"train": trained - started - sum(dataset.seconds.values())}
    return phases | {"total": time.monotonic() - started}


def show_columns(dataset):
    """Print what each column is used as, aligned, and what was done about odd things."""
    sizes = {v.column: v for v in dataset.encoding.vocabularies}
    lines = []
    for column, role in dataset.roles.items():
        vocabulary = sizes.get(column)
        lines.append(
            {
                "column": column,
                "role": role.role,
                "why": role.why,
                "distinct": f"{len(vocabulary.values):,}" if vocabulary else "",
                "missing": f"{vocabulary.rows[MISSING]:,}" if vocabulary else "",
                "embedding": f"{vocabulary.cardinality:,} x {vocabulary.size}"
                if vocabulary
                else "",
            }
        )
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
    test = dataset.split["test"]
    table = prediction_table(dataset.table.source_rows(test), predicted, dataset.encoding.target)
    table.insert(1, "actual", dataset.encoding.target.label(dataset.target[test]))
    table.to_csv(folder / "test_predictions.csv", index=False)
    codes = dataset.rows.codes(test)
    columns = {v.column: codes[:, j] for j, v in enumerate(dataset.encoding.vocabularies)}
    write_errors(folder, manifest, columns, dataset.target[test], predicted)


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
        print(f"note: {note}")


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
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def run(main):
    """Run a script: bad input ends with exit status 2 and one sentence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main()
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command with --resume goes on from the last whole epoch")
        sys.exit(130)


if __name__ == "__main__":
    run(main)
