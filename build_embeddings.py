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

import time
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from data import InputError
from data.cli import LateImport, command, output_folder, parser_of_both, run, start_tensorflow
from data.progress import Progress
from data.reports.insights import Run, look_at
from data.reports.neighbours import nearest_categories as nearest
from data.reports.neighbours import neighbour_lines, write_neighbours, write_projector
from data.reports.report import write_report
from data.reports.results import seconds, write_results
from data.reports.screen import show_dataset, show_metrics, show_saved
from data.sets.folds import out_of_fold_vectors, write_folds
from data.sets.loading import load_embeddings
from data.sets.manifest import describe
from data.sets.publishing import check_same_table, publish, working_folder
from data.sets.saving import seal, write_vectors
from data.tables.dataset import read_dataset
from data.tables.encoding import MISSING, UNSEEN
from data.tables.settings import settings_of
from data.training.checkpoint import open_checkpoint
from data.training.folds import FOLDS, tables_to_train
from data.training.history import epochs_since_best, tell_of_explosion, told_of_stop
from data.training.workers import Workers, joined_workers

# TensorFlow takes seconds to import: --help and a wrong file name do without it.
keras = LateImport("keras")
learning = LateImport("data.training.learner")
losses = LateImport("data.training.losses")
results = LateImport("data.training.results")

RARE = 50  # training rows of a category in the mean of its column: fewer are cross-fitted
SCALES_RATE = 6.0  # of the learning rate, for the scales of the final network's inputs
FEWEST = 6  # epochs of cross-fitting; else four times those up to the lowest validation loss
WIDER = 2 * FOLDS  # batches of cross-fitting, whose rows are shared out among the folds' tables

__all__ = [
    "EmbeddingTransformer",  # noqa: F822
    "InputError",
    "build_model",
    "load_embeddings",
    "nearest",
    "out_of_fold_vectors",
    "train",
]


def main():
    options = parse()
    name, output = output_folder(options)
    check_same_table(output, settings_of(options), options.replace)
    started = time.monotonic()
    with joined_workers() as workers, working_folder(output, workers.is_chief) as work:
        # Read and encode; everything is fitted on training rows alone.
        dataset = read_dataset(settings_of(options), work / "cache", resume=options.resume)
        show_dataset(dataset)

        # Build and train the model of the categorical columns.
        start_tensorflow()
        recipe = recipe_for(dataset, options)
        this_run = run_identity(dataset, recipe, options.seed)
        with open_checkpoint(work / "checkpoint", this_run, workers, options.resume) as checkpoint:
            model = build_model(dataset.encoding, recipe, options.seed)
            how = {"seed": options.seed, "checkpoint": checkpoint, "workers": workers}
            history = train(model, dataset, recipe, **how)
            missing_as_unseen(model, dataset.encoding.vocabularies)
            tables = None
            if has_rare_categories(dataset):
                tables = cross_fit(model, dataset, recipe, history, **how)
            if not workers.is_chief:
                return  # the chief saves what all have learned
            results.fit_shift_to_mean(model, dataset)
            vectors = learned_vectors(model, dataset.encoding.vocabularies)
            if tables:  # for the networks to come; this one's layers know its own vectors
                vectors = {column: table.mean(axis=0) for column, table in tables.items()}
            trained = time.monotonic()

            # Judge it on the test rows, beside a baseline without features.
            metrics = results.validation_metrics(model, dataset)
            metrics["test"], predicted = results.evaluate(model, dataset, "test")
            show_metrics({"embeddings": metrics["test"], "baseline": metrics["baseline"]})

            # Save the vectors for any tool, and all that says which row is which category.
            staging = work / "staging"
            manifest = describe(dataset, name)
            metrics["seconds"] = seconds(dataset, started, trained)
            if tables:
                write_folds(staging, manifest, tables)
            write_vectors(staging, manifest, vectors)
            write_results(staging, dataset, history, metrics, predicted, manifest)
            write_neighbours(staging, manifest, vectors)
            write_projector(staging, manifest, vectors)
            if not options.no_report:
                this = Run(output, dataset, model, history, metrics, predicted, seed=options.seed)
                look_at(staging, this, manifest, vectors)
                write_report(staging, manifest, output)
            seal(staging, manifest)
            kept = publish(staging, output)
    for line in neighbour_lines(manifest, vectors):
        print(line)
    show_saved(output, kept)
    own_folder = ["--embeddings", output] if options.output else []
    print(f"next: {command('build_embed_model.py', *own_folder)}")
    if not options.no_report:
        print(f"open {output / 'report.html'}")


