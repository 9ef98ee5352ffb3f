"""Kill the scripts at every moment and look at what a reader finds then.

    python tests/benchmarks/kills.py                # some 250 kills of both scripts; ten minutes

A process that has imported TensorFlow, and computed nothing with it, is forked for each run, so
that a kill costs a training of a few rows, not the seconds of the import. The runs die by SIGKILL
before a chosen operation on a file (found by Python's audit events), in the middle of a write (a
limit on the size of files), or at a moment drawn at random. tests/test_crash.py does a few of them.
"""

import argparse
import atexit
import contextlib
import functools
import json
import os
import random
import resource
import runpy
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from data.sets.loading import check_file, read_set  # noqa: E402

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"

# ------------------------------------------------------------------------- cheap runs of a script


class Forks:
    """Runs of the scripts, each in a fork of one process that has imported TensorFlow."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--fork"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, script, *arguments, **how):
        """Run a script; see `_serve` for what can happen to it.

        Returns:
            returncode (negative: the signal that killed it), stdout, stderr, and operations: a
            line for each operation on a file of the folder `watch`.
        """
        request = {"script": str(ROOT / script), "arguments": [*map(str, arguments)], **how}
        print(json.dumps(request, default=str), file=self.process.stdin, flush=True)
        return SimpleNamespace(**json.loads(self.process.stdout.readline()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@functools.cache
def forks():
    """The process of which all tests of a session fork."""
    shared = Forks()
    atexit.register(shared.close)
    return shared


def _serve():
    """Fork for each request: {"script", "arguments"}, and what is to happen to the child:

    "watch": folder in which operations on files are counted;
    "die_at": number of the operation before which it gets SIGKILL, or [text, n] for the n-th after
        the first that holds the text;
    "full_at": operation, likewise, from which on the disk is full: a write fails, or, with
        "fatal", kills it;
    "largest": bytes that a file may have, from the start: as if the disk were full then;
    "signal": [number, seconds] sends a signal after so many seconds;
    "before": code to run in it first.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    screen = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    import matplotlib.figure  # noqa: F401
    import scipy.special  # noqa: F401
    import sklearn.decomposition
    import sklearn.ensemble
    import sklearn.metrics
    import sklearn.model_selection  # noqa: F401
    import tensorflow as tf  # noqa: F401

    import build_embed_model  # noqa: F401

    os.dup2(screen, 2)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            reply = _fork(request, Path(folder))
        print(json.dumps(reply), file=replies, flush=True)


def _fork(request, folder):
    started = time.monotonic()
    pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = _child(request, folder, pipes)
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    for _, writer in pipes.values():
        os.close(writer)
    texts, ready = {name: b"" for name in pipes}, selectors.DefaultSelector()
    for name, (reader, _) in pipes.items():
        ready.register(reader, selectors.EVENT_READ, name)
    number, when = request.get("signal") or (None, None)
    while ready.get_map():
        for key, _ in ready.select(timeout=0.005):
            block = os.read(key.fd, 1 << 16)
            texts[key.data] += block
            if not block:
                ready.unregister(key.fd)
                os.close(key.fd)
        if number is not None and time.monotonic() - started > when:
            os.kill(child, number)
            number = None
    status = os.waitpid(child, 0)[1]
    log = folder / "operations"
    return {
        "returncode": os.waitstatus_to_exitcode(status),
        **{name: text.decode(errors="replace") for name, text in texts.items()},
        "operations": log.read_text(encoding="utf-8").splitlines() if log.exists() else [],
        "seconds": time.monotonic() - started,
    }


