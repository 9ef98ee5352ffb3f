"""Damaged and hostile input for everything that is read: refused in one sentence, or used.

    python tests/benchmarks/fuzz.py                 # 120,000 inputs; some ten minutes
    python tests/benchmarks/fuzz.py --only table --input 1234      # one of them again

An input is a good one that was changed a little: bits flipped, pieces cut, doubled or put in,
values exchanged for wild ones. Whatever ends otherwise than in `InputError` or exit status 2, takes
ten seconds or 2 GB is a finding. tests/test_fuzz.py does some hundreds.
"""

import argparse
import collections
import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from data import InputError  # noqa: E402
from data.sets.loading import load_embeddings, read_set  # noqa: E402
from data.sets.manifest import describe, saved_encoding, saved_settings, saved_vocabulary  # noqa: E402
from data.sets.saving import _json_text, seal, write_vectors  # noqa: E402
from data.tables.dataset import read_dataset  # noqa: E402
from data.tables.encoding import EncodedRows  # noqa: E402
from data.tables.settings import RECORDED, option  # noqa: E402
from data.training.checkpoint import Checkpoint  # noqa: E402

# ---------------------------------------------------------------------------- changing good input

BYTES = [
    b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xfe\xff",
    b"\xef\xbb\xbf", b"\xc3\xa9", b"\xed\xa0\x80", b"=", b"'", b"\\", b"|", b" ", b"-", b"0", b"NA",
    b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"-0", b"5e-324", b"9" * 30, b"0x1F", b"1_000",
    b"true", b"2024-01-01", b"0000-00-00", b"2024-01-01T00:00:00+25:00", b"01/02/2024", b"PAR1",
    b"\xe2\x80\xa8", b"\x1a", b"../..", b"[", b"]", b"{", b"}", b":", b"null", b"NaN", b"[]", b"{}",
    b"-1", b"1e308", b'"\\ud800"', b"[" * 5000, b"PK\x05\x06", b"\x93NUMPY", b"a" * 300,
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, 2, -1, 0.5, -0.0, 1e308, 10**30, 2**31, 2**63, 2**64, "", "a", "..",
    "/etc/passwd", "\ud800", "\0", "a" * 300, "str", "int", "float", "bool", "nan", "0" * 64,
    "embeddings.npz", [], [[]], [None], [0],
    ["a", "a"], [1, "a"], {}, {"": 0}, {"a": {}}, [1e308] * 5,
    "regression", "binary", "multiclass", "log1p", "identity", "CON", "date", "openml:1",
]  # fmt: skip


def change_bytes(content, chance, others=()):
    """Content with up to five changes."""
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        at = chance.randrange(len(content) + 1)
        to = min(len(content), at + chance.choice((1, 2, 4, 16, 64, 256)))
        kind = chance.randrange(8)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(content):
            content[at] = chance.randrange(256)
        elif kind == 2:
            del content[at:to]
        elif kind == 3:
            content[at:at] = content[at:to] * chance.choice((1, 2, 50))
        elif kind in (4, 5):
            content[at : at + chance.choice((0, 0, 1, 8))] = chance.choice(BYTES)
        elif kind == 6 and others:
            other = chance.choice(others)
            content[at:to] = other[chance.randrange(len(other)) :][:256]
        elif chance.random() < 0.2:
            del content[at:]
    return bytes(content)


def change_value(value, chance):
    """JSON with one of its values, somewhere, exchanged, removed or doubled."""
    copy = json.loads(json.dumps(value))
    places, todo = [], [copy]
    while todo:
        node = todo.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                todo.append(node[key])
    for _ in range(chance.choice((1, 1, 2, 3))):
        node, key = chance.choice(places)
        kind = chance.randrange(6)
        try:
            if kind == 0:
                del node[key]
            elif kind == 1:
                other, place = chance.choice(places)
                node[key] = json.loads(json.dumps(other[place]))
            elif kind == 2 and isinstance(node, dict):
                node[str(chance.choice(VALUES))] = node.pop(key)
            elif kind == 3 and isinstance(node, list):
                node.append(node[key])
            else:
                node[key] = json.loads(json.dumps(chance.choice(VALUES)))
        except (KeyError, IndexError):  # an earlier change has removed the place
            continue
    return copy


# ---------------------------------------------------------------------------------- what is read

TABLES = [
    "city,shop,when,x,y\n"
    + "".join(
        f"{'abcd'[i % 4]},{i % 5},2024-01-{1 + i % 28:02d},{i / 7:.3f},{i % 11 - 3.5}\n"
        for i in range(40)
    ),
    "id;kind;ok;y\n"
    + "".join(f"{i:03d};k {i % 3};{i % 2 == 0};{'yes' if i % 3 else 'no'}\n" for i in range(30)),
    "a\tb\ty\n"
    + "".join(
        f'"q{i % 4}, {i % 3}"\t{"NA" if i % 7 == 0 else i % 6}\t{i * i}\n' for i in range(30)
    ),
]
ENCODED = [text.encode() for text in TABLES]


