"""The history of a training, a dict an epoch: which epoch was the best, and what is said of it."""

import numpy as np

from data import InputError
from data.progress import show_note


def epochs_since_best(history):
    """Epochs since the one with the lowest validation loss; without validation the last is best."""
    if not history or "val_loss" not in history[0]:
        return 0
    losses = [epoch["val_loss"] for epoch in history]
    return len(losses) - 1 - int(np.argmin(losses))


def tell_of_explosion(history, recipe):
    """Say which epoch is kept when the loss is no longer a number.

    Raises:
        InputError: it was none in the first epoch.
    """
    if not history:
        raise InputError(
            "--learning-rate: the loss is no longer a number in the first epoch; give a rate below "
            f"{recipe.learning_rate:g}, or look for huge numbers."
        )
    kept = len(history) - epochs_since_best(history)
    show_note(f"the loss is no longer a number; epoch {kept} is kept.")


def told_of_stop(label, history, recipe):
    """The line that says that training stopped early, if it did."""
    done, waited = len(history), epochs_since_best(history)
    early = f"{label} stopped after epoch {done}: {done - waited} was the best, and is kept"
    return early if waited >= recipe.patience else None
