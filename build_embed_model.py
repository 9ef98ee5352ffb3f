"""Build the final model from saved embeddings and the numeric columns of a table.

    python build_embed_model.py                               # takes up the last embeddings saved
    python build_embed_model.py --embeddings saved_embeddings/sales --frozen
    python build_embed_model.py --embeddings saved_embeddings/sales/embed_model \\
        --data customers.csv --target Customers               # another table, another target
    python build_embed_model.py --predict new_rows.csv

Load the vectors, read the table as build_embeddings.py did, concatenate the embeddings with the
numeric columns, train (the embeddings with the rest, or frozen, or two networks, whose mean
predicts), save the final model in saved_embeddings/<table>/embed_model/. Its model.keras takes
texts and numbers as they are and needs none of our code.
"""

import time
from dataclasses import replace
from functools import partial

import numpy as np

from build_embeddings import (
    embed,
    has_rare_categories,
    head,
    learned_vectors,
    missing_as_unseen,
    recipe_for,
    run_identity,
    train,
)
from data.cli import LateImport, parser_of_both, run, start_tensorflow
from data.reports import comparison
from data.reports.insights import Run, first_predictions, look_at
from data.reports.results import first_metrics, seal_whole, seconds, stage_present, write_results
from data.reports.screen import show_dataset, show_metrics, show_saved, tell_uses
from data.sets import prediction, reuse
from data.sets.final_model import load_model
from data.sets.folds import fold_tables
from data.sets.loading import check_set
from data.sets.manifest import describe
from data.sets.matching import match
from data.sets.publishing import check_same_table, publish, working_folder
from data.sets.saving import seal, write_vectors
from data.tables.dataset import read_dataset
from data.tables.dialect import dialect_of
from data.tables.encoding import UNSEEN
from data.training.checkpoint import open_checkpoint
from data.training.scoring import featureless_loss
from data.training.workers import joined_workers

keras = LateImport("keras")
layers = LateImport("data.training.numeric_layers")
raw = LateImport("data.sets.raw_model")
results = LateImport("data.training.results")

__all__ = ["build_model", "load_model"]

LAST_RATE = 0.3  # of the learning rate, once validation rows drawn at random are learned too
CARRIED_RATE = 0.03  # of the learning rate, for vectors that come from another table
FEW_ROWS = 50_000  # in so small a table every row counts
MANY_ROWS = 100_000  # of training: from here on there is no second network


def main():
    options = parse()
    if options.predict:
        return prediction.predict_rows(options)
    sets = reuse.load_sets(options)
    name, output, settings, recorded = reuse.resolve_run(options, sets)
    check_same_table(output, settings, options.replace)
    started = time.monotonic()
    with joined_workers() as workers, working_folder(output, workers.is_chief) as work:
        if (output / "embeddings.json").exists():
            check_set(output)  # it is kept, beside the new model

        # Load the vectors, and read the table as they need it.
        saved = reuse.choose_columns(sets, options)
        dataset = read_dataset(
            settings,
            work / "cache",
            reuse.saved_vocabularies(saved),
            extend=options.vectors != "frozen",
            numeric=reuse.numeric_columns(sets),
            recorded=recorded,
            resume=options.resume,
        )
        show_dataset(dataset, told_before=options.data is None)
        sources, models = match(dataset, sets, saved, options)
        folds = None if options.data else fold_tables(*reuse.only_set(sets))
        ways = ways_to_try(dataset, options, folds)
        reuse.show_plan(dataset, ways, sets)

        # Embeddings and numeric columns into one network, and train it.
        start_tensorflow()
        recipe = final_recipe(dataset, options, carried=options.data is not None)
        this_run = run_identity(dataset, recipe, options.seed, sources=sources, ways=ways)
        with open_checkpoint(work / "checkpoint", this_run, workers, options.resume) as checkpoint:
            networks = raw.frozen_networks(models)
            learn = partial(fit, dataset, recipe, saved, networks, folds)
            model, history, metrics = learn(ways, options.seed, checkpoint, workers)
            if not workers.is_chief:
                return  # the chief saves what all have learned
            trained = time.monotonic()

            # Judge it on the test rows, and save a model that is complete in itself.
            metrics["test"], predicted = results.evaluate(model, dataset, "test")
            first = {} if options.data else first_metrics(output)
            show_metrics({"final model": metrics["test"], **first, "baseline": metrics["baseline"]})
            compared = None
            if options.compare:
                ours = partial(our_network, dataset, learn)
                compared = comparison.compare(dataset, saved, folds, ours, options.seed)
            metrics["seconds"] = seconds(dataset, started, trained)
            manifest = describe(dataset, name) | {"sources": sources, "seed": options.seed}
            manifest["frozen"] = ways[0] == "frozen"
            before = None if options.data else first_predictions(output, dataset)
            judged = history, metrics, predicted
            this = Run(output, dataset, model, *judged, True, before, options.seed)
            kept = save(work / "staging", this, manifest, compared, not options.no_report)
    show_saved(output / "embed_model", kept)
    tell_uses(output, carry=not options.data, report=not options.no_report)


