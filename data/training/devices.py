"""The devices on which a model learns: GPUs of this machine, and those of several workers."""

import tensorflow as tf

from data import InputError


def local_strategy():
    """All GPUs of this machine where there are several, else TensorFlow's default."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def replicas_here(strategy, workers):
    """(replicas in all, the slice of those that are this worker's): a replica is a device."""
    replicas = strategy.num_replicas_in_sync
    here = replicas // workers.count
    return replicas, slice(workers.index * here, (workers.index + 1) * here)


def whole_shares(batch_size, n_rows, strategy):
    """The batch size, or as many rows less as make the replicas' shares equal.

    Raises:
        InputError: there are more devices than rows.
    """
    replicas = strategy.num_replicas_in_sync
    if n_rows < replicas:
        raise InputError(
            f"--data: {n_rows} training rows are too few for {replicas} devices; give more rows, "
            "or fewer devices in TF_CONFIG or CUDA_VISIBLE_DEVICES."
        )
    batch = min(batch_size, n_rows)
    return max(batch - batch % replicas, replicas)


def spread_seeds(learner, strategy):
    """Let each replica draw dropout of its own; the first one's seeds stay."""
    generators = [
        layer.seed_generator for layer in learner.layers if hasattr(layer, "seed_generator")
    ]

    @tf.function
    def spread():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for generator in generators:
            generator.state.assign(generator.state + tf.cast([replica, 0], generator.state.dtype))

    if generators and strategy.num_replicas_in_sync > 1:
        strategy.run(spread)
