"""What `--resume` goes on from: the state after the last saved epoch, one file for each fit."""

import contextlib
import json
import math
import os
import shutil
import time
import zipfile

import numpy as np

from data import InputError
from data.files import NO_ARCHIVE, read_array, sync
from data.training.workers import check_workers_agree

SECONDS_BETWEEN = 1.0  # two checkpoints of a fit at least: what a kill costs beside its epoch
TIMES_BETWEEN = 4  # the time that the last one took to write, where that is longer: large tables


class Checkpoint:
    """The checkpoints of one run, in a folder of their own.

    A file holds the run that it belongs to, the history and the arrays, and is replaced as a
    whole: whenever the process dies there is the checkpoint of a completed epoch, the last one or
    one shortly before (see SECONDS_BETWEEN and TIMES_BETWEEN). Loading runs no code.

    Args:
        folder: pathlib.Path; run: what identifies the run (JSON), so that no other takes it up.
        resume: take up what is there; else it is removed.

    Raises:
        InputError: there is nothing to resume, or it is of a run with other options, or damaged.
    """

    def __init__(self, folder, run, resume=False):
        self.folder, self.run = folder, json.loads(json.dumps(run))
        self._due = {}  # fit -> when its next one is due
        if not resume:
            self.remove()
        elif not self.present:
            raise InputError(
                "--resume: there is no completed epoch to go on from: the last run has ended, or "
                "was stopped in its first; leave out --resume."
            )
        else:
            for path in folder.glob("*.npz"):
                _read(path, self.run)

    def is_due(self, fit):
        """Whether a fit's checkpoint is to be written: there is none yet, or the last one was
        written long enough ago."""
        return time.monotonic() >= self._due.get(fit, -np.inf)

    @property
    def present(self):
        """Whether the run could be resumed, were it interrupted now."""
        return any(self.folder.glob("*.npz"))

    def save(self, fit, history, arrays):
        """Replace the checkpoint of one fit.

        Args:
            fit: its name; history: list of dicts (JSON); arrays: list of arrays, or of variables,
                which are copied one at a time.
        """
        started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f"{fit}.part"
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("run.json", json.dumps(self.run))
            archive.writestr("history.json", json.dumps(history, allow_nan=False))
            for i, array in enumerate(arrays):
                with archive.open(f"{i}.npy", "w", force_zip64=True) as file:
                    array = np.asarray(array, order="C")
                    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
        sync(unfinished)
        os.replace(unfinished, self.folder / f"{fit}.npz")
        saved = time.monotonic()
        self._due[fit] = saved + max(SECONDS_BETWEEN, TIMES_BETWEEN * (saved - started))

    def load(self, fit, like, optional=()):
        """The checkpoint of one fit.

        Args:
            like: list of arrays or variables; those saved must have the same shapes and dtypes.
            optional: more of them, which come last, all or none; without them the list returned is
                shorter.

        Returns:
            (history, list of arrays), or None when the fit has not completed an epoch.

        Raises:
            InputError: the file is damaged, or of another run.
        """
        path = self.folder / f"{fit}.npz"
        return _read(path, self.run, like, optional) if path.exists() else None

    def remove(self):
        if self.folder.exists():
            shutil.rmtree(self.folder)


@contextlib.contextmanager
def open_checkpoint(folder, run, workers, resume=False):
    """The checkpoint of a run, gone when the run has ended well: yields `Checkpoint`, or None for
    all workers but the chief.

    An interrupt gets a note on how to go on.

    Args:
        folder, run, resume: of `Checkpoint`; the run's "files" and "sources" may lie elsewhere for
            each worker.

    Raises:
        InputError: another worker has another table or other options.
    """
    options = {name: part for name, part in run.items() if name not in ("files", "sources")}
    check_workers_agree(workers, rows=run["files"], vectors=run.get("sources"), options=options)
    if not workers.is_chief:
        yield None
        return
    checkpoint = Checkpoint(folder, run, resume)
    try:
        yield checkpoint
    except KeyboardInterrupt as interrupt:
        if checkpoint.present:
            interrupt.add_note("the same command with --resume goes on after the last saved epoch")
        raise
    checkpoint.remove()


def _read(path, run, like=(), optional=()):
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed")  # what is not cannot claim more than it holds
            found = json.loads(archive.read("run.json"))
            history = json.loads(archive.read("history.json"))
            if found == run and not _is_history(history):
                raise ValueError("history")
            held = sum(name.endswith(".npy") for name in archive.namelist())
            if optional and held == len(like) + len(optional):
                like = [*like, *optional]
            if like and held != len(like):
                raise ValueError("arrays")
            arrays = [
                read_array(archive, str(i), array.shape, array.dtype)
                for i, array in enumerate(like)
            ]
    except (*NO_ARCHIVE, ValueError, OSError) as error:
        raise InputError(
            f"--resume: {path} is damaged ({type(error).__name__}); leave out --resume to start "
            "anew."
        ) from error
    if found != run:
        raise InputError(
            "--resume: the interrupted run had other options or another table; repeat its "
            "command, or leave out --resume to start anew."
        )
    return history, arrays


def _is_history(history):
    """Whether it is a line of finite numbers for each epoch, the epochs in order."""
    return (
        isinstance(history, list)
        and len(history) > 0
        and all(
            isinstance(line, dict)
            and line.keys() == history[0].keys() >= {"epoch", "loss"}
            and all(type(n) in (int, float) and math.isfinite(n) for n in line.values())
            and line["epoch"] == number
            for number, line in enumerate(history, 1)
        )
    )
