"""Build the final model from saved embeddings and the numeric columns of a table.

    python build_embed_model.py                               # takes up the last embeddings saved
    python build_embed_model.py --embeddings saved_embeddings/sales --frozen
    python build_embed_model.py --embeddings saved_embeddings/sales/embed_model \\
        --data customers.csv --target Customers               # another table, another target
    python build_embed_model.py --predict new_rows.csv

Load the vectors, read the table as build_embeddings.py did, concatenate the embeddings with the
numeric columns, train (the embeddings with the rest, or frozen), save the final model in
saved_embeddings/<table>/embed_model/. Its model.keras takes raw rows and needs none of our code.
"""

import argparse
import json
import os
import shlex
import tempfile
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from build_embeddings import (
    SAVED,
    add_options,
    checkpoint_of,
    embed,
    evaluate,
    featureless,
    featureless_loss,
    head,
    join_workers,
    judge,
    learned_vectors,
    move_outputs,
    prediction_table,
    recipe_for,
    run,
    score,
    seconds,
    show_columns,
    show_metrics,
    show_note,
    start_tensorflow,
    to_mean,
    to_predictions,
    train,
    write_results,
)
from data import InputError, one_line, reading
from data.dataset import kept_na, read_dataset, settings_of
from data.encoding import FARTHEST, MISSING, RESERVED, UNSEEN, Rows
from data.manifest import describe, saved_encoding, saved_settings, saved_vocabulary
from data.pictures import draw_curves
from data.progress import Progress
from data.reading import table_name
from data.report import write_report
from data.saving import (
    check_file,
    check_set,
    file_names,
    publish,
    read_set,
    seal,
    stage_copy,
    sync,
    write_vectors,
)
from data.table import DATE_PARTS, read_table

SLOWER = 0.03  # of the learning rate, for vectors that come from another table
SHORTER = 0.1  # the share of vectors that were learned from the very same rows
SMALLER = 0.3  # of their spread, for scaled numbers beside vectors
WAVES = 16  # of each number
NUMBER_SIZE = 8  # of the vector of a number
FEW_ROWS = 50_000  # in so small a table every row counts
PREDICTED_AT_ONCE = 131_072


def main():
    options = parse()
    if options.predict:
        return predict_rows(options)
    sets = load_sets(options)
    name, output, settings = task(options, sets)
    workers = join_workers()
    started = time.monotonic()
    with workers.folder(output) as work:
        if (output / "embeddings.json").exists():
            check_set(output)  # it is kept, beside the new model

        # Load the vectors, and read the table as they need it.
        saved = choose_columns(sets, options)
        vocabularies = vocabularies_of(saved, sets)
        dataset = read_dataset(
            settings,
            work / "cache",
            vocabularies,
            extend=not options.frozen,
            numeric=numeric_columns(sets),
        )
        show_columns(dataset)
        check_uses(dataset, options)
        sources = show_matches(dataset, saved, sets)
        models = saved_models(dataset, sources) if options.data else []
        show_plan(dataset, options.frozen, sets)

        # Embeddings and numeric columns into one network, and train it.
        start_tensorflow()
        recipe = final_recipe(dataset, options, carried=options.data is not None)
        checkpoint = checkpoint_of(
            work, dataset, recipe, options, workers, sources=sources, frozen=options.frozen
        )

        networks = [(frozen_network(*model, i), model[1]) for i, model in enumerate(models)]
        how = "frozen" if options.frozen else "fine-tuned"
        build = partial(starting_model, saved, networks, how)
        model, history, metrics = fit(build, dataset, recipe, options.seed, checkpoint, workers)
        if workers.index:
            return  # the chief saves what all have learned
        start = {column: vectors for column, (_, _, vectors) in saved.items()}
        vectors = learned_vectors(model, dataset.encoding.vocabularies, start)
        trained = time.monotonic()

        # Judge it on the test rows, beside the first script's model where that had the same task.
        metrics["test"], predicted = evaluate(model, dataset, "test")
        first = {} if options.data else first_metrics(output)
        show_metrics({"final model": metrics["test"], **first, "baseline": metrics["baseline"]})

        comparison = None
        if options.compare:
            comparison = compare(dataset, saved, networks, recipe, options.seed)
            print(comparison.to_string(index=False, float_format="{:.4g}".format, na_rep=""))
            print(bought(comparison))

        # Save a model that is complete in itself, with the vectors that it uses.
        staging = work / "staging"
        stage_present(output, staging)
        folder = staging / "embed_model"
        manifest = describe(dataset, name) | {"sources": sources, "frozen": options.frozen}
        metrics["seconds"] = seconds(dataset, started, trained)
        write_vectors(folder, manifest, vectors)
        write_results(folder, dataset, history, metrics, predicted, manifest)
        raw_model(model, dataset.encoding).save(folder / "model.keras")
        show_note(draw_curves(folder / "curves", {"final model": history}))
        if comparison is not None:
            comparison.to_csv(folder / "comparison.csv", index=False)
        seal(folder, manifest)
        seal_whole(staging, manifest)
        publish(staging, output)
        checkpoint.remove()
    print(f"saved in {output}/embed_model")
    if not options.data:
        print(
            "to carry its vectors to another table: python build_embed_model.py --embeddings "
            f"{shlex.quote(str(output / 'embed_model'))} --data FILE --target COLUMN"
        )


