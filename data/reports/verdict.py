"""The verdict on a result, in words made from its numbers: how good, beside what, how sure."""

from dataclasses import dataclass

import numpy as np

from data.reports.bootstrap import paired_difference
from data.reports.peers import LINEAR, NOTHING, TREES
from data.training.scoring import row_losses

EMBEDDINGS = "the categorical columns alone"
EXPLODED = 3.0  # times the error of the baseline
LEFT, SQUARES_LEFT = 0.01, 0.001  # of what a baseline leaves unexplained: next to nothing
BOTH_NEAR_ZERO = "both near zero"
DOMINANT = 0.5  # of the squared error in one row of a hundred


@dataclass(frozen=True)
class Measure:
    """An error by which models are compared.

    Attributes:
        name: in the middle of a sentence; title: of a column; note: what it is.
        losses: function of (target, actual, predicted) -> float [rows].
        root: whether the error is the root of the mean loss.
    """

    name: str
    title: str
    note: str
    losses: object
    root: bool


def measures_of(target):
    """The measures of a task, list of Measure, the usual one first."""
    if target.task != "regression":
        log_loss = Measure(
            "log loss", "Log loss",
            "Log loss is 0 for a model that is sure and right, high where it is sure and wrong.",
            row_losses, False,
        )  # fmt: skip
        return [log_loss]
    rmse = Measure(
        "root mean squared error", "Root mean squared error",
        f"In the unit of {target.column}; large errors weigh most.",
        lambda _, actual, predicted: np.square(actual - predicted[:, 0]), True,
    )  # fmt: skip
    if target.transform == "log1p":
        other = Measure(
            f"error of log(1 + {target.column})", f"Error of log(1 + {target.column})",
            "The root mean squared error of the logarithm: an error of a tenth counts alike for "
            "small values and for large ones.",
            lambda target, actual, predicted: target.std**2 * row_losses(target, actual, predicted),
            True,
        )  # fmt: skip
    else:
        other = Measure(
            "mean absolute error", "Mean absolute error",
            f"In the unit of {target.column}; all errors weigh alike.",
            lambda _, actual, predicted: np.abs(actual - predicted[:, 1]), False,
        )  # fmt: skip
    return [rmse, other]


def judge(target, actual, predicted, others, name, numbers, groups, note):
    """The verdict on predictions of test rows, beside those of others.

    Args:
        actual: float64 [rows], or int class positions; predicted: as `results.predict` gives them.
        others: dict of name -> predictions of the same rows; `peers.NOTHING` is among them.
        name: of the model, as the beginning of a sentence.
        numbers: whether a final model has numeric columns.
        groups: int [rows], which rows an interval draws together; note: on the comparison.

    Returns:
        dict that JSON can hold: "level" ("good", "fair" or "bad"), "text" (one paragraph),
        "failed" (whether to try another training first), "words" (dict of other -> what may be
        said of the difference to it), and "measure" and "comparisons", a table.
    """
    measures = measures_of(target)
    measure, led = measures[0], ""
    if target.task == "regression":
        share, rows = dominance(np.square(actual - predicted[:, 0]))
        if share > DOMINANT and len(measures) > 1:
            measure = measures[1]
            led = (
                f" It is judged by the {measure.name}, because {rows_text(rows, len(actual))} "
                f"{share:.0%} of the squared error."
            )
    losses = measure.losses(target, actual, predicted)
    found = {
        other: paired_difference(
            losses, measure.losses(target, actual, values), measure.root, groups
        )
        for other, values in others.items()
    }
    near_zero = found[NOTHING].theirs * (SQUARES_LEFT**0.5 if measure.root else LEFT)
    words = {
        other: BOTH_NEAR_ZERO if max(d.ours, d.theirs) < near_zero else d.words
        for other, d in found.items()
    }
    baseline = baseline_of(target)
    level, opening, failed = _opening(found, words, name, baseline)
    sentences = [f"{opening}{led}", _sizes(found, words, measure, len(actual), baseline)]
    if words.get(EMBEDDINGS, BOTH_NEAR_ZERO) != BOTH_NEAR_ZERO:
        sentences.append(_second_script_added(found[EMBEDDINGS], numbers))
    return {
        "level": level,
        "text": " ".join(sentences),
        "failed": failed,
        "words": words,
        "measure": {"title": measure.title, "note": f"{measure.note} {note}"},
        "comparisons": [
            {
                "with": baseline if other == NOTHING else other,
                "theirs": short(found[other].theirs),
                "ours": f"{short(d.ours)} ({short(d.own[0])} to {short(d.own[1])})",
                "change": change_text(d.change),
                "interval": f"{change_text(d.low)} to {change_text(d.high)}",
                "words": words[other],
            }
            for other, d in found.items()
        ],
    }