# The model


def build_model(encoding, recipe, seed=0):
    """The categorical-only network: codes, one embedding for each column, dense layers, outputs.

    Args:
        encoding: `data.tables.encoding.Encoding`: vocabularies and target.
        recipe: `Recipe`.

    Returns:
        keras.Model: int32 [batch, columns] embedding rows -> float32 [batch, members, outputs].
    """
    keras.utils.set_random_seed(seed)
    codes = keras.Input((len(encoding.vocabularies),), dtype="int32", name="codes")
    hidden = embed(codes, encoding.vocabularies, recipe)
    return keras.Model({"codes": codes}, head(hidden, encoding.target, recipe), name="embeddings")


def embed(codes, vocabularies, recipe):
    """One Embedding for each column, concatenated, with dropout.

    Returns:
        float32 [batch, sum of the embeddings' sizes]
    """
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
    members, (first, *widths) = recipe.members, recipe.widths
    activation = recipe.activation
    hidden = keras.layers.Dense(members * first, activation, kernel_initializer="he_normal")(hidden)
    hidden = keras.layers.Dropout(recipe.dropout)(hidden)
    if members > 1:
        hidden = keras.layers.Reshape((members, first))(hidden)
    he_normal = keras.initializers.VarianceScaling(2.0 * members)  # for each member
    for width in widths:
        layer = dense(width, members, activation=activation, kernel_initializer=he_normal)
        hidden = keras.layers.Dropout(recipe.dropout)(layer(hidden))
    outputs = dense(target.outputs, members, name="outputs")(hidden)
    return keras.layers.Reshape((members, target.outputs), name="members")(outputs)


def dense(units, members, **how):
    """A dense layer for each member, [batch, members, inputs] -> [batch, members, units].

    With a single member there is no such axis: TensorFlow multiplies plain matrices faster.
    """
    if members == 1:
        return keras.layers.Dense(units, **how)
    return keras.layers.EinsumDense("bmi,mio->bmo", (members, units), bias_axes="mo", **how)


def missing_as_unseen(model, vocabularies, start=None):
    """Give a missing row that no training row used the unseen row's vector: both know nothing.

    Args:
        start: dict of column -> saved vectors that training began with, whose missing row stays.
    """
    for i, vocabulary in enumerate(vocabularies):
        before = (start or {}).get(vocabulary.column)
        known = before is not None and not np.array_equal(before[MISSING], before[UNSEEN])
        if not vocabulary.counts[MISSING] and not known:
            layer = model.get_layer(f"embedding_{i}")
            (vectors,) = layer.get_weights()
            vectors[MISSING] = vectors[UNSEEN]
            layer.set_weights([vectors])


def learned_vectors(model, vocabularies):
    """The embeddings' weights: dict of column -> float32 [cardinality, size]."""
    return {
        vocabulary.column: model.get_layer(f"embedding_{i}").get_weights()[0]
        for i, vocabulary in enumerate(vocabularies)
    }


# Cross-fitting: each training row gets vectors that were learned without it


def has_rare_categories(dataset):
    """Whether there is a column whose categories have so few rows that a network learns them by
    heart: then cross-fitting is worth it."""
    most = max(vocabulary.cardinality for vocabulary in dataset.encoding.vocabularies)
    return len(dataset.split["train"]) < RARE * most


