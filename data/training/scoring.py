"""How good predictions are, and beside a baseline that knows no features."""

import numpy as np
import pandas as pd

from data.tables.disk import blocks_of


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


def prediction_table(rows, predicted, target):
    """One line a row: its number, what is predicted, the probability of each class."""
    if target.task == "regression":
        return pd.DataFrame({"row": rows, "predicted": predicted})
    table = pd.DataFrame({"row": rows, "predicted": target.label(predicted.argmax(axis=1))})
    for i, label in enumerate(target.classes):
        table[f"probability_{label}"] = predicted[:, i]
    return table


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