def save(staging, this, manifest, compared, with_report):
    """Save the model and its vectors in embed_model/ of the set; returns what `publish` does.

    Args:
        this: `data.reports.insights.Run`; compared: DataFrame of the comparison, or None.
    """
    stage_present(this.output, staging)
    folder, encoding = staging / "embed_model", this.dataset.encoding
    write_vectors(folder, manifest, learned_vectors(this.model, encoding.vocabularies))
    write_results(folder, this.dataset, this.history, this.metrics, this.predicted, manifest)
    complete = raw.raw_model(this.model, encoding, dialect_of(this.dataset.settings))
    complete.save(folder / "model.keras")
    if with_report:
        look_at(folder, this, manifest)
    if compared is not None:
        compared.to_csv(folder / "comparison.csv", index=False)
    seal(folder, manifest)
    seal_whole(staging, this.output, manifest, with_report)
    return publish(staging, this.output)


# The model


def final_recipe(dataset, options, carried=False, **chosen):
    """The recipe of `recipe_for`, with several networks in one on top of the embeddings.

    Their mean errs less than each of them, and the vectors must serve them all (Lakshminarayanan
    et al., Deep Ensembles, 2017). The fewer the rows the more it matters and the less it costs;
    with very many, where it matters no more, there is one. Units are smooth (SiLU), which suits
    numbers, unless categories are rare, whose rows they would learn by heart.

    Args:
        carried: the vectors come from another table, else from the very same rows.
    """
    rows = len(dataset.split["train"])
    members = 8 if rows < 10_000 else 2 if rows < 100_000 else 1
    activation = "relu" if has_rare_categories(dataset) else "silu"
    ours = {"members": members, "activation": activation, "carried": carried}
    if carried:
        ours["embedding_rate"] = CARRIED_RATE
    return recipe_for(dataset, options, 128, **ours | chosen)


def build_model(encoding, recipe, seed=0, networks=()):
    """The final network: embeddings and scaled numbers, concatenated, dense layers, outputs.

    Each input of the dense layers has a scale that learns fast, so that those which tell nothing
    soon weigh little: RealMLP (Holzmueller et al., Better by Default, 2024, section 3).

    Args:
        networks: list of (frozen network, its encoding); their outputs are more numbers.

    Returns:
        keras.Model: {"codes": int32 [batch, columns], "numbers": float32 [batch, numeric columns],
        NaN for missing} -> float32 [batch, members, outputs].
    """
    keras.utils.set_random_seed(seed)
    codes = keras.Input((len(encoding.vocabularies),), dtype="int32", name="codes")
    inputs, parts = {"codes": codes}, [embed(codes, encoding.vocabularies, recipe)]
    numbers = None
    if encoding.numerics:
        numbers = keras.Input((len(encoding.numerics),), name="numbers")
        inputs["numbers"] = numbers
        dropout = recipe.embedding_dropout
        parts.append(layers.numeric_features(numbers, encoding.numerics, dropout))
    for network, other in networks:
        outputs = raw.network_outputs(network, other, codes, numbers, encoding)
        parts.append(layers.NUMBER_SCALE * outputs)
    hidden = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    scales = keras.layers.EinsumDense(
        "bi,i->bi", hidden.shape[1:], kernel_initializer="ones", name="scales"
    )
    outputs = head(scales(hidden), encoding.target, recipe)
    if recipe.carried:
        outputs = outputs + category_bias(codes, encoding)
    return keras.Model(inputs, outputs, name="network")


def category_bias(codes, encoding):
    """What each category adds to the outputs of all members by itself, beside the network: the wide
    part of Wide and Deep (Cheng et al., 2016), zero at first.

    Vectors from another table cannot know what is peculiar to a category under this target. From
    few rows of it one number is learned, where the move of a whole vector would overfit.

    Returns:
        float32 [batch, 1, outputs]
    """
    starts = np.cumsum([0, *(vocabulary.cardinality for vocabulary in encoding.vocabularies)])
    numbers = keras.layers.Embedding(
        int(starts[-1]), encoding.target.outputs, embeddings_initializer="zeros", name="wide"
    )(codes + starts[:-1].astype("int32"))
    return keras.ops.sum(numbers, axis=1, keepdims=True)