def default_settings(path, target="y"):
    settings = {name: keywords.get("default") for name, keywords in RECORDED.items()}
    files = {"data": [str(path)], "validation_data": [], "test_data": []}
    return settings | files | {"target": target, "seed": 0}


class Targets:
    """What can be fuzzed; each takes one input made from `random.Random`.

    Args:
        folder: pathlib.Path, for the files; best in memory.
    """

    def __init__(self, folder):
        self.folder = folder
        table = folder / "good.csv"
        table.write_bytes(ENCODED[0])
        dataset = read_dataset(default_settings(table), folder / "cache")
        manifest, chance = describe(dataset, "good"), np.random.default_rng(0)
        self.vectors = {
            name: chance.normal(size=(c["cardinality"], c["size"])).astype("float32")
            for name, c in manifest["columns"].items()
        }
        self.set = folder / "set"
        write_vectors(self.set, manifest, self.vectors)
        seal(self.set, manifest)
        self.manifest = json.loads((self.set / "embeddings.json").read_bytes())
        self.archive = (self.set / "embeddings.npz").read_bytes()
        self.run, self.arrays = {"seed": 1}, [*self.vectors.values(), np.array(3)]
        self.history = [{"epoch": 1, "loss": 0.5, "val_loss": 0.25}]
        Checkpoint(folder / "checkpoint", self.run).save("fit", self.history, self.arrays)
        self.checkpoint_file = folder / "checkpoint" / "fit.npz"
        self.checkpoint_bytes = self.checkpoint_file.read_bytes()

    def manifest_and_its_use(self, chance):
        if chance.random() < 0.7:
            text = json.dumps(change_value(self.manifest, chance)).encode()
        else:
            text = change_bytes((self.manifest_text()), chance)
        (self.set / "embeddings.npz").write_bytes(self.archive)
        (self.set / "embeddings.json").write_bytes(text)
        self.use_set()

    def manifest_text(self):
        return json.dumps(self.manifest, indent=1).encode()

    def use_set(self):
        manifest, _ = read_set(self.set)
        load_embeddings(self.set)
        encoding = saved_encoding(manifest, self.set)
        saved_settings(manifest, self.set)
        for vocabulary in encoding.vocabularies:
            vocabulary.find(["a", "1", "", "nan", "2024"])
            vocabulary.texts()
        if encoding.target.task == "regression":
            encoding.target.decode(encoding.target.encode(np.array([0.0, 1e300])))

    def arrays_file(self, chance):
        """The archive is changed, and its sha256 in the manifest with it."""
        content = change_bytes(self.archive, chance, [self.checkpoint_bytes])
        manifest = json.loads(json.dumps(self.manifest))
        manifest["files"]["embeddings.npz"] = hashlib.sha256(content).hexdigest()
        (self.set / "embeddings.npz").write_bytes(content)
        (self.set / "embeddings.json").write_text(json.dumps(manifest))
        self.use_set()

    def checkpoint(self, chance):
        self.checkpoint_file.write_bytes(
            change_bytes(self.checkpoint_bytes, chance, [self.archive])
        )
        Checkpoint(self.checkpoint_file.parent, self.run, True).load("fit", self.arrays)

    def table(self, chance):
        """A changed table, read as another one's columns or its own; then a manifest from it."""
        which = chance.randrange(len(TABLES))
        content = ENCODED[which]
        if chance.random() < 0.9:
            content = change_bytes(content, chance, ENCODED)
        suffix = chance.choices(
            (".csv", ".txt", ".csv.gz", ".zip", ".parquet", ".bz2", ".xz"), (80, 5, 5, 2, 4, 2, 2)
        )[0]
        if suffix == ".csv.gz":
            content = gzip.compress(content, 1)
            if chance.random() < 0.7:
                content = change_bytes(content, chance)
        path = self.folder / f"table{suffix}"
        path.write_bytes(content)
        settings, columns = default_settings(path), ["city", "shop", "when", "x", "y", "kind", "ok"]
        for name in ("categorical", "numeric", "dates", "drop", "keep_na"):
            if chance.random() < 0.15:
                settings[name] = chance.sample(columns, chance.choice((1, 1, 2)))
        if chance.random() < 0.15:
            settings["split_by"] = chance.choice(columns)
        if chance.random() < 0.15:
            settings["task"] = chance.choice(("regression", "binary", "multiclass"))
        if chance.random() < 0.1:
            settings["separator"] = chance.choice((",", ";", "\t", "tab", "ab", '"', "", "\0", "é"))
        if chance.random() < 0.1:
            settings["encoding"] = chance.choice(
                ("latin-1", "utf-16", "utf-8-sig", "ascii", "cp1252", "rot13", "", "idna", "utf-7")
            )
        if chance.random() < 0.1:
            settings["target"] = chance.choice([*columns, None, "z"])
        vocabularies = None
        if chance.random() < 0.1:
            names = chance.sample(list(self.manifest["columns"]), 2)
            vocabularies = {name: saved_vocabulary(self.manifest, name) for name in names}
        dataset = read_dataset(
            settings, self.folder / "cache", vocabularies, extend=chance.random() < 0.5
        )
        everything = np.arange(dataset.table.rows)
        dataset.encoded.codes(everything)
        dataset.encoded.numbers(everything)
        text = _json_text(describe(dataset, "table"), levels=3)
        manifest = json.loads(text.encode())
        assert saved_settings(manifest, self.set)[0] == json.loads(json.dumps(dataset.settings))
        codes = EncodedRows(dataset.table, saved_encoding(manifest, self.set)).codes(everything)
        assert (codes == dataset.encoded.codes(everything)).all()

    def options(self, chance):
        """Command lines of both scripts, of known options and anything."""
        import build_embed_model
        import build_embeddings

        words = [
            *map(option, RECORDED), "--epochs", "--batch-size", "--learning-rate", "--seed",
            "--resume", "--output", "--embeddings", "--use", "--frozen", "--fine-tune",
            "--compare", "--predict", "--", "-", "--epoch", "--data=a.csv", "--seed=-1",
        ]  # fmt: skip
        values = [
            "1", "0", "-1", "1e3", "1e-400", "nan", "inf", "9" * 400, "٣", "1_0", " 1", "0x10", "",
            "a.csv", "*.csv", "[", "a=b", "=", ":", "a:b=c", "..", "/", "auto", "binary", "%s",
            "%(default)s", "{x}", "\udcff", "é", "\n", "a" * 5000, "openml:", "4294967296",
        ]  # fmt: skip
        arguments = []
        for _ in range(chance.randrange(8)):
            arguments.append(chance.choice(words))
            arguments += chance.choices(values, k=chance.choice((0, 1, 1, 1, 2)))
        module = chance.choice((build_embeddings, build_embed_model))
        kept, sys.argv = sys.argv, ["script.py", *arguments]
        try:
            with contextlib.redirect_stderr(io.StringIO()) as screen:
                module.parse()
        except SystemExit as stop:
            assert stop.code == 2, stop.code
            assert "error: " in screen.getvalue()
        finally:
            sys.argv = kept


