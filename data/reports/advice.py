"""What a result depends on, and what to try next, as sentences and commands."""

import shlex
from pathlib import Path

import numpy as np

from data.cli import command as command_here
from data.reports.peers import TREES
from data.reports.verdict import LEFT, SQUARES_LEFT, dominance, rows_text, short
from data.tables.encoding import UNSEEN
from data.tables.sql import is_database, without_password

FEW_TEST_ROWS = 300
FEW_OF_A_CLASS = 30
UNKNOWN_SHARE = 0.05  # of the test rows
CHECKED_ROWS = 100_000
OVERFITTED = 1.5  # validation loss, as a multiple of the training loss
DRIFTED = 1.25  # test error, as a multiple of that of the validation rows


def explains_all(metrics):
    """Whether almost nothing is left to explain, which a column does that tells the target itself.

    Args:
        metrics: dict with "test" and "baseline".
    """
    test, baseline = metrics["test"], metrics["baseline"]
    if "log_loss" in test:
        return test["log_loss"] < LEFT * baseline["log_loss"]
    return (test["r2"] or 0) > 1 - SQUARES_LEFT


def hangs_on(dataset, predicted, metrics, history, leak=None):
    """What a result depends on, list of sentences.

    Args:
        predicted: of all test rows; metrics: dict with "test" and "validation".
        history: DataFrame of the training, one row an epoch.
        leak: a column that may tell the target itself, or None.
    """
    found = [
        _leak(leak),
        _dominant_rows(dataset, predicted),
        _few_rows(dataset),
        _few_of_a_class(dataset),
        _random_though_dated(dataset),
        _unknown_categories(dataset),
        _overfitted(history),
        None if leak else _drifted(dataset, metrics),
    ]
    return [sentence for sentence in found if sentence]


def _leak(column):
    if column is None:
        return None
    return (
        f"Almost nothing is left to explain. If '{column}' is known only afterwards, leave it out: "
        f"--drop {shlex.quote(column)}, beside --data."
    )


def _dominant_rows(dataset, predicted):
    if dataset.encoding.target.task != "regression":
        return None
    test = dataset.split["test"]
    actual = dataset.target[test[:]]
    predicted = predicted[:, 0]
    losses = np.square(actual - predicted)
    share, count = dominance(losses)
    if share < 0.1 or (count > 1 and share < 0.5):
        return None
    text = f"{rows_text(count, len(losses)).capitalize()} {share:.0%} of the squared error"
    if count == 1:
        worst = int(losses.argmax())
        (row,) = dataset.table.source_rows(test[worst : worst + 1])
        without = np.sqrt(np.delete(losses, worst).mean())
        text += (
            f" (row {row} in test_predictions.csv: {short(actual[worst])}, predicted "
            f"{short(predicted[worst])}); without it the root mean squared error is "
            f"{short(without)} instead of {short(np.sqrt(losses.mean()))}"
        )
    return f"{text}."


def _few_rows(dataset):
    rows = len(dataset.split["test"])
    if rows >= FEW_TEST_ROWS:
        return None
    return f"There are {rows:,} test rows only: another draw of them would give other figures."


def _few_of_a_class(dataset):
    target = dataset.encoding.target
    if target.task == "regression":
        return None
    counts = np.bincount(dataset.target[dataset.split["test"][:]], minlength=len(target.classes))
    few = np.flatnonzero(counts < FEW_OF_A_CLASS)
    if not len(few):
        return None
    few = few[np.argsort(counts[few], kind="stable")]
    named = ", ".join(f"{target.classes[i]} ({counts[i]:,})" for i in few[:3])
    more = f" and {len(few) - 3:,} more" if len(few) > 3 else ""
    which = "One class has" if len(few) == 1 else f"{len(few):,} classes have"
    return (
        f"{which} fewer than {FEW_OF_A_CLASS} test rows: {named}{more}; what is said "
        "of them is chance."
    )


def _dates(dataset):
    """The date columns of a table that is split at random."""
    settings = dataset.settings
    if settings["split_by"] or settings["test_data"]:
        return []
    return [column for column, role in dataset.roles.items() if role.role == "date"]


def _random_though_dated(dataset):
    dates = _dates(dataset)
    if not dates:
        return None
    return (
        f"The table has dates ({dates[0]}), and the test rows were drawn at random: rows of the "
        "same days are in both parts, which flatters, unless new rows come from these days too."
    )


