"""What a run finds out about its result, for the screen, the pictures and the page: report.json."""

import datetime
import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data.cli import LateImport
from data.progress import show_note
from data.reports import advice
from data.reports.bootstrap import drawn_together
from data.reports.effects import NOTE as CATEGORIES_NOTE
from data.reports.effects import category_effects, number_effects
from data.reports.importance import (
    SHOWN,
    column_groups,
    importance_report,
    in_order,
    permutation_importance,
    unimportant,
    write_importance,
)
from data.reports.outcomes import outcome_charts, threshold_counts
from data.reports.peers import NOTHING, peer_predictions, peers_note
from data.reports.pictures import draw_found, draw_pictures
from data.reports.screen import show_verdict
from data.reports.verdict import EMBEDDINGS, judge
from data.tables.dates import elapsed_column
from data.training.scoring import score

results = LateImport("data.training.results")  # which loads TensorFlow


@dataclass(frozen=True)
class Run:
    """A training whose result is looked at.

    Attributes:
        output: folder of the set, once it is published.
        dataset: `data.tables.dataset.Dataset`.
        model: keras.Model that was trained; history: DataFrame, one row an epoch.
        metrics: what metrics.json holds; predicted: of all test rows.
        final: whether it is the second script's model, else the first one's.
        before: predictions of all test rows by the first script's model, or None.
        seed: of the training.
    """

    output: Path
    dataset: object
    model: object
    history: pd.DataFrame
    metrics: dict
    predicted: np.ndarray
    final: bool = False
    before: np.ndarray | None = None
    seed: int = 0

    @property
    def name(self):
        """The model as the beginning of a sentence."""
        return "The final model" if self.final else "The model"

    @property
    def numbers(self):
        """Whether the model takes numeric columns."""
        return "numbers" in self.model.input

    @functools.cached_property
    def predict(self):
        """See `data.training.results.predictor`."""
        return results.predictor(self.model, self.dataset.encoding.target)


def look_at(folder, run, manifest, vectors=None):
    """Write report.json, importance.csv and pictures/ of a run, and print the verdict.

    Args:
        folder: of the set that is being written; run: `Run`; manifest: of the set.
        vectors: dict of column -> float32 [cardinality, size] to draw maps of, or None.
    """
    found = write_insights(folder, run, manifest)
    show_verdict(found["verdict"])
    if vectors is None:
        show_note(draw_found(folder, manifest, run.history, found))
    else:
        show_note(draw_pictures(folder, manifest, vectors, run.history, found))


def write_insights(folder, run, manifest):
    """Find out what there is to know of a run, and write report.json and importance.csv.

    Args:
        folder: of the set that is being written; run: `Run`; manifest: of the set.

    Returns:
        dict, what report.json holds: "date"; "verdict", see `data.reports.verdict.judge`, with
        "hangs_on" and "next"; "peers", their metrics by name; "importance", see
        `data.reports.importance.importance_report`; "charts"; "threshold", see
        `data.reports.outcomes.threshold_counts`; "effects", see `effects_of`.
    """
    importance = permutation_importance(
        run.dataset, run.predict, column_groups(run.dataset, run.numbers)
    )
    leak = importance["column"][0] if advice.explains_all(run.metrics) else None
    verdict, peers = verdict_on(run, leak)
    embedded = {v.column for v in run.dataset.encoding.vocabularies}
    useless = [column for column in unimportant(importance) if column in embedded]
    rate = float(run.history["learning_rate"].max()) if len(run.history) else 0.0
    verdict["next"] = advice.next_steps(
        run.dataset, verdict, sys.argv, run.output, rate, useless, run.seed, leak
    )
    target, test = run.dataset.encoding.target, run.dataset.split["test"][:]
    actual, columns = run.dataset.target[test], importance_report(importance)
    found = {
        "date": datetime.date.today().strftime("%d %B %Y").lstrip("0"),
        "verdict": verdict,
        "peers": peers,
        "importance": columns,
        "charts": outcome_charts(target, actual, run.predicted, test_dates(run.dataset)),
        "threshold": threshold_counts(target, actual, run.predicted),
        "effects": effects_of(run, manifest, columns["order"]),
    }
    write_importance(folder, importance)
    text = json.dumps(found, indent=1, allow_nan=False)
    (Path(folder) / "report.json").write_text(text + "\n", encoding="utf-8")
    return found


def effects_of(run, manifest, order):
    """What the columns do: dict of "numbers" and "categories", lists of charts in the order of
    importance, and "note", how to read the second."""
    dates = run.dataset.settings["dates"]
    numbers = [n.column for n in run.dataset.encoding.numerics] if run.numbers else []
    numbers = in_order(numbers, order, dates)[:SHOWN]
    categories = in_order(manifest["columns"], order, dates)
    return {
        "numbers": number_effects(run.dataset, run.predict, numbers),
        "categories": category_effects(run.dataset, manifest, run.predicted, categories),
        "note": CATEGORIES_NOTE,
    }


def test_dates(dataset):
    """The first date of each test row, float64 days since 1970; None without dates."""
    for column, role in dataset.roles.items():
        elapsed = elapsed_column(column)
        if role.role == "date" and elapsed in dataset.table.numeric:
            position = dataset.table.numeric.index(elapsed)
            return dataset.table.numbers[dataset.split["test"][:], position]
    return None


def verdict_on(run, leak):
    """The verdict with what it depends on, and the scores of the peers.

    Args:
        leak: a column that may tell the target itself, or None.

    Returns:
        (dict: see `judge`, with "hangs_on"; dict of peer -> scores)
    """
    dataset = run.dataset
    target, seed = dataset.encoding.target, dataset.settings["seed"]
    position, others = peer_predictions(dataset, run.numbers, seed)
    rows = dataset.split["test"][:][position]
    actual, (groups, note) = dataset.target[rows], drawn_together(dataset, rows)
    scores = {
        other: score(target, actual, values) for other, values in others.items() if other != NOTHING
    }
    if run.before is not None:
        others[EMBEDDINGS] = run.before[position]
    numbers = bool(dataset.encoding.numerics)
    note, predicted = f"{note} {peers_note(dataset)}", run.predicted[position]
    verdict = judge(target, actual, predicted, others, run.name, numbers, groups, note)
    verdict["hangs_on"] = advice.hangs_on(dataset, run.predicted, run.metrics, run.history, leak)
    return verdict, scores


def first_predictions(output, dataset):
    """What the first script's model predicts for the same test rows; None without its file."""
    path, target = Path(output) / "test_predictions.csv", dataset.encoding.target
    if not path.is_file():
        return None
    table = pd.read_csv(path, low_memory=False)
    test = dataset.split["test"]
    if len(table) != len(test):
        return None
    if not np.array_equal(table["row"], dataset.table.source_rows(test[:])):
        return None
    columns = [f"probability_{label}" for label in target.classes]
    if target.task == "regression":
        columns = ["predicted", "predicted_median"]
    if not set(columns) <= set(table):
        return None
    return table[columns].to_numpy("float64")
