"""How good predictions are, beside a baseline without features."""

import numpy as np
import pandas as pd

from data.tables.disk import blocks_of


def to_predictions(outputs, target):
    """Network outputs [rows, members, outputs] -> predictions: the mean over the members.

    Returns:
        float64 [rows, 2], the mean and the median in the target's units, or probabilities of
        classes [rows, classes]
    """
    from scipy.special import expit, softmax

    if target.task == "regression":
        means = target.decode(outputs[:, :, 0], target.shift).mean(axis=1)
        return np.column_stack([means, target.decode(outputs[:, :, 0]).mean(axis=1)])
    outputs = outputs.astype("float64")
    if target.task == "binary":
        positive = expit(outputs[:, :, 0]).mean(axis=1)
        return np.column_stack([1 - positive, positive])
    return softmax(outputs, axis=2).mean(axis=1)


def prediction_table(rows, predicted, target):
    """One line a row: its number, what is predicted (mean and median, or the likeliest class and
    the probability of each)."""
    if target.task == "regression":
        mean, median = predicted.T
        return pd.DataFrame({"row": rows, "predicted": mean, "predicted_median": median})
    likeliest = target.label(predicted.argmax(axis=1))
    columns = dict(zip(prediction_columns(target), (likeliest, *predicted.T), strict=True))
    return pd.DataFrame({"row": rows, **columns})


def prediction_columns(target):
    """The names of the columns of `prediction_table` after the row's number, list of str."""
    if target.task == "regression":
        return ["predicted", "predicted_median"]
    return ["predicted", *(f"probability_{label}" for label in target.classes)]


def shift_to_mean(target, actual, median):
    """What is to be added to the outputs for a log target, that they become means.

    Args:
        actual, median: float64 [rows], in the target's units.
    """
    actual = np.maximum(actual, 0.0)  # as `Target.transformed` takes them
    common = np.log1p(actual).mean() - np.log1p(median).mean()
    return float((np.log((1 + actual).sum() / (1 + median).sum()) - common) / target.std)


def featureless(dataset, n_rows):
    """What a baseline without features predicts for some rows: the training mean and, of a log
    target, the number whose logarithm is the mean one; or the shares of the classes."""
    target, prior = dataset.encoding.target, dataset.prior
    if target.task == "regression":
        is_log = target.transform == "log1p"
        prior = np.array([prior, target.decode(np.zeros(())) if is_log else prior])
    return np.broadcast_to(prior, (n_rows, len(prior)))


def featureless_loss(dataset):
    """The validation loss of the baseline without features."""
    target, actual = dataset.encoding.target, dataset.target[dataset.split["validation"]]
    if target.task == "regression":
        return float(np.square(target.encode(actual)).mean())
    return score(target, actual, featureless(dataset, len(actual)))["log_loss"]


def score(target, actual, predicted):
    """Metrics under their names in scikit-learn; of a regression the squared ones are those of the
    mean, the absolute and relative ones those of the median.

    Args:
        actual: float64 [rows], or int class positions; predicted: as `to_predictions` returns.
    """
    from sklearn import metrics

    if target.task == "regression":
        mean, median = predicted.T
        found = {
            "rmse": metrics.root_mean_squared_error(actual, mean),
            "mae": metrics.mean_absolute_error(actual, median),
            "r2": metrics.r2_score(actual, mean) if len(actual) > 1 else None,
            "mape": relative_error(actual, median),
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
    """The mean absolute percentage error of the rows whose target is not 0.

    None where it would mean nothing: without such rows, or where at least 5 % of all rows lie
    within 1 % of the mean size around 0, whose percentages know no bound.

    A block at a time: scikit-learn's takes five arrays of the rows' length.
    """
    size = sum(float(np.abs(block).sum()) for block in blocks_of(actual)) / max(len(actual), 1)
    total, rows, small = 0.0, 0, 0
    for known, guess in zip(blocks_of(actual), blocks_of(predicted), strict=True):
        nonzero = known != 0
        total += np.abs((guess[nonzero] - known[nonzero]) / known[nonzero]).sum()
        rows += np.count_nonzero(nonzero)
        small += np.count_nonzero(np.abs(known) < 0.01 * size)
    return float(total / rows) if rows and small < 0.05 * len(actual) else None


def row_losses(target, actual, predicted):
    """The loss of each row, what training makes small: float64 [rows].

    For regression the squared error of the median in the scale that was learned in, for classes
    the negative logarithm of the probability that the row's class was given.
    """
    if target.task == "regression":
        median = predicted[:, 1]
        return np.square(target.encode(actual) - target.encode(median).astype("float64"))
    given = predicted[np.arange(len(actual)), actual]
    return -np.log(np.maximum(given, np.finfo("float64").eps))
