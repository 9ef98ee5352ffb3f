"""Saved vectors in scikit-learn: the same embeddings in any other model, without TensorFlow."""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from data import InputError
from data.reports import neighbours
from data.sets.loading import read_set
from data.sets.manifest import saved_settings, saved_vocabulary
from data.tables.dates import calendar_columns, date_columns, elapsed_column
from data.tables.dialect import USUAL, dialect_of
from data.tables.encoding import RESERVED, UNSEEN, embedding_rows
from data.tables.values import to_categories, to_dates, without_texts


class EmbeddingTransformer(TransformerMixin, BaseEstimator):
    """Replace categorical columns by their saved vectors; other columns stay as they are.

    A column becomes <column>_dim_0, <column>_dim_1, ... in its place. A missing value becomes
    row 0 of the embedding and a category that the set does not know row 1, with a warning that
    tells in how many rows. Values match by what they are: where the set holds numbers 1, 1.0 and
    "1" are one category, where it holds text "1" and "01" are two. Texts that stood for a missing
    value in training (NA, those of --na-values) do so here. A date column that the set has
    taken apart is taken apart here too: the vectors of its month, weekday, ..., and the days
    since 1970.

    Nothing is learned from the rows; `fit` reads and checks the files, and from then on the
    transformer (pickled, too) needs them no more. It works alone in a Pipeline, and within a
    ColumnTransformer that hands it its columns.

    Args:
        folder: a saved set, `saved_embeddings/<table>` or its `embed_model`.
        columns: None takes every column of X that the set has under the same name; a list takes
            these alone; a dict gives {column of X: column of the set} where names differ, and
            {position: column of the set} for an X without names. Several columns of X may share
            one of the set.

    Attributes:
        vocabularies_: {column of X: data.tables.encoding.Vocabulary}
        vectors_: {column of X: float32 [cardinality, size]}
        rows_: {column of X: {text: row of its vectors}}
        na_values_: {column of X: texts that, as the numbers that they spell, are missing values}
        dates_: {column of X: DateParts}, those that are taken apart

    Raises:
        InputError (a ValueError): the folder holds no usable set, or a column is not in it or X.

    See Also:
        build_embeddings.load_embeddings: the vectors as DataFrames.
        build_embed_model.load_model: the final model of a set, to predict rows.

    Examples:
        >>> import pandas as pd
        >>> from build_embeddings import EmbeddingTransformer
        >>> X = pd.DataFrame({"country": ["Spain", "Italy"], "bid": [0.3, 0.5]})
        >>> transformer = EmbeddingTransformer("saved_embeddings/campaigns")
        >>> transformer.fit_transform(X).columns[-2:].tolist()
        ['country_dim_24', 'bid']
    """

    def __init__(self, folder, columns=None):
        self.folder = folder
        self.columns = columns

    def fit(self, X, y=None):
        """Read the set and find its columns in X, a DataFrame or array [rows, columns]."""
        names = list(self._frame(X, reset=True).columns)
        manifest, arrays = read_set(self.folder)
        dates, dialect = (manifest.get("options") or {}).get("dates") or [], USUAL
        vocabularies = {c: saved_vocabulary(manifest, c) for c in manifest["columns"]}
        if manifest.get("options"):
            dialect = dialect_of(saved_settings(manifest, self.folder)[0], vocabularies)
        self.vocabularies_, self.vectors_, self.dates_ = {}, {}, {}
        self.rows_, self.na_values_ = {}, {}
        for name, source in self._wanted(names, [*manifest["columns"], *dates]).items():
            if source in manifest["columns"]:
                self.vocabularies_[name] = vocabulary = vocabularies[source]
                self.vectors_[name] = arrays[source]
                self.rows_[name] = vocabulary.row_of_texts(dialect.missing_texts(source))
                self.na_values_[name] = dialect.na_values_of(source)
            else:
                self.dates_[name] = DateParts(manifest, arrays, source, dialect.notation(source))
                self.na_values_[name] = dialect.missing_texts(source)
        self.n_features_out_ = len(self.get_feature_names_out())
        return self

    def transform(self, X):
        """X with vectors in place of categories, [rows, n_features_out_].

        A DataFrame for a DataFrame, unless `set_output` says otherwise, else an array: float32
        where all columns are replaced, otherwise the dtype that holds the others, too.
        """
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        parts, unknown = [], {}
        for i, name in enumerate(frame.columns):
            values = without_texts(frame.iloc[:, i], self.na_values_.get(name))
            if name in self.vectors_:
                categories = to_categories(values, "X", name)
                part, unknown[name] = look_up(self.rows_[name], self.vectors_[name], categories)
            elif name in self.dates_:
                part, shares = self.dates_[name].look_up(values, name)
                unknown |= shares
            else:
                part = frame.iloc[:, [i]]
            parts.append(part)
        self._warn_of(unknown)
        if isinstance(X, pd.DataFrame) and getattr(self, "_output", None) in (None, "pandas"):
            parts = [part if isinstance(part, pd.DataFrame) else pd.DataFrame(part, frame.index)
                     for part in parts]  # fmt: skip
            return pd.concat(parts, axis=1).set_axis(self.get_feature_names_out(), axis=1)
        parts = [_as_array(part) if isinstance(part, pd.DataFrame) else part for part in parts]
        if len({part.dtype.kind in "biuf" for part in parts}) > 1:
            parts = [part.astype(object) for part in parts]  # numbers must not become text
        return np.hstack(parts)

    def set_output(self, *, transform=None):
        """Choose what `transform` returns: see scikit-learn's `set_output`.

        "default" gives arrays; without a choice a DataFrame gives a DataFrame.
        """
        if transform is not None:
            self._output = transform
        return super().set_output(transform=transform)

    def inverse_transform(self, X):
        """Return categories in place of vectors: a DataFrame with the columns of the fitted X.

        Each vector becomes the category whose vector lies nearest; it is missing where that is
        the vector of a missing value or of an unseen category. Dates come from the days since 1970.
        """
        check_is_fitted(self)
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_features_out_:
            raise ValueError(f"X has shape {X.shape}, not (rows, {self.n_features_out_})")
        columns, start = [], 0
        for name in self._names():
            if name in self.dates_:
                columns.append(self.dates_[name].dates(X[:, start : start + self._width(name)]))
                start += self._width(name)
                continue
            if name not in self.vectors_:
                columns.append(X[:, start])
                start += 1
                continue
            vectors = self.vectors_[name]
            points = X[:, start : start + vectors.shape[1]].astype("float64")
            start += vectors.shape[1]
            rows, _ = neighbours.inverse(vectors, points)
            columns.append(self._categories(name, [None, None])[rows[:, 0]])
        return pd.DataFrame(dict(enumerate(columns))).set_axis(self._names(), axis=1)

    def inverse(self, column, vectors, k=1):
        """Return the k categories of a column whose vectors lie nearest, nearest first.

        Args:
            column: a replaced column of X; vectors: float [m, size] or [size].

        Returns:
            object array [m, k] of categories, or [k] for one vector.
        """
        check_is_fitted(self)
        if column not in self.vectors_:
            raise InputError(f"{column!r} is not a replaced column: {_listed(self.vectors_)}")
        points = np.atleast_2d(np.asarray(vectors, "float64"))
        rows, _ = neighbours.inverse(self.vectors_[column][RESERVED:], points, k)
        found = self._categories(column, [])[rows]
        return found[0] if np.ndim(vectors) == 1 else found

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of the output, object array [n_features_out_]."""
        check_is_fitted(self, "vectors_")
        known = getattr(self, "feature_names_in_", None)
        if input_features is not None:
            if known is not None and not np.array_equal(known, input_features):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(input_features) != self.n_features_in_:
                raise ValueError(
                    f"input_features should have length equal to {self.n_features_in_}"
                )
        elif known is None:
            input_features = [f"x{i}" for i in range(self.n_features_in_)]
        names = []
        shown_names = known if known is not None else input_features
        for name, shown in zip(self._names(), shown_names, strict=True):
            if name in self.vectors_:
                names += [f"{shown}_dim_{i}" for i in range(self._width(name))]
            elif name in self.dates_:
                names += self.dates_[name].feature_names(shown)
            else:
                names.append(shown)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"two columns of the output would be named {twice!r}: rename one of X")
        return np.array(names, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []  # the vectors are float32
        return tags

    def _frame(self, X, reset):
        """X as a DataFrame, columns numbered where it has no names."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return (
                X if hasattr(self, "feature_names_in_") else X.set_axis(range(X.shape[1]), axis=1)
            )
        X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return pd.DataFrame(X, columns=getattr(self, "feature_names_in_", None))

    def _names(self):
        return list(getattr(self, "feature_names_in_", range(self.n_features_in_)))

    def _wanted(self, names, known):
        """{column of X: column of the set}"""
        if self.columns is None:
            wanted = {name: name for name in names if name in known}
            if not wanted:
                raise InputError(
                    f"{self.folder} knows none of the columns of X: it has {_listed(known)}; map "
                    "them with columns={column of X: column of the set}"
                )
            return wanted
        same = not isinstance(self.columns, dict)
        wanted = {name: name for name in self.columns} if same else self.columns
        for name, source in wanted.items():
            if name not in names:
                raise InputError(f"columns names {name!r}, which X does not have")
            if source not in known:
                raise InputError(f"{self.folder} has no column {source!r}: {_listed(known)}")
        return wanted

    def _width(self, name):
        """Columns of the output that a replaced column becomes."""
        if name in self.dates_:
            return len(self.dates_[name].feature_names(name))
        return self.vectors_[name].shape[1]

    def _warn_of(self, unknown):
        """Warn of columns with categories that the set does not know: {column: share of rows}."""
        told = [f"{share:.1%} of the rows of {name!r}" for name, share in unknown.items() if share]
        if told:
            warnings.warn(
                f"{self.folder} does not know the category of {', '.join(told)}: these rows get "
                "the vector for unseen categories",
                stacklevel=4,
            )

    def _categories(self, name, reserved):
        values = [*reserved, *self.vocabularies_[name].values]
        return np.array([*values, ()], dtype=object)[:-1]  # () keeps NumPy from making numbers