def _unknown_categories(dataset):
    test = dataset.split["test"]
    rows = test[:: -(-len(test) // CHECKED_ROWS)]
    shares = (dataset.encoded.codes(rows) == UNSEEN).mean(axis=0)
    named = [
        f"{vocabulary.column} ({share:.0%})"
        for vocabulary, share in zip(dataset.encoding.vocabularies, shares, strict=True)
        if share >= UNKNOWN_SHARE
    ]
    if not named:
        return None
    return (
        f"Test rows have categories that training did not see, in {', '.join(named[:5])}: of these "
        "the model knows only what is common to rare ones."
    )


def _overfitted(history):
    if "val_loss" not in history or not np.isfinite(history["val_loss"]).any():
        return None
    best = history.loc[history["val_loss"].idxmin()]
    if not best["val_loss"] > OVERFITTED * best["loss"]:
        return None
    return (
        f"It overfits: the loss is {short(best['loss'])} on training rows, though they are seen "
        f"with dropout, and {short(best['val_loss'])} on validation rows."
    )


def _drifted(dataset, metrics):
    test, validation = metrics["test"], metrics["validation"]
    measure = next(iter(test))
    if not (test[measure] and validation[measure]):
        return None
    ratio = test[measure] / validation[measure]
    if not max(ratio, 1 / ratio) > DRIFTED:
        return None
    name = {"rmse": "root mean squared error", "log_loss": "log loss"}[measure]
    settings = dataset.settings
    if settings["test_data"] or settings["validation_data"]:
        why = "the rows of these files are not alike"
    elif settings["split_by"]:
        why = f"the later rows by {settings['split_by']} are not like those before"
    else:
        why = "results vary that much from one random split to the next"
    return (
        f"The {name} is {short(test[measure])} on test rows and {short(validation[measure])} on "
        f"validation rows: {why}."
    )


def next_steps(dataset, verdict, arguments, output, learning_rate, useless=(), seed=0, leak=None):
    """What to try next, list of {"why": sentence, "command": text}.

    Args:
        verdict: of `data.reports.verdict.judge`; arguments: sys.argv of the run.
        output: folder of the set.
        learning_rate: that it was trained with.
        useless: categorical columns that do not matter, the least important last.
        seed: of the training.
        leak: a column that may tell the target itself, or None.
    """
    script, steps = Path(arguments[0]).name, []
    first = script == "build_embeddings.py"

    def add(why, *tokens, name=script, old=arguments[1:]):
        steps.append({"why": why, "command": command_of(name, old, *tokens)})

    given = {argument.partition("=")[0] for argument in arguments}
    if verdict["failed"]:
        if "--learning-rate" in given:
            add("Train at the usual rate:", "--learning-rate", None)
        else:
            add(
                "Train more slowly (if that is no help, the columns may say nothing of it):",
                "--learning-rate",
                f"{learning_rate / 10:.1g}",
            )
        return steps
    if leak and (first or "--data" in given):
        add(f"Leave out '{leak}', if it is known only afterwards:", "--drop", leak)
    if first and (dates := _dates(dataset)):
        add("Test it on the latest dates:", "--split-by", dates[0])
    if first:
        saved = ["--embeddings", str(output)]
        why = "Add the numeric columns:" if dataset.encoding.numerics else "Train the final model:"
        add(why, name="build_embed_model.py", old=saved)
    elif verdict["words"].get(TREES) == "worse" and "--compare" not in given:
        add("See whether the vectors make the trees better still:", "--compare")
    if first and useless and not leak and len(useless) < len(dataset.encoding.vocabularies):
        # One at a time: two that say the same hide each other, and only one of them may go.
        add("Leave out what does not matter:", "--drop", useless[-1])
    if not first and "--data" not in given:  # whose split would change too
        other = str((seed + 1) % 2**32)
        add("See how much the results change with another seed:", "--seed", other)
    return steps


def command_of(script, arguments, option=None, *values):
    """The same command with an option and its values; the value None takes the option out.

    Columns for --drop come beside those that are dropped already. An address of a database comes
    without its password, which is given in the environment.
    """
    arguments = [
        part
        for argument in map(_bare, arguments)
        for part in (argument.split("=", 1) if argument.startswith(f"{option}=") else [argument])
    ]
    if option in arguments:
        start = arguments.index(option)
        stop = start + 1
        while stop < len(arguments) and not arguments[stop].startswith("--"):
            stop += 1
        if option == "--drop":
            values = (*arguments[start + 1 : stop], *values)
        arguments[start:stop] = []
    if option is not None and values != (None,):
        arguments += [option, *values]
    return command_here(Path(script).name, *arguments)


def _bare(argument):
    before, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", "")
    address = value if equals else argument
    return f"{before}{equals}{without_password(address) if is_database(address) else address}"


def shareable(command):
    """The command without the folders of this machine, for a page that is sent to others."""
    tokens = [Path(t).name if Path(t).is_absolute() else t for t in shlex.split(command)]
    return shlex.join(tokens)