def _child(request, folder, pipes):
    for number, (reader, writer) in enumerate(pipes.values(), 1):
        os.close(reader)
        os.dup2(writer, number)
        os.close(writer)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(n), "w", encoding="utf-8") for n in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.get("cwd") or folder)
    sys.argv = [request["script"], *request["arguments"]]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request.get("fatal"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if request.get("watch"):
        _count(request, folder / "operations")
    if request.get("largest") is not None:
        _limit_files(request["largest"])
    if request.get("before"):
        exec(request["before"], {})
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


def _limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _count(request, log):
    """Log and count the operations on files below a folder; die before one of them."""
    watch = os.path.realpath(request["watch"])
    due = {"die_at": request.get("die_at"), "full_at": request.get("full_at")}
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done = 0

    def operation(event, path):
        nonlocal done
        done += 1
        with contextlib.suppress(OSError):  # where the size of files is limited
            os.write(lines, f"{event} {path}\n".encode(errors="replace"))
        for what, when in due.items():
            if isinstance(when, list) and when[0] in f"{event} {path}":
                due[what] = done + when[1]
        if done == due["die_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if done == due["full_at"]:
            _limit_files(0)

    def hook(event, arguments):
        if event == "ctypes.dlsym" and arguments[1] == "renameat2":
            operation("exchange", "")
        elif event in ("os.remove", "os.rmdir"):  # rmtree gives names only
            operation(event, os.fspath(arguments[0]))
        elif event == "open" or event in ("os.rename", "os.mkdir", "os.link", "os.truncate"):
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and os.path.realpath(path).startswith(watch):
                if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                    return
                operation(event, os.fspath(path))

    fsync = os.fsync

    def counted_fsync(descriptor):
        operation("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    os.fsync = counted_fsync
    sys.addaudithook(hook)


# --------------------------------------------------------------------- what a reader finds, and not


def look(output):
    """The sha256 of the vectors of a set and of its model's, each file checked; None where none.

    Raises:
        InputError: the set is not whole. AssertionError: it holds a file that it does not list.
    """
    if not output.exists():
        return None
    found = []
    for folder in (output, output / "embed_model"):
        if not (folder / "embeddings.json").exists():
            assert folder != output or not any(output.iterdir()), "half a set"
            found.append(None)
            continue
        manifest, _ = read_set(folder)
        for name in manifest["files"]:
            check_file(folder, manifest, name)
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
        unlisted = there - {*manifest["files"], "embeddings.json"}
        assert not {name for name in unlisted if not name.startswith("embed_model/")}, unlisted
        found.append(manifest["files"]["embeddings.npz"])
    return tuple(found)


def left_over(output):
    """What stands in the working folder beside a set, other than its lock, the cached table and the
    set that was replaced."""
    working = output.parent / f".{output.name}"
    return {path.name for path in working.glob("*")} - {"lock", "cache", "replaced"}


def write_table(path, rows=60, seed=0):
    generator = random.Random(seed)
    lines = ["city,shop,day,x,y"]
    for i in range(rows):
        city, shop, x = generator.choice("abcd"), generator.randrange(4), generator.gauss(0, 1)
        y = x + shop + (city == "a") + generator.gauss(0, 0.1)
        lines.append(f"{city},{shop},{i},{x:.3f},{y:.3f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Pair:
    """The commands of one table: the first script, the second, either with a seed."""

    def __init__(self, forks, folder, epochs=1):
        self.forks, self.output = forks, folder / "sets" / "t"
        self.output.parent.mkdir(parents=True)
        table = write_table(folder / "t.csv")
        self.options = {
            FIRST: ["--data", table, "--target", "y", "--split-by", "day"],
            SECOND: ["--embeddings", self.output],
        }
        self.options[FIRST] += ["--categorical", "city", "shop", "--numeric", "x"]
        for options in self.options.values():
            options += ["--output", self.output, "--epochs", epochs]

    def run(self, script, seed, *more, **how):
        how = {"watch": self.output.parent, **how}
        return self.forks.run(script, *self.options[script], "--seed", seed, *more, **how)

    def finish(self, script, seed, *more, **how):
        """Run to the end; returns what a reader finds then."""
        result = self.run(script, seed, *more, **how)
        assert result.returncode == 0 and not result.stderr, result
        assert not left_over(self.output), left_over(self.output)
        return look(self.output)


# ------------------------------------------------------------------------------------ the long form


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the kills, such as 0.1")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    tally = {}
    with tempfile.TemporaryDirectory() as folder:
        kill_everywhere(Pair(forks(), Path(folder) / "1"), options.share, chance, tally)
        kill_in_training(Pair(forks(), Path(folder) / "2", 40), options.share, chance, tally)
    print(f"{sum(tally.values())} kills, none lost or mixed a set: {tally}")


def kill_everywhere(pair, share, chance, tally):
    """Before every operation on a file, and in the middle of writes of every size."""
    one = pair.finish(FIRST, 1)
    both = pair.finish(SECOND, 1)
    kept = pair.output.with_name("kept")
    shutil.copytree(pair.output, kept)

    def restore(previous):
        if look(pair.output) != previous:
            shutil.rmtree(pair.output)
            if previous is not None:
                shutil.copytree(kept, pair.output)

    for script, previous in ((FIRST, None), (FIRST, both), (SECOND, both)):
        restore(previous)
        trial = pair.run(script, 2)
        new = look(pair.output)
        assert trial.returncode == 0 and new != previous
        ways = [{"die_at": n} for n in range(1, len(trial.operations) + 1)]
        sizes = sorted(p.stat().st_size for p in pair.output.rglob("*") if p.is_file())
        ways += [{"largest": size // 2, "fatal": True} for size in sizes[::3]]
        opens = [n for n, line in enumerate(trial.operations, 1) if line.startswith("open")]
        ways += [{"full_at": n, "fatal": fatal} for n in opens for fatal in (True, False)]
        for way in ways:
            if chance.random() >= share:
                continue
            restore(previous)
            if chance.random() < 0.5:  # else the next run begins with removing what is left
                shutil.rmtree(pair.output.parent / f".{pair.output.name}" / "staging", True)
                shutil.rmtree(pair.output.parent / f".{pair.output.name}" / "checkpoint", True)
            result = pair.run(script, 2, **way)
            found = look(pair.output)
            assert found in (previous, new), (script, way, found)
            if result.returncode < 0:
                name = f"{script}, {'before an operation' if 'die_at' in way else 'in a write'}"
                tally[name] = tally.get(name, 0) + 1
            elif result.returncode:  # the disk was full
                assert result.returncode == 2 and "Traceback" not in result.stderr, result
                assert "cannot write" in result.stderr, result.stderr
            print(script, way, result.returncode, "new" if found == new else "old", flush=True)
        assert pair.finish(script, 2) == new
    assert one[0] == both[0]


def kill_in_training(pair, share, chance, tally):
    """At random moments, and on with --resume: the same bits as without."""
    whole = {}
    for script in (FIRST, SECOND):
        started = time.monotonic()
        whole[script] = pair.finish(script, 3)
        seconds = time.monotonic() - started
        for _ in range(round(40 * share)):
            before, resume = look(pair.output), []
            while True:
                moment = chance.uniform(0.2, 0.9) * seconds
                result = pair.run(script, 3, *resume, signal=[signal.SIGKILL, moment])
                assert look(pair.output) in (before, whole[script])
                if result.returncode == 0:
                    break
                if result.returncode == 2:  # killed before the first epoch was complete
                    assert "no completed epoch" in result.stderr, result.stderr
                    resume = []
                    continue
                assert result.returncode == -signal.SIGKILL, result
                name = f"{script}, at random"
                tally[name] = tally.get(name, 0) + 1
                print(script, "at random", moment, *resume, flush=True)
                resume = ["--resume"]
            assert look(pair.output) == whole[script] and not left_over(pair.output)


if __name__ == "__main__":
    if "--fork" in sys.argv:
        _serve()
    else:
        main()
