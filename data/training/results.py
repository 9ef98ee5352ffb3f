"""What a trained model predicts, and how well."""

import functools

import numpy as np
import tensorflow as tf

from data.training.batches import in_order
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
    predict_some = predictor(model, dataset.encoding.target)
    batches = in_order(dataset, rows, model)
    found = [predict_some(inputs["codes"], inputs.get("numbers")) for inputs, _ in batches]
    return np.concatenate(found)


def predictor(model, target, batch=8192):
    """The model as a function of encoded rows, for any codes and numbers.

    Args:
        model: keras.Model of "codes" and, where it takes them, "numbers".

    Returns:
        function of (codes int32 [rows, columns], numbers float32 [rows, columns] or None) that
        returns predictions, see `data.training.scoring.to_predictions`.
    """
    outputs_of = _compiled(model)

    def predict(codes, numbers):
        inputs = {"codes": codes} | ({"numbers": numbers} if "numbers" in model.input else {})
        nothing = np.empty((0, 1, target.outputs), "float32")  # which TensorFlow cannot predict
        found = [to_predictions(nothing, target)]
        for start in range(0, len(codes), batch):
            part = {name: array[start : start + batch] for name, array in inputs.items()}
            found.append(to_predictions(outputs_of(part).numpy(), target))
        return np.concatenate(found)

    return predict


@functools.lru_cache(maxsize=1)  # one model is asked for several parts of a table
def _compiled(model):
    """The model as a function of inputs of any number of rows; Keras's own `predict` is compiled
    anew for other numbers, which takes longer than few rows do."""
    shapes = {n: tf.TensorSpec((None, *i.shape[1:]), i.dtype) for n, i in model.input.items()}
    return tf.function(lambda inputs: model(inputs, training=False), input_signature=[shapes])
