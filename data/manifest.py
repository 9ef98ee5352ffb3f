"""The manifest (embeddings.json): what makes saved arrays usable for ever, from a dataset and back.

`data.saving` writes and checks it; README.md of saved_embeddings/ explains it to users.
"""

import numpy as np

from data import InputError
from data.encoding import Encoding, Numeric, Target, Vocabulary
from data.publishing import FORMAT
from data.saving import VERSION, versions


def describe(dataset, name):
    """The manifest of a dataset's columns, before any file is written.

    Args:
        dataset: `data.dataset.Dataset`; name: of the table.

    Returns:
        dict, ready for `data.saving.write_vectors` and `data.saving.seal`.
    """
    encoding, target = dataset.encoding, dataset.encoding.target
    return {
        "format": FORMAT,
        "version": VERSION,
        "table": name,
        "columns": {v.column: describe_column(v) for v in encoding.vocabularies},
        "numeric": {
            n.column: {
                "role": "numeric",
                "center": n.center,
                "scale": n.scale,
                "missing": n.missing,
            }
            for n in encoding.numerics
        },
        "target": {
            "name": target.column,
            "task": target.task,
            "transform": target.transform,
            "mean": target.mean,
            "std": target.std,
            "classes": target.classes,
        },
        "split": {
            "seed": dataset.settings["seed"],
            "by": dataset.settings["split_by"],
            "rows": {part: len(rows) for part, rows in dataset.split.items()},
            "sources": dataset.sources,
        },
        "options": dataset.settings,
        "versions": versions(),
    }


def describe_column(vocabulary):
    """One entry of the manifest's "columns"."""
    entry = {
        "role": "categorical",
        "type": vocabulary.type,
        "vocabulary": vocabulary.values,
        "spellings": vocabulary.spellings,
        "cardinality": vocabulary.cardinality,
        "size": vocabulary.size,
        "rows": vocabulary.rows.tolist(),
    }
    if vocabulary.mean_target is not None:
        entry["mean_target"] = [
            None if np.isnan(mean) else mean for mean in vocabulary.mean_target.tolist()
        ]
    return entry


def saved_vocabulary(manifest, column):
    """The vocabulary of a saved column, as `data.dataset.read_dataset` takes it."""
    entry = manifest["columns"][column]
    return Vocabulary(
        column,
        entry["type"],
        entry["vocabulary"],
        dict(entry.get("spellings") or {}),
        saved_size=entry["size"],
    )


def saved_encoding(manifest):
    """The encoding that a saved model was trained with.

    Raises:
        InputError: the manifest lacks what is needed.
    """
    target = manifest["target"]
    try:
        return Encoding(
            [saved_vocabulary(manifest, column) for column in manifest["columns"]],
            [
                Numeric(column, float(n["center"]), float(n["scale"]), int(n["missing"]))
                for column, n in manifest["numeric"].items()
            ],
            Target(target["name"], **{k: v for k, v in target.items() if k != "name"}),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"embeddings.json of the model is damaged ({error!r}).") from None
