"""Vocabularies, scaling and the target's transform: fitted on training rows, applied to any.

Row 0 of every vocabulary stands for a missing value and row 1 for one that training did not see
(out-of-vocabulary), so no table can index past an embedding's end.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from data import InputError, reading, roles

MISSING, UNSEEN, RESERVED = 0, 1, 2
LARGEST_SIZE = 50
# Quantiles of the numeric columns are taken from at most so many rows, evenly spaced.
QUANTILE_ROWS = 1_000_000
FLOAT32_MAX = float(np.finfo("float32").max)


@dataclass
class Vocabulary:
    """The categories of one column, in the order of its embedding's rows from row 2.

    Attributes:
        column: its name.
        type: "str", "int", "float" or "bool", the type of `values`.
        values: list of categories.
        spellings: dict of text -> embedding row, for texts that the training rows held and that
            differ from the category's usual text (1.50 for 1.5).
        rows: int64 [cardinality], training rows of each embedding row.
        mean_target: float64 [cardinality] or None, the mean target of those rows.
        saved_size: size of the saved vectors that it comes with, else None.
    """

    column: str
    type: str
    values: list
    spellings: dict = field(default_factory=dict)
    rows: np.ndarray = None
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
        return [reading.as_text(value) for value in self.values]

    def find(self, texts):
        """Embedding rows of categories given as text.

        Numbers match by value where the vocabulary holds numbers (1 and 1.0), text matches
        letter by letter; anything else is unseen.

        Args:
            texts: list of str, without missing ones.

        Returns:
            int32 [len(texts)]
        """
        texts = pd.Index(texts, dtype=object)
        if self.type == "bool":
            texts = texts.str.lower().str.capitalize() if len(texts) else texts
        rows = pd.Index(self.texts(), dtype=object).get_indexer(texts) + RESERVED
        if self.type in ("int", "float"):
            other = np.flatnonzero(rows == UNSEEN)
            numbers = pd.to_numeric(pd.Series(texts[other]), errors="coerce")
            numbers = numbers.astype("float64").to_numpy()
            values = pd.Index(np.array(self.values, "float64"))
            if values.is_unique:
                found = values.get_indexer(numbers)
                rows[other] = np.where(np.isnan(numbers), UNSEEN, found + RESERVED)
        for text, row in self.spellings.items():
            rows[texts == text] = row
        return rows.astype("int32")


@dataclass
class Numeric:
    """How a numeric column is scaled: (x - center) / scale; missing numbers become 0, flagged."""

    column: str
    center: float
    scale: float
    missing: int


@dataclass
class Target:
    """What is predicted, and how the network's outputs become predictions.

    Regression is learned as (t - mean) / std, with t = log(1 + target) for the transform "log1p"
    and the target itself for "identity". Classes are learned as positions in `classes`.
    """

    column: str
    task: str
    transform: str = "identity"
    mean: float = 0.0
    std: float = 1.0
    classes: list = field(default_factory=list)

    @property
    def outputs(self):
        """Units of the output layer."""
        return len(self.classes) if self.task == "multiclass" else 1

    def label(self, values):
        """Class positions -> classes; a regression's values as they are."""
        if self.task == "regression":
            return values
        return np.array([*self.classes, None], dtype=object)[values]

    def encode(self, values):
        """Target values -> float32 (regression) or int32 (classes), same shape."""
        if self.task != "regression":
            return values.astype("int32")
        values = np.log1p(values) if self.transform == "log1p" else values
        return ((values - self.mean) / self.std).astype("float32")

    def decode(self, outputs):
        """The inverse of `encode` for regression: network outputs -> target's units, float64."""
        values = outputs.astype("float64") * self.std + self.mean
        if self.transform == "log1p":
            values = np.expm1(np.clip(values, 0.0, np.log1p(FLOAT32_MAX)))
        return values


@dataclass
class Encoding:
    """All that was learned from the training rows about columns: what turns rows into arrays."""

    vocabularies: list
    numerics: list
    target: Target


def fit_vocabulary(column, texts, counts, declared=None):
    """The vocabulary of a column from the categories of its training rows.

    Args:
        texts: list of str, the column's dictionary; counts: int [len(texts)], training rows each.
        declared: the column's type where the file declares one.

    Returns:
        Vocabulary without counts; its values sorted, so that the order of rows does not matter.
    """
    seen = pd.Series(texts, dtype=object)[np.asarray(counts) > 0]
    kind = declared if declared in ("int", "float", "bool", "str") else roles.kind(seen)
    if kind not in ("int", "float", "bool"):
        return Vocabulary(column, "str", sorted(seen))
    convert = {"int": int, "float": float, "bool": lambda text: text.lower() == "true"}[kind]
    typed, fitting = [], []
    for text in seen:
        try:
            typed.append(convert(text))
            fitting.append(text)
        except ValueError:
            continue  # a saved type that this text is not of
    seen = fitting
    vocabulary = Vocabulary(column, kind, sorted(set(typed)))
    row_of = {value: row for row, value in enumerate(vocabulary.values, RESERVED)}
    for text, value in zip(seen, typed, strict=True):
        if reading.as_text(value) != text:
            vocabulary.spellings[text] = row_of[value]
    return vocabulary


