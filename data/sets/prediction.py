"""Predictions of new rows by a saved model."""

import os
import tempfile
from pathlib import Path

import numpy as np

from data import InputError, one_line
from data.cli import LateImport, start_tensorflow
from data.progress import Progress, show_note
from data.sets.loading import check_file, read_set
from data.sets.manifest import saved_encoding, saved_settings
from data.sets.reuse import last_saved
from data.tables.cache import read_table
from data.tables.dates import calendar_columns, elapsed_column
from data.tables.dialect import dialect_of
from data.tables.encoding import EncodedRows
from data.tables.formats import column_names
from data.tables.sources import fetch_databases, find_files, table_name
from data.training.scoring import prediction_table, to_predictions

raw = LateImport("data.sets.raw_model")

PREDICTED_AT_ONCE = 131_072


def predict_rows(options):
    """Write predictions for rows without a target, in input order, beside the model."""
    if os.environ.get("TF_CONFIG"):
        show_note("--predict does not need TF_CONFIG: it runs on this machine alone.")
    folder = (options.embeddings or [last_saved("*/embed_model/embeddings.json")])[0]
    folder = folder / "embed_model" if (folder / "embed_model").is_dir() else folder
    manifest, _ = read_set(folder)
    if "model.keras" not in manifest["files"]:
        raise InputError(f"{folder} holds no model yet: run build_embed_model.py first.")
    model_file = check_file(folder, manifest, "model.keras")
    print(f"the model of {folder}")
    encoding, (settings, _) = saved_encoding(manifest, folder), saved_settings(manifest, folder)
    files = find_files(options.predict, "--predict")
    # New rows may come in another file format; their values are read as those of training.
    file = {name: getattr(options, name) for name in ("separator", "encoding", "sheet", "sql")}
    dialect = dialect_of(settings | file, {v.column: v for v in encoding.vocabularies})
    name = table_name(files, options.sql)
    output = options.output or folder / "predictions" / f"{name}.csv"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror}; name another file.") from None
    if output.is_dir():
        raise InputError(f"--output {output}: this is a folder; name the CSV file to write.")
    with tempfile.TemporaryDirectory(prefix=".", dir=output.parent) as work:
        features = feature_roles(encoding, settings)
        fetch_databases({"data": files}, dialect, Path(work))
        extra = [c for c in column_names(files[0], dialect) if c not in features]
        if extra:
            print(f"note: columns that are not needed: {one_line(', '.join(extra))[:200]}")
        table = read_table({"data": files}, features, Path(work), dialect=dialect)
        rows, target = EncodedRows(table, encoding), encoding.target
        start_tensorflow()
        network = raw.load_network(model_file, encoding)
        progress = Progress("predicting")
        unfinished = Path(work) / "predictions.csv"
        with open(unfinished, "w", encoding="utf-8", newline="") as file:
            for start in range(0, table.rows, PREDICTED_AT_ONCE):
                chosen = np.arange(start, min(start + PREDICTED_AT_ONCE, table.rows))
                inputs = {"codes": rows.codes(chosen)}
                if encoding.numerics:
                    inputs["numbers"] = rows.numbers(chosen)
                outputs = network.predict(inputs, batch_size=8192, verbose=0)
                lines = prediction_table(chosen, to_predictions(outputs, target), target)
                lines.to_csv(file, index=False, header=start == 0)
                progress(chosen[-1] + 1, (chosen[-1] + 1) / table.rows)
        unfinished.replace(output)
    progress.done(f"{table.rows:,} predictions of {folder} in {output}")


def feature_roles(encoding, settings):
    """How to read the columns of new rows: those that the model takes, dates whole."""
    features = {v.column: "categorical" for v in encoding.vocabularies}
    features |= {n.column: "numeric" for n in encoding.numerics}
    for column in settings["dates"] or []:
        for part in (*calendar_columns(column), elapsed_column(column)):
            features.pop(part, None)
        features[column] = "date"
    return features