def starting_model(saved, networks, way, encoding, recipe, seed):
    """The final network before training.

    Args:
        saved: see `data.sets.reuse.choose_columns`; networks: see `build_model`.
        way: "scratch" for no vectors and no networks, "frozen" or "fine-tuned".
    """
    model = build_model(encoding, recipe, seed, () if way == "scratch" else networks)
    if way != "scratch":
        load_vectors(model, encoding, saved, frozen=way == "frozen")
    return model


def load_vectors(model, encoding, saved, frozen):
    """Put the saved vectors into the model's embeddings, as they are.

    Categories new to them start as unseen. Frozen ones stay; training adds to the others.
    """
    for i, vocabulary in enumerate(encoding.vocabularies):
        if vocabulary.column in saved:
            vectors = saved[vocabulary.column].vectors
            new = vocabulary.cardinality - len(vectors)
            layer = model.get_layer(f"embedding_{i}")
            layer.set_weights([np.vstack([vectors, np.tile(vectors[UNSEEN], (new, 1))])])
            layer.trainable = not frozen


# Training: one network or two, and the last fit


def ways_to_try(dataset, options, folds):
    """How the saved vectors are used: as asked for; else fine-tuned, and another network beside
    that: one without them, if they are of another table or, cross-fitted, for a regression; one
    with frozen ones, if they are cross-fitted, for classes. Each label tells so little that vectors
    which move learn it by heart; numbers tell more than vectors of other rows know.

    With many rows, where both would take long, vectors of the same table are fine-tuned alone.
    """
    if options.vectors:
        return [options.vectors]
    if options.data:
        return ["fine-tuned", "scratch"]
    if folds is None or len(dataset.split["train"]) >= MANY_ROWS:
        return ["fine-tuned"]
    regression = dataset.encoding.target.task == "regression"
    return ["fine-tuned", "scratch" if regression else "frozen"]


def fit(dataset, recipe, saved, networks, folds, ways, seed, checkpoint=None, workers=None):
    """Train in each way, let each learn from the validation rows too, and combine them.

    Args:
        saved, networks: see `starting_model`.
        folds: `data.training.folds.FoldTables` with which training rows see the vectors that were
            learned without them, or None.
        ways: list of one or two of "fine-tuned", "frozen", "scratch".

    Returns:
        (model, history of the first way's training, metrics before the networks learned from
        validation rows, without the test rows')
    """
    found, vocabularies = {}, dataset.encoding.vocabularies
    vectors = {column: one.vectors for column, one in saved.items()}
    starts = {way: {} if way == "scratch" else vectors for way in ways}
    for way in ways:
        fresh = partial(starting_model, saved, networks, way, dataset.encoding, recipe, seed)
        network = fresh()
        how = {"seed": seed, "checkpoint": checkpoint, "workers": workers}
        how["folds"] = None if way == "scratch" else folds
        if recipe.carried:
            how["trained"] = {column: len(start) for column, start in starts[way].items()}
        label = f"training, {way}" if len(ways) > 1 else "training"
        found[way] = network, train(network, dataset, recipe, label=label, **how), how, fresh
        missing_as_unseen(network, vocabularies, starts[way])
    losses = {way: history["val_loss"].min() for way, (_, history, *_) in found.items()}
    eighths = eighths_of(losses)
    model = combined([found[way][0] for way in eighths], eighths.values())
    results.fit_shift_to_mean(model, dataset)
    metrics = results.validation_metrics(model, dataset)
    metrics["shares"] = {way: n / 8 for way, n in eighths.items()}
    epochs = []
    for way in eighths:
        label = f"last fit, {way}" if len(eighths) > 1 else "last fit"
        epochs.append(learn_from_validation_rows(*found[way], dataset, recipe, label))
        missing_as_unseen(found[way][0], vocabularies, starts[way])
    metrics["last_fit_epochs_with_validation_rows"] = max(epochs)
    return model, found[ways[0]][1], metrics


def eighths_of(losses):
    """How many eighths of the prediction come from each network: in proportion to the inverse
    fourth power of its loss; from the first, which has the saved vectors, at least one.

    The mean of two errs less than each or little more than the better one, and validation rows
    seldom tell which that is, least of all for rows of another time.

    Args:
        losses: dict of way -> validation loss, of one network or two.

    Returns:
        dict of way -> int above 0
    """
    first, *others = losses
    if not others:
        return {first: 8}
    one, other = (loss**4 + 1e-30 for loss in losses.values())
    n = max(1, round(8 * other / (one + other)))
    eighths = {first: n, others[0]: 8 - n} if n < 8 else {first: n}
    told = ", ".join(f"{way} {loss:.4g}" for way, loss in losses.items())
    counts = ", ".join(f"{way} {n}/8" for way, n in eighths.items())
    print(f"validation loss: {told}; share in the prediction: {counts}")
    return eighths


