"""Whatever moment a run dies at, a reader finds the previous complete set or the new one.

tests/benchmarks/kills.py is the long form: some hundreds of kills.
"""

import os
import signal
import subprocess
import sys
import threading

import pytest
from benchmarks.kills import FIRST, SECOND, Pair, forks, left_over, look
from conftest import ROOT, refused, succeeded

from data.sets.loading import read_set

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Where both scripts save; the first has run."""
    pair = Pair(forks(), tmp_path_factory.mktemp("crash"))
    pair.finish(FIRST, 1)
    return pair


# The operation on a file before which a run is to die, or the n-th after it.
MOMENTS = {
    "the checkpoint's rename": ["os.rename", 0],
    "the first file": ["/staging/", 2],
    "the manifest's rename": ["staging/embeddings.json.part", 2],
    "the exchange": ["exchange", 0],
    "the last removal in what was kept": ["/replaced", 0],
    "the sync after the exchange": ["exchange", 1],
    "the removals after it": ["exchange", 3],
}


@pytest.mark.parametrize("script", [FIRST, SECOND])
def test_a_killed_run_leaves_the_previous_set_or_the_new_one(pair, script):
    quick = "--no-report"  # which takes longer than the training
    pair.finish(FIRST, 1, quick)
    if script == SECOND:
        pair.finish(SECOND, 1, quick)
    previous = look(pair.output)
    for seed, (name, moment) in enumerate(MOMENTS.items(), 2):
        result = pair.run(script, seed, quick, die_at=moment)
        assert result.returncode == -signal.SIGKILL
        found = look(pair.output)
        if "after" in name:
            assert found not in (None, previous), name
            previous = found
        else:
            assert found == previous, name
    new = pair.finish(script, 20, quick)
    assert new != previous and (new[0] == previous[0]) == (script == SECOND)


@pytest.mark.parametrize(
    ("script", "file"),
    [
        (FIRST, "/cache/"),
        (FIRST, "pictures/curves.png"),
        (FIRST, "report.html"),
        (SECOND, "model.keras"),
    ],
)
def test_a_full_disk_is_told_in_one_sentence_and_changes_nothing(pair, script, file):
    previous = look(pair.output)
    result = pair.run(script, 30, full_at=[file, 0])
    assert "free some space" in refused(result) and str(pair.output) in result.stderr
    assert look(pair.output) == previous


def test_a_table_half_written_on_a_full_disk_is_not_taken_up(tmp_path):
    pair = Pair(forks(), tmp_path)
    assert "free some space" in refused(pair.run(FIRST, 1, largest=300))
    pair.finish(FIRST, 1)


def test_all_is_on_the_disk_before_the_set_is_in_place(pair, tmp_path):
    """A power loss after the exchange finds every byte; this also where no set is underneath."""
    carried = Pair(forks(), tmp_path)
    carried.options[SECOND][1] = pair.output
    carried.options[SECOND] += carried.options[FIRST][:6]
    for one, script in ((pair, FIRST), (pair, SECOND), (carried, SECOND)):
        operations = one.run(script, 2).operations
        staging = one.output.parent / f".{one.output.name}" / "staging"
        put = [line for line in operations if line == "exchange " or line.endswith("/staging")]
        end = operations.index(put[-1] if one is carried else "exchange ")
        synced = {line for line in operations[:end] if line.startswith("fsync")}
        for path in (one.output, *one.output.rglob("*")):
            path = staging / path.relative_to(one.output)
            written = path.with_name(path.name + ".part")
            assert {f"fsync {path}", f"fsync {written}"} & synced, path


def test_readers_meanwhile_find_a_whole_set(pair):
    previous, found, done = look(pair.output), set(), threading.Event()
    columns = read_set(pair.output)[0]["columns"]

    def read():
        while not done.is_set():
            manifest, _ = read_set(pair.output)
            found.add(manifest["columns"]["city"]["sha256"])

    reader = threading.Thread(target=read)
    reader.start()
    result = pair.run(FIRST, 9)
    done.set()
    reader.join()
    assert result.returncode == 0 and look(pair.output) != previous
    new = read_set(pair.output)[0]["columns"]
    assert found and found <= {columns["city"]["sha256"], new["city"]["sha256"]}


def test_a_second_run_into_one_folder_says_so_and_stops(pair):
    before = look(pair.output)
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "from data.sets.publishing import working_folder\n"
        f"with working_folder({str(pair.output)!r}):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        try:
            holder.stdout.readline()
            for script in (FIRST, SECOND):
                assert "another run is writing to" in refused(pair.run(script, 1))
        finally:
            holder.kill()
    assert look(pair.output) == before


@pytest.fixture
def read_only(tmp_path):
    """A folder in which nothing can be written, not even by root."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("root may write everywhere here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_read_only_folder_is_told_in_one_sentence(pair, read_only):
    for script in (FIRST, SECOND):
        sentence = refused(pair.run(script, 1, "--output", read_only / "set"))
        assert "cannot write" in sentence and "--output" in sentence
    if not (pair.output / "embed_model").exists():
        pair.finish(SECOND, 1)
    sentence = refused(
        pair.forks.run(
            SECOND, "--embeddings", pair.output, "--predict", pair.output.parents[1] / "t.csv",
            "--output", read_only / "sub" / "new.csv",
        )
    )  # fmt: skip
    assert str(read_only) in sentence


def test_a_loss_that_is_no_number_ends_the_run(pair):
    before = look(pair.output)
    for script in (FIRST, SECOND):
        sentence = refused(pair.run(script, 1, "--learning-rate", "1e30"))
        assert "--learning-rate" in sentence and "no longer a number" in sentence
        assert look(pair.output) == before


def test_the_last_good_epoch_before_such_a_loss_is_kept(pair):
    poison = (
        "from data.training.learner import Learner\n"
        "rate, calls = Learner.learning_rate, []\n"
        "def poisoned(self):  # asked once an epoch, at its end\n"
        "    calls.append(len(calls))\n"
        "    if len(calls) == 2:\n"
        "        self.copy.trainable_variables[-1].assign([float('nan')])\n"
        "    return rate.fget(self)\n"
        "Learner.learning_rate = property(poisoned)\n"
    )
    result = succeeded(pair.run(FIRST, 1, "--epochs", 6, before=poison))
    assert "no longer a number; epoch 2 is kept" in result.stdout
    assert len((pair.output / "history.csv").read_text().splitlines()) == 1 + 2
    look(pair.output)


def test_out_of_memory_and_a_closed_pipe_end_without_a_traceback(pair):
    before = look(pair.output)
    starved = "import data.tables.cache as cache\ndef full(*a, **k): raise MemoryError\n"
    starved += "cache._write = full\n"
    starved += "import shutil; shutil.rmtree({!r}, ignore_errors=True)".format(
        str(pair.output.parent / f".{pair.output.name}")
    )
    assert "out of memory" in refused(pair.run(FIRST, 1, before=starved))
    assert look(pair.output) == before and not left_over(pair.output)
    command = [sys.executable, ROOT / FIRST, *pair.options[FIRST], "--seed", "1"]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert look(pair.output) == before
