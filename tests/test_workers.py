"""Several workers: real processes that train together, each with its own TF_CONFIG."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, arrays, call, make_table, read_json, refused, succeeded, tree, write

import build_embeddings
from data.tables.dataset import read_dataset
from data.tables.settings import settings_of

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"

# A script as it is, that also leaves a digest of the weights which each training ends with, and
# the seeds of its dropout.
PROGRAM = f"""
import hashlib, importlib, os, sys
sys.path.insert(0, {str(ROOT)!r})
import build_embeddings
from data.cli import quiet_stderr
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import data.training.devices as devices
learn = build_embeddings.train
def train(model, *arguments, **keywords):
    history = learn(model, *arguments, **keywords)
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights()))
    with open(os.environ["DIGESTS"], "a") as file:
        print(digest.hexdigest(), file=file)
    return history
build_embeddings.train = train
spread = devices.spread_seeds
def spread_seeds(learner, strategy):
    spread(learner, strategy)
    seeds = [g.seed_generator.state.numpy()[0] for g in learner.layers if g.name[:7] == "dropout"]
    with open(os.environ["DIGESTS"] + ".seeds", "w") as file:
        print(*seeds, file=file)
devices.spread_seeds = spread_seeds
script = sys.argv[1]
sys.argv = sys.argv[1:]
build_embeddings.run(importlib.import_module(script.removesuffix(".py")).main)
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start(folder, commands, addresses=None, before=lambda worker: []):
    """Start a worker for each command: list of subprocess.Popen."""
    addresses = addresses or [f"127.0.0.1:{port}" for port in free_ports(len(commands))]
    folder.mkdir(parents=True, exist_ok=True)
    processes = []
    for i, command in enumerate(commands):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        (folder / f"{i}").unlink(missing_ok=True)
        env = {**os.environ, "TF_CONFIG": json.dumps(task), "DIGESTS": str(folder / f"{i}")}
        line = [*before(i), sys.executable, "-c", PROGRAM, *map(str, command)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        processes.append(subprocess.Popen(line, env=env, **pipes))
    return processes


def finish(processes, seconds=300):
    """Wait for workers: list of objects with returncode, stdout and stderr."""
    results, end = [], time.monotonic() + seconds
    try:
        for process in processes:
            out, err = process.communicate(timeout=max(1, end - time.monotonic()))
            results.append(SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return results


def together(folder, *commands, **where):
    """Run workers to a good end; returns (digests that all share, one a training; results)."""
    results = finish(start(folder, commands, **where))
    for i, result in enumerate(results):
        succeeded(result)
        head, *others = result.stdout.splitlines()
        assert f"worker {i} of {len(commands)}" in head
        assert bool(others) == (i == 0)  # the chief tells what goes on
    digests = [(folder / f"{i}").read_text().split() for i in range(len(commands))]
    seeds = [(folder / f"{i}.seeds").read_text() for i in range(len(commands))]
    assert len(set(seeds)) == len(commands)  # dropout is drawn by each for itself
    assert digests[0] and all(found == digests[0] for found in digests)
    return digests[0], results


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    """A table in which a column has more than 4,096 categories, learned by two workers."""
    folder = tmp_path_factory.mktemp("workers")
    table, random = make_table(12_000).drop(columns=["bought", "paint"]), np.random.default_rng(0)
    customer = random.integers(0, 7000, len(table))
    table["customer"] = [f"c{i}" for i in customer]
    table["sales"] += random.normal(0, 40, 7000)[customer]
    path = write(table, folder / "sales.csv")
    options = ["--data", path, "--target", "sales", "--epochs", 3, "--batch-size", 240]
    options.append("--no-report")  # which takes longer than the training
    options += ["--categorical", "city", "shop", "online", "customer"]
    command = [FIRST, *options, "--output", folder / "two"]
    digests, results = together(folder / "digests", command, command)
    return SimpleNamespace(
        folder=folder, options=options, command=command, digests=digests, results=results
    )


def test_two_workers_learn_what_one_learns(sales):
    one = call(FIRST, *sales.options, "--output", sales.folder / "one")
    assert succeeded(one).stdout.count("\n") > 5
    metrics = [read_json(sales.folder / name / "metrics.json")["test"] for name in ("one", "two")]
    assert metrics[0]["rmse"] == pytest.approx(metrics[1]["rmse"], rel=0.03)
    history = [pd.read_csv(sales.folder / name / "history.csv") for name in ("one", "two")]
    for name in ("loss", "val_loss"):
        assert history[0][name].to_list() == pytest.approx(history[1][name].to_list(), rel=0.03)
    vectors = [arrays(sales.folder / name) for name in ("one", "two")]
    assert len(vectors[0]["customer"]) > 4096
    for column, one in vectors[0].items():
        two = vectors[1][column]
        assert alike(one, two) > 0.95, column
        # Axes of customers with a row or two agree less: 0.80, more or less by the processor.
        close = np.corrcoef(one.ravel(), two.ravel())[0, 1]
        assert close > 0.8 or column == "customer", (column, close)


def alike(x, y):
    """How alike the places of categories are in two sets of vectors, whatever their axes: 1 at most
    (linear CKA; Kornblith et al., Similarity of Neural Network Representations Revisited, 2019)."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def test_the_shares_of_the_replicas_make_up_the_batch_of_one(sales, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", *map(str, sales.options)])
    options = build_embeddings.parse()
    dataset = read_dataset(settings_of(options), sales.folder / "cache")
    recipe = build_embeddings.recipe_for(dataset, options)
    model = build_embeddings.build_model(dataset.encoding, recipe)

    from data.training.batches import training_batches  # late: TensorFlow starts quietly

    def first_batches(count, *share):
        rows = dataset.split["train"]
        data = training_batches(dataset, rows, model, recipe, 0, share=share)
        return [(x["codes"].numpy(), y.numpy()) for x, y in data.take(count)]

    whole, one = first_batches(70, 1, slice(0, 1)), first_batches(70, 3, slice(0, 1))
    two = first_batches(140, 3, slice(1, 3))  # a worker with two devices
    for i, batch in enumerate(whole):
        for part in (0, 1):
            shares = [one[i][part], two[2 * i][part], two[2 * i + 1][part]]
            assert (np.concatenate(shares) == batch[part]).all()


def test_shuffling_ends_when_training_stops_early(sales, monkeypatch):
    """The next epoch is shuffled ahead of its time: of a long table for minutes after the end."""
    import tensorflow as tf

    from data.training.batches import training_batches  # late: TensorFlow starts quietly

    monkeypatch.setattr(sys, "argv", ["x", *map(str, sales.options)])
    options = build_embeddings.parse()
    dataset = read_dataset(settings_of(options), sales.folder / "cache")
    recipe = build_embeddings.recipe_for(dataset, options)
    model, stopped = build_embeddings.build_model(dataset.encoding, recipe), threading.Event()
    rows = dataset.split["train"]
    data = iter(training_batches(dataset, rows, model, recipe, 0, stopped=stopped))
    next(data)
    stopped.set()
    seen = []
    with contextlib.suppress(tf.errors.FailedPreconditionError):  # it says that it was to go on
        seen += data
    assert len(seen) < len(rows) // recipe.batch_size * (recipe.epochs - 1)


def test_the_workers_learn_the_final_model_and_three_can_too(sales):
    command = [SECOND, "--embeddings", sales.folder / "two", "--epochs", 3, "--batch-size", 300]
    command.append("--no-report")
    command += ["--output", sales.folder / "two"]
    digests, _ = together(sales.folder / "final", command, command, command)
    assert len(digests) == 4  # two networks, and a last fit of each takes in the validation rows
    found = read_json(sales.folder / "two" / "embed_model" / "metrics.json")
    assert found["test"]["rmse"] < found["baseline"]["rmse"]


def test_a_killed_worker_ends_the_others_and_all_resume(sales):
    output = sales.folder / "killed"
    command = [*sales.command[:-1], output]
    checkpoint = sales.folder / ".killed" / "checkpoint" / "training.npz"
    chief, other = processes = start(sales.folder / "k", [command, command])
    end = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < end and chief.poll() is None:
        time.sleep(0.02)
    other.send_signal(signal.SIGKILL)
    result, _ = finish(processes, seconds=60)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr and not output.exists()
    last = result.stderr.strip().splitlines()[-1]
    assert "another worker has ended" in last and "--resume" in last
    digests, _ = together(sales.folder / "k", [*command, "--resume"], [*command, "--resume"])
    assert digests == sales.digests
    assert (
        arrays(output)["customer"].tobytes() == arrays(sales.folder / "two")["customer"].tobytes()
    )
    assert len((output / "history.csv").read_text().splitlines()) == 1 + 3


def test_workers_with_other_options_end_with_a_sentence(sales):
    command = [*sales.command[:-1], sales.folder / "unlike"]
    results = finish(start(sales.folder / "u", [command, [*command, "--seed", 1]]), seconds=120)
    for result in results:
        sentence = refused(result)
        assert "worker 1 has other" in sentence and "same options" in sentence
    assert not (sales.folder / "unlike").exists()


def test_workers_whose_final_models_have_other_seeds_end_with_a_sentence(sales):
    command = [SECOND, "--embeddings", sales.folder / "two", "--output", sales.folder / "unlike"]
    results = finish(start(sales.folder / "v", [command, [*command, "--seed", 1]]), seconds=120)
    for result in results:
        assert "worker 1 has other" in refused(result)
    assert not (sales.folder / "unlike").exists()


@pytest.fixture
def two_hosts():
    """Two network namespaces, joined by a cable: their names and addresses."""
    names = [f"worker{os.getpid()}{side}" for side in "ab"]
    if shutil.which("ip") is None or os.geteuid():
        pytest.skip("network namespaces need root and the command ip")

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)

    try:
        made = [ip("netns", "add", name) for name in names]
        ends = [f"v{os.getpid()}{side}" for side in "ab"]
        made.append(ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1]))
        for i, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            made.append(ip("link", "set", end, "netns", name))
            made.append(ip("-n", name, "address", "add", f"10.231.7.{i}/24", "dev", end))
            made += [ip("-n", name, "link", "set", each, "up") for each in (end, "lo")]
        if failed := [one.stderr for one in made if one.returncode]:
            pytest.skip(f"network namespaces cannot be made here: {failed[0]}")
        yield names, ["10.231.7.1:2222", "10.231.7.2:2222"]
    finally:
        for name in names:
            ip("netns", "delete", name)


def test_two_machines_share_nothing_but_the_network(sales, two_hosts):
    """Each has its own copy of the table, elsewhere, and its own output folder."""
    names, addresses = two_hosts
    commands = []
    for name in "ab":
        copy = sales.folder / name / "sales.csv"
        copy.parent.mkdir()
        shutil.copy(sales.options[1], copy)
        commands.append(
            [FIRST, "--data", copy, *sales.options[2:], "--output", copy.parent / "set"]
        )
    digests, _ = together(
        sales.folder / "n", *commands, addresses=addresses,
        before=lambda i: ["ip", "netns", "exec", names[i]],
    )  # fmt: skip
    assert digests == sales.digests
    assert (sales.folder / "a" / "set" / "embeddings.npz").exists()
    assert list(tree(sales.folder / "b")) == ["sales.csv"]


def test_two_devices_of_one_machine_learn_alike(sales):
    """As several GPUs do: here two devices are made of one processor."""
    code = PROGRAM.replace(
        "build_embeddings.train = train",
        """
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
devices.local_strategy = lambda: strategy
build_embeddings.train = train
""",
    )
    command = [FIRST, *sales.options, "--output", sales.folder / "devices"]
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)], capture_output=True, encoding="utf-8",
        env={**os.environ, "DIGESTS": str(sales.folder / "devices.txt")}, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rmse = [
        read_json(sales.folder / name / "metrics.json")["test"]["rmse"]
        for name in ("devices", "two")
    ]
    assert rmse[0] == pytest.approx(rmse[1], rel=0.03)


ONE = {"cluster": {"worker": ["127.0.0.1:2222"]}, "task": {"type": "worker", "index": 0}}
TWO = ["127.0.0.1:2222", "127.0.0.1:2223"]


@pytest.mark.parametrize(
    "config",
    [
        "{", "[]", "7", '"x"', '{"cluster": 3}', '{"cluster": {"worker": 3}}',
        json.dumps({"cluster": {"worker": TWO}}),
        json.dumps({"cluster": {"worker": TWO}, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": {"worker": TWO}, "task": {"type": "worker", "index": "0"}}),
        json.dumps({"cluster": {"worker": TWO}, "task": {"type": "chief", "index": 0}}),
        json.dumps({"cluster": {"worker": TWO, "ps": TWO}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}}),
        json.dumps({"cluster": {"worker": TWO[:1] * 2}, "task": {"type": "worker", "index": 0}}),
    ],
)  # fmt: skip
def test_a_malformed_tf_config_is_told_in_one_sentence(sales, config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    sentence = refused(call(FIRST, *sales.options, "--output", sales.folder / "never"))
    assert re.match("TF_CONFIG: .*cluster.*unset it", sentence)
    assert not (sales.folder / "never").exists()


def test_a_port_that_is_taken_is_told_in_one_sentence(sales):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (worker,) = start(sales.folder / "p", [sales.command], [address, "127.0.0.1:1"])
        (result,) = finish([worker], seconds=120)
    assert address in refused(result) and "port" in result.stderr


def test_one_worker_in_tf_config_is_no_other_than_none(regression, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(ONE))
    options = [*regression.options, "--output", tmp_path / "set"]
    result = succeeded(call(FIRST, *options, cwd=regression.output.parents[1]))
    assert "waiting for the others" not in result.stdout
    for column, vector in arrays(tmp_path / "set").items():
        assert (vector == arrays(regression.before)[column]).all()
