"""Groups of rows that are to stay together, such as those of a customer."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data import InputError
from data.tables.dates import elapsed_column
from data.tables.disk import Column, blocks_of
from data.tables.encoding import fit_vocabulary
from data.tables.settings import option_of

HEAVY = 0.1  # of the rows: a larger group trains, so that the test rows are not one group


@dataclass
class Groups:
    """Which group each row of a table is of.

    Attributes:
        column: the column that tells.
        values: Column of float64, NaN for missing.
        distinct: float64, the values that occur, ascending: value `distinct[i]` is group i.
        kept_out: function of a column -> the texts in it that are taken for missing.
    """

    column: str
    values: Column
    distinct: np.ndarray
    kept_out: Callable

    def __len__(self):
        return len(self.distinct)

    def find(self, row_ids):
        """int64 [len(row_ids)], the group of each row; none is missing."""
        return np.searchsorted(self.distinct, self.values[row_ids])


def groups_of(table, column, kept_out):
    """The groups that a column makes of the rows of a table, None for no column.

    Two spellings of one number (7, 7.0) are one group. `kept_out`: see `Groups`.
    """
    if column is None:
        return None
    if column in table.dictionaries:
        texts, codes = table.texts(column)
        vocabulary = fit_vocabulary(column, texts, np.ones(len(texts)), table.types.get(column))
        lookup = np.append(vocabulary.find(texts).astype("float64"), np.nan)
        values = Column(table.codes, codes.j, lookup)
        return Groups(column, values, np.unique(lookup[:-1]), kept_out)
    values = table.values(column if column in table.numeric else elapsed_column(column))
    found, waiting = np.empty(0), []
    for block in blocks_of(values):
        waiting.append(np.unique(block[~np.isnan(block)]))
        if sum(map(len, waiting)) > len(found):  # so that each value is sorted few times
            found, waiting = np.unique(np.concatenate([found, *waiting])), []
    return Groups(column, values, np.unique(np.concatenate([found, *waiting])), kept_out)


def check_groups(groups, given, table):
    """Raise InputError if a row has no group, or if a group is in several of the parts given.

    Args:
        given: dict of "data", "validation", "test" -> its row numbers, DiskArray of int64.
    """
    where = f"--group: the column '{groups.column}'"
    seen = np.zeros(len(groups), bool)
    for part, row_ids in given.items():
        here = np.zeros(len(groups), bool)
        for rows in blocks_of(row_ids):
            missing = np.isnan(groups.values[rows])
            if missing.any():
                way_on = "fill it"
                if texts := groups.kept_out(groups.column):
                    option = f"--keep-na {shlex.quote(groups.column)}"
                    way_on += f", give {option} if {texts[0]!r} is a group,"
                raise InputError(
                    f"{where} is missing in row {table.place(rows[np.argmax(missing)])[1]} of "
                    f"{option_of(part)}; {way_on} or group by another column."
                )
            here[groups.find(rows)] = True
        if shared := np.count_nonzero(here & seen):
            raise InputError(
                f"{where}: {shared:,} of the groups in {option_of(part)} are in other files too; "
                "give them once, or leave out --group."
            )
        seen |= here


def random_positions(groups, row_ids, seed):
    """An order of the groups at random, but the largest first: uint64 [len(groups)].

    Args:
        row_ids: of the rows that are to be split.
    """
    counts = np.zeros(len(groups), "int64")
    for rows in blocks_of(row_ids):
        np.add.at(counts, groups.find(rows), 1)
    positions = np.random.default_rng(seed).permutation(len(groups)) + len(row_ids)
    heavy = np.flatnonzero(counts > HEAVY * len(row_ids))
    positions[heavy[np.argsort(-counts[heavy], kind="stable")]] = np.arange(len(heavy))
    return positions.astype("uint64")


def last_positions(groups, row_ids, order):
    """The order of the groups by their last rows: uint64 [len(groups)], the greatest key of each.

    So no row that trains is later than the last row of any group that tests.
    """
    positions = np.zeros(len(groups), "uint64")
    for rows in blocks_of(row_ids):
        np.maximum.at(positions, groups.find(rows), order.keys(rows))
    return positions
