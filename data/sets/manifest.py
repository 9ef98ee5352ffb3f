"""The manifest (embeddings.json): what makes saved arrays usable for ever, from a dataset and back.

`data.sets.saving` writes and checks it; README.md of saved_embeddings/ explains it to users.
"""

import math
from pathlib import Path

import numpy as np

from data import InputError
from data.sets.publishing import FORMAT
from data.sets.saving import VERSION, versions
from data.tables.encoding import Encoding, Target, Vocabulary
from data.tables.notation import Notation
from data.tables.scaling import Numeric
from data.tables.settings import OPTION_OF, RECORDED
from data.tables.sources import fingerprint
from data.tables.sql import is_database

NEEDED = ("encoding", *OPTION_OF.values())  # recorded options that are never None


def describe(dataset, name):
    """The manifest of a dataset's columns, before any file is written.

    Args:
        dataset: `data.tables.dataset.Dataset`; name: of the table.

    Returns:
        dict, ready for `data.sets.saving.write_vectors` and `data.sets.saving.seal`.
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
            "shift": target.shift,
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
        "rows": vocabulary.counts.tolist(),
    }
    if vocabulary.mean_target is not None:
        entry["mean_target"] = [
            None if np.isnan(mean) else mean for mean in vocabulary.mean_target.tolist()
        ]
    return entry


def saved_vocabulary(manifest, column):
    """The vocabulary of a saved column, as `data.tables.dataset.read_dataset` takes it."""
    entry = manifest["columns"][column]
    return Vocabulary(
        column,
        entry["type"],
        entry["vocabulary"],
        dict(entry.get("spellings") or {}),
        saved_size=entry["size"],
    )


def saved_encoding(manifest, folder="."):
    """The encoding that a saved model was trained with.

    Args:
        folder: of the set, for messages.

    Raises:
        InputError: the manifest lacks what is needed.
    """
    target, numeric = manifest["target"], manifest.get("numeric", {})
    _need(isinstance(target["name"], str), folder, "target")
    _need(target["task"] in ("regression", "binary", "multiclass"), folder, "task")
    classes = target.get("classes")
    if target["task"] == "regression":
        _need(target.get("transform") in ("identity", "log1p"), folder, "transform")
        numbers = (target.get("mean"), target.get("std"), target.get("shift", 0.0))
        _need(_are_numbers(*numbers), folder, "target's scale")
    else:
        _need(isinstance(classes, list) and len(classes) >= 2, folder, "classes")
        _need({type(name) for name in classes} <= {str, int, float, bool}, folder, "classes")
        _need(target["task"] != "binary" or len(classes) == 2, folder, "classes")
    for n in numeric.values():
        _need(isinstance(n, dict), folder, "numeric columns")
        numbers = (n.get("center"), n.get("scale"), n.get("missing"))
        _need(_are_numbers(*numbers) and n["scale"] > 0, folder, "numeric columns")
    names = ("task", "transform", "mean", "std", "shift", "classes")
    return Encoding(
        [saved_vocabulary(manifest, column) for column in manifest["columns"]],
        [
            Numeric(column, float(n["center"]), float(n["scale"]), int(n["missing"]))
            for column, n in numeric.items()
        ],
        Target(target["name"], **{name: target[name] for name in names if name in target}),
    )


def saved_settings(manifest, folder):
    """How the table of a set was read.

    Args:
        folder: of the set, for messages.

    Returns:
        (settings as `data.tables.dataset.read_dataset` takes them, dict of part -> list of
        {"path": str, "sha256" or "id": str})

    Raises:
        InputError: the manifest lacks what is needed.
    """
    settings, sources = manifest.get("options", {}), manifest.get("split", {}).get("sources")
    _need(isinstance(settings, dict), folder, "options")
    # What a set lacks came as an option after it was saved.
    settings = {name: keywords.get("default") for name, keywords in RECORDED.items()} | settings
    for name, keywords in RECORDED.items():
        value = settings[name]
        known = _are_texts(value) if "nargs" in keywords else isinstance(value, str)
        _need(known or (value is None and name not in NEEDED), folder, name)
    seed = settings.get("seed")
    _need(type(seed) is int and 0 <= seed < 2**32, folder, "seed")
    _need(isinstance(sources, dict), folder, "sources")
    for entries in sources.values():
        _need(isinstance(entries, list), folder, "sources")
        for entry in entries:
            _need(isinstance(entry, dict) and "path" in entry, folder, "sources")
            _need(_are_texts([*entry.values()]), folder, "sources")
    # A set that was saved without them was read plainly.
    notations = settings.get("notations", {})
    _need(_are_notations(notations), folder, "notations")
    return settings | {"notations": notations}, sources


def recorded_table(manifest, folder):
    """How to read the very table again that a set was learned from.

    Returns:
        as `saved_settings`

    Raises:
        InputError: a file is gone or has changed. The rows of a database are compared when they
            are fetched, see `data.tables.fetched`.
    """
    settings, sources = saved_settings(manifest, folder)
    for part, entries in sources.items():
        _check_unchanged(entries)
        # Not what a glob or a folder holds by now.
        settings[OPTION_OF[part]] = [entry["path"] for entry in entries]
    return settings, sources


def _check_unchanged(entries):
    entries = [entry for entry in entries if not is_database(entry["path"])]
    for entry in entries:
        name = entry["path"]
        if not name.startswith("openml:") and not Path(name).exists():
            raise InputError(
                f"{name}: the table that the embeddings were learned from is not there; put it "
                "back, or name another with --data and --target."
            )
    if fingerprint([entry["path"] for entry in entries]) != entries:
        raise InputError(
            f"{entries[0]['path']}: the file has changed since the embeddings were learned; run "
            "build_embeddings.py again, or name it with --data and --target as another table."
        )


def _need(condition, folder, what):
    if not condition:
        raise InputError(
            f"{folder}/embeddings.json cannot be used: its {what} cannot be understood; restore "
            "the folder or train it again"
        )


def _are_notations(notations):
    try:
        return all(Notation(**entry).is_known() for entry in notations.values())
    except (AttributeError, TypeError):
        return False


def _are_numbers(*values):
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)


def _are_texts(values):
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