# The last fit


def fit(build, dataset, recipe, seed, checkpoint=None, workers=None):
    """Build and train a model, then let it go on with the validation rows as well.

    Rows split by time: the validation rows are the latest, and the most like those to come. So the
    best model goes on, on training and validation rows together: for as many epochs again, unless
    at the end the validation loss had lost a tenth of what it had gained; then for a third of the
    epochs up to its lowest. Few rows, split at random: each one counts, and it goes on for such a
    third too. Not if the loss was lowest before the last fifth of the epochs: it would overfit,
    unless its vectors come from another table and hardly move.

    Args:
        build: function of (encoding, recipe, seed) that gives a new keras.Model.

    Returns:
        (model, history of the first fit, metrics before the last one, without the test rows')
    """
    model = build(dataset.encoding, recipe, seed)
    history = train(model, dataset, recipe, seed=seed, checkpoint=checkpoint, workers=workers)
    shift = to_mean(model, dataset)
    metrics, epochs = judge(model, dataset), 0
    losses = history["val_loss"]
    best = int(losses.argmin()) + 1
    if dataset.settings["split_by"] is not None:
        gained = featureless_loss(dataset) - losses.min()
        epochs = len(losses) if losses.iloc[-1] - losses.min() < 0.1 * gained else -(-best // 3)
    elif len(dataset.split["train"]) < FEW_ROWS and (recipe.carried or best > 0.8 * recipe.epochs):
        epochs = best // 3
    if epochs:
        print(f"last fit: it goes on for {epochs} epochs, on training and validation rows together")
        last = replace(recipe, epochs=epochs)
        move_outputs(model, -shift)
        train(
            model, dataset, last, seed=seed, last_fit=True, checkpoint=checkpoint, workers=workers
        )
        move_outputs(model, shift)
    return model, history, metrics | {"last_fit_epochs_with_validation_rows": epochs}


# The model


def final_recipe(dataset, options, carried=False, **chosen):
    """The recipe of `recipe_for`, with several networks in one on top of the embeddings.

    Their mean errs less than each of them, and the vectors must serve them all (Lakshminarayanan
    et al., Deep Ensembles, 2017). The fewer the rows the more it matters and the less it costs;
    with very many, where it matters no more, there is one.

    Args:
        carried: the vectors come from another table, else from the very same rows.
    """
    rows = len(dataset.split["train"])
    members = 8 if rows < 10_000 else 2 if rows < 100_000 else 1
    slower = {"embedding_rate": SLOWER} if carried else {}
    return recipe_for(dataset, options, carried=carried, members=members, **slower | chosen)


def build_model(encoding, recipe, seed=0, networks=()):
    """The final network: embeddings and scaled numbers, concatenated, dense layers, outputs.

    Args:
        networks: list of (frozen network, its encoding); what they expect are more numbers.

    Returns:
        keras.Model: {"codes": int32 [batch, columns], "numbers": float32 [batch, numeric columns],
        NaN for missing} -> float32 [batch, members, outputs].
    """
    import keras

    keras.utils.set_random_seed(seed)
    codes = keras.Input((len(encoding.vocabularies),), dtype="int32", name="codes")
    inputs, parts = {"codes": codes}, [embed(codes, encoding.vocabularies, recipe)]
    numbers = None
    if encoding.numerics:
        numbers = keras.Input((len(encoding.numerics),), name="numbers")
        inputs["numbers"] = numbers
        parts.append(present_numbers(numbers, encoding.numerics, recipe))
    for network, other in networks:
        parts.append(SMALLER * expected(codes, numbers, encoding, network, other))
    hidden = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    outputs = head(hidden, encoding.target, recipe)
    if recipe.carried:
        outputs = outputs + wide(codes, encoding)
    return keras.Model(inputs, outputs, name="network")


def wide(codes, encoding):
    """What each category adds to the outputs of all members by itself, beside the network: the wide
    part of Wide and Deep (Cheng et al., 2016), zero at first.

    Vectors from another table cannot know what is peculiar to a category under this target. From
    few rows of it one number is learned, where the move of a whole vector would overfit.

    Returns:
        float32 [batch, 1, outputs]
    """
    from keras import layers, ops

    starts = np.cumsum([0, *(vocabulary.cardinality for vocabulary in encoding.vocabularies)])
    numbers = layers.Embedding(
        int(starts[-1]), encoding.target.outputs, embeddings_initializer="zeros", name="wide"
    )(codes + starts[:-1].astype("int32"))
    return ops.sum(numbers, axis=1, keepdims=True)


def expected(codes, numbers, encoding, network, other):
    """What a saved network makes of the rows: outputs for its own target, the mean of its members.

    Its dense layers know how the vectors act together, which few rows cannot teach anew.

    Args:
        encoding: of codes and numbers; other: of the network, with columns that are all among them.

    Returns:
        float32 [batch, outputs of the network]
    """
    from keras import ops

    columns = [vocabulary.column for vocabulary in encoding.vocabularies]
    cardinalities = np.array([v.cardinality for v in other.vocabularies], "int32")
    codes = ops.stack([codes[:, columns.index(v.column)] for v in other.vocabularies], axis=1)
    inputs = {"codes": ops.where(codes < cardinalities, codes, UNSEEN)}
    if other.numerics:
        mine, scaled = {n.column: (i, n) for i, n in enumerate(encoding.numerics)}, []
        for numeric in other.numerics:
            i, own = mine[numeric.column]
            shift = (own.center - numeric.center) / numeric.scale
            scaled.append(numbers[:, i] * (own.scale / numeric.scale) + shift)
        inputs["numbers"] = ops.clip(ops.stack(scaled, axis=1), -FARTHEST, FARTHEST)
    return ops.mean(network(inputs), axis=1)


def frozen_network(path, encoding, i):
    """The network of a saved model, to be a part of another one: it learns and drops nothing."""
    import keras

    network = load_network(path, encoding)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    frozen = keras.Model.from_config(network.get_config() | {"name": f"saved_network_{i}"})
    frozen.set_weights(network.get_weights())
    frozen.trainable = False
    return frozen


def present_numbers(numbers, numerics, recipe):
    """Scaled numbers without missing ones, waves of them, a vector for each, and a flag for each
    column that had some missing in training.

    Numbers far out are drawn in smoothly, x / sqrt(1 + (x / 3)^2): RealMLP, Holzmueller et al.
    (2024), section 3. Smooth functions of them are easily learned from waves, steps, as trees learn
    them, from vectors: Gorishniy et al., On Embeddings for Numerical Features (2022), section 3.
    Numbers and waves are made as small as the components of a category's vector: at their own size
    they would outweigh whole embeddings from the first step on.
    """
    from keras import layers, ops

    missing = ops.isnan(numbers)
    filled = ops.where(missing, 0.0, numbers)
    drawn_in = filled / ops.sqrt(1.0 + ops.square(filled / 3.0))
    vectors = layers.Dropout(recipe.embedding_dropout)(number_vectors(filled, numerics))
    parts = [SMALLER * drawn_in, SMALLER * waves_of(drawn_in), vectors]
    flagged = [j for j, numeric in enumerate(numerics) if numeric.missing]
    parts += [ops.cast(missing[:, j : j + 1], "float32") for j in flagged]
    return layers.Concatenate(name="present_numbers")(parts)


def waves_of(numbers):
    """Linear mixtures of cosines of all numbers, whose frequencies are trained; the biases as in
    RealMLP.

    Returns:
        float32 [batch, 3 * numeric columns]
    """
    from keras import initializers, layers, ops

    waves = layers.DepthwiseConv1D(
        1,
        depth_multiplier=WAVES,
        depthwise_initializer=initializers.RandomNormal(stddev=0.2 * np.pi),
        bias_initializer=initializers.RandomUniform(-np.pi, np.pi),
        name="waves",
    )(numbers[:, None, :])
    return layers.Dense(3 * numbers.shape[1], name="mixed_waves")(ops.cos(waves[:, 0]))


def number_vectors(numbers, numerics):
    """A vector for each number, linear in its way through the bins of its column: 1 for each bin
    below it and a share of its own (piecewise linear encoding).

    Returns:
        float32 [batch, NUMBER_SIZE * numeric columns]
    """
    from keras import initializers, layers, ops

    most = max(len(numeric.edges) for numeric in numerics) + 1
    edges = np.full((len(numerics), most), 2 * FARTHEST, "float32")  # where there is no bin
    for row, numeric in zip(edges, numerics, strict=True):
        row[: len(numeric.edges)] = numeric.edges
    low, width = edges[:, :-1], np.maximum(np.diff(edges), np.finfo("float32").tiny)
    way = ops.clip((numbers[:, :, None] - low) / width, 0.0, 1.0)
    vectors = layers.EinsumDense(
        "bnk,nkv->bnv",
        (len(numerics), NUMBER_SIZE),
        kernel_initializer=initializers.RandomUniform(-0.05, 0.05),
        name="number_vectors",
    )(way)
    return layers.Flatten()(vectors)


def starting_model(saved, networks, vectors, encoding, recipe, seed):
    """The final network before training.

    Args:
        saved: see `choose_columns`; networks: see `build_model`.
        vectors: "scratch" for none of them and no networks, "frozen" or "fine-tuned".
    """
    model = build_model(encoding, recipe, seed, () if vectors == "scratch" else networks)
    if vectors != "scratch":
        load_vectors(model, encoding, saved, recipe, frozen=vectors == "frozen")
    return model


def load_vectors(model, encoding, saved, recipe, frozen):
    """Put saved vectors into the model's embeddings; categories new to them start as unseen.

    Frozen ones stay as they are. Others that were learned from the very same rows know their
    targets, and a new head would trust them more than they deserve in other rows: a share of them
    is added to new initial vectors (shrink and perturb, Ash and Adams, 2020).
    """
    for i, vocabulary in enumerate(encoding.vocabularies):
        if vocabulary.column not in saved:
            continue
        _, _, vectors = saved[vocabulary.column]
        new = vocabulary.cardinality - len(vectors)
        start = np.vstack([vectors, np.tile(vectors[UNSEEN], (new, 1))])
        layer = model.get_layer(f"embedding_{i}")
        if not (frozen or recipe.carried):
            (initial,) = layer.get_weights()
            start = initial + np.float32(SHORTER) * start
        layer.set_weights([start])
        layer.came_trained = len(vectors)  # its first rows
        layer.trainable = not frozen


def raw_model(network, encoding):
    """The network behind layers that take raw columns, so that the saved file is complete.

    Returns:
        keras.Model: dict of column -> [batch], text for categories (empty for missing), float64
        for numbers (NaN for missing) -> float32 [batch, 1] in the target's units, or class
        probabilities [batch, classes].
    """
    import keras
    from keras import ops

    trained, network = network, keras.Model.from_config(network.get_config())
    network.set_weights(trained.get_weights())  # a copy that knows nothing of our optimizer
    inputs, codes, numbers = {}, [], []
    for i, vocabulary in enumerate(encoding.vocabularies):
        texts = vocabulary.texts()
        # Other spellings of a category, and of a missing value, after the categories themselves.
        others = {text: MISSING for text in ("", *reading.MISSING_TEXTS)} | vocabulary.spellings
        others = {text: row for text, row in others.items() if text not in set(texts)}
        text = keras.Input((), dtype="string", name=input_name(vocabulary.column, i))
        lookup = keras.layers.StringLookup(
            vocabulary=[*texts, *others], mask_token=None, num_oov_indices=1, name=f"lookup_{i}"
        )
        index = ops.cast(lookup(text), "int32")  # 0 where unseen, then the categories in order
        other = ops.take(
            np.array([0, *others.values()], "int32"), ops.maximum(index - len(texts), 0)
        )
        row = ops.where(index > len(texts), other, index + (RESERVED - 1))
        inputs[vocabulary.column] = text
        codes.append(row)
    arrays = {"codes": ops.stack(codes, axis=1)}
    for i, numeric in enumerate(encoding.numerics):
        number = keras.Input((), dtype="float64", name=input_name(numeric.column, i))
        inputs[numeric.column] = number
        scaled = ops.clip((number - numeric.center) / numeric.scale, -FARTHEST, FARTHEST)
        numbers.append(ops.cast(scaled, "float32"))
    if numbers:
        arrays["numbers"] = ops.stack(numbers, axis=1)
    with warnings.catch_warnings():  # Keras warns of names that it does not allow in a layer
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict")
        return keras.Model(inputs, predictions(network(arrays), encoding.target))


def predictions(outputs, target):
    """The layers after the network: the mean over its members, in the target's units."""
    from keras import ops

    if target.task == "regression":
        values = outputs * target.std + target.mean
        values = ops.expm1(ops.clip(values, 0.0, 88.0)) if target.transform == "log1p" else values
        return ops.mean(values, axis=1)
    if target.task == "binary":
        positive = ops.mean(ops.sigmoid(outputs), axis=1)
        return ops.concatenate([1.0 - positive, positive], axis=1)
    return ops.mean(ops.softmax(outputs, axis=-1), axis=1)


def input_name(column, i):
    """The name of a column's input layer: its own, where Keras allows it."""
    return column if "/" not in column and column else f"column {i}"


# Is it worth it? Other models without and with the vectors, our network without and with them


def compare(dataset, saved, networks, recipe, seed):
    """Judge other models and ours on the same test rows, without and with the saved vectors.

    The paper's own experiment (tables III and IV): nearest neighbours, random forest and boosted
    trees on plain codes and on embeddings. Numeric columns go to all of them. They are trained on
    at most 30,000 rows and judged on at most 10,000, drawn at random; our network on all.

    Args:
        saved: see `choose_columns`; networks: see `build_model`.

    Returns:
        DataFrame, a line for each model: model, input, rows, metrics (the mean over up to three
        seeds for our network), spread (the first metric's standard deviation over them), seconds.
    """
    target, random = dataset.encoding.target, np.random.default_rng(seed)
    train, test = (
        rows[np.sort(random.choice(len(rows), most, replace=False, shuffle=False))]
        if len(rows) > most
        else rows[:]
        for rows, most in ((dataset.split["train"], 30_000), (dataset.split["test"], 10_000))
    )
    if len(train) < len(dataset.split["train"]):
        show_note(f"the other models learn from {len(train):,} rows drawn at random.")
    if len(test) < len(dataset.split["test"]):
        show_note(f"all models are compared on {len(test):,} test rows drawn at random.")
    actual, lines = dataset.target[test], []

    def line(model, features, runs, took, rows):
        """The mean over runs with other seeds, and the spread of the first metric."""
        scores = pd.DataFrame([score(target, actual, predicted) for predicted in runs])
        spread = scores.iloc[:, 0].std() if len(runs) > 1 else None
        lines.append(
            {"model": model, "input": features, "rows": rows, **scores.mean()}
            | {"spread": spread, "seconds": round(took, 2)}
        )
        print(f"{model}, {features}: {took:.1f} s", flush=True)

    line("baseline", "nothing", [featureless(dataset, len(test))], 0.0, len(train))
    for features in ("one-hot", "codes", "embeddings"):
        inputs = [plain_features(dataset, rows, features, saved) for rows in (train, test)]
        for name, model in other_models(target.task, features, seed).items():
            started = time.monotonic()
            model.fit(inputs[0], target.encode(dataset.target[train]))
            if target.task == "regression":
                predicted = target.decode(model.predict(inputs[1]))
            else:
                predicted = model.predict_proba(inputs[1])
            line(name, features, [predicted], time.monotonic() - started, len(train))
    position = np.searchsorted(dataset.split["test"], test)
    for vectors in ("scratch", "frozen", "fine-tuned"):
        build = partial(starting_model, saved, networks, vectors)
        started, runs = time.monotonic(), []
        while len(runs) < 3 and time.monotonic() - started < 30:
            model, _, _ = fit(build, dataset, recipe, seed + len(runs))
            runs.append(evaluate(model, dataset, "test")[1][position])
        took = (time.monotonic() - started) / len(runs)
        line("our network", vectors, runs, took, len(dataset.split["train"]))
    return pd.DataFrame(lines)


def other_models(task, features, seed):
    """scikit-learn's models for one kind of input, by name."""
    from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing

    regression = task == "regression"
    if features == "one-hot":
        linear = (
            linear_model.Ridge() if regression else linear_model.LogisticRegression(max_iter=500)
        )
        return {"linear": linear}
    kind = "Regressor" if regression else "Classifier"
    trees = {"n_estimators": 100, "min_samples_leaf": 2, "max_features": "sqrt", "n_jobs": -1}
    near = {"n_neighbors": 10, "weights": "distance", "n_jobs": -1}
    return {
        "boosted trees": getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=200, random_state=seed
        ),
        "random forest": getattr(ensemble, f"RandomForest{kind}")(**trees, random_state=seed),
        "nearest neighbours": pipeline.make_pipeline(
            preprocessing.StandardScaler(), getattr(neighbors, f"KNeighbors{kind}")(**near)
        ),
    }


