"""Which saved column serves which column of a table, and which saved models fit it."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from data import InputError, one_line
from data.progress import show_note
from data.sets.loading import check_file, read_set
from data.sets.manifest import saved_encoding, saved_settings
from data.sets.reuse import SavedColumn
from data.tables.encoding import RESERVED, UNSEEN, Encoding, Vocabulary


@dataclass
class SavedModel:
    """The final model of a set, beside this table.

    Attributes:
        set: folder of the set whose model it is.
        path: of its model.keras; sha256: of that file.
        encoding: with the names of this table's columns.
        lacking: list of str, what this table has not; a model that lacks something is of no use.
    """

    set: str
    path: Path
    sha256: str
    encoding: Encoding
    lacking: list = field(default_factory=list)


def match(dataset, sets, saved, options):
    """Tell which saved column serves which column, and find the saved models that fit the table.

    Returns:
        (what the manifest says of the sets used, list of SavedModel)
    """
    check_uses(dataset, options)
    check_test_rows(dataset, sets)
    matches = match_columns(dataset, saved)
    show_matches(matches)
    sources = sources_of(matches)
    models = saved_models(dataset, sources) if options.data else []
    show_models(models)
    models = [model for model in models if not model.lacking]
    return with_models(sources, models), models


def check_uses(dataset, options):
    """Raise InputError if --use names a column that is not one of the categorical ones."""
    columns = [vocabulary.column for vocabulary in dataset.encoding.vocabularies]
    for use in options.use or []:
        column = use.rpartition("=")[2]
        if column not in columns:
            raise InputError(
                f"--use {use}: the table has no categorical column '{column}'; those are "
                f"{', '.join(columns)}."
            )


def check_test_rows(dataset, sets):
    """Refuse, or tell of, a table that a set has learned from and that is now split otherwise: rows
    that trained the vectors would be test rows.

    Raises:
        InputError: the target is the set's own, too, whose values the vectors know.
    """
    target, drawn = dataset.encoding.target, not dataset.settings["test_data"]
    for name, saved in sets.items():
        settings, sources = saved_settings(saved.manifest, saved.folder)
        if not drawn or _contents(sources).isdisjoint(_contents(dataset.sources)):
            continue
        if _is_split_alike(dataset, saved.manifest, settings):
            continue
        if settings["target"] == target.column:
            raise InputError(
                f"--data: '{name}' has learned '{target.column}' from this very table, split in "
                "another way, so test rows would be among those that it has learned from; leave "
                "out --data and --target to use the set on its own table, or give other rows."
            )
        show_note(
            f"'{name}' has learned from rows of this very table that are test rows here, which "
            "may flatter; give other rows in --test-data, or split as it was split then."
        )


def _contents(sources):
    """What identifies the content of a table's files or rows: set of str."""
    return {entry.get("sha256", entry.get("id")) for entry in sources["data"]}


def _is_split_alike(dataset, manifest, settings):
    """Whether the table is split in the very rows of the set."""
    names = ["split_by", "group", "test_data", "validation_data"]
    if settings["split_by"] is None:
        names.append("seed")
        if dataset.encoding.target.task != "regression":  # whose classes have a share of each part
            names.append("target")
        names.append("task")
    rows = {part: len(rows) for part, rows in dataset.split.items()}
    alike = all(settings[name] == dataset.settings[name] for name in names)
    return alike and rows == manifest["split"].get("rows")


@dataclass
class Match:
    """A column of the table beside the saved one that serves it, if any.

    Attributes:
        saved: SavedColumn or None; known: the share of the rows whose category it knows.
    """

    vocabulary: Vocabulary
    saved: SavedColumn = None
    known: float = None


def match_columns(dataset, saved):
    """A Match for each categorical column of the table.

    Raises:
        InputError: no column has saved vectors, or two sets have them, or a set knows no category
            of its column.
    """
    matches = []
    for vocabulary in dataset.encoding.vocabularies:
        column = vocabulary.column
        if column not in saved:
            matches.append(Match(vocabulary))
            continue
        found = saved[column]
        if len(found.sets) > 1:
            raise InputError(
                f"--embeddings: {' and '.join(each.name for each in found.sets)} both have "
                f"'{column}'; choose with --use {found.sets[0].name}:{found.name}={column}."
            )
        present = vocabulary.counts[UNSEEN:].sum()  # missing values have a vector of their own
        n_vectors = len(found.vectors)
        known = vocabulary.counts[RESERVED:n_vectors].sum() / present if present else 1.0
        if known == 0 and n_vectors > RESERVED:  # one learned without any category stays
            raise InputError(
                f"--data: the set '{found.sets[0].name}' knows no category of '{column}'; name "
                f"another column with --use, or leave it out with --drop."
            )
        matches.append(Match(vocabulary, found, known))
    if not any(match.saved for match in matches):
        raise InputError(
            "--data: no column has saved vectors; say which one serves which column with "
            "--use SAVED=COLUMN."
        )
    return matches


