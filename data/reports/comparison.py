"""Is it worth it? Other models without and with the vectors, our network without and with them."""

import itertools
import time

import numpy as np
import pandas as pd

from data.progress import show_note
from data.tables.encoding import UNSEEN
from data.tables.scaling import soft_clip
from data.training.scoring import featureless, score, shift_to_mean

LEARNED_FROM, JUDGED_ON = 30_000, 10_000  # rows, by the other models


def compare(dataset, saved, folds, our_network, seed):
    """Judge other models and ours on the same test rows, without and with the saved vectors.

    The paper's own experiment (tables III and IV): nearest neighbours, random forest and boosted
    trees on plain codes and on embeddings. Numeric columns go to all of them. They are trained on
    at most 30,000 rows and judged on at most 10,000, drawn at random; our network on all.

    Args:
        saved: see `data.sets.reuse.choose_columns`.
        folds: `data.training.folds.FoldTables` with which training rows get the vectors that were
            learned without them, or None.
        our_network: function of (vectors, seed) that trains our network anew, with "scratch",
            "frozen" or "fine-tuned" vectors, and returns its predictions of all test rows.

    Returns:
        DataFrame, a line for each model: model, input, rows, metrics (the mean over up to three
        seeds for our network), spread (the first metric's standard deviation over them), seconds.
    """
    random = np.random.default_rng(seed)
    train = drawn_rows(dataset.split["train"], LEARNED_FROM, random)
    test = drawn_rows(dataset.split["test"], JUDGED_ON, random)
    held_out = drawn_rows(dataset.split["validation"], JUDGED_ON, random)
    if len(train) < len(dataset.split["train"]):
        show_note(f"the other models learn from {len(train):,} rows drawn at random.")
    if len(test) < len(dataset.split["test"]):
        show_note(f"all models are compared on {len(test):,} test rows drawn at random.")
    nothing = (("baseline", "nothing"), [featureless(dataset, len(test))], 0.0, len(train))
    lines = []
    for names, runs, took, rows in itertools.chain(
        [nothing],
        _other_runs(dataset, saved, folds, train, test, held_out, seed),
        _our_runs(dataset, our_network, test, seed),
    ):
        lines.append(_line(dataset, test, names, runs, took, rows))
        print(f"{', '.join(names)}: {took:.1f} s", flush=True)
    show(compared := pd.DataFrame(lines))
    return compared


def drawn_rows(rows, most, random):
    """At most so many of the rows, ascending, drawn at random without replacement: int64 [n]."""
    if len(rows) <= most:
        return rows[:]
    return rows[np.sort(random.choice(len(rows), most, replace=False, shuffle=False))]


def _line(dataset, test, names, runs, took, rows):
    """The mean over runs with other seeds, and the spread of the first metric."""
    target, actual = dataset.encoding.target, dataset.target[test]
    scores = pd.DataFrame([score(target, actual, predicted) for predicted in runs])
    spread = scores.iloc[:, 0].std() if len(runs) > 1 else None
    line = {"model": names[0], "input": names[1], "rows": rows, **scores.mean()}
    return line | {"spread": spread, "seconds": round(took, 2)}


def _other_runs(dataset, saved, folds, train, test, held_out, seed):
    """scikit-learn's models in turn: ((model, input), [predictions], seconds, training rows)."""
    target, actual_held_out = dataset.encoding.target, dataset.target[held_out]
    for features in ("one-hot", "codes", "embeddings"):
        inputs = [plain_features(dataset, train, features, saved, folds)]
        inputs += [plain_features(dataset, rows, features, saved) for rows in (test, held_out)]
        for name, model in other_models(target.task, features, seed).items():
            started = time.monotonic()
            model.fit(inputs[0], target.encode(dataset.target[train]))
            predicted = plain_predictions(model, inputs[1], target, inputs[2], actual_held_out)
            yield (name, features), [predicted], time.monotonic() - started, len(train)


def _our_runs(dataset, our_network, test, seed):
    """Our network from scratch, frozen and fine-tuned, as `_other_runs`."""
    position = np.searchsorted(dataset.split["test"], test)
    for vectors in ("scratch", "frozen", "fine-tuned"):
        started, runs = time.monotonic(), []
        while len(runs) < 3 and time.monotonic() - started < 30:
            runs.append(our_network(vectors, (seed + len(runs)) % 2**32)[position])
        took = (time.monotonic() - started) / len(runs)
        yield ("our network", vectors), runs, took, len(dataset.split["train"])


def plain_predictions(model, features, target, held_out, actual_held_out):
    """What a fitted model of scikit-learn predicts, as our network does: mean and median, or
    probabilities.

    Args:
        held_out: features of rows that it has not learned; actual_held_out: their target.

    Returns:
        float64 [rows, 2] or [rows, classes]
    """
    if target.task != "regression":
        return model.predict_proba(features)
    outputs, shift = model.predict(features), 0.0
    if target.transform == "log1p":
        median = target.decode(model.predict(held_out))
        shift = shift_to_mean(target, actual_held_out, median)
    return np.column_stack([target.decode(outputs, shift), target.decode(outputs)])


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


def plain_features(dataset, rows, features, saved, folds=None, with_numbers=True):
    """Columns of some rows for scikit-learn: [rows, features], sparse for "one-hot".

    Args:
        folds: for training rows, see `compare`.
    """
    from scipy import sparse

    codes, vocabularies = dataset.encoded.codes(rows), dataset.encoding.vocabularies
    numbers = None
    if with_numbers and dataset.encoding.numerics:
        numbers = np.nan_to_num(dataset.encoded.numbers(rows))
    if numbers is not None:
        numbers = soft_clip(numbers)
    parts = []
    for j, vocabulary in enumerate(vocabularies):
        if features == "one-hot":
            ones = (np.ones(len(rows), "float32"), (np.arange(len(rows)), codes[:, j]))
            parts.append(sparse.csr_matrix(ones, (len(rows), vocabulary.cardinality)))
        elif features == "embeddings" and vocabulary.column in saved:
            vectors = saved[vocabulary.column].vectors
            known = np.where(codes[:, j] < len(vectors), codes[:, j], UNSEEN)
            if folds is not None and vocabulary.column in folds.vectors:
                tables = folds.vectors[vocabulary.column]
                parts.append(tables[folds.table_of(rows, 0), known])
            else:
                parts.append(vectors[known])
        else:
            parts.append(codes[:, j : j + 1].astype("float32"))
    if numbers is not None:
        parts.append(numbers)
    return sparse.hstack(parts, "csr") if features == "one-hot" else np.hstack(parts)


def show(comparison):
    """Print the comparison, and what the embeddings change, in words."""
    print(comparison.to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    print(change_by_embeddings(comparison))


def change_by_embeddings(comparison):
    """How much lower the first metric is with the embeddings, in words."""
    metric = comparison.columns[3]
    best = comparison.set_index(["model", "input"])[metric]
    lines = []
    for model in ("boosted trees", "random forest", "nearest neighbours"):
        without, with_them = best[model, "codes"], best[model, "embeddings"]
        lines.append(f"{model} {with_them / without - 1:+.0%}")
    for vectors in ("frozen", "fine-tuned"):
        change = best["our network", vectors] / best["our network", "scratch"] - 1
        lines.append(f"our network {change:+.0%} with {vectors} ones")
    return f"what the embeddings change in {metric} (lower is better): {', '.join(lines)}"
