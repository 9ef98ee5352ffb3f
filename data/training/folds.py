"""Cross-fitting: the folds of the training rows, and the tables that were learned without each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FOLDS = 3  # two have little of the gain, five or ten little more than three


@dataclass(frozen=True)
class FoldTables:
    """Several tables for each column, of which a training row sees one.

    Attributes:
        table_of: function of (row ids int [rows], epoch) -> uint64 [rows], the table of each row.
        vectors: dict of column -> float32 [folds, cardinality, size] that stay as they are; their
            mean is in the model, and what the model learns is added to all of them. None where the
            model's own embeddings hold all tables, one after the other.
    """

    table_of: Callable
    vectors: dict = None


def saved_tables(vectors, seed):
    """FoldTables with which each training row sees the vectors that were learned without it."""
    return FoldTables(lambda row_ids, epoch: fold_of(row_ids, seed), vectors)


def tables_to_train(seed):
    """FoldTables with which each training row trains the tables of all folds but its own, in turn,
    one an epoch."""

    def table_of(row_ids, epoch):
        turn = (_mixed(row_ids, seed + 1) + np.uint64(epoch)) % np.uint64(FOLDS - 1)
        return (fold_of(row_ids, seed) + np.uint64(1) + turn) % np.uint64(FOLDS)

    return FoldTables(table_of)


def fold_of(row_ids, seed):
    """The fold of each row, which follows from its number and the seed alone: uint64 [rows]."""
    return _mixed(row_ids, seed) % np.uint64(FOLDS)


def _mixed(row_ids, seed):
    """Row numbers and a seed -> uint64 as if drawn at random (SplitMix64, Steele et al., 2014)."""
    z = (np.asarray(row_ids).astype("uint64") + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def spread_of(tables):
    """How unsure each vector is: the root mean squared distance of a category's vectors from their
    mean, relative to that of all categories' means from theirs. 0 is sure, 1 is noise.

    It says little of a category with a handful of rows, which hardly leaves "unseen" in any fold.

    Args:
        tables: float32 [folds, cardinality, size].

    Returns:
        float64 [cardinality]
    """
    means = tables.mean(axis=0, dtype="float64")
    distance = np.sqrt(np.square(tables - means).sum(axis=2).mean(axis=0))
    own = np.sqrt(np.square(means - means.mean(axis=0)).sum(axis=1).mean())
    return distance / own if own > 0 else np.ones(len(means))