def combined(networks, times):
    """The network that is kept: of two, one whose members are those of both, each repeated so many
    times, so that the mean of all is the weighted mean. It shares their weights."""
    model, *others = networks
    if not others:
        return model
    outputs = model.output, others[0](model.input)
    repeated = map(partial(keras.ops.repeat, axis=1), outputs, times)
    return keras.Model(model.input, keras.ops.concatenate([*repeated], axis=1), name="network")


def learn_from_validation_rows(network, history, how, fresh, dataset, recipe, label):
    """Let a network learn from the validation rows too; returns for how many epochs.

    Args:
        history: of its training; how: keywords of `train` that it was trained with.
        fresh: function that returns the network as it was before training.
    """
    epochs, anew = epochs_with_validation_rows(history, dataset, recipe)
    if not epochs:
        return 0
    print(f"{label}: {'anew' if anew else 'on'} for {epochs} epochs, validation rows included")
    learning = fresh() if anew else network
    whole_rate = anew or recipe.carried or dataset.settings["split_by"] is not None
    rate = recipe.learning_rate * (1.0 if whole_rate else LAST_RATE)
    planned = recipe.epochs if anew else None
    recipe = replace(recipe, epochs=epochs, planned=planned, learning_rate=rate)
    how = how | {"rows": dataset.rows_of("train", "validation"), "validate": False}
    train(learning, dataset, recipe, label=label, **how | {"seed": how["seed"] + 1})
    if anew:
        network.set_weights(learning.get_weights())
    return epochs


def epochs_with_validation_rows(history, dataset, recipe):
    """For how many epochs validation rows are learned too, and whether the network starts anew.

    - Split by time, they are the latest rows, and the most like those to come: it goes on for as
      many epochs again; if the validation loss had risen at the end by a tenth of what it had
      gained, for a third of the epochs up to its lowest.
    - Where categories are rare each row counts, but a network that goes on would learn them by
      heart: it starts anew, for the epochs up to the lowest loss.
    - Other tables of few rows: it goes on for a third of those; but for classes, whose loss
      punishes what is too sure, only if the loss was lowest in the last fifth of the epochs, or
      beside the vectors of another table.
    """
    rows, val_losses = len(dataset.split["train"]), history["val_loss"]
    best = int(val_losses.argmin()) + 1
    if dataset.settings["split_by"] is not None:
        gained = featureless_loss(dataset) - val_losses.min()
        lost = val_losses.iloc[-1] - val_losses.min()
        return (len(val_losses) if lost < 0.1 * gained else -(-best // 3)), False
    if rows < MANY_ROWS and not recipe.carried and has_rare_categories(dataset):
        return best, True
    regression = dataset.encoding.target.task == "regression"
    safe = recipe.carried or regression or best > 0.8 * recipe.epochs
    return (best // 3 if rows < FEW_ROWS and safe else 0), False


def our_network(dataset, learn, way, seed):
    """Test predictions of our network, trained anew in one way by `learn`, a
    functools.partial of `fit`."""
    target = dataset.encoding.target
    shift = target.shift  # that of the model to be saved
    model, _, _ = learn([way], seed)
    predicted = results.predict(model, dataset, dataset.split["test"])
    target.shift = shift
    return predicted


# The command line


def parse():
    parser = parser_of_both(
        __doc__,
        "python build_embed_model.py --data customers.csv --target Customers \\\n"
        "      --embeddings saved_embeddings/sales/embed_model",
        add_reuse_options,
    )
    options = parser.parse_args()
    prediction.check_options(parser, options)
    return options


def add_reuse_options(parser):
    """The options that this script has beside those of both."""
    vectors = parser.add_argument_group("the saved embeddings")
    reuse.add_options(vectors)
    how = vectors.add_mutually_exclusive_group()
    for spelling, way, text in (
        ("--frozen", "frozen", "keep the vectors as they are"),
        ("--fine-tune", "fine-tuned", "train the vectors further, with the rest of the network "
         "(default: this; beside it, where vectors are cross-fitted and training rows fewer than "
         f"{MANY_ROWS:,}, a network with frozen ones for classes, from scratch for a regression; "
         "on another table one from scratch; of two networks the weighted mean predicts)"),
    ):  # fmt: skip
        how.add_argument(spelling, dest="vectors", action="store_const", const=way, help=text)
    parser.add_argument(
        "--compare", action="store_true",
        help="also train other models, without and with the vectors, and our network from "
        "scratch, frozen and fine-tuned, and say how much the vectors change",
    )  # fmt: skip
    prediction.add_options(parser)


if __name__ == "__main__":
    run(main)
