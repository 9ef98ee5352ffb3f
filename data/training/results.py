"""What a trained model predicts, and how well."""

from data.training.batches import fixed_batches
from data.training.scoring import featureless, score, shift_to_mean, to_predictions


def fit_shift_to_mean(model, dataset):
    """Find what turns the predictions of a log target into means, and keep it with the target.

    A network that learns the logarithm predicts something like the median, which is less than the
    mean: Duan, Smearing Estimate (1983). The median errs least in absolute and relative terms, the
    mean in squared ones and in totals (Gneiting, 2011), so there are both. The shift is what the
    spread of the validation rows' errors makes of it; a common error of all of them does not count,
    as it is of their time.
    """
    target, rows = dataset.encoding.target, dataset.split["validation"]
    if target.transform == "log1p":
        target.shift = 0.0
        median = predict(model, dataset, rows)[:, 1]
        target.shift = shift_to_mean(target, dataset.target[rows], median)


def validation_metrics(model, dataset):
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
    """Predictions of some rows; see `data.training.scoring.to_predictions`."""
    outputs = model.predict(fixed_batches(dataset, rows, model), verbose=0)
    return to_predictions(outputs, dataset.encoding.target)
