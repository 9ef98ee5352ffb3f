"""--predict: new rows in files -> a CSV file of predictions, in input order, a part at a time."""

import contextlib
import csv
import dataclasses
import itertools
import os
import tempfile
from pathlib import Path

import pandas as pd

from data import InputError, one_line
from data.cli import refuse_ignored, start_tensorflow
from data.files import csv_quoting, written_whole
from data.progress import Progress, show_note
from data.sets.final_model import PREDICTED_AT_ONCE, FinalModel, Known
from data.sets.names import file_names
from data.sets.publishing import is_in_a_set
from data.sets.reuse import last_saved
from data.tables.compressed import COMPRESSED
from data.tables.formats import READER_OF, check_present, chunks, column_names
from data.tables.sources import fetch_databases, find_files, table_name
from data.tables.sql import is_database
from data.training.scoring import prediction_columns

# New rows may come in another format.
FILE_OPTIONS = ("separator", "quote", "encoding", "sheet", "sql")
# What --predict takes; it would do nothing with any other option.
OPTIONS = ("predict", "embeddings", "output", "replace", "with_input", "key", *FILE_OPTIONS)
OTHER_ENDINGS = {*COMPRESSED, *READER_OF} - {".csv", ".txt"}


def add_options(parser):
    """The options of --predict."""
    parser.add_argument(
        "--predict",
        nargs="+",
        metavar="FILE",
        help="predict new rows with the model saved last, or that of --embeddings, and do nothing "
        "else; --output names the CSV",
    )
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--with-input",
        action="store_true",
        help="with --predict: put the columns of the new rows before the predictions",
    )
    rows.add_argument(
        "--key",
        nargs="+",
        metavar="COLUMN",
        help="with --predict: put these columns of the new rows before the predictions",
    )


def check_options(parser, options):
    """Raise InputError about an option that would do nothing, with --predict or without."""
    if options.predict:
        refuse_ignored(parser, options, OPTIONS, "--predict does nothing with it")
    else:
        others = set(vars(options)) - {"with_input", "key"}
        refuse_ignored(parser, options, others, "it goes with --predict")


def predict_rows(options):
    """Write predictions for rows without a target, and say how much of them the model knows."""
    if os.environ.get("TF_CONFIG"):
        show_note("--predict does not need TF_CONFIG: it runs on this machine alone.")
    if len(options.embeddings or []) > 1:
        raise InputError("--embeddings: name one set; --predict uses one model.")
    folder = (options.embeddings or [last_saved("*/embed_model/embeddings.json")])[0]
    model = FinalModel(folder)
    print(f"the model of {one_line(str(model.folder))}")
    model.read_as(**{name: getattr(options, name) for name in FILE_OPTIONS})
    files = find_files(options.predict, "--predict")
    added = prediction_columns(model.encoding.target)
    output = output_file(options, model, files, added)
    with fetched_beside(output, files, model.dialect):
        kept = kept_columns(options, files, model, added)
        for name in files:
            check_present(model.roles, column_names(name, model.dialect), name)
        start_tensorflow()
        known = Known(model.encoding)
        n_rows = write_predictions(model, files, kept, output, known)
    show_known(known, model)
    print(f"{n_rows:,} predictions of {one_line(str(model.folder))} in {one_line(str(output))}")


def output_file(options, model, files, added):
    """The CSV file to write: --output, else one in a folder beside the set.

    Raises:
        InputError: it would replace new rows, a part of a set, or a file that is none of ours, or
            it cannot be written.
    """
    home = model.folder.parent if model.folder.name == "embed_model" else model.folder
    (stem,) = file_names([table_name(files, options.sql)]).values()
    default = home.resolve().with_name(f"{home.resolve().name}-predictions") / f"{stem}.csv"
    output = Path(options.output or default)
    if output.is_dir():
        raise InputError(f"--output {output}: this is a folder; name the CSV file to write.")
    if output.suffix.lower() in OTHER_ENDINGS:
        raise InputError(f"--output {output}: predictions are CSV; name a .csv file.")
    if output.exists() and not output.is_file():
        raise InputError(f"--output {output}: this is no plain file; name a .csv file.")
    if any(_same(output, name) for name in files):
        raise InputError(f"--output {output}: this file holds the new rows; name another.")
    if is_in_a_set(output):
        raise InputError(f"--output {output}: this is in a saved set; name a file elsewhere.")
    if output.exists() and not options.replace and not _ends_with(output, added):
        raise InputError(
            f"--output {output}: this file is there already and holds no predictions; name "
            "another, or give --replace."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror}; name another file.") from None
    return output


