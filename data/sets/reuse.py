"""Saved sets for another table: which are taken up, and for which table."""

from dataclasses import dataclass
from pathlib import Path

from data import InputError
from data.cli import SAVED, output_folder
from data.progress import show_note
from data.sets.loading import read_set
from data.sets.manifest import recorded_table, saved_settings, saved_vocabulary
from data.tables.settings import given, settings_of


@dataclass
class SavedSet:
    """A set as it was read: its name, folder, manifest, and column -> vectors."""

    name: str
    folder: Path
    manifest: dict
    vectors: dict


@dataclass
class SavedColumn:
    """A column of a saved set that is to serve a column of the table.

    Attributes:
        sets: list of SavedSet that have it; more than one must be chosen from with --use.
        name: the column's, in the set.
        column: the column's, in the table.
    """

    sets: list
    name: str
    column: str

    @property
    def vectors(self):
        """float32 [cardinality, size]"""
        return self.sets[0].vectors[self.name]

    def vocabulary(self):
        """Its vocabulary, under the name of the column that it serves."""
        vocabulary = saved_vocabulary(self.sets[0].manifest, self.name)
        vocabulary.column = self.column
        return vocabulary


def add_options(group):
    """The options that say which saved vectors serve which columns."""
    group.add_argument(
        "--embeddings",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="sets that build_embeddings.py saved, or the embed_model/ in one, whose vectors have "
        "learned for longer (default: the one saved last)",
    )
    group.add_argument(
        "--use",
        nargs="+",
        metavar="SAVED=COLUMN",
        help="a saved column for a column of another name; SET:SAVED=COLUMN where two sets have it",
    )


def load_sets(options):
    """The saved sets to use: those named, else the one at --output, else the one saved last.

    Returns:
        dict of name -> SavedSet
    """
    folders, output = options.embeddings, options.output
    if not folders:
        has_set = options.data is None and output and (output / "embeddings.json").exists()
        folders = [output if has_set else last_saved("*/embeddings.json")]
    sets = {}
    for folder in folders:
        whole = Path(folder).resolve()
        name = whole.parent.name if whole.name == "embed_model" else whole.name
        if name in sets:
            raise InputError(f"--embeddings: two sets are named '{name}'; rename one's folder.")
        sets[name] = SavedSet(name, whole, *read_set(folder))
    return sets


def only_set(sets):
    """(folder, manifest) of the one set."""
    (saved,) = sets.values()
    return saved.folder, saved.manifest


def last_saved(pattern):
    """The folder in saved_embeddings/ that was written last."""
    found = sorted(SAVED.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(
            "--embeddings: saved_embeddings/ holds nothing yet; run build_embeddings.py first."
        )
    return found[-1].parent


def resolve_run(options, sets):
    """What is to be learned: the table that the embeddings were learned from, or another one.

    Returns:
        (name of the table, output folder, settings for `read_dataset`, what the manifest says of
        its sources or None)
    """
    if options.data is None:
        if len(sets) > 1:
            raise InputError("--data: name the table on which the sets are to be used.")
        (saved,) = sets.values()
        folder, manifest = saved.folder, saved.manifest
        if "sources" in manifest:
            raise InputError(
                f"--embeddings {folder}: these vectors have learned with a final model from its "
                "table, maybe from its validation rows too; name another table with --data and "
                "--target, or the set of build_embeddings.py."
            )
        for option in given(options):
            raise InputError(
                f"{option}: recorded with the embeddings already; it is only needed with --data."
            )
        output = options.output or folder
        if (output / "embeddings.json").exists() and not output.samefile(folder):
            raise InputError(
                f"--output {output}: there is another set than {folder}, whose vectors are to be "
                "used; name that one in --embeddings, or another --output."
            )
        return manifest["table"], output, *recorded_table(manifest, folder)
    return *output_folder(options), settings_of(options), None


def choose_columns(sets, options):
    """Which saved column serves which column of the table.

    Returns:
        dict of column -> SavedColumn
    """
    homes = {}
    for saved in sets.values():
        for column in saved.manifest["columns"]:
            homes.setdefault(column, []).append(saved)
    chosen = {column: SavedColumn(found, column, column) for column, found in homes.items()}
    for use in options.use or []:
        saved, equals, column = use.rpartition("=")
        name, colon, rest = saved.partition(":")
        if colon and name in sets and rest in sets[name].manifest["columns"]:
            candidates, saved = [sets[name]], rest
        else:
            candidates = homes.get(saved, [])
        if not equals or not candidates:
            wrong = f"no set has '{saved}'" if equals else "write SAVED=COLUMN or SET:SAVED=COLUMN"
            raise InputError(
                f"--use {use}: {wrong}; the saved columns are {', '.join(sorted(homes))}."
            )
        if len(candidates) > 1:
            raise InputError(
                f"--use {use}: {' and '.join(c.name for c in candidates)} both have '{saved}'; "
                f"write {candidates[0].name}:{saved}={column}."
            )
        chosen[column] = SavedColumn(candidates, saved, column)
    return chosen


def saved_vocabularies(saved):
    """dict of column -> Vocabulary, as `data.tables.dataset.read_dataset` takes them."""
    return {column: found.vocabulary() for column, found in saved.items()}


def numeric_columns(sets):
    """The columns that were numeric in any of the sets' tables; their final models take them."""
    settings = [saved_settings(saved.manifest, saved.folder)[0] for saved in sets.values()]
    return {column for each in settings for column in each["numeric"] or []}


def show_plan(dataset, ways, sets):
    """Print what becomes of the saved vectors, and whether the rows are split otherwise than the
    sets' own."""
    told = ["a network from scratch beside them" if way == "scratch" else way for way in ways]
    print(f"saved vectors: {' and '.join(told)}")
    drawn = [part for part in ("validation", "test") if not dataset.settings[f"{part}_data"]]
    for name, saved in sets.items():
        column = saved_settings(saved.manifest, saved.folder)[0]["split_by"]
        if drawn and dataset.settings["split_by"] is None and column in dataset.roles:
            show_note(
                f"'{name}' was split in the order of '{column}', this table's "
                f"{' and '.join(drawn)} rows are drawn at random, which may flatter; --split-by "
                f"{column} takes the latest."
            )