def baseline_of(target):
    """What a model does that knows no column, the middle of a sentence."""
    what = "mean" if target.task == "regression" else "class shares"
    return f"always predicting the {what}"


def _opening(found, words, name, baseline):
    """(level, what is to be said first, whether the training has failed)"""
    nothing = found[NOTHING]
    if not np.isfinite(nothing.ours) or nothing.ours > EXPLODED * nothing.theirs:
        times = nothing.ours / nothing.theirs
        size = "not a finite number"
        if np.isfinite(times):
            size = f"{times:,.0f} times that of {baseline}"
        return "bad", f"The training has failed: the error is {size}.", True
    if words[NOTHING] != "better":
        what = "is worse than" if words[NOTHING] == "worse" else "is no better than"
        return "bad", f"{name} is of no use: it {what} {baseline}.", True
    ahead = [other for other in (LINEAR, TREES) if words.get(other) == "better"]
    behind = [other for other in (LINEAR, TREES) if words.get(other) == "worse"]
    learned = f"{name} has learned something"
    if behind:
        do = "does" if behind == [LINEAR] else "do"
        return "fair", f"{learned}, but {' and '.join(behind)} {do} better.", False
    if len(ahead) == 2:
        return "good", f"{name} is good: better than {LINEAR} and than {TREES}.", False
    if ahead:
        other = TREES if ahead == [LINEAR] else LINEAR
        return "good", f"{name} is good: better than {ahead[0]}, and level with {other}.", False
    if BOTH_NEAR_ZERO in words.values():
        return "fair", f"{name} leaves almost nothing unexplained, and so do others.", False
    return "fair", f"{learned}, about as much as {LINEAR} and {TREES}.", False


def _sizes(found, words, measure, rows, baseline):
    """How much better or worse than each of the others, with intervals."""
    nothing = found[NOTHING]
    parts = [
        f"{_difference(d)} {other}"
        for other, d in found.items()
        if other not in (NOTHING, EMBEDDINGS) and words[other] != BOTH_NEAR_ZERO
    ]
    text = (
        f"On {rows:,} test rows its {measure.name} is {short(nothing.ours)}, "
        f"{_difference(nothing)} {baseline}"
    )
    return f"{text}; {', '.join(parts)}." if parts else f"{text}."


def _difference(d):
    """Such as "37% less (95% interval 30% to 44%) than"."""
    if not np.isfinite([d.change, d.low, d.high]).all() or d.change > 10:
        return f"{d.ours / d.theirs:,.0f} times that of" if d.theirs else "more than that of"
    if d.words == "no clear difference":
        return f"not clearly different ({change_text(d.low)} to {change_text(d.high)}) from that of"
    more = "more" if d.change > 0 else "less"
    low, high = sorted((abs(d.low), abs(d.high)))
    return f"{abs(d.change):.0%} {more} ({low:.0%} to {high:.0%}) than that of"


def _second_script_added(d, numbers):
    """What the final model has beside the first script's: numeric columns and a second training."""
    what = "the numeric columns and the" if numbers else "the"
    start = f"Compared with the first script's model, {what} second training "
    if d.words == "no clear difference":
        return f"{start}made no clear difference ({change_text(d.low)} to {change_text(d.high)})."
    done, where = ("took", "off") if d.change < 0 else ("added", "to")
    low, high = sorted((abs(d.low), abs(d.high)))
    return f"{start}{done} {abs(d.change):.0%} ({low:.0%} to {high:.0%}) {where} the error."


def dominance(losses):
    """(share of the loss, how many rows carry it): one row that has a tenth or more, else one row
    of a hundred."""
    total = losses.sum()
    if not total > 0:
        return 0.0, 1
    if losses.max() >= 0.1 * total:
        return float(losses.max() / total), 1
    count = max(1, len(losses) // 100)
    return float(np.sort(losses)[-count:].sum() / total), count


def rows_text(count, rows):
    """Such as "one test row of 5,000 carries"."""
    return (
        f"one test row of {rows:,} carries"
        if count == 1
        else f"{count:,} test rows of {rows:,} carry"
    )


def change_text(change):
    """A relative difference: "−12%"."""
    if not np.isfinite(change):
        return "–"
    text = f"{change:+.0%}" if abs(change) >= 0.095 else f"{change:+.1%}"
    return text.replace("-", "−")


def short(value):
    """An error, to four digits."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