def plain_features(dataset, rows, features, saved):
    """Columns of some rows for scikit-learn: [rows, features], sparse for "one-hot"."""
    from scipy import sparse

    codes, vocabularies = dataset.rows.codes(rows), dataset.encoding.vocabularies
    numbers = np.nan_to_num(dataset.rows.numbers(rows)) if dataset.encoding.numerics else None
    if numbers is not None:
        numbers = numbers / np.sqrt(1 + (numbers / 3) ** 2)
    parts = []
    for j, vocabulary in enumerate(vocabularies):
        if features == "one-hot":
            ones = (np.ones(len(rows), "float32"), (np.arange(len(rows)), codes[:, j]))
            parts.append(sparse.csr_matrix(ones, (len(rows), vocabulary.cardinality)))
        elif features == "embeddings" and vocabulary.column in saved:
            _, _, vectors = saved[vocabulary.column]
            known = np.where(codes[:, j] < len(vectors), codes[:, j], UNSEEN)
            parts.append(vectors[known])
        else:
            parts.append(codes[:, j : j + 1].astype("float32"))
    if numbers is not None:
        parts.append(numbers)
    return sparse.hstack(parts, "csr") if features == "one-hot" else np.hstack(parts)


def bought(comparison):
    """What the embeddings bought, in words."""
    metric = comparison.columns[3]
    best = comparison.set_index(["model", "input"])[metric]
    lines = []
    for model in ("boosted trees", "random forest", "nearest neighbours"):
        without, with_them = best[model, "codes"], best[model, "embeddings"]
        lines.append(f"{model} {with_them / without - 1:+.0%}")
    network = min(best["our network", v] for v in ("frozen", "fine-tuned"))
    lines.append(f"our network {network / best['our network', 'scratch'] - 1:+.0%}")
    return f"what the embeddings change in {metric} (lower is better): {', '.join(lines)}"


