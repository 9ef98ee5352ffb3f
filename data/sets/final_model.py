"""A saved final model for new rows: what `load_model` and --predict share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.cli import LateImport
from data.sets.loading import check_file, read_set
from data.sets.manifest import saved_encoding, saved_settings
from data.tables.dates import calendar_columns, date_columns, elapsed_column
from data.tables.dialect import dialect_of
from data.tables.encoding import MISSING, RESERVED, embedding_rows
from data.tables.formats import as_columns, check_present
from data.tables.scaling import as_float32, scaled
from data.training.scoring import prediction_table

raw = LateImport("data.sets.raw_model")
results = LateImport("data.training.results")

PREDICTED_AT_ONCE = 131_072  # rows


def load_model(folder):
    """The final model of a saved set, to predict the rows of DataFrames.

        model = load_model("saved_embeddings/campaigns")
        model.predict(frame)  # DataFrame: predicted, ...
        model.known(frame)  # Series: share of the rows whose category is known, by column

    Args:
        folder: of a set whose final model build_embed_model.py has trained, or its embed_model/.

    Returns:
        FinalModel

    Raises:
        InputError (a ValueError): the folder holds no model, or a damaged one.
    """
    model = FinalModel(folder)
    model.load()
    return model


class FinalModel:
    """A trained model with what turns raw rows into its inputs.

    Attributes:
        folder: where it is saved.
        encoding: `data.tables.encoding.Encoding` of its columns.
        dialect: `data.tables.dialect.Dialect` of the table that it was trained on.
        roles: dict of column that new rows must have -> "categorical", "numeric" or "date".
    """

    def __init__(self, folder):
        folder = Path(folder)
        self.folder = folder / "embed_model" if (folder / "embed_model").is_dir() else folder
        self._manifest, _ = read_set(self.folder)
        if "model.keras" not in self._manifest["files"]:
            raise InputError(f"{folder} holds no model yet: run build_embed_model.py first.")
        self.encoding = saved_encoding(self._manifest, self.folder)
        self._settings = saved_settings(self._manifest, self.folder)[0]
        self.read_as()
        self.roles = feature_roles(self.encoding, self._settings)
        self._predict = None

    def read_as(self, **options):
        """Take new rows from files that are written otherwise than those of training.

        Args:
            options: of `data.tables.settings.TABLE_OPTIONS`, such as separator and encoding.
        """
        vocabularies = {v.column: v for v in self.encoding.vocabularies}
        self.dialect = replace(dialect_of(self._settings | options, vocabularies), part="new")
        self._rows = [
            v.row_of_texts(self.dialect.missing_texts(v.column)) for v in self.encoding.vocabularies
        ]

    def load(self):
        """Read model.keras, which takes TensorFlow; `predict` does it where it was not done."""
        if self._predict is None:
            path = check_file(self.folder, self._manifest, "model.keras")
            network = raw.load_network(path, self.encoding)
            self._predict = results.predictor(network, self.encoding.target)

    def predict(self, frame):
        """What the model predicts for the rows of a DataFrame as pandas reads it: numbers, NaN,
        text, categories, whole dates; other columns than the model's do not matter.

        Returns:
            DataFrame with the frame's index: predicted and predicted_median for a regression, else
            predicted and probability_<class> of each class.

        Raises:
            InputError: a column is absent, or text stands where numbers or dates should be.
        """
        check_present(self.roles, list(frame.columns), "the DataFrame")
        parts = []
        for start in range(0, max(len(frame), 1), PREDICTED_AT_ONCE):
            part = frame.iloc[start : start + PREDICTED_AT_ONCE]
            columns = as_columns(part, self.roles, self.dialect, "the DataFrame", start)
            parts.append(self.predict_columns(columns, start).drop(columns="row"))
        return pd.concat(parts).set_axis(frame.index)

    def known(self, frame):
        """The share of a DataFrame's rows whose category the model knows, missing ones aside.

        Returns:
            float Series by categorical column; a date's are those of its parts.
        """
        check_present(self.roles, list(frame.columns), "the DataFrame")
        columns = as_columns(frame, self.roles, self.dialect, "the DataFrame")
        counts = Known(self.encoding)
        counts.add(self.inputs(columns))
        return counts.shares()

    def missing_in_training(self):
        """float Series by numeric column: the share of the training rows without a number."""
        column = self.encoding.vocabularies[0].column
        rows = sum(self._manifest["columns"][column]["rows"])
        return pd.Series({n.column: n.missing / rows for n in self.encoding.numerics}, dtype=float)

    def predict_columns(self, columns, first_row=0, known=None):
        """Predictions of one part of a table.

        Args:
            columns: dict of column -> values, of `data.tables.formats.chunks`.
            first_row: the number of the first of these rows; known: Known, to count them.

        Returns:
            DataFrame of `data.training.scoring.prediction_table`.
        """
        self.load()
        inputs = self.inputs(columns)
        if known is not None:
            known.add(inputs)
        predicted = self._predict(inputs["codes"], inputs.get("numbers"))
        row_ids = np.arange(first_row, first_row + len(predicted))
        return prediction_table(row_ids, predicted, self.encoding.target)

    def inputs(self, columns):
        """What the network takes: {"codes": int32 [rows, categorical columns], "numbers": float32
        [rows, numeric columns]}, as `data.tables.encoding.EncodedRows` gives it."""
        columns = dict(columns)
        for column, role in self.roles.items():
            if role == "date":
                columns |= date_columns(column, columns.pop(column))
        codes = [
            embedding_rows(columns[vocabulary.column], rows)
            for vocabulary, rows in zip(self.encoding.vocabularies, self._rows, strict=True)
        ]
        numbers = [
            scaled(as_float32(columns[n.column]), n.center, n.scale) for n in self.encoding.numerics
        ]
        inputs = {"codes": np.stack(codes, axis=1)}
        return inputs | ({"numbers": np.stack(numbers, axis=1)} if numbers else {})


def feature_roles(encoding, settings):
    """How to read the columns of new rows: those that the model takes, dates whole."""
    features = {v.column: "categorical" for v in encoding.vocabularies}
    features |= {n.column: "numeric" for n in encoding.numerics}
    for column in settings["dates"] or []:
        for part in (*calendar_columns(column), elapsed_column(column)):
            features.pop(part, None)
        features[column] = "date"
    return features


class Known:
    """Counts the rows whose category a model knows, and those that lack a number."""

    def __init__(self, encoding):
        self.columns = [vocabulary.column for vocabulary in encoding.vocabularies]
        self.numeric = [numeric.column for numeric in encoding.numerics]
        self.n_rows = 0
        self.n_known, self.n_present = np.zeros((2, len(self.columns)), "int64")
        self.n_missing = np.zeros(len(self.numeric), "int64")

    def add(self, inputs):
        """Count more rows: what `FinalModel.inputs` gives."""
        codes = inputs["codes"]
        self.n_rows += len(codes)
        self.n_known += (codes >= RESERVED).sum(axis=0)
        self.n_present += (codes != MISSING).sum(axis=0)
        if self.numeric:
            self.n_missing += np.isnan(inputs["numbers"]).sum(axis=0)

    def shares(self):
        """float Series by column: known ones of those present; 1 where none is."""
        shares = np.where(self.n_present > 0, self.n_known / np.maximum(self.n_present, 1), 1.0)
        return pd.Series(shares, index=self.columns, name="known")

    def missing(self):
        """float Series by numeric column: the share of the rows without a number."""
        return pd.Series(self.n_missing / max(self.n_rows, 1), index=self.numeric)
