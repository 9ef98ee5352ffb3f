"""Adam whose step costs what the batch holds, not what the embedding tables hold."""

import keras
import tensorflow as tf

ROWS_WORTH_SPARING = 4096  # a smaller table is updated as a whole, which is quicker


def warmed_up(rate, steps):
    """A learning rate that rises from a 25th of itself within so many steps, and stays."""
    return keras.optimizers.schedules.CosineDecay(
        rate / 25,
        decay_steps=1,
        alpha=1.0,  # no decay: the average takes its place
        warmup_target=rate,
        warmup_steps=steps,
    )


class LazyAdam(keras.optimizers.Adam):
    """Adam that updates only the rows of the batch in tables of more than 4,096 rows.

    Keras's Adam turns an embedding's sparse gradient into an update of the whole table
    (keras-team/keras issue 19992). Here the moments of a row stand still while no batch has it; for
    rows in every batch it is the same as Adam. All else is updated by one fused kernel. Several
    devices or workers exchange as little: the gradients of those rows, and all others in one piece.

    Args:
        learning_rate: float or schedule.
        rates: list of float, the share of the learning rate that each trainable variable gets.
    """

    def __init__(self, learning_rate, rates):
        super().__init__(learning_rate, beta_2=0.99)
        self.rates = rates

    def apply(self, gradients, variables):
        super().apply(list(map(_small_as_dense, gradients, variables)), variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index].value, self._velocities[index].value
        beta_1, beta_2 = tf.constant(self.beta_1), tf.constant(self.beta_2)
        step = tf.cast(self.iterations + 1, "float32")
        rate = tf.cast(learning_rate, "float32") * self.rates[index]
        if isinstance(gradient, tf.IndexedSlices):
            rows, position = tf.unique(gradient.indices)
            g = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
            m = beta_1 * tf.gather(momentum, rows) + (1 - beta_1) * g
            v = beta_2 * tf.gather(velocity, rows) + (1 - beta_2) * tf.square(g)
            rate *= tf.sqrt(1 - beta_2**step) / (1 - beta_1**step)
            change = rate * m / (tf.sqrt(v) + self.epsilon)
            momentum.scatter_update(tf.IndexedSlices(m, rows))
            velocity.scatter_update(tf.IndexedSlices(v, rows))
            variable.scatter_sub(tf.IndexedSlices(change, rows))
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _small_as_dense(gradient, variable):
    if not isinstance(gradient, tf.IndexedSlices) or variable.shape[0] > ROWS_WORTH_SPARING:
        return gradient
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])
