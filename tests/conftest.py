"""What the tests share: the scripts run as a user runs them, small tables with a known signal."""

import contextlib
import hashlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: a thread for each
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

CITIES = ["Łódź", "São Paulo", "Oslo", "Bern", "New York", "東京", 'The "Hague", NL', "Rome"]


# Where files of tests run side by side, the longest begin, so that none is waited for at the end.
LONGEST = ("test_campaigns.py", "test_readme.py", "test_workers.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)


# ------------------------------------------------------------------------- running the scripts


def run(script, *arguments, cwd=None, env=None, root=ROOT, python=()):
    """Run a script in a process of its own; returns returncode, stdout and stderr."""
    return subprocess.run(
        [sys.executable, *python, str(root / script), *map(str, arguments)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=900,
    )


def call(script, *arguments, cwd=None):
    """The same in this process, where TensorFlow is imported only once: three times as fast."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd or os.getcwd()),
        mock.patch.object(sys, "argv", [script, *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def succeeded(result):
    """The result, once it is known that the run ended well and kept quiet about it."""
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    assert result.stderr == ""
    return result


def refused(result):
    """The sentence with which a script refused its input: exit status 2, no traceback."""
    assert result.returncode == 2, f"{result.stdout}\n{result.stderr}"
    assert "Traceback" not in result.stdout + result.stderr
    sentence = result.stderr.rstrip("\n").splitlines()[-1]
    script, _, message = sentence.partition(": error: ")
    assert script in ("build_embeddings.py", "build_embed_model.py"), result.stderr
    return message


def copy_project(folder):
    """A checkout in which saved_embeddings/ is empty, for runs that save to the default place."""
    folder.mkdir(parents=True)
    for script in ("build_embeddings.py", "build_embed_model.py"):
        shutil.copy(ROOT / script, folder)
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("*.csv", "raw"))
    return folder


# ---------------------------------------------------------------------------- reading results


def arrays(folder):
    """The arrays of a set by column: {column: float32 [cardinality, size]}."""
    columns = manifest(folder)["columns"]
    with np.load(folder / "embeddings.npz", allow_pickle=False) as archive:
        return {name: archive[column["array"]] for name, column in columns.items()}


def manifest(folder):
    return read_json(folder / "embeddings.json")


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def predictions(folder):
    return pd.read_csv(folder / "test_predictions.csv")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(folder):
    """sha256 of every file below a folder, by relative path; {} if there is no folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


# -------------------------------------------------------------------------------------- tables


def make_table(rows, seed=0):
    """A table with a known signal, columns of every type, and values missing.

    Categories are city (text), shop (integers), online (booleans) and grade (numbers, if told);
    x and y are numbers. What is to be predicted: sales (skewed, not negative), bought (yes or
    no), paint (three classes).
    """
    random = np.random.default_rng(seed)
    effect = np.random.default_rng(0)  # the same world for every seed
    city, shop = random.integers(0, len(CITIES), rows), random.integers(1, 13, rows)
    online, grade = random.random(rows) < 0.4, random.choice([0.5, 1.0, 2.25], rows)
    x, y = random.normal(size=rows), random.normal(40, 9, rows)
    signal = (
        effect.normal(0, 1, len(CITIES))[city]
        + effect.normal(0, 0.5, 13)[shop]
        + 0.5 * online
        + 0.3 * grade
        + 0.8 * x
        + random.normal(0, 0.2, rows)
    )
    table = pd.DataFrame(
        {
            "city": np.array(CITIES, dtype=object)[city],
            "shop": shop,
            "online": online,
            "grade": grade,
            "x": x.round(4),
            "y": y.round(1),
            "sales": np.expm1(np.maximum(signal + 2, 0)).round(2),
            "bought": np.where(signal > signal.mean(), "yes", "no"),
            "paint": np.array(["red", "green", "blue"])[np.digitize(signal, [-0.3, 0.9])],
        }
    )
    table.loc[random.random(rows) < 0.1, "city"] = None
    table.loc[random.random(rows) < 0.1, "x"] = np.nan
    return table


def write(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path


def read_text(path):
    """A CSV file as it stands: every field text, empty for missing."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


# ------------------------------------------------------------- one pair of runs for each task


@pytest.fixture(scope="session")
def regression(tmp_path_factory):
    """A random split; frozen; the second script is run from another folder."""
    folder = tmp_path_factory.mktemp("regression")
    table = write(make_table(500), folder / "sales.csv")
    options = ["--data", "sales.csv", "--target", "sales", "--categorical", "grade"]
    options += ["--drop", "bought", "paint", "--epochs", 3, "--learning-rate", 0.005]
    output = folder / "sets" / "sales"
    first = run("build_embeddings.py", *options, "--output", "sets/sales", cwd=folder)
    return _pair(
        output,
        first,
        lambda: run(
            "build_embed_model.py", "--embeddings", output, "--frozen", "--epochs", 3,
            "--learning-rate", 0.005,
            cwd=tmp_path_factory.mktemp("elsewhere"),
        ),
        task="regression", table=table, options=options, target="sales",
    )  # fmt: skip


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    """Split in the order of a column; a checkout's default folders; vectors fine-tuned."""
    root = copy_project(tmp_path_factory.mktemp("binary") / "project")
    table = make_table(600, seed=1)
    random = np.random.default_rng(1)
    moments = pd.date_range("2024-01-01", periods=len(table), freq="5h")
    table.insert(0, "time", random.permutation(moments).astype("datetime64[s]").astype(str))
    table["publisher"] = [f"pub {i}" for i in random.integers(0, 150, len(table))]
    table["refund"] = np.where(table["bought"] == "yes", "given", "none")  # known only afterwards
    path = write(table.drop(columns=["sales", "paint", "grade"]), root / "visits.csv")
    options = ["--data", "visits.csv", "--target", "bought", "--split-by", "time"]
    options += ["--drop", "refund", "--epochs", 3]
    output = root / "saved_embeddings" / "visits"
    first = run("build_embeddings.py", *options, cwd=root, root=root)
    return _pair(
        output,
        first,
        lambda: run("build_embed_model.py", "--epochs", 3, cwd=root, root=root),
        task="binary", table=path, options=options, target="bought", root=root,
    )  # fmt: skip


@pytest.fixture(scope="session")
def multiclass(tmp_path_factory):
    """Validation and test rows in files of their own; no numeric column; vectors fine-tuned."""
    folder = tmp_path_factory.mktemp("multiclass")
    names = ["city", "shop", "online", "currency", "paint"]
    paths = {}
    for seed, (part, rows) in enumerate({"data": 400, "validation": 80, "test": 100}.items()):
        table = make_table(rows, seed=10 + seed).assign(currency="EUR")[names]
        paths[part] = folder / f"{part}.csv"
        if part == "test":  # what training rows do not hold
            table.loc[:19, "city"] = "Atlantis"
            table.loc[10:29, "shop"] = 99
            table["online"] = table["online"].astype(object).where(table.index >= 30, None)
        write(table, paths[part])
    options = ["--data", paths["data"], "--validation-data", paths["validation"]]
    options += ["--test-data", paths["test"], "--target", "paint", "--epochs", 3]
    output = folder / "paint"
    first = run("build_embeddings.py", *options, "--output", output)
    return _pair(
        output,
        first,
        lambda: run("build_embed_model.py", "--embeddings", output, "--epochs", 3),
        task="multiclass", table=paths["test"], options=options, target="paint", parts=paths,
    )  # fmt: skip


def _pair(output, first, second, **known):
    succeeded(first)
    before = output.with_name(output.name + "-before")  # the set between the two runs
    shutil.copytree(output, before)
    return SimpleNamespace(
        output=output,
        before=before,
        model=output / "embed_model",
        first=first,
        second=succeeded(second()),
        **known,
    )


@pytest.fixture(scope="session", params=["regression", "binary", "multiclass"])
def task(request):
    """The pair of runs for each kind of target in turn."""
    return request.getfixturevalue(request.param)