def _same(output, name):
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(output, name)
    return False


def _ends_with(path, columns):
    """Whether the last columns of a CSV file have these names, as files of predictions have."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])[-len(columns) :] == columns
    except (OSError, UnicodeError, csv.Error):
        return False


@contextlib.contextmanager
def fetched_beside(output, files, dialect):
    """Hold the rows of databases, if any is among the files, until the block has ended."""
    if not any(map(is_database, files)):
        yield
        return
    with tempfile.TemporaryDirectory(prefix=".", dir=output.parent) as work:
        fetch_databases({"data": files}, dialect, Path(work))
        yield


def kept_columns(options, files, model, added):
    """The columns of the new rows that are to stand before the predictions, list of str.

    Raises:
        InputError: a column of --key is absent, or a column has the name of one of ours.
    """
    present = column_names(files[0], model.dialect)
    kept = present if options.with_input else list(dict.fromkeys(options.key or []))
    option = "--with-input" if options.with_input else "--key"
    for name in files:
        check_present(kept, column_names(name, model.dialect), f"{option}: {name}")
    for column in kept:
        if column in added:
            others = "name columns with --key" if options.with_input else "leave it out"
            raise InputError(
                f"{option}: the new rows have a column '{column}' already; rename it, or {others}."
            )
    extra = [column for column in present if column not in model.roles and column not in kept]
    if extra:
        show_note(f"columns that are not needed: {one_line(', '.join(extra))[:200]}")
    return kept


def write_predictions(model, files, kept, output, known):
    """Read, predict and write, some 100,000 rows at a time; the file appears once it is whole.

    Args:
        kept: columns of the new rows that take the place of the row number; known: Known, counted.

    Returns:
        how many rows there are
    """
    progress, n_rows = Progress("predicting"), 0
    with written_whole(output) as file:
        for i, name in enumerate(files):
            for columns, beside, share in with_texts(name, kept, model):
                lines = model.predict_columns(columns, n_rows, known)
                if kept:
                    lines = pd.concat([beside, lines.drop(columns="row")], axis=1)
                texts = beside.to_numpy().ravel()
                lines.to_csv(file, index=False, header=not n_rows, quoting=csv_quoting(texts))
                n_rows += len(lines)
                progress(n_rows, (i + share) / len(files))
        if not n_rows:
            raise InputError(f"{files[0]}: there are no rows below the header.")
    progress.done()
    return n_rows


def with_texts(name, kept, model):
    """The rows of a file, a part at a time.

    Yields:
        (dict of column -> values, see `data.tables.formats.chunks`, DataFrame of the columns in
        `kept` as text as it stands in the file, share of the file read)
    """
    parts = chunks(name, model.roles, model.dialect, PREDICTED_AT_ONCE)
    if not kept:
        yield from ((columns, pd.DataFrame(), share) for columns, share in parts)
        return
    dialect = dataclasses.replace(model.dialect, keep_na=tuple(kept), notations={})
    texts = chunks(name, dict.fromkeys(kept, "categorical"), dialect, PREDICTED_AT_ONCE)
    ended = {"": ()}, 1.0
    for (columns, share), (beside, _) in itertools.zip_longest(parts, texts, fillvalue=ended):
        if len({len(values) for values in (*columns.values(), *beside.values())}) > 1:
            raise InputError(f"{name}: its rows have changed while they were read; start again.")
        beside = {column: values.astype(object) for column, values in beside.items()}
        yield columns, pd.DataFrame(beside), share


def show_known(known, model):
    """Print how much of the new rows the model knows, by column."""
    shares = known.shares()
    names = [one_line(column) for column in shares.index]
    table = pd.DataFrame({"column": names, "known": [f"{share:.0%}" for share in shares]})
    print(table.to_string(index=False))
    for column, share in shares.items():
        if share < 0.5:
            show_note(
                f"'{column}': the model knows the category of {share:.0%} of the rows only; to it "
                "the others are one unseen category."
            )
    learned = model.missing_in_training()
    for column, share in known.missing().items():
        if share > 0.5 and share > 10 * learned[column]:
            show_note(
                f"'{column}' is missing in {share:.0%} of the rows, in training in "
                f"{learned[column]:.0%}: the model has learned little about such rows."
            )
