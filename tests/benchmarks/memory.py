"""How much memory and time does a table of any length take? One command:

    python tests/benchmarks/memory.py --rows 1000000 50000000

makes a table of each length with a seed (12 columns: seven categorical ones of 2 to 100,000
categories, three numbers, a date, the target), runs both scripts and --predict on it, each in a
process of its own, and prints the peak memory of each (ru_maxrss), the seconds by phase, and the
ratio of the longest table to the shortest. `--speed` compares instead, on a table of --rows rows,
encoding with pandas.read_csv alone, and training from disk with training from memory.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HERE))
from data.tables.disk import Column  # noqa: E402
from data.tables.encoding import EncodedRows  # noqa: E402

CATEGORIES = {
    "customer": 100_000, "product": 20_000, "city": 3000, "store": 500, "group": 40,
    "colour": 12, "member": 2,
}  # fmt: skip
ROLES = [
    "--target", "sales", "--categorical", *CATEGORIES, "--dates", "day",
    "--numeric", "price", "distance", "stock",
]  # fmt: skip
CHUNK = 500_000
# A script with each training cut short: memory does not depend on the number of steps.
RUN = """
import importlib, sys
from data import cli
steps = int(sys.argv[1])
sys.argv = sys.argv[2:]
start = cli.start_tensorflow
def start_shortened(*arguments, **options):
    strategy = start(*arguments, **options)
    from data.training.learner import Learner
    take_steps = Learner.take_steps
    def take_some(self, batches, count):
        self.done = getattr(self, "done", 0) + count
        return take_steps(self, batches, count) if self.done - count < steps else 0.0
    Learner.take_steps = take_some
    return strategy
if steps:
    cli.start_tensorflow = start_shortened