# Beside the first script's results


def first_metrics(output):
    """The first script's test metrics, for the table of this one's, where they are beside it."""
    if not (output / "metrics.json").exists():
        return {}
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return {"embeddings alone": metrics["test"]}


def stage_present(output, staging):
    """The present set, if there is one, into the staging folder; embed_model/ comes new."""
    if (output / "embeddings.json").exists():
        stage_copy(output, staging)


def seal_whole(staging, manifest):
    """A new report for the whole, which changes the set's own manifest too."""
    own = staging / "embeddings.json"
    if own.exists():
        manifest = json.loads(own.read_text(encoding="utf-8"))
    write_report(staging, manifest)
    if own.exists():
        seal(staging, manifest)
    else:
        sync(staging / "report.html")
        sync(staging)


# Saved vectors for this table


def load_sets(options):
    """The saved sets to use: those named, else the one saved last.

    Returns:
        dict of set's name -> (folder, manifest, vectors)
    """
    folders = options.embeddings
    if not folders:
        folders = [last_saved("*/embeddings.json")]
    sets = {}
    for folder in folders:
        manifest, vectors = read_set(folder)
        name = Path(folder).resolve().name
        if name == "embed_model":
            name = Path(folder).resolve().parent.name
        if name in sets:
            raise InputError(f"--embeddings: two sets are named '{name}'; rename one's folder.")
        sets[name] = (Path(folder).resolve(), manifest, vectors)
    return sets