# Inputs of each kind in the long form: tables take the longest.
COUNTS = {
    "manifest_and_its_use": 40_000,
    "arrays_file": 20_000,
    "checkpoint": 20_000,
    "table": 20_000,
    "options": 20_000,
}


SECONDS = 10  # beyond which an input is a finding


class Slow(BaseException):
    """An input takes longer than ten seconds."""


def fuzz(targets, name, numbers, seed=0):
    """Try inputs; returns {place in the code: (number of an input, error)} of the findings."""
    findings, refused = {}, 0

    def stop(*_):
        raise Slow

    signal.signal(signal.SIGALRM, stop)
    for number in numbers:
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings(action="ignore"):
                getattr(targets, name)(random.Random(f"{name} {seed} {number}"))
        except InputError as error:
            refused += 1
            if not str(error).strip():
                findings.setdefault("no sentence", (number, error))
        except (Exception, Slow) as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [
                f for f in frames if f.filename.startswith(str(ROOT)) and "fuzz" not in f.filename
            ]
            last = (ours or frames)[-1]
            place = (type(error).__name__, Path(last.filename).name, last.lineno)
            findings.setdefault(place, (number, error))
        finally:
            signal.alarm(0)
    return findings, refused


def limit_memory(more=2 << 30):
    """Let this process take so many bytes more than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs, such as 0.1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COUNTS, help="one kind")
    parser.add_argument("--input", type=int, help="the number of one input, with its traceback")
    options = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    total, started = collections.Counter(), time.monotonic()
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        targets = Targets(Path(folder))
        if options.input is not None:
            getattr(targets, options.only)(
                random.Random(f"{options.only} {options.seed} {options.input}")
            )
            return
        limit_memory()
        for name, count in COUNTS.items():
            if options.only not in (None, name):
                continue
            begun, count = time.monotonic(), round(count * options.share)
            findings, refused = fuzz(targets, name, range(count), options.seed)
            seconds = time.monotonic() - begun
            total["inputs"] += count
            total["findings"] += len(findings)
            print(f"{name}: {count:,} inputs, {refused:,} refused, {seconds:.0f} s", flush=True)
            for place, (number, error) in findings.items():
                print(f"  {place}, input {number}: {str(error)[:200]!r}", flush=True)
    print(
        f"{total['inputs']:,} inputs in {time.monotonic() - started:.0f} s, "
        f"{total['findings']} findings"
    )
    sys.exit(total["findings"] > 0)


if __name__ == "__main__":
    main()
