"""Several processes that train together, on one machine or many."""

import contextlib
import hashlib
import json
import os
import signal
import sys
from dataclasses import dataclass

import numpy as np

from data import InputError, LostWorker
from data.cli import start_tensorflow


@dataclass(frozen=True)
class Workers:
    """The processes that train together, started each with TensorFlow's own TF_CONFIG.

    Attributes:
        index: this one's number; worker 0 is the chief, the only one that saves anything.
        strategy: tf.distribute.MultiWorkerMirroredStrategy where they are several, else None.
    """

    index: int = 0
    count: int = 1
    strategy: object = None

    def sum(self, array):
        """The sum of one array from each worker, the same on all; each must ask for it."""
        if self.count == 1:
            return np.asarray(array)
        return self.strategy.reduce("SUM", array, axis=None).numpy()

    def from_chief(self, history, arrays):
        """The chief's history (JSON) and arrays (or variables), on all workers."""
        text = np.frombuffer(json.dumps(history).encode(), "uint8").astype("int32")
        length = int(self.sum(len(text) if self.index == 0 else 0))
        text = self.sum(text if self.index == 0 else np.zeros(length, "int32"))
        told = []
        for array in map(np.asarray, arrays):
            kind = "int64" if array.dtype.kind in "iu" else array.dtype
            found = self.sum(array.astype(kind) if self.index == 0 else np.zeros_like(array, kind))
            told.append(found.astype(array.dtype))
        return json.loads(text.astype("uint8").tobytes()), told

    @property
    def is_chief(self):
        return self.index == 0


@contextlib.contextmanager
def joined_workers():
    """Meet the other workers that TF_CONFIG names: yields `Workers`, of one where it names none.

    Raises:
        InputError: TF_CONFIG is not what TensorFlow's guides describe, or its port is taken.
        LostWorker: another worker ends before the work is done.
    """
    index, addresses = parse_tf_config(os.environ.get("TF_CONFIG", ""))
    if len(addresses) < 2:
        yield Workers()
        return
    workers = _join(index, addresses)
    try:
        yield workers
    except _lost_errors() as error:
        raise LostWorker(
            "another worker has ended or is out of reach; see what it says, then start all of them "
            "again, with --resume to go on after the last saved epoch."
        ) from error


def _join(index, addresses):
    print(
        f"worker {index} of {len(addresses)}, at {addresses[index]}; waiting for the others",
        flush=True,
    )
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)  # TensorFlow's waiting hears no other
    try:
        strategy = start_tensorflow(several=True)
    except Exception as error:  # TensorFlow has no one class for it
        raise InputError(
            f"TF_CONFIG: worker {index} cannot work at {addresses[index]} "
            f"({type(error).__name__}); is the port free, and are the others there?"
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)
    if index:  # the chief tells what goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Workers(index, len(addresses), strategy)


def parse_tf_config(text):
    """TF_CONFIG -> (this worker's number, addresses of all, the chief's first)."""
    if not text.strip():
        return 0, []
    example = (
        '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    wrong = f"; write it as {example}, with this worker's own index, or unset it."
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        jobs = {job: list(cluster[job]) for job in ("chief", "worker") if job in cluster}
        addresses = [address for job in jobs.values() for address in job]
        if cluster and (len(jobs) < len(cluster) or not all(map(is_address, addresses))):
            raise ValueError
        if len(set(addresses)) < len(addresses):
            raise InputError(f"TF_CONFIG: two workers have the same address{wrong}")
        if len(addresses) < 2:
            return 0, addresses
        index = task["index"]
        if type(index) is not int or not 0 <= index < len(jobs[task["type"]]):
            raise InputError(f"TF_CONFIG: its task is none of the cluster{wrong}")
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise InputError(f"TF_CONFIG: it is not a cluster and a task in JSON{wrong}") from None
    return addresses.index(jobs[task["type"]][index]), addresses


def is_address(text):
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def check_workers_agree(workers, **parts):
    """Raise InputError, on all workers, unless each part (JSON) is the same on all.

    Files may lie elsewhere on each machine.
    """
    places = ("path", "set", "data", "validation_data", "test_data")

    def without_places(value):
        if isinstance(value, dict):
            return {k: without_places(part) for k, part in value.items() if k not in places}
        return [without_places(part) for part in value] if isinstance(value, list) else value

    for name, part in parts.items():
        text = json.dumps(without_places(json.loads(json.dumps(part))), sort_keys=True)
        digests = np.zeros((workers.count, 8), "int32")
        digests[workers.index] = np.frombuffer(hashlib.sha256(text.encode()).digest(), "int32")
        digests = workers.sum(digests)
        for other in np.flatnonzero((digests != digests[0]).any(axis=1)):
            raise InputError(
                f"worker {other} has other {name} than worker 0: start all workers with the same "
                "options and the same files."
            )


def _lost_errors():
    """What TensorFlow raises when it no longer reaches another worker."""
    from tensorflow import errors

    kinds = "Unavailable", "Aborted", "Cancelled", "DeadlineExceeded", "FailedPrecondition"
    return tuple(getattr(errors, f"{kind}Error") for kind in kinds)
