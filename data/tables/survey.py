"""What all rows say of a column that the first rows alone would leave out, in bounded memory."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from data.tables.kinds import Values

# So many of the values are counted, those whose hashes are the smallest. Where there are more, how
# many is estimated by how close these are, to half a percent.
COUNTED = 1 << 16
SURVEYED_VALUES = 4_000_000  # of all columns that are surveyed: the first values that are kept
MOST_VALUES = 100_000  # of each


@dataclass
class SurveyedValues(Values):
    """The first values of a column, wherever they are, with what all of its rows say.

    Attributes:
        row_ids: list of int, the row of each of them.
        all_rows, all_distinct: of the whole table: rows that are not missing, and distinct values.
        counted: whether these are all values, not those of the smallest hashes.
    """

    row_ids: list = field(default_factory=list)
    all_rows: int = 0
    all_distinct: int = 0
    counted: bool = True

    @property
    def rows(self):
        return self.all_rows

    @property
    def distinct(self):
        if self.kind == "str" and not self.counted:  # a few may repeat that were not counted
            return min(self.all_distinct, self.all_rows - 1)
        return self.all_distinct

    def first_row(self, texts):
        text, position = super().first_row(texts)
        return text, self.row_ids[position]


class Survey:
    """Counts the values of a column, a part of the table at a time.

    Args:
        most: values to keep.
    """

    def __init__(self, most):
        self.most = most
        self.texts, self.row_ids = [], []
        self.done = self.rows = 0
        self.hashes, self.counts = np.empty(0, "uint64"), np.empty(0, "int64")

    def add(self, values):
        """Count the next rows: pandas.Categorical."""
        codes = np.asarray(values.codes)
        present = np.flatnonzero(codes >= 0)
        self.rows += len(present)
        first = present[: self.most - len(self.texts)]
        self.texts += values.categories[codes[first]].tolist()
        self.row_ids += (first + self.done).tolist()
        self.done += len(codes)
        counts = np.bincount(codes[present], minlength=len(values.categories))
        hashes = pd.util.hash_array(values.categories.to_numpy(object), categorize=False)
        hashes, counts = hashes[counts > 0], counts[counts > 0]
        if len(self.hashes) == COUNTED:
            low = hashes <= self.hashes[-1]
            hashes, counts = hashes[low], counts[low]
        merged, position = np.unique(np.append(self.hashes, hashes), return_inverse=True)
        totals = np.bincount(position, np.append(self.counts, counts)).astype("int64")
        self.hashes, self.counts = merged[:COUNTED], totals[:COUNTED]

    def found(self):
        """What was found, as JSON has it; see `surveyed_values`."""
        codes, texts = pd.factorize(np.array(self.texts, dtype=object))
        distinct = len(self.hashes)
        counted = distinct < COUNTED
        if not counted:
            estimate = int((COUNTED - 1) / (int(self.hashes[-1]) / 2**64))
            repeated = bool((self.counts > 1).any())
            distinct = min(estimate, self.rows - 1) if repeated else self.rows
        return {
            "texts": texts.tolist(), "codes": codes.tolist(), "row_ids": self.row_ids,
            "all_rows": self.rows, "all_distinct": distinct, "counted": counted,
        }  # fmt: skip


def surveyed_values(found, declared):
    """SurveyedValues of what a Survey found.

    Args:
        declared: the type that the file itself declares, if any.
    """
    return SurveyedValues(**found | {"codes": np.array(found["codes"], "int64")}, declared=declared)
