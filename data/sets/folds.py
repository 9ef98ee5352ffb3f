"""folds.npz: the vectors of each fold of the training rows, learned without it, beside their mean.

Training rows are given these, so that a model does not trust what a vector has memorised of their
own targets; all other rows get the mean, which is in embeddings.npz.
"""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from data import InputError
from data.files import NO_ARCHIVE, read_array
from data.sets.loading import check_file, read_set
from data.sets.manifest import recorded_table, saved_vocabulary
from data.sets.names import file_names
from data.sets.saving import write_array
from data.tables.dataset import read_dataset
from data.training.folds import saved_tables, spread_of


def write_folds(folder, manifest, tables):
    """Write folds.npz, and how sure each vector is into the manifest: "spread" of each column.

    Call it before `data.sets.saving.write_vectors`, which writes the spread into the CSV files.

    Args:
        tables: dict of column -> float32 [folds, cardinality, size].
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stems = file_names(manifest["columns"])
    with zipfile.ZipFile(folder / "folds.npz", "w", zipfile.ZIP_STORED) as archive:
        for column, table in tables.items():
            write_array(archive, stems[column], np.ascontiguousarray(table, dtype="<f4"))
            manifest["folds"] = len(table)
            manifest["columns"][column]["spread"] = spread_of(table).round(6).tolist()


def read_folds(folder, manifest):
    """The tables of all folds: dict of column -> float32 [folds, cardinality, size], or None.

    Raises:
        InputError: folds.npz is not what was saved.
    """
    n_folds = manifest.get("folds")
    if n_folds is None:
        return None
    path, tables = check_file(folder, manifest, "folds.npz"), {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, column in manifest["columns"].items():
                shape = (n_folds, column["cardinality"], column["size"])
                tables[name] = read_array(archive, column["array"], shape, "<f4")
                if not np.isfinite(tables[name]).all():
                    raise ValueError("NaN or infinity")
    except (*NO_ARCHIVE, ValueError, TypeError, OSError) as error:
        raise InputError(
            f"{path} cannot be used ({type(error).__name__}); train the set again"
        ) from error
    return tables


def fold_tables(folder, manifest):
    """`data.training.folds.FoldTables` of a set, or None where it was not cross-fitted."""
    vectors = read_folds(folder, manifest)
    return None if vectors is None else saved_tables(vectors, manifest["split"]["seed"])


def out_of_fold_vectors(folder):
    """The vectors of the training rows that were learned without them, for any other model.

    A model that is trained on these does not trust what a vector has memorised of a row's own
    target. New rows get the vectors of `load_embeddings`, or of `EmbeddingTransformer`.

        train = out_of_fold_vectors("saved_embeddings/sales")

    Args:
        folder: a saved set whose table is still where it was.

    Returns:
        DataFrame, float32, indexed by the rows' numbers in the table (from 0), with the columns
        <column>_dim_0, <column>_dim_1, ...

    Raises:
        InputError: the set was not cross-fitted, as none of its categories is rare, or its table is
            gone or has changed.
    """
    manifest, _ = read_set(folder)
    folds = fold_tables(folder, manifest)
    if folds is None:
        raise InputError(
            f"{folder} holds one vector a category: none is rare, so use load_embeddings."
        )
    vocabularies = {column: saved_vocabulary(manifest, column) for column in manifest["columns"]}
    settings, sources = recorded_table(manifest, folder)
    with tempfile.TemporaryDirectory() as work:
        dataset = read_dataset(settings, Path(work), vocabularies, recorded=sources)
        row_ids = dataset.split["train"][:]
        codes, parts = dataset.encoded.codes(row_ids), []
        for j, (column, tables) in enumerate(folds.vectors.items()):
            names = [f"{column}_dim_{i}" for i in range(tables.shape[2])]
            found = tables[folds.table_of(row_ids, 0), codes[:, j]]
            parts.append(pd.DataFrame(found, columns=names))
        index = pd.Index(dataset.table.source_rows(row_ids), name="row")
        return pd.concat(parts, axis=1).set_index(index)
