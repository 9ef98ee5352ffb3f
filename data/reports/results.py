"""The files of a run beside its vectors: history, metrics, predictions of the test rows."""

import json
import time

from data.files import sync
from data.progress import Progress
from data.reports.errors import write_errors
from data.reports.report import write_report
from data.sets.publishing import stage_copy
from data.sets.saving import seal
from data.tables.disk import ROWS_AT_ONCE, blocks_of
from data.training.scoring import prediction_table


def seconds(dataset, started, trained):
    """Seconds by phase, for metrics.json."""
    phases = dataset.seconds | {"train": trained - started - sum(dataset.seconds.values())}
    return phases | {"total": time.monotonic() - started}


def write_results(folder, dataset, history, metrics, predicted, manifest):
    """history.csv, metrics.json, test_predictions.csv and errors.csv.

    Args:
        predicted: of the test rows, as `predict` returns them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    history.to_csv(folder / "history.csv", index=False)
    text = json.dumps(metrics, indent=2, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    test, target = dataset.split["test"], dataset.encoding.target
    progress, done = Progress("writing predictions"), 0
    with open(folder / "test_predictions.csv", "w", encoding="utf-8", newline="") as file:
        for rows in blocks_of(test, ROWS_AT_ONCE):
            table = prediction_table(
                dataset.table.source_rows(rows), predicted[done : done + len(rows)], target
            )
            table.insert(1, "actual", target.label(dataset.target[rows]))
            table.to_csv(file, index=False, header=done == 0)
            done += len(rows)
            progress(done, done / len(test))
    progress.done()
    write_errors(folder, manifest, error_blocks(dataset, predicted))


def error_blocks(dataset, predicted):
    """(embedding rows [rows, columns], target, predictions) of the test rows, by blocks."""
    progress, done = Progress("finding errors"), 0
    for rows in blocks_of(dataset.split["test"], 4 * ROWS_AT_ONCE):
        yield dataset.encoded.codes(rows), dataset.target[rows], predicted[done : done + len(rows)]
        done += len(rows)
        progress(done, done / len(predicted))
    progress.done()


def first_metrics(output):
    """The first script's test metrics, for the table of this one's, where they are beside it."""
    if not (output / "metrics.json").exists():
        return {}
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return {"embeddings alone": metrics["test"]}


def stage_present(output, staging):
    """The present set, if there is one, into the staging folder; embed_model/ comes new."""
    if (output / "embeddings.json").exists():
        stage_copy(output, staging)


def seal_whole(staging, output, manifest, with_report=True):
    """A new report for the whole, which changes the set's own manifest too."""
    own, report = staging / "embeddings.json", staging / "report.html"
    if own.exists():
        manifest = json.loads(own.read_text(encoding="utf-8"))
    report.unlink(missing_ok=True)  # the one of the set before
    if with_report:
        write_report(staging, manifest, output)
    if own.exists():
        seal(staging, manifest)
    elif with_report:
        sync(report)
        sync(staging)