def cross_fit(model, dataset, recipe, history, *, seed=0, checkpoint=None, workers=None):
    """Learn the embeddings anew, once for each fold of the training rows, from the rows outside it.

    A vector has memorised the targets of its own rows, the rarer its category the more, and what is
    trained on these rows and vectors would trust that; so scikit-learn's TargetEncoder fits across
    folds. The dense layers stay as they are, so that the vectors of all folds mean the same, and
    every category starts as unseen, so that rare ones stay near it.

    All folds are learned in one training: a row trains the tables of the other folds in turn, one
    an epoch. The model itself stays as it is.

    Args:
        model: as trained; history: of that training.

    Returns:
        dict of column -> float32 [folds, cardinality, size]
    """
    best = int(history["val_loss"].argmin()) + 1
    epochs = min(recipe.epochs, max(FEWEST, 4 * best))
    batch, rate = WIDER * recipe.batch_size, WIDER**0.5 * recipe.learning_rate
    stacked = keras.models.clone_model(model, clone_function=with_a_table_for_each_fold)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, keras.layers.Embedding):
            (table,) = weights
            weights = [np.tile(table[UNSEEN], (FOLDS * len(table), 1))]
        stacked.get_layer(layer.name).set_weights(weights)
    train(
        stacked,
        dataset,
        replace(recipe, epochs=epochs * (FOLDS - 1), batch_size=batch, learning_rate=rate),
        label="cross-fitting",
        validate=False,
        folds=tables_to_train(dataset.settings["seed"]),
        seed=seed,
        checkpoint=checkpoint,
        workers=workers,
    )
    tables = {}
    for i, vocabulary in enumerate(dataset.encoding.vocabularies):
        (table,) = stacked.get_layer(f"embedding_{i}").get_weights()
        table = table.reshape(FOLDS, vocabulary.cardinality, vocabulary.size)
        if not vocabulary.counts[MISSING]:
            table[:, MISSING] = table[:, UNSEEN]
        tables[vocabulary.column] = table
    return tables


def with_a_table_for_each_fold(layer):
    """A layer like this one: an embedding with as many tables as folds, any other one fixed."""
    config, is_embedding = layer.get_config(), isinstance(layer, keras.layers.Embedding)
    if is_embedding:
        config |= {"input_dim": FOLDS * config["input_dim"], "embeddings_initializer": "zeros"}
    copy = type(layer).from_config(config)
    copy.trainable = is_embedding
    return copy


