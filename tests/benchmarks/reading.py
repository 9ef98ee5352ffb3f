"""How fast are tables read, and in how much memory, wherever they are? One command:

    python tests/benchmarks/reading.py --rows 5000000

makes the table of memory.py (12 columns), puts the same rows into CSV, Parquet, Arrow, SQLite and,
where it is installed, PostgreSQL, and reads each of them several times in a process of its own, up
to the files of encoded rows that training takes. It prints the rows a second of the fastest, its
peak memory (ru_maxrss), and the speed beside that of pandas.read_csv alone, read in chunks.
"""

import argparse
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE), str(HERE / "tests"), str(HERE / "tests/benchmarks")]
from memory import CATEGORIES, CHUNK, ROLES, make_apart, read_in_chunks  # noqa: E402
from postgres import programs, running_postgres  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--times", type=int, default=3, help="the fastest counts")
    parser.add_argument("--only", nargs="+", metavar="SOURCE", help="csv parquet sqlite ...")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--read", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        return read(arguments.read)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder)))
        table = folder / "table.csv"
        arguments.customers = CATEGORIES["customer"]
        make_apart(table, arguments.rows, arguments)
        measured = []
        for name, options in sources(table, stack, arguments.only):
            results = [run(options) for _ in range(arguments.times)]
            seconds, peak = min(results)
            measured.append(
                {"source": name, "rows/s": round(arguments.rows / seconds), "peak MB": round(peak)}
            )
            print(f"{name}: {[round(seconds, 1) for seconds, _ in results]} s", flush=True)
    frame = pd.DataFrame(measured).set_index("source")
    frame["of pandas"] = (frame["rows/s"] / frame["rows/s"].iloc[0]).round(2)
    print(frame.to_string())


def sources(table, stack, only):
    """(name, options that read it) of every source, made of the CSV when it is its turn."""
    yield "pandas.read_csv", ["pandas", table]
    makers = {"csv": lambda *_: ["--data", table], "parquet": parquet, "feather": feather,
              "sqlite": sqlite, "postgresql": postgresql}  # fmt: skip
    for name, maker in makers.items():
        if name == "postgresql" and programs() is None:
            print("postgresql: not on this machine")
        elif only is None or name in only:
            yield name, maker(table, stack)


def parquet(table, _):
    import pyarrow.parquet

    path, writer = table.with_suffix(".parquet"), None
    for batch in arrow_batches(table):
        writer = writer or pyarrow.parquet.ParquetWriter(path, batch.schema)
        writer.write_batch(batch)
    writer.close()
    return ["--data", path]


def feather(table, _):
    import pyarrow

    path, writer = table.with_suffix(".feather"), None
    for batch in arrow_batches(table):
        writer = writer or pyarrow.ipc.new_file(path, batch.schema)
        writer.write_batch(batch)
    writer.close()
    return ["--data", path]


def arrow_batches(table):
    from pyarrow import csv

    with csv.open_csv(table) as reader:
        yield from reader


def sqlite(table, _):
    path = table.with_suffix(".db")
    database = sqlite3.connect(path)
    for frame in pd.read_csv(table, chunksize=CHUNK):
        frame.to_sql("sales", database, index=False, if_exists="append")
    database.close()
    return ["--data", f"sqlite:///{path}", "--sql", "sales"]


def postgresql(table, stack):
    import psycopg

    server = stack.enter_context(running_postgres())
    columns = pd.read_csv(table, nrows=1000).dtypes
    kinds = {"float64": "double precision", "int64": "bigint"}
    names = ", ".join(f'"{c}" {kinds.get(str(kind), "text")}' for c, kind in columns.items())
    with psycopg.connect(server.url) as connection, open(table, "rb") as file:
        connection.execute(f"CREATE TABLE sales ({names})")
        with connection.cursor().copy("COPY sales FROM STDIN WITH (FORMAT csv, HEADER)") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
    return ["--data", server.url, "--sql", "sales"]


def run(options):
    """(seconds, peak memory in MB) of reading in a process of its own."""
    command = [sys.executable, __file__, "--read", *map(str, options)]
    found = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return tuple(map(float, found.stdout.split()[-2:]))


def read(options):
    """Read once, and print seconds and peak memory."""
    if options[0] == "pandas":
        started = time.monotonic()
        read_in_chunks(options[1])
        seconds = time.monotonic() - started
    else:
        import build_embeddings
        from data.tables.dataset import read_dataset
        from data.tables.settings import settings_of

        sys.argv = ["build_embeddings.py", *options, *ROLES]
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            dataset = read_dataset(settings_of(build_embeddings.parse()), Path(folder) / "cache")
        seconds = dataset.seconds["read"]
    unit = 1e6 if sys.platform == "darwin" else 1e3
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


if __name__ == "__main__":
    main()
