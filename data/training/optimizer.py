"""Adam whose step costs what the batch holds, not what the embedding tables hold."""

import keras
import tensorflow as tf

DENSE_ROWS = 4096  # up to which a table is updated as a whole, which is quicker


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
    """Adam that updates only the rows of the batch in large embedding tables.

    Keras's Adam turns an embedding's sparse gradient into an update of the whole table
    (keras-team/keras issue 19992). Here the mean square of a row's gradients stands still while no
    batch has the row, and there is no momentum: by it Adam moves a row for some ten steps after
    each batch that has it, which a row that stands still would lose. So a rare row moves as far for
    each batch as with Adam. All else is updated by one fused kernel. Several devices or workers
    exchange as little: the gradients of those rows, and all others in one piece.

    Args:
        learning_rate: float or schedule.
        rates: list of float, by what factor the rate of each trainable variable differs.
        dense_rows: of a table that is still updated as a whole.
    """

    def __init__(self, learning_rate, rates, dense_rows=DENSE_ROWS):
        super().__init__(learning_rate, beta_2=0.99)
        self.rates, self.dense_rows = rates, dense_rows

    def build(self, variables):
        if not self.built:
            keras.optimizers.Optimizer.build(self, variables)
            whole = [variable for variable in variables if not self._is_large(variable)]
            momentums = iter(self.add_optimizer_variables(whole, "momentum"))
            self._momentums = [
                None if self._is_large(variable) else next(momentums) for variable in variables
            ]
            self._velocities = self.add_optimizer_variables(variables, "velocity")

    def _is_large(self, variable):
        return variable.name == "embeddings" and variable.shape[0] > self.dense_rows

    def apply(self, gradients, variables):
        dense = [
            gradient if self._is_large(variable) else _as_dense(gradient, variable)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        # Once for all variables: for each of them it would cost as much as its update.
        step = tf.cast(self.iterations + 1, "float32")
        self._powers = self.beta_1**step, self.beta_2**step
        super().apply(dense, variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index].value
        beta_1_power, beta_2_power = self._powers
        rate = learning_rate if self.rates[index] == 1 else learning_rate * self.rates[index]
        if isinstance(gradient, tf.IndexedSlices):
            rows, position = tf.unique(gradient.indices)
            g = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
            v = self.beta_2 * tf.gather(velocity, rows) + (1 - self.beta_2) * tf.square(g)
            change = rate * tf.sqrt(1 - beta_2_power) * g / (tf.sqrt(v) + self.epsilon)
            velocity.scatter_update(tf.IndexedSlices(v, rows))
            variable.scatter_sub(tf.IndexedSlices(change, rows))
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _as_dense(gradient, variable):
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])