def show_matches(matches):
    """Print which saved column serves which column, and how much of the table it knows."""
    lines, notes = [], []
    for match in matches:
        line = {"column": one_line(match.vocabulary.column), "saved set": "none, learned here"}
        line["known"] = ""
        if match.saved:
            name = match.saved.sets[0].name
            line["saved set"] = one_line(f"{name}: {match.saved.name}")
            line["known"] = f"{match.known:.0%}"
            if match.known < 0.5:
                notes.append(
                    f"'{match.vocabulary.column}': '{name}' knows the category of "
                    f"{match.known:.0%} of the rows only."
                )
        lines.append(line)
    print(pd.DataFrame(lines).to_string(index=False))
    for note in notes:
        show_note(note)


def sources_of(matches):
    """What the manifest says of the sets used.

    Returns:
        list of {"set": folder, "sha256": of its embeddings.npz, "columns": {column: saved}}
    """
    found = {}
    for match in matches:
        if match.saved:
            (saved,) = match.saved.sets
            source = {
                "set": str(saved.folder),
                "sha256": saved.manifest["files"]["embeddings.npz"],
                "columns": {},
            }
            source = found.setdefault(saved.name, source)
            source["columns"][match.vocabulary.column] = match.saved.name
    return list(found.values())


def saved_models(dataset, sources):
    """The final models of the sets, with what this table lacks for each.

    Args:
        sources: of `sources_of`.

    Returns:
        list of SavedModel

    Raises:
        InputError: a file is not what was saved.
    """
    found = []
    for source in sources:
        folder = Path(source["set"])
        folder = folder if (folder / "model.keras").exists() else folder / "embed_model"
        if not (folder / "model.keras").exists():
            continue
        manifest, _ = read_set(folder)
        model = SavedModel(
            source["set"],
            check_file(folder, manifest, "model.keras"),
            manifest["files"]["model.keras"],
            saved_encoding(manifest, folder),
        )
        serving = {saved: column for column, saved in source["columns"].items()}
        model.lacking = lacking_columns(dataset, model.encoding, serving)
        if len(serving) < len(source["columns"]):
            model.lacking.append("column of its own for each saved one")
        for vocabulary in model.encoding.vocabularies:
            vocabulary.column = serving.get(vocabulary.column)
        found.append(model)
    return found


def lacking_columns(dataset, encoding, serving):
    """Which columns of a saved model's encoding this table does not have in the same role.

    Args:
        serving: dict of saved column -> column of this table that it serves.
    """
    mine = {vocabulary.column: vocabulary.values for vocabulary in dataset.encoding.vocabularies}
    numerics = {numeric.column for numeric in dataset.encoding.numerics}
    lacking = []
    for vocabulary in encoding.vocabularies:
        values = mine.get(serving.get(vocabulary.column), [])
        if values[: len(vocabulary.values)] != vocabulary.values or not values:
            lacking.append(f"categorical column '{vocabulary.column}'")
    return lacking + [
        f"numeric column '{n.column}'" for n in encoding.numerics if n.column not in numerics
    ]


def show_models(models):
    """Print which saved models give one more number, and which do not, and why."""
    for model in models:
        target, folder = one_line(model.encoding.target.column), one_line(str(model.path.parent))
        if model.lacking:
            lacking = ", no ".join(model.lacking)
            show_note(
                f"what {folder} expects of {target} is not used: this table has no {lacking}."
            )
        else:
            told = f"one more number to learn from: the {target} that {folder} expects"
            print(one_line(told))


def with_models(sources, models):
    """The sources of `sources_of`, each with the model of its set that is used, if any: path,
    sha256 and target."""
    used = {
        model.set: {
            "path": str(model.path),
            "sha256": model.sha256,
            "target": model.encoding.target.column,
        }
        for model in models
    }
    return [
        source | ({"model": used[source["set"]]} if source["set"] in used else {})
        for source in sources
    ]