def last_saved(pattern):
    """The folder in saved_embeddings/ that was written last."""
    found = sorted(SAVED.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(
            "--embeddings: saved_embeddings/ holds nothing yet; run build_embeddings.py first."
        )
    return found[-1].parent


def task(options, sets):
    """What is to be learned: the table that the embeddings were learned from, or another one.

    Returns:
        (name of the table, output folder, settings for `read_dataset`)
    """
    if options.data is None:
        if len(sets) > 1:
            raise InputError("--data: name the table on which the sets are to be used.")
        ((folder, manifest, _),) = sets.values()
        if "sources" in manifest:
            raise InputError(
                f"--embeddings {folder}: these vectors have learned with a final model from its "
                "table, maybe from its validation rows too; name another table with --data and "
                "--target, or the set of build_embeddings.py."
            )
        settings, sources = saved_settings(manifest, folder)
        for option in (
            "target", "categorical", "numeric", "dates", "drop", "keep_na", "split_by",
            "validation_data", "test_data", "separator",
        ):  # fmt: skip
            if getattr(options, option) is not None:
                raise InputError(
                    f"--{option.replace('_', '-')}: recorded with the embeddings already; it is "
                    "only needed with --data."
                )
        for part, entries in sources.items():
            check_unchanged(entries, part)
        for option, default in (("task", "auto"), ("encoding", "utf-8")):
            if getattr(options, option) != default:
                raise InputError(f"--{option}: recorded with the embeddings; only with --data.")
        return manifest["table"], options.output or folder, settings
    name = table_name(options.data)
    return name, options.output or SAVED / file_names([name])[name], settings_of(options)


def check_unchanged(entries, part):
    """Raise InputError if a file is not what the embeddings were learned from."""
    for entry in entries:
        name = entry["path"]
        if not name.startswith("openml:") and not Path(name).exists():
            raise InputError(
                f"{name}: the table that the embeddings were learned from is not there; put it "
                "back, or name another with --data and --target."
            )
    if reading.fingerprint([entry["path"] for entry in entries]) != entries:
        raise InputError(
            f"{entries[0]['path']}: the file has changed since the embeddings were learned; run "
            "build_embeddings.py again, or name it with --data and --target as another table."
        )


def choose_columns(sets, options):
    """Which saved column serves which column of the table.

    Returns:
        dict of column -> (names of the sets that have it, its name there, vectors)
    """
    chosen, homes = {}, {}
    for name, (_, manifest, vectors) in sets.items():
        for column in manifest["columns"]:
            homes.setdefault(column, []).append(name)
            chosen[column] = ([name], column, vectors[column])
    by_hand = {}
    for use in options.use or []:
        saved, equals, column = use.rpartition("=")
        name, colon, rest = saved.partition(":")
        if colon and name in sets and rest in sets[name][1]["columns"]:
            candidates, saved = [name], rest
        else:
            candidates = homes.get(saved, [])
        if not equals or not candidates:
            wrong = f"no set has '{saved}'" if equals else "write SAVED=COLUMN or SET:SAVED=COLUMN"
            raise InputError(
                f"--use {use}: {wrong}; the saved columns are {', '.join(sorted(homes))}."
            )
        if len(candidates) > 1:
            raise InputError(
                f"--use {use}: {' and '.join(candidates)} both have '{saved}'; write "
                f"{candidates[0]}:{saved}={column}."
            )
        by_hand[column] = (candidates, saved, sets[candidates[0]][2][saved])
    for column, names in homes.items():
        chosen[column] = (names, *chosen[column][1:])
    return chosen | by_hand


def vocabularies_of(chosen, sets):
    """The saved vocabularies under the names of the columns that they serve."""
    found = {}
    for column, (names, saved, _) in chosen.items():
        found[column] = saved_vocabulary(sets[names[0]][1], saved)
        found[column].column = column
    return found


def numeric_columns(sets):
    """The columns that were numeric in any of the sets' tables; their final models take them."""
    settings = [saved_settings(manifest, folder)[0] for folder, manifest, _ in sets.values()]
    return {column for each in settings for column in each["numeric"] or []}


def check_uses(dataset, options):
    """Raise InputError if --use names a column that is not one of the categorical ones."""
    columns = [vocabulary.column for vocabulary in dataset.encoding.vocabularies]
    for use in options.use or []:
        column = use.rpartition("=")[2]
        if column not in columns:
            raise InputError(
                f"--use {use}: the table has no categorical column '{column}'; those are "
                f"{', '.join(columns)}."
            )


def show_matches(dataset, chosen, sets):
    """Print which saved column serves which column, and how much of the table it knows.

    Returns:
        list of {"set": folder, "sha256": of its embeddings.npz, "columns": {column: saved}}

    Raises:
        InputError: no column has saved vectors, or two sets have them, or a set knows no category
            of its column.
    """
    lines, notes, used = [], [], {}
    for vocabulary in dataset.encoding.vocabularies:
        column = vocabulary.column
        if column not in chosen:
            lines.append({"column": column, "saved set": "none, learned here", "known": ""})
            continue
        names, saved, vectors = chosen[column]
        if len(names) > 1:
            raise InputError(
                f"--embeddings: {' and '.join(names)} both have '{column}'; choose with "
                f"--use {names[0]}:{saved}={column}."
            )
        (name,) = names
        present = vocabulary.rows[UNSEEN:].sum()  # missing values have a vector of their own
        known = vocabulary.rows[RESERVED : len(vectors)].sum() / present if present else 1.0
        if known == 0 and len(vectors) > RESERVED:  # one learned without any category stays
            raise InputError(
                f"--data: the set '{name}' knows no category of '{column}'; name another column "
                f"with --use, or leave it out with --drop."
            )
        lines.append({"column": column, "saved set": f"{name}: {saved}", "known": f"{known:.0%}"})
        if known < 0.5:
            notes.append(
                f"'{column}': '{name}' knows the category of {known:.0%} of the rows only."
            )
        used.setdefault(name, {})[column] = saved
    if not used:
        raise InputError(
            "--data: no column has saved vectors; say which one serves which column with "
            "--use SAVED=COLUMN."
        )
    print(pd.DataFrame(lines).to_string(index=False))
    for note in notes:
        show_note(note)
    return [
        {
            "set": str(sets[name][0]),
            "sha256": sets[name][1]["files"]["embeddings.npz"],
            "columns": columns,
        }
        for name, columns in used.items()
    ]


def saved_models(dataset, sources):
    """The final models of the sets, each where this table has all of its columns.

    Args:
        sources: of `show_matches`; a set whose model is used gets "model", path, sha256 and target.

    Returns:
        list of (path of a model.keras, its `data.encoding.Encoding` with this table's columns)

    Raises:
        InputError: the file is not what was saved.
    """
    mine = {vocabulary.column: vocabulary for vocabulary in dataset.encoding.vocabularies}
    numerics, models = {numeric.column for numeric in dataset.encoding.numerics}, []
    for source in sources:
        folder = Path(source["set"])
        folder = folder if (folder / "model.keras").exists() else folder / "embed_model"
        if not (folder / "model.keras").exists():
            continue
        manifest, _ = read_set(folder)
        path, encoding = (
            check_file(folder, manifest, "model.keras"),
            saved_encoding(manifest, folder),
        )
        serving, lacking = {saved: column for column, saved in source["columns"].items()}, []
        for vocabulary in encoding.vocabularies:
            column = serving.get(vocabulary.column)
            values = mine[column].values if column else []
            if column is None or values[: len(vocabulary.values)] != vocabulary.values:
                lacking.append(f"categorical column '{vocabulary.column}'")
            vocabulary.column = column
        lacking += [
            f"numeric column '{n.column}'" for n in encoding.numerics if n.column not in numerics
        ]
        target = encoding.target.column
        if lacking or len(serving) < len(source["columns"]):
            lacking = ", no ".join(lacking) or "column of its own for each saved one"
            show_note(
                f"what {folder} expects of {target} is not used: this table has no {lacking}."
            )
            continue
        print(f"one more number to learn from: the {target} that {folder} expects")
        source["model"] = {
            "path": str(path),
            "sha256": manifest["files"]["model.keras"],
            "target": target,
        }
        models.append((path, encoding))
    return models


def show_plan(dataset, frozen, sets):
    """Print what becomes of the saved vectors, and whether the rows are split otherwise than the
    sets' own."""
    print(f"saved vectors: {'frozen' if frozen else 'fine-tuned'}")
    drawn = [part for part in ("validation", "test") if not dataset.settings[f"{part}_data"]]
    for name, (folder, manifest, _) in sets.items():
        column = saved_settings(manifest, folder)[0]["split_by"]
        if drawn and dataset.settings["split_by"] is None and column in dataset.roles:
            show_note(
                f"'{name}' was split in the order of '{column}', this table's "
                f"{' and '.join(drawn)} rows are drawn at random, which may flatter; --split-by "
                f"{column} takes the latest."
            )


# New rows


def predict_rows(options):
    """Write predictions for rows without a target, in input order, beside the model."""
    if os.environ.get("TF_CONFIG"):
        show_note("--predict does not need TF_CONFIG: it runs on this machine alone.")
    folder = (options.embeddings or [last_saved("*/embed_model/embeddings.json")])[0]
    folder = folder / "embed_model" if (folder / "embed_model").is_dir() else folder
    manifest, _ = read_set(folder)
    if "model.keras" not in manifest["files"]:
        raise InputError(f"{folder} holds no model yet: run build_embed_model.py first.")
    model_file = check_file(folder, manifest, "model.keras")
    print(f"the model of {folder}")
    encoding, (settings, _) = saved_encoding(manifest, folder), saved_settings(manifest, folder)
    files = reading.find_files(options.predict, "--predict")
    dialect = reading.dialect(options.separator, options.encoding)
    features = feature_roles(encoding, settings)
    extra = [c for c in reading.column_names(files[0], **dialect) if c not in features]
    if extra:
        print(f"note: columns that are not needed: {one_line(', '.join(extra))[:200]}")
    output = options.output or folder / "predictions" / f"{table_name(files)}.csv"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror}; name another file.") from None
    if output.is_dir():
        raise InputError(f"--output {output}: this is a folder; name the CSV file to write.")
    with tempfile.TemporaryDirectory(prefix=".", dir=output.parent) as work:
        keep_na = kept_na(settings["keep_na"], {v.column: v for v in encoding.vocabularies})
        table = read_table({"data": files}, features, Path(work), dialect=dialect, keep_na=keep_na)
        rows, target = Rows(table, encoding), encoding.target
        start_tensorflow()
        network = load_network(model_file, encoding)
        progress = Progress("predicting")
        unfinished = Path(work) / "predictions.csv"
        with open(unfinished, "w", encoding="utf-8", newline="") as file:
            for start in range(0, table.rows, PREDICTED_AT_ONCE):
                chosen = np.arange(start, min(start + PREDICTED_AT_ONCE, table.rows))
                inputs = {"codes": rows.codes(chosen)}
                if encoding.numerics:
                    inputs["numbers"] = rows.numbers(chosen)
                outputs = network.predict(inputs, batch_size=8192, verbose=0)
                lines = prediction_table(chosen, to_predictions(outputs, target), target)
                lines.to_csv(file, index=False, header=start == 0)
                progress(chosen[-1] + 1, (chosen[-1] + 1) / table.rows)
        unfinished.replace(output)
    progress.done(f"{table.rows:,} predictions of {folder} in {output}")