cli.run(importlib.import_module(sys.argv[0].removesuffix(".py")).main)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 50_000_000])
    parser.add_argument(
        "--speed", action="store_true", help="compare with pandas, disk with memory"
    )
    parser.add_argument("--customers", type=int, default=CATEGORIES["customer"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--steps", type=int, default=0, help="end each epoch after so many (default: all rows)"
    )
    parser.add_argument("--skip-predict", action="store_true")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    CATEGORIES["customer"] = arguments.customers
    if arguments.make:
        return make(arguments.make, arguments.rows[0], arguments.seed)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.speed:
            return speed(arguments, Path(folder))
        lines = []
        for rows in arguments.rows:
            lines += measure(rows, arguments, Path(folder))
    table = pd.DataFrame(lines)
    print(table.to_string(index=False))
    for step, peaks in table.groupby("step", sort=False)["peak_mb"]:
        print(f"{step}: {peaks.iloc[-1] / peaks.iloc[0]:.2f} times the memory")


def make(path, rows, seed):
    """Write the table, a chunk at a time; the target depends on all columns."""
    import pyarrow as pa
    from pyarrow import csv

    random = np.random.default_rng(seed)
    texts = {c: pa.array([f"{c[:2]}{i}" for i in range(n)]) for c, n in CATEGORIES.items()}
    texts["member"] = pa.array(["yes", "no"])
    effects = {column: random.normal(size=n) for column, n in CATEGORIES.items()}
    days = pa.array(np.datetime_as_string(np.arange("2021-01-01", "2024-01-01", dtype="M8[D]")))
    writer = None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        columns, sales = {}, random.normal(size=n)
        for column, count in CATEGORIES.items():
            codes = (count * random.random(n) ** 2).astype("int64")  # the first ones more often
            sales += effects[column][codes]
            missing = random.random(n) < 0.01 if column in ("city", "colour") else None
            columns[column] = texts[column].take(pa.array(codes, mask=missing))
        day = random.integers(0, len(days), n)
        columns["day"] = days.take(pa.array(day))
        price = random.gamma(2.0, 10.0, n).round(2)
        distance = random.exponential(5.0, n).round(1)
        columns["price"] = pa.array(price)
        columns["distance"] = pa.array(distance, mask=random.random(n) < 0.05)
        columns["stock"] = pa.array(random.integers(0, 10_000, n))
        columns["sales"] = pa.array((sales + np.log1p(price) - distance / 10).round(3))
        table = pa.table(columns)
        if writer is None:
            options = csv.WriteOptions(quoting_style="none")
            writer = csv.CSVWriter(path, table.schema, write_options=options)
        writer.write_table(table)
    writer.close()


def make_apart(path, rows, arguments):
    """The table, made by another process, whose memory is not counted as ours."""
    command = [sys.executable, __file__, "--make", path, "--rows", rows, "--seed", arguments.seed]
    command += ["--customers", arguments.customers]
    subprocess.run([str(word) for word in command], check=True)


def speed(arguments, folder):
    """Rows a second: pandas alone and our encoding; training from disk and from memory."""
    import build_embeddings as first
    from data.cli import start_tensorflow
    from data.tables.dataset import read_dataset
    from data.tables.settings import settings_of

    rows, table = arguments.rows[0], folder / "table.csv"
    make_apart(table, rows, arguments)
    sys.argv = ["build_embeddings.py", "--data", str(table), *ROLES]
    sys.argv += ["--batch-size", str(arguments.batch_size), "--epochs", "2"]
    options = first.parse()
    settings = settings_of(options)
    read_in_chunks(table)  # so that the file is in memory for all
    took = {"pandas": [], "encoding": []}
    for i in range(3):
        started = time.monotonic()
        read_in_chunks(table)
        took["pandas"].append(time.monotonic() - started)
        dataset = read_dataset(settings, folder / str(i))
        took["encoding"].append(dataset.seconds["read"])
    for what, seconds in took.items():
        print(f"{what}: {rows / min(seconds):,.0f} rows/s, the best of {np.round(seconds, 2)} s")
    print(f"encoding at {min(took['pandas']) / min(took['encoding']):.2f} of the speed of pandas")
    start_tensorflow()
    from data.training import shuffling

    recipe = first.recipe_for(dataset, options)
    memory = (1 << 62, in_memory(dataset))
    kinds = {"disk": (shuffling.BUCKET_BYTES, dataset), "memory": memory}
    trained = {kind: [] for kind in kinds}
    for _ in range(3):
        for kind, (shuffling.BUCKET_BYTES, source) in kinds.items():
            model = first.build_model(source.encoding, recipe)
            started = time.monotonic()
            first.train(model, source, recipe)
            seconds = time.monotonic() - started
            trained[kind].append(recipe.epochs * len(source.split["train"]) / seconds)
            print(f"training from {kind}: {trained[kind][-1]:,.0f} rows/s", flush=True)
    shares = np.array(trained["disk"]) / trained["memory"]
    print(f"training from disk at {np.median(shares):.2f} of the speed from memory: {shares}")


def read_in_chunks(table):
    for _ in pd.read_csv(table, chunksize=CHUNK):
        pass


def in_memory(dataset):
    """The same dataset, of plain numpy arrays."""
    table = replace(dataset.table, codes=dataset.table.codes[:], numbers=dataset.table.numbers[:])
    target = Column(
        table.codes if dataset.target.array is dataset.table.codes else table.numbers,
        dataset.target.j,
        dataset.target.lookup,
    )
    split = {part: rows[:] for part, rows in dataset.split.items()}
    return replace(
        dataset, encoded=EncodedRows(table, dataset.encoding), target=target, split=split
    )


def measure(rows, arguments, folder):
    """Both scripts and --predict on a table of so many rows; a dict for each, with its peak."""
    table, output = folder / f"rows_{rows}.csv", folder / f"set_{rows}"
    started = time.monotonic()
    make_apart(table, rows, arguments)
    print(f"{rows:,} rows made, {table.stat().st_size / 1e9:.2f} GB, "
          f"{time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
    options = ["--epochs", arguments.epochs, "--batch-size", arguments.batch_size]
    steps = {
        "build_embeddings.py": ["build_embeddings.py", "--data", table, "--output", output,
                                *ROLES, *options],
        "build_embed_model.py": ["build_embed_model.py", "--embeddings", output, *options],
        "--predict": ["build_embed_model.py", "--embeddings", output, "--predict", table],
    }  # fmt: skip
    lines = []
    for step, command in steps.items():
        if step == "--predict" and arguments.skip_predict:
            continue
        seconds, peak, phases = run([sys.executable, "-c", RUN, arguments.steps, *command])
        lines.append(
            {"rows": rows, "step": step, "seconds": round(seconds), "peak_mb": round(peak)}
        )
        print(f"{step}: {seconds:.0f} s, {peak:.0f} MB at most; memory by phase: {phases}")
        part = {"build_embeddings.py": output, "build_embed_model.py": output / "embed_model"}
        if step in part:
            metrics = json.loads((part[step] / "metrics.json").read_text())
            history = pd.read_csv(part[step] / "history.csv")
            if not arguments.steps:
                trained = metrics["rows"]["train"] / history["seconds"].mean()
                print(f"  {trained:,.0f} rows/s in training")
            print(f"  seconds: {metrics['seconds']}")
    cache = sum(path.stat().st_size for path in folder.glob(f".set_{rows}/cache/**/*"))
    print(f"  cache: {cache / rows:.0f} bytes a row", flush=True)
    for path in (table, output, folder / f".set_{rows}"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return lines


def run(command):
    """(seconds, peak memory in MB, {label of progress: largest memory in MB seen meanwhile})"""
    started, phase, phases = time.monotonic(), ["start"], {}
    process = subprocess.Popen(
        [str(word) for word in command], cwd=HERE, stdout=subprocess.PIPE, text=True
    )

    def watch():
        for line in process.stdout:
            label, colon, _ = line.partition(":")
            phase[0] = label.split(" [")[0] if colon and len(label) < 60 else "other"
            print("   ", line, end="", flush=True)

    reader = threading.Thread(target=watch, daemon=True)
    reader.start()
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        try:
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            resident = pages * os.sysconf("SC_PAGESIZE") / 1e6
            phases[phase[0]] = max(phases.get(phase[0], 0), round(resident))
        except (OSError, IndexError, ValueError):
            pass  # not Linux, or just ended
        time.sleep(0.2)
    reader.join()
    if status:
        sys.exit(f"{command}: status {status}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return time.monotonic() - started, usage.ru_maxrss / unit, phases


if __name__ == "__main__":
    main()
