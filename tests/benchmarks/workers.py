"""What a second worker buys: rows per second, and the bytes that workers exchange at each step.

    python tests/benchmarks/workers.py                        # a table made here
    python tests/benchmarks/workers.py --data flights.csv --target arr_delay --batch-size 8192

Trains build_embeddings.py with one worker and with several on this machine, in turn, and prints
rows per second of the epochs after the first (medians, and their ratio), and the bytes that a
worker sends at each step: counted on the loopback interface, by the difference between runs of few
and of more epochs, and as computed. Others on the loopback are counted with them: on Linux,
`ip netns` gives the benchmark an interface of its own. Each worker has the same number of this
machine's processors for itself, one alone as well (on Linux), as on machines of their own; what a
network adds in between follows from the bytes.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
SPARSE = 4096  # from more rows on, only those of the batch are exchanged


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", help="a table instead of the one made here")
    parser.add_argument("--target")
    parser.add_argument("--rows", type=int, default=100_000, help="of the table made here")
    parser.add_argument(
        "--categories", nargs="+", type=int, default=[7, 50, 1000, 20_000], help="of its columns"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        table = ["--data", options.data, "--target", options.target]
        if options.data is None:
            table = ["--data", make_table(options, work / "made.csv"), "--target", "y"]
            table += ["--categorical", *(f"c{i}" for i in range(len(options.categories)))]
        for batch in options.batch_size:
            print(pd.DataFrame(measure(batch, options, table, work)).to_string(index=False))


def make_table(options, path):
    """Categories at random, some more frequent than others, each with an effect on y."""
    random, y = np.random.default_rng(0), 0.0
    columns = {}
    for i, count in enumerate(options.categories):
        code = (count * random.random(options.rows) ** 2).astype(int)
        columns[f"c{i}"] = np.char.add("x", code.astype(str))
        y = y + random.normal(size=count)[code]
    pd.DataFrame(columns | {"y": y}).to_csv(path, index=False)
    return path


def measure(batch, options, table, work):
    """One line for one worker and one for several."""
    counts, speeds, sent = (1, options.workers), {1: [], options.workers: []}, []
    for _ in range(options.repeats):
        for count in counts:
            more = train(count, options.workers, 2 + options.epochs, batch, table, work)
            speeds[count].append(more["rows"] / more["seconds"])
            if count > 1:
                few = train(count, options.workers, 2, batch, table, work)
                steps = (more["epochs"] - few["epochs"]) * (more["rows"] // batch)
                sent.append((more["bytes"] - few["bytes"]) / steps / count)
    alone = np.median(speeds[1])
    for count in counts:
        speed = np.median(speeds[count])
        yield {
            "batch": batch,
            "workers": count,
            "rows/s": round(speed),
            "ratio": round(speed / alone, 2),
            "ms/step": round(1000 * batch / speed, 1),
            "bytes sent": round(np.median(sent)) if count > 1 else 0,
            "computed": round(computed(more["manifest"], batch, count)),
        }


def train(count, most, epochs, batch, table, work):
    """Run the workers, each on one of `most` parts of the processors.

    Returns:
        dict of rows and seconds of an epoch, epochs, bytes on the loopback, and the manifest
    """
    output = work / "set"
    command = [sys.executable, ROOT / "build_embeddings.py", *table, "--output", output]
    command += ["--epochs", epochs, "--batch-size", batch]
    before = loopback()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    cluster, workers = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(count)]}, []
    for i in range(count):
        processors = cores[i * len(cores) // most : (i + 1) * len(cores) // most]
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})
        env = os.environ | {"TF_CONFIG": config}
        workers.append(
            subprocess.Popen(
                list(map(str, command)),
                env=env,
                stdout=subprocess.DEVNULL,
                preexec_fn=partial(os.sched_setaffinity, 0, processors) if processors else None,
            )
        )
    if any([worker.wait() for worker in workers]):
        sys.exit("a worker failed")
    sent = loopback() - before
    history = pd.read_csv(output / "history.csv")
    metrics = json.loads((output / "metrics.json").read_text())
    return {
        "rows": metrics["rows"]["train"],
        "seconds": history.seconds[1:].median(),
        "epochs": len(history),
        "bytes": sent,
        "manifest": json.loads((output / "embeddings.json").read_text()),
    }


def computed(manifest, batch, count):
    """Bytes that each worker sends at a step.

    Gradients of dense layers and small tables are added up in a ring: each sends 2 (n - 1) / n of
    them. Of larger tables the rows of its share of the batch, and their numbers, go round.
    """
    columns = [(c["cardinality"], c["size"]) for c in manifest["columns"].values()]
    width, outputs = sum(size for _, size in columns), len(manifest["target"].get("classes") or [0])
    dense = (width + 1) * 256 + 257 * 128 + 129 * (outputs if outputs > 2 else 1)
    dense += sum(rows * size for rows, size in columns if rows <= SPARSE)
    sparse = sum(size + 1 for rows, size in columns if rows > SPARSE) * (batch // count)
    return 4 * (2 * dense * (count - 1) / count + sparse * (count - 1))


def loopback():
    """Bytes sent so far on the loopback interface."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[8])
    return 0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    main()
