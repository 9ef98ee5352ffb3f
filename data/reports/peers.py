"""Quick models of scikit-learn on the same columns: what a result has to be better than."""

import warnings

import numpy as np

from data.reports.comparison import drawn_rows, plain_features, plain_predictions
from data.training.scoring import featureless

LEARNED_FROM, JUDGED_ON, CORRECTED_ON = 30_000, 20_000, 5_000  # rows at most
ROUNDS = 100  # of trees; of several classes fewer, each with a tree a class
NATIVE = 255  # categories at most that scikit-learn's trees take as categories
NOTHING, LINEAR, TREES = "nothing", "a linear model on one-hot columns", "boosted trees"


def peer_predictions(dataset, numbers, seed):
    """Predictions of test rows by what knows nothing, a linear model and boosted trees.

    The two are fitted on at most 30,000 training rows, drawn at random, from plain columns.

    Args:
        dataset: `data.tables.dataset.Dataset`; numbers: whether numeric columns are used.

    Returns:
        (int64 [n], positions in dataset.split["test"], at most 20,000; dict of name -> predictions
        of these rows, as `data.training.results.predict` gives them)
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    random, target = np.random.default_rng(seed), dataset.encoding.target
    train = drawn_rows(dataset.split["train"], _most_rows(target), random)
    test = drawn_rows(dataset.split["test"], JUDGED_ON, random)
    held_out = drawn_rows(dataset.split["validation"], CORRECTED_ON, random)
    found = {NOTHING: np.array(featureless(dataset, len(test)))}
    for name, features, model in _models(dataset, numbers, seed):
        inputs = [
            plain_features(dataset, rows, features, {}, with_numbers=numbers)
            for rows in (train, test, held_out)
        ]
        with warnings.catch_warnings(), threadpool_limits(1):
            # The trees' threads wait for each other: on a busy machine they take 20 times as long.
            warnings.simplefilter("ignore")  # that a linear model has not quite converged
            model.fit(inputs[0], target.encode(dataset.target[train]))
        predicted = plain_predictions(model, inputs[1], target, inputs[2], dataset.target[held_out])
        found[name] = _all_classes(predicted, model, target)
    return np.searchsorted(dataset.split["test"][:], test), found


def peers_note(dataset):
    """How much was done for the two, one sentence."""
    target, rows = dataset.encoding.target, len(dataset.split["train"])
    most, rounds = _most_rows(target), _rounds(target)
    fewer = f", but {rounds} rounds of trees, not {ROUNDS}" if rounds < ROUNDS else ""
    drawn = f"; they learned from {most:,} of {rows:,} training rows" if rows > most else ""
    return f"The linear model and the trees have scikit-learn's default settings{fewer}{drawn}."


def _most_rows(target):
    return LEARNED_FROM // max(1, target.outputs // 5)


def _rounds(target):
    return max(20, ROUNDS // target.outputs)


def _models(dataset, numbers, seed):
    """(name, features, unfitted model) of the two."""
    from sklearn import ensemble, linear_model

    target = dataset.encoding.target
    regression = target.task == "regression"
    linear = linear_model.Ridge() if regression else linear_model.LogisticRegression(max_iter=100)
    yield LINEAR, "one-hot", linear
    native = [v.cardinality <= NATIVE for v in dataset.encoding.vocabularies]
    native += [False] * (len(dataset.encoding.numerics) if numbers else 0)
    kind = "Regressor" if regression else "Classifier"
    trees = getattr(ensemble, f"HistGradientBoosting{kind}")
    yield TREES, "codes", trees(
        categorical_features=native,
        max_iter=_rounds(target),
        early_stopping=True,
        random_state=seed,
    )  # fmt: skip


def _all_classes(predicted, model, target):
    """Probabilities with a column for each class, also for those that no drawn row has."""
    if target.task == "regression" or predicted.shape[1] == len(target.classes):
        return predicted
    whole = np.zeros((len(predicted), len(target.classes)))
    whole[:, model.classes_] = predicted
    return whole
