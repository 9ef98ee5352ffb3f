"""What a trained model predicts, and how well."""

import numpy as np

from data.training.batches import fixed_batches
from data.training.scoring import featureless, score, to_predictions


def smearing_correction(model, dataset):
    """Move the outputs of a log target, so that predictions are means.

    A network that learns the logarithm predicts something like the median, which is less than the
    mean: Duan, Smearing Estimate (1983). What the spread of the validation rows' errors makes of
    it goes to the outputs' bias; a common error of all of them does not, as it is of their time.

    Returns:
        float, what was added to the outputs' bias.
    """
    target, rows = dataset.encoding.target, dataset.split["validation"]
    if target.transform != "log1p":
        return 0.0
    actual, predicted = dataset.target[rows], predict(model, dataset, rows)
    common = np.log1p(actual).mean() - np.log1p(predicted).mean()
    shift = float((np.log((1 + actual).sum() / (1 + predicted).sum()) - common) / target.std)
    move_outputs(model, shift)
    return shift


def move_outputs(model, shift):
    """Add a number to the bias of all outputs."""
    bias = model.get_layer("outputs").bias
    bias.assign_add(np.full(bias.shape, shift, "float32"))


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
    """Predictions in the target's units, float64 [rows], or probabilities [rows, classes]."""
    outputs = model.predict(fixed_batches(dataset, rows, model), verbose=0)
    return to_predictions(outputs, dataset.encoding.target)