def load_network(path, encoding):
    """The network inside a saved model, once it is known to take what the encoding gives.

    Raises:
        InputError: Keras refuses the file, or it holds another model.
    """
    import keras

    largest = [[vocabulary.cardinality - 1 for vocabulary in encoding.vocabularies]]
    inputs = {"codes": np.array(largest, "int32")}
    if encoding.numerics:
        inputs["numbers"] = np.zeros((1, len(encoding.numerics)), "float32")
    try:
        network = keras.saving.load_model(path, safe_mode=True).get_layer("network")
        shape = network.predict(inputs, verbose=0).shape
        fits = len(shape) == 3 and shape[0] == 1 and shape[2] == encoding.target.outputs
    except Exception as error:  # whatever Keras raises on a file that is not what we saved
        raise InputError(
            f"{path} cannot be used: Keras refuses it ({type(error).__name__}); train it again"
        ) from error
    if not fits:
        raise InputError(f"{path} cannot be used: it is another model; train it again")
    return network


def feature_roles(encoding, settings):
    """How to read the columns of new rows: those that the model takes, dates whole."""
    features = {v.column: "categorical" for v in encoding.vocabularies}
    features |= {n.column: "numeric" for n in encoding.numerics}
    for column in settings["dates"] or []:
        for part in (*DATE_PARTS, "elapsed"):
            features.pop(f"{column}_{part}", None)
        features[column] = "date"
    return features


# The command line


def parse():
    description, _, _ = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog="example:\n  python build_embed_model.py --data customers.csv --target Customers "
        "\\\n      --embeddings saved_embeddings/sales/embed_model",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    vectors = parser.add_argument_group("the saved embeddings")
    vectors.add_argument(
        "--embeddings",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="sets that build_embeddings.py saved, or the embed_model/ in one, whose vectors have "
        "learned for longer (default: the one saved last)",
    )
    vectors.add_argument(
        "--use",
        nargs="+",
        metavar="SAVED=COLUMN",
        help="a saved column for a column of another name; SET:SAVED=COLUMN where two sets have it",
    )
    how = vectors.add_mutually_exclusive_group()
    how.add_argument("--frozen", action="store_true", help="keep the vectors as they are")
    how.add_argument(
        "--fine-tune",
        dest="frozen",
        action="store_false",
        help="train the vectors further, with the rest of the network (default)",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also train other models, without and with the vectors, and our network from "
        "scratch, frozen and fine-tuned, and say what the vectors bought",
    )
    parser.add_argument(
        "--predict",
        nargs="+",
        metavar="FILE",
        help="predict new rows with the model saved last, or that of --embeddings, and do nothing "
        "else; --output names the CSV",
    )
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