# Training


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `recipe_for` fits it to the table."""

    epochs: int  # at most
    batch_size: int
    learning_rate: float
    dropout: float
    widths: tuple  # units of the dense layers
    members: int = 1  # networks that share the embeddings; their mean is the prediction
    activation: str = "relu"
    embedding_dropout: float = 0.1
    embedding_rate: float = 1.0  # of the learning rate, for vectors of another table
    carried: bool = False  # such vectors come from another table
    patience: int = 5
    planned: int | None = None  # epochs that the warm-up is a tenth of, if not of `epochs`


def recipe_for(dataset, options, steps=256, **chosen):
    """The recipe for a table, from its number of training rows; options take precedence.

    About so many steps an epoch, within bounds; a rate that grows with the batch size, between its
    square root (Malladi et al., 2022) and itself; some two million rows seen, in 3 to 40 epochs;
    dropout where rows are few; very few have one dense layer, which bears a higher rate.
    """
    rows = len(dataset.split["train"])
    for name in ("epochs", "batch_size", "learning_rate"):
        if getattr(options, name) is not None:
            chosen[name] = getattr(options, name)
    batch = chosen.get("batch_size") or int(2 ** np.clip(np.round(np.log2(rows / steps)), 5, 10))
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


def run_identity(dataset, recipe, seed, **more):
    """What a run is known by, for its checkpoint (JSON): table, options, recipe."""
    table = {"settings": dataset.settings, "files": dataset.sources}
    return table | {"recipe": asdict(recipe), "seed": seed} | more


def train(
    model, dataset, recipe, *, label="training", rows=None, validate=True, seed=0, trained=None,
    folds=None, checkpoint=None, workers=None,
):  # fmt: skip
    """Train at a constant rate; the model is the average of its weights at the best epoch.

    What learns is a copy of the model, on as many devices and workers as there are; the model
    itself holds an average of the copy's weights over the last steps, which is validated and kept.
    So each epoch ends in a finished model, and the best one may go on training with other rows.

    Args:
        model: of `build_model`, here or in build_embed_model.py.
        label: what is shown, and the checkpoint's name.
        rows: row ids to learn from (default: the training rows).
        validate: else the last epoch is the one that is kept.
        trained: dict of column -> rows of its embedding that come from another table.
        folds: `data.training.folds.FoldTables` where each row sees one of several tables.
        checkpoint: `data.training.checkpoint.Checkpoint` to write when one is due, or None.
        workers: `Workers` that train together, and end with the same weights; None for no others.

    Returns:
        DataFrame, one row an epoch: epoch, loss, val_loss, learning_rate, seconds.

    Raises:
        InputError: the loss is no longer a number, and no epoch before was good.
    """
    workers, rows = workers or Workers(), dataset.split["train"] if rows is None else rows
    rates = learning_rates(model, dataset.encoding.vocabularies, recipe, trained)
    loss_of_batch = losses.loss_of(dataset.encoding.target)
    learner = learning.Learner(model, len(rows), recipe, rates, loss_of_batch, workers, folds)
    history, best = learner.take_up(checkpoint, label)
    first = recipe.epochs if epochs_since_best(history) >= recipe.patience else len(history)

    find_loss = losses.validation_loss(model, dataset, workers) if validate else None
    progress = Progress(label, "steps")
    with learner.batches(dataset, rows, seed, first, trained) as batches:
        for epoch in range(first, recipe.epochs):
            started = time.monotonic()
            loss = one_epoch(learner, batches, epoch, recipe, progress)
            line = {"epoch": epoch + 1, "loss": loss}
            if find_loss is not None:
                line["val_loss"] = find_loss()
            if not np.isfinite(list(line.values())).all():
                progress.done()
                tell_of_explosion(history, recipe)
                break
            line |= {"learning_rate": learner.learning_rate, "seconds": time.monotonic() - started}
            history.append(line)
            if is_best := not epochs_since_best(history):
                best = model.get_weights()
            if checkpoint is not None and checkpoint.is_due(label):
                checkpoint.save(label, history, learner.state(() if is_best else best))
            if epochs_since_best(history) >= recipe.patience:
                break
    progress.done(told_of_stop(label, history, recipe))
    model.set_weights(best)
    return pd.DataFrame(history)


def one_epoch(learner, batches, epoch, recipe, progress):
    """Take the steps of an epoch, block by block; returns the mean loss, which may be infinite."""
    done, total, all_steps = 0, 0.0, recipe.epochs * learner.steps
    while done < learner.steps and np.isfinite(total):
        count = min(int(np.clip(learner.steps // 8, 8, 32)), learner.steps - done)
        total += learner.take_steps(batches, count)
        done += count
        learner.average.see_block(ends_epoch=done == learner.steps)
        seen = epoch * learner.steps + done
        progress(seen, seen / all_steps, f", epoch {epoch + 1} of {recipe.epochs}")
    return total / done


def learning_rates(model, vocabularies, recipe, trained):
    """By what factor the learning rate of each trainable variable differs, list of float."""
    came_trained = {
        id(model.get_layer(f"embedding_{i}").embeddings)
        for i, vocabulary in enumerate(vocabularies)
        if vocabulary.column in (trained or {})
    }
    return [
        recipe.embedding_rate if id(variable) in came_trained
        else SCALES_RATE if variable.path.startswith("scales/")
        else 1.0
        for variable in model.trainable_variables
    ]  # fmt: skip


# The command line


def parse():
    parser = parser_of_both(
        __doc__, "python build_embeddings.py --data sales.csv --target Sales --split-by Date"
    )
    return parser.parse_args()


def __getattr__(name):
    """`from build_embeddings import EmbeddingTransformer`, loading scikit-learn only then."""
    if name == "EmbeddingTransformer":
        from data.transformer import EmbeddingTransformer

        return EmbeddingTransformer
    raise AttributeError(name)


if __name__ == "__main__":
    run(main)
