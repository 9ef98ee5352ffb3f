"""Saved vectors in scikit-learn: the same embeddings in any other model, without TensorFlow."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from data import InputError
from data.reports import neighbours
from data.sets.loading import read_set
from data.sets.manifest import saved_vocabulary
from data.tables.encoding import MISSING, RESERVED
from data.tables.values import to_categories


class EmbeddingTransformer(TransformerMixin, BaseEstimator):
    """Replace categorical columns by their saved vectors; other columns stay as they are.

    A column becomes <column>_dim_0, <column>_dim_1, ... in its place. A missing value becomes
    row 0 of the embedding and a category that the set does not know row 1. Values match by what
    they are: where the set holds numbers 1, 1.0 and "1" are one category, where it holds text
    "1" and "01" are two.

    Nothing is learned from the rows; `fit` reads and checks the files, and from then on the
    transformer (pickled, too) needs them no more. It works alone in a Pipeline, and within a
    ColumnTransformer that hands it its columns.

        model = make_pipeline(
            EmbeddingTransformer("saved_embeddings/campaigns"),
            HistGradientBoostingRegressor(),
        )

    Args:
        folder: a saved set, `saved_embeddings/<table>` or its `embed_model`.
        columns: None takes every column of X that the set has under the same name; a list takes
            these alone; a dict gives {column of X: column of the set} where names differ, and
            {position: column of the set} for an X without names. Several columns of X may share
            one of the set.

    Attributes:
        vocabularies_: {column of X: data.tables.encoding.Vocabulary}
        vectors_: {column of X: float32 [cardinality, size]}

    Raises:
        InputError (a ValueError): the folder holds no usable set, or a column is not in it or X.
    """

    def __init__(self, folder, columns=None):
        self.folder = folder
        self.columns = columns

    def fit(self, X, y=None):
        """Read the set and find its columns in X, a DataFrame or array [rows, columns]."""
        names = list(self._frame(X, reset=True).columns)
        manifest, arrays = read_set(self.folder)
        self.vocabularies_, self.vectors_ = {}, {}
        for name, source in self._wanted(names, manifest["columns"]).items():
            self.vocabularies_[name] = saved_vocabulary(manifest, source)
            self.vectors_[name] = arrays[source]
        self.n_features_out_ = len(self.get_feature_names_out())
        return self

    def transform(self, X):
        """Return X with vectors in place of categories, [rows, n_features_out_].

        float32 where all columns are replaced; otherwise the dtype that holds the others, too.
        """
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        parts = [
            self._look_up(name, frame.iloc[:, i])
            if name in self.vectors_
            else _as_array(frame.iloc[:, [i]])
            for i, name in enumerate(frame.columns)
        ]
        if len({part.dtype.kind in "biuf" for part in parts}) > 1:
            parts = [part.astype(object) for part in parts]  # numbers must not become text
        return np.hstack(parts)

    def inverse_transform(self, X):
        """Return categories in place of vectors: a DataFrame with the columns of the fitted X.

        Each vector becomes the category whose vector lies nearest; it is missing where that is
        the vector of a missing value or of an unseen category.
        """
        check_is_fitted(self)
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_features_out_:
            raise ValueError(f"X has shape {X.shape}, not (rows, {self.n_features_out_})")
        columns, start = [], 0
        for name in self._names():
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
                names += [f"{shown}_dim_{i}" for i in range(self.vectors_[name].shape[1])]
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

    def _look_up(self, name, values):
        """Vectors of one column of X, float32 [rows, size]."""
        categories = to_categories(values, "X", name)
        rows = np.append(self.vocabularies_[name].find(list(categories.categories)), MISSING)
        return self.vectors_[name][rows[categories.codes]]

    def _categories(self, name, reserved):
        values = [*reserved, *self.vocabularies_[name].values]
        return np.array([*values, ()], dtype=object)[:-1]  # () keeps NumPy from making numbers


def _as_array(frame):
    """The frame's values, with NaN for the missing ones of pandas' own number types."""
    return check_array(frame, dtype=None, ensure_all_finite=False, ensure_min_samples=0)


def _listed(names):
    names = [str(name) for name in names]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