def extend_vocabulary(vocabulary, texts, counts):
    """The same vocabulary with the categories of training rows that it lacks, after its own.

    Args:
        texts, counts: as for `fit_vocabulary`. Texts that are not of its type stay unseen.
    """
    seen = [text for text, count in zip(texts, counts, strict=True) if count]
    new = [t for t, row in zip(seen, vocabulary.find(seen), strict=True) if row == UNSEEN]
    more = fit_vocabulary(vocabulary.column, new, np.ones(len(new)), vocabulary.type)
    last = vocabulary.cardinality - RESERVED
    return replace(
        vocabulary,
        values=vocabulary.values + more.values,
        spellings=vocabulary.spellings | {t: row + last for t, row in more.spellings.items()},
    )


def category_rows(vocabulary, table):
    """Where each code of the table's dictionary stands in the vocabulary.

    Returns:
        int32 [len(dictionary) + 1]: index it with codes; -1 (missing) finds the last entry.
    """
    texts, _ = table.texts(vocabulary.column)
    return np.append(vocabulary.find(texts), MISSING).astype("int32")


def fit_numeric(column, values):
    """Robust scaling of one column: the median, and half the distance between its quartiles...

    Where half of the values are equal the range of the rest takes its place.

    Args:
        values: float64 [training rows], NaN for missing.
    """
    finite = values[np.isfinite(values)]
    missing = len(values) - len(finite)
    if not len(finite):
        return Numeric(column, 0.0, 1.0, missing)
    finite = finite[:: max(1, len(finite) // QUANTILE_ROWS)]
    low, center, high = np.quantile(finite, [0.25, 0.5, 0.75])
    scale = high - low
    if not scale > 0:
        scale = (finite.max() - finite.min()) / 2
    if not (np.isfinite(scale) and scale > 0):
        scale = 1.0
    return Numeric(column, float(center), float(scale), missing)


def fit_target(column, task, values, classes=None):
    """The target's transform from its training values.

    A non-negative target with a long right tail is learned as log(1 + target).

    Args:
        values: float64 [training rows] for regression, else int positions in `classes`.

    Raises:
        InputError: the training rows hold one value or class only, or numbers too large.
    """
    if task != "regression":
        if len(np.unique(values)) < 2:
            raise InputError(
                f"--target: the training rows hold one class of '{column}' only; give more rows, "
                "or another --split-by."
            )
        return Target(column, task, classes=list(classes))
    if np.ptp(values) == 0:
        raise InputError(
            f"--target: '{column}' is {values[0]:g} in every training row; name another."
        )
    if np.abs(values).max() > FLOAT32_MAX:
        raise InputError(
            f"--target: '{column}' holds {np.abs(values).max():g}, more than float32 can hold; "
            "divide it by a constant."
        )
    transform = "identity"
    if values.min() >= 0 and _skewness(values) > 1:
        transform, values = "log1p", np.log1p(values)
    return Target(column, task, transform, float(values.mean()), float(values.std()) or 1.0)


def _skewness(values):
    """The third standardised moment."""
    centered = (values - values.mean()) / values.std()
    return float((centered**3).mean())


class Rows:
    """Encoded rows of a table, gathered on demand from the memory-mapped columns.

    Args:
        table: `data.table.Table`; encoding: Encoding.
        columns: dict of vocabulary's column -> column of the table, where the names differ.
    """

    def __init__(self, table, encoding):
        self.table, self.encoding = table, encoding
        columns = list(table.dictionaries)
        self._positions = [columns.index(v.column) for v in encoding.vocabularies]
        self._lookups = [category_rows(v, table) for v in encoding.vocabularies]
        self._numeric = [table.numeric.index(n.column) for n in encoding.numerics]
        self._center = np.array([n.center for n in encoding.numerics])
        self._scale = np.array([n.scale for n in encoding.numerics])

    def codes(self, rows):
        """int32 [len(rows), categorical columns], rows of the embeddings."""
        raw = self.table.codes[rows]
        found = np.empty((len(raw), len(self._positions)), "int32")
        for j, (position, lookup) in enumerate(zip(self._positions, self._lookups, strict=True)):
            found[:, j] = lookup[raw[:, position]]
        return found

    def numbers(self, rows):
        """float32 [len(rows), numeric columns], scaled; missing and infinite ones NaN."""
        raw = self.table.numbers[rows][:, self._numeric]
        raw[~np.isfinite(raw)] = np.nan
        with np.errstate(over="ignore"):
            scaled = (raw - self._center) / self._scale
        return np.clip(scaled, -1e6, 1e6).astype("float32")