class DateParts:
    """A date column as a set has taken it apart.

    Args:
        manifest, arrays: of the set; column: its date column.
        notation: `data.tables.notation.Notation`, how its dates were written.
    """

    def __init__(self, manifest, arrays, column, notation):
        self.column, self.notation = column, notation
        self.parts = {
            part: (saved_vocabulary(manifest, part).row_of_texts(), arrays[part])
            for part in calendar_columns(column)
            if part in manifest["columns"]
        }
        self.has_days = elapsed_column(column) in manifest.get("numeric", {})

    def look_up(self, values, name):
        """(float64 [rows, width], {part: share of rows whose category is unknown})"""
        where = f"X: the date column {name!r}"
        dates = to_dates(values, where, notation=self.notation, learned=True)
        columns, found, unknown = date_columns(self.column, dates), [], {}
        for part, (rows, vectors) in self.parts.items():
            vector, unknown[part] = look_up(rows, vectors, columns[part])
            found.append(vector)
        if self.has_days:
            found.append(columns[elapsed_column(self.column)][:, None])
        return np.hstack([np.empty((len(values), 0)), *found]), unknown

    def feature_names(self, shown):
        """The names of its columns in the output, for a column that is called `shown` there."""
        names = [
            f"{shown}{part.removeprefix(self.column)}_dim_{i}"
            for part, (_, vectors) in self.parts.items()
            for i in range(vectors.shape[1])
        ]
        return names + [elapsed_column(shown)] * self.has_days

    def dates(self, columns):
        """The dates again, datetime64[s], from their columns in the output."""
        if not self.has_days:
            raise InputError(f"'{self.column}' cannot be turned back: the set has no days of it")
        seconds = pd.Series(columns[:, -1].astype("float64") * 86400).round()
        return pd.to_datetime(seconds, unit="s").to_numpy("datetime64[s]")


def look_up(row_of_text, vectors, categories):
    """Vectors of one column, float32 [rows, size], and the share of rows that are unknown.

    Args:
        row_of_text: of `data.tables.encoding.Vocabulary.row_of_texts`.
        categories: pandas.Categorical with text categories.
    """
    rows = embedding_rows(categories, row_of_text)
    return vectors[rows], float(np.mean(rows == UNSEEN)) if len(rows) else 0.0


def _as_array(frame):
    """The frame's values, with NaN for the missing ones of pandas' own number types."""
    return check_array(frame, dtype=None, ensure_all_finite=False, ensure_min_samples=0)


def _listed(names):
    names = [str(name) for name in names]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
