"""The loss of each task, for training and for validation."""

import tensorflow as tf
from keras import ops

from data.training.batches import in_order, signature


def loss_of(target):
    """The loss of each row and member: function of (target [batch, 1, 1], outputs [batch, members,
    outputs]) -> [batch, members, 1], or [batch, members] of several classes."""

    def loss(actual, outputs):
        if target.task == "regression":
            return ops.square(outputs - actual)
        if target.task == "binary":
            actual = ops.cast(actual, outputs.dtype) + ops.zeros_like(outputs)
            return ops.binary_crossentropy(actual, outputs, from_logits=True)
        actual = ops.repeat(actual[:, :, 0], outputs.shape[1], axis=1)
        return ops.sparse_categorical_crossentropy(actual, outputs, from_logits=True)

    return loss


def combine_members(outputs, target):
    """The outputs of one network that predicts what the members predict in the mean.

    Returns:
        float32 [batch, 1, outputs]
    """
    if target.task == "regression":
        return ops.mean(outputs, axis=1, keepdims=True)

    def log_sum(logarithms):
        return ops.logsumexp(logarithms, axis=1, keepdims=True)

    if target.task == "binary":
        return log_sum(ops.log_sigmoid(outputs)) - log_sum(ops.log_sigmoid(-outputs))
    return log_sum(ops.log_softmax(outputs, axis=-1))


def validation_loss(model, dataset, workers):
    """A function that gives the model's mean loss over the validation rows; each worker takes its
    share of them."""
    rows, loss = dataset.split["validation"], loss_of(dataset.encoding.target)
    mine = rows[workers.index :: workers.count]

    @tf.function(input_signature=signature(dataset, model, (None,)))
    def total(inputs, target):
        outputs = combine_members(model(inputs, training=False), dataset.encoding.target)
        mean = tf.reduce_mean(loss(target, outputs))
        return tf.cast(mean, "float64") * tf.cast(tf.shape(target)[0], "float64")

    def find_loss():
        # Not as a tf.data.Dataset, which takes longer to begin than few rows take.
        totals = [total(*batch) for batch in in_order(dataset, mine, model)]
        none = tf.constant(0.0, "float64")  # a worker may have no rows
        return float(workers.sum(tf.add_n([none, *totals])) / len(rows))

    return find_loss
