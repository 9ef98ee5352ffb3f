"""What both scripts print: the table of columns, and the table of metrics."""

import textwrap

import pandas as pd

from data import one_line
from data.cli import command
from data.progress import show_note
from data.tables.dates import calendar_columns, elapsed_column
from data.tables.description import task_line
from data.tables.encoding import MISSING


def show_dataset(dataset, told_before=False):
    """Print what each column is used as, the rows of each part, and what was done about odd things.

    Args:
        told_before: the first script has told it of the same table; the rows of each part will do.
    """
    if not told_before:
        show_columns(dataset)
    rows = {part: f"{len(rows):,}" for part, rows in dataset.split.items()}
    print(", ".join(f"{count} {part}" for part, count in rows.items()), "rows")
    if not told_before:
        for line in (task_line(dataset.encoding.target), *dataset.split_lines):
            print(one_line(line))
        for note in dataset.notes:
            show_note(note)


def show_columns(dataset):
    """Print what each column is used as, aligned."""
    vocabularies = {v.column: v for v in dataset.encoding.vocabularies}
    numerics = {n.column: n for n in dataset.encoding.numerics}
    lines = []

    def add(column, role, why):
        line = {"column": one_line(column), "role": role, "why": why, "distinct": "", "missing": ""}
        line["embedding"] = ""
        if vocabulary := vocabularies.get(column):
            line["distinct"] = f"{len(vocabulary.values):,}"
            line["missing"] = f"{vocabulary.counts[MISSING]:,}"
            line["embedding"] = f"{vocabulary.cardinality:,} x {vocabulary.size}"
        elif column in numerics:
            line["missing"] = f"{numerics[column].missing:,}"
        lines.append(line)

    for column, role in dataset.roles.items():
        add(column, role.role, role.why)
        if role.role == "date":
            for part in (*calendar_columns(column), elapsed_column(column)):
                if part in vocabularies or part in numerics:
                    kind = "categorical" if part in vocabularies else "numeric"
                    add(part, kind, "part of a date")
    print(pd.DataFrame(lines).to_string(index=False))


def show_saved(folder, kept):
    """Print where the results are, and where what they have replaced.

    Args:
        kept: what `data.sets.publishing.publish` returns.
    """
    print(f"saved in {one_line(str(folder))}")
    if kept:
        print(f"what was there before is in {one_line(str(kept))} until the next run replaces it")


def show_metrics(scores):
    """Print one small table: a line for each model, a column for each metric."""
    frame = pd.DataFrame(scores).T.astype("float64")
    print(frame.to_string(float_format=lambda value: f"{value:.4g}", na_rep="-"))
    if "mape" in frame and frame["mape"].isna().all():
        show_note("mape is left out: it is not meaningful with targets near 0.")


def show_verdict(verdict):
    """Print how good the result is, what it depends on, and what to try next."""
    print("\n" + textwrap.fill(one_line(verdict["text"]), 100))
    for sentence in verdict["hangs_on"]:
        print(textwrap.fill(one_line(sentence), 100, initial_indent="- ", subsequent_indent="  "))
    print("what next:")
    for step in verdict["next"]:
        print(f"  {step['why']}\n    {one_line(step['command'])}")


def tell_uses(output, carry, report):
    """Print the commands that use a final model, and where its report is.

    Args:
        carry: whether to tell how its vectors are carried to another table.
    """
    this = command("build_embed_model.py", "--embeddings", output / "embed_model")
    print(f"to predict new rows: {this} --predict FILE")
    if carry:
        print(f"to carry its vectors to another table: {this} --data FILE --target COLUMN")
    if report:
        print(f"open {output / 'report.html'}")
