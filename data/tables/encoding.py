"""Vocabularies and the target's transform: fitted on training rows, applied to any.

Row 0 of every vocabulary stands for a missing value and row 1 for one that training did not see
(out-of-vocabulary), so no table can index past an embedding's end.
"""

import math
import re
from dataclasses import dataclass, field, replace

import numpy as np

from data import InputError
from data.tables import kinds
from data.tables.scaling import as_float32, scaled
from data.tables.values import as_text

MISSING, UNSEEN, RESERVED = 0, 1, 2
LARGEST_SIZE = 50
# Scales are taken from at most so many training rows, evenly spaced, and so many numbers.
SAMPLED_ROWS, SAMPLED_VALUES = 1_000_000, 10_000_000
SMALLEST_SPREAD = 1e6 * float(np.finfo("float32").tiny)  # of a target
FLOAT32_MAX = float(np.finfo("float32").max)
LARGEST_LOG = 88.0  # of a number that float32 holds
# 102, 102.0, and 1e+16, as Python writes large floats
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
DECIMAL_ZERO = re.compile(r"-?(\d+\.0|\d(\.\d+)?e\+1[67])")


@dataclass
class Vocabulary:
    """The categories of one column, in the order of its embedding's rows from row 2.

    Attributes:
        column: its name.
        type: "str", "int", "float" or "bool", the type of `values`.
        values: list of categories.
        spellings: dict of text -> embedding row, for texts that the training rows held and that
            differ from the category's usual text (1.50 for 1.5).
        counts: int64 [cardinality], training rows of each embedding row.
        mean_target: float64 [cardinality] or None, the mean target of those rows.
        saved_size: size of the saved vectors that it comes with, else None.
    """

    column: str
    type: str
    values: list
    spellings: dict = field(default_factory=dict)
    counts: np.ndarray = None
    mean_target: np.ndarray = None
    saved_size: int = None

    @property
    def cardinality(self):
        return len(self.values) + RESERVED

    @property
    def size(self):
        """The embedding's size: min(cardinality / 2, 50), at least 2."""
        return self.saved_size or max(2, min(self.cardinality // 2, LARGEST_SIZE))

    def texts(self):
        """The usual text of every category, list of str."""
        return [as_text(value) for value in self.values]

    def row_of_texts(self, missing_texts=()):
        """dict of text -> embedding row, for every text that is one of the categories: their usual
        texts, those that the training rows held, 102.0 beside 102 (pandas makes floats of whole
        numbers beside missing ones), True and TRUE beside true. Other texts are unseen ones.

        Args:
            missing_texts: those that stand for a missing value, where they are no categories.
        """
        rows = {text: row for row, text in enumerate(self.texts(), RESERVED)}
        for text, row in (*rows.items(), *self.spellings.items()):
            rows.setdefault(text, row)
            for other in other_spellings(text, self.type):
                rows.setdefault(other, row)
        return dict.fromkeys(missing_texts, MISSING) | rows

    def find(self, texts):
        """Embedding rows of categories given as text, see `row_of_texts`.

        Args:
            texts: list of str, without missing ones.

        Returns:
            int32 [len(texts)]
        """
        rows = self.row_of_texts()
        return np.fromiter((rows.get(text, UNSEEN) for text in texts), "int32", len(texts))


def embedding_rows(values, row_of_text):
    """Rows of an embedding, int32 [rows], for a pandas.Categorical whose categories are text.

    Args:
        row_of_text: of `Vocabulary.row_of_texts`.
    """
    found = [row_of_text.get(text, UNSEEN) for text in values.categories]
    return np.array([*found, MISSING], "int32")[values.codes]


@dataclass
class Target:
    """What is predicted, and how the network's outputs become predictions.

    Regression is learned as (t - mean) / std, with t = log(1 + target) for the transform "log1p"
    and the target itself for "identity". Outputs for "log1p" are medians; those shifted by `shift`
    are means. Classes are learned as positions in `classes`.
    """

    column: str
    task: str
    transform: str = "identity"
    mean: float = 0.0
    std: float = 1.0
    classes: list = field(default_factory=list)
    shift: float = 0.0

    @property
    def outputs(self):
        """Units of the output layer."""
        return len(self.classes) if self.task == "multiclass" else 1

    def label(self, values):
        """Class positions -> classes; a regression's values as they are."""
        if self.task == "regression":
            return values
        return np.array([*self.classes, None], dtype=object)[values]

    def transformed(self, values):
        """Target values of a regression as they are learned, before scaling: float64.

        Negative ones, which the training rows of a log target have not, count as 0, the least
        that is ever predicted.
        """
        return np.log1p(np.maximum(values, 0.0)) if self.transform == "log1p" else values

    def encode(self, values):
        """Target values -> float32 (regression) or int32 (classes), same shape."""
        if self.task != "regression":
            return values.astype("int32")
        values = self.transformed(values)
        return ((values - self.mean) / self.std).astype("float32")

    def decode(self, outputs, shift=0.0):
        """The inverse of `encode` for regression: network outputs -> target's units, float64."""
        values = (outputs.astype("float64") + shift) * self.std + self.mean
        if self.transform == "log1p":
            values = np.expm1(np.clip(values, 0.0, LARGEST_LOG))
        return values


@dataclass
class Encoding:
    """All that was learned from the training rows about columns: what turns rows into arrays."""

    vocabularies: list
    numerics: list
    target: Target


def other_spellings(text, kind):
    """Texts that differ from a category's in a decimal zero, or a boolean's in capitals."""
    if kind == "bool":
        return {text.lower(), text.upper(), text.capitalize()}
    if kind == "str":  # which may well tell 102 from 102.0
        return set()
    if WHOLE.fullmatch(text) and int(float(text)) == int(text):
        return {repr(float(text))}
    if DECIMAL_ZERO.fullmatch(text) and repr(float(text)) == text:
        return {str(int(float(text)))}
    return set()


def as_value(text, kind):
    """A category's text -> its value of the type `kind`; None where it is not of that type.

    Whole numbers keep all their digits, however they are declared; others are float64. Powers of
    ten are numbers only where Python writes them so (1e-05): 1E2 and 10E1 are codes.
    """
    if kind == "str":
        return text
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower())
    if kinds.INTEGER.fullmatch(text):
        return int(text) if kinds.fits_64_bits(text) else None
    if not kinds.NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        return None
    return value if "e" not in text.lower() or repr(value) == text else None


def fit_vocabulary(column, texts, counts, declared=None):
    """The vocabulary of a column from the categories of its training rows.

    Args:
        texts: list of str, the column's dictionary; counts: int [len(texts)], training rows each.
        declared: the column's type where the file declares one.

    Returns:
        Vocabulary without counts; its values sorted, so that the order of rows does not matter.
    """
    seen = [text for text, count in zip(texts, counts, strict=True) if count]
    kind = kinds.kind(seen, declared)
    values = [as_value(text, kind) for text in seen] if kind in ("int", "float", "bool") else [None]
    values = _converted(values, kind)
    # Infinite numbers, too, are categories as text, and codes that are equal only as numbers.
    if None in values or (kind != "bool" and _differ_as_text(seen, values)):
        return Vocabulary(column, "str", sorted(seen))
    return _typed_vocabulary(column, kind, seen, values)


def _differ_as_text(texts, values):
    """Whether a number is written in two ways that differ in more than a decimal zero."""
    written = {
        (value, re.sub(r"\.0*$", "", text).removeprefix("-" if value == 0 else ""))
        for text, value in zip(texts, values, strict=True)
    }
    return len(written) > len(set(values))


def _converted(values, kind):
    """Values as int or float, None for those that would not stay what they are (2^53 + 1)."""
    if kind == "int":
        return [None if v is None or v % 1 else int(v) for v in values]
    if kind == "float":
        return [None if v is None or v != float(v) else float(v) + 0.0 for v in values]  # no -0.0
    return values


def _typed_vocabulary(column, kind, texts, values):
    vocabulary = Vocabulary(column, kind, sorted(set(values)))
    row_of = {value: row for row, value in enumerate(vocabulary.values, RESERVED)}
    for text, value in zip(texts, values, strict=True):
        if as_text(value) != text:
            vocabulary.spellings[text] = row_of[value]
    return vocabulary


def extend_vocabulary(vocabulary, texts, counts):
    """The same vocabulary with the categories of training rows that it lacks, after its own.

    Args:
        texts, counts: as for `fit_vocabulary`. Texts that are not of its type stay unseen.
    """
    seen = [text for text, count in zip(texts, counts, strict=True) if count]
    seen = [t for t, row in zip(seen, vocabulary.find(seen), strict=True) if row == UNSEEN]
    values = _converted([as_value(text, vocabulary.type) for text in seen], vocabulary.type)
    row_of = {value: row for row, value in enumerate(vocabulary.values, RESERVED)}
    known = {t: row_of[v] for t, v in zip(seen, values, strict=True) if v in row_of}
    fitting = [i for i, value in enumerate(values) if value is not None and value not in row_of]
    more = _typed_vocabulary(
        vocabulary.column,
        vocabulary.type,
        [seen[i] for i in fitting],
        [values[i] for i in fitting],
    )
    last = vocabulary.cardinality - RESERVED
    return replace(
        vocabulary,
        values=vocabulary.values + more.values,
        spellings=vocabulary.spellings
        | known
        | {text: row + last for text, row in more.spellings.items()},
    )


def category_rows(vocabulary, table):
    """Where each code of the table's dictionary stands in the vocabulary.

    Returns:
        int32 [len(dictionary) + 1]: index it with codes; -1 (missing) finds the last entry.
    """
    texts, _ = table.texts(vocabulary.column)
    return np.append(vocabulary.find(texts), MISSING).astype("int32")


def fit_target(column, task, values, classes, bounds):
    """The target's transform from its training values, or from evenly spaced ones of them.

    A non-negative target with a long right tail is learned as log(1 + target).

    Args:
        values: float64 [rows], finite as float32, for regression, else int positions in `classes`.
        classes: list, those that training rows have, or None.
        bounds: the lowest and the highest of all training values.

    Raises:
        InputError: the training rows hold one value or class only.
    """
    if task != "regression":
        if len(classes) < 2:
            raise InputError(
                f"--target: the training rows hold one class of '{column}' only; give more rows, "
                "or another --split-by."
            )
        return Target(column, task, classes=list(classes))
    if bounds[0] == bounds[1]:
        raise InputError(
            f"--target: '{column}' is {values[0]:g} in every training row; name another."
        )
    if bounds[1] - bounds[0] < SMALLEST_SPREAD:
        raise InputError(
            f"--target: '{column}' is between {bounds[0]:g} and {bounds[1]:g}, which float32 "
            "cannot tell apart; multiply the column by a constant."
        )
    transform = "identity"
    if bounds[0] >= 0 and _skewness(values) > 1:
        transform, values = "log1p", np.log1p(values)
    return Target(column, task, transform, float(values.mean()), float(values.std()) or 1.0)


def _skewness(values):
    """The third standardised moment."""
    if values.min() == values.max():  # of those taken
        return 0.0
    values = values / np.abs(values).max()  # whose squares neither overflow nor vanish
    centered = values - values.mean()
    return float((centered**3).mean() / (centered**2).mean() ** 1.5)


class EncodedRows:
    """Encoded rows of a table, gathered on demand from the columns on disk.

    Args:
        table: `data.tables.cache.Table`; encoding: Encoding.
    """

    def __init__(self, table, encoding):
        self.table, self.encoding = table, encoding
        columns = list(table.dictionaries)
        self._positions = [columns.index(v.column) for v in encoding.vocabularies]
        self._lookups = [category_rows(v, table) for v in encoding.vocabularies]
        self._numeric = [table.numeric.index(n.column) for n in encoding.numerics]
        self._center = np.array([n.center for n in encoding.numerics])
        self._scale = np.array([n.scale for n in encoding.numerics])

    def lookup(self, column):
        """int32 [len(dictionary) + 1]: see `category_rows`."""
        columns = [vocabulary.column for vocabulary in self.encoding.vocabularies]
        return self._lookups[columns.index(column)]

    def codes(self, rows):
        """int32 [len(rows), categorical columns], rows of the embeddings."""
        raw = self.table.codes[rows]
        found = np.empty((len(raw), len(self._positions)), "int32")
        for j, (position, lookup) in enumerate(zip(self._positions, self._lookups, strict=True)):
            found[:, j] = lookup[raw[:, position]]
        return found

    def numbers(self, rows):
        """float32 [len(rows), numeric columns], scaled; missing and infinite ones NaN."""
        raw = as_float32(self.table.numbers[rows, self._numeric])
        return scaled(raw, self._center, self._scale)
