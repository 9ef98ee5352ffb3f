"""errors.csv: in which categories the test rows are predicted worst."""

from pathlib import Path

import numpy as np
import pandas as pd

from data.reports.categories import category_text

FEW_OF_A_CATEGORY = 10  # the mean error of fewer rows is mostly chance
ERRORS_KEPT = 1_000  # categories of a column in errors.csv


def write_errors(folder, manifest, blocks):
    """Write errors.csv: in which categories the test rows are predicted worst.

    Columns: column, embedding_row (0 missing, 1 unseen), category, rows (test rows), then
    mean_absolute_error, mean_actual and mean_predicted for a regression, log_loss, share_actual
    and mean_probability (of the second class) for two classes, log_loss alone for more. Largest
    first, categories with fewer than 10 test rows after the others, 1,000 a column.

    Args:
        folder: to write into.
        manifest: of the set.
        blocks: iterable of (codes, actual, predicted) for some test rows at a time: int
            [rows, columns], the embedding row in each column of the manifest; float [rows], or int
            class positions; float [rows, 2], mean and median, or probabilities [rows, classes].
    """
    columns, sums = manifest["columns"], None
    for codes, actual, predicted in blocks:
        values = _row_errors(np.asarray(actual), np.asarray(predicted, dtype=float))
        if sums is None:
            sums = {
                name: np.zeros((len(values) + 1, column["cardinality"]))
                for name, column in columns.items()
            }
        for j, total in enumerate(sums.values()):
            for kind, value in enumerate([np.ones(len(codes)), *values.values()]):
                total[kind] += np.bincount(codes[:, j], value, total.shape[1])
    tables = []
    for name, column in columns.items() if sums else ():
        rows, *totals = sums[name]
        present = np.flatnonzero(rows)
        table = {m: total[present] / rows[present] for m, total in zip(values, totals, strict=True)}
        table = pd.DataFrame({"rows": rows[present].astype("int64"), **table}, index=present)
        table["few"] = table["rows"] < FEW_OF_A_CATEGORY
        measure = table.columns[1]
        table = table.sort_values(["few", measure], ascending=[True, False], kind="stable")
        table = table.drop(columns="few").head(ERRORS_KEPT)
        texts = [category_text(column, row) or "(missing)" for row in table.index]
        table.insert(0, "category", texts)
        table.insert(0, "column", name)
        tables.append(table.rename_axis("embedding_row").reset_index())
    if tables:
        tables = pd.concat(tables)
        order = ["column", "embedding_row", "category", "rows"]
        tables = tables[order + [c for c in tables if c not in order]]
        tables.to_csv(Path(folder) / "errors.csv", index=False, errors="backslashreplace")


def _row_errors(actual, predicted):
    """What errors.csv gives the means of, the measure of the error first: dict of [rows]."""
    if actual.dtype.kind == "f":
        mean, median = predicted.T
        return {
            "mean_absolute_error": np.abs(actual - median),
            "mean_actual": actual,
            "mean_predicted": mean,
        }
    given = predicted[np.arange(len(actual)), actual]
    values = {"log_loss": -np.log(np.maximum(given, np.finfo(float).eps))}
    if predicted.shape[1] == 2:
        values |= {"share_actual": actual, "mean_probability": predicted[:, 1]}
    return values
