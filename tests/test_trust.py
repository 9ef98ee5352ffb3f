"""Nothing that is loaded runs code or is used damaged; nothing that is written leads elsewhere."""

import hashlib
import io
import json
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from benchmarks.kills import FIRST, SECOND, Pair, forks, look
from conftest import read_json, refused, sha256, succeeded, tree

from data.sets.loading import load_embeddings, read_set
from data.sets.saving import seal, write_vectors

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A set with its final model."""
    pair = Pair(forks(), tmp_path_factory.mktemp("trust"))
    pair.finish(FIRST, 1)
    pair.finish(SECOND, 1)
    return pair


@pytest.fixture
def pair(good, tmp_path):
    """A copy of them to damage."""
    output = tmp_path / "sets" / "t"
    shutil.copytree(good.output, output)
    table = shutil.copy(good.output.parents[1] / "t.csv", tmp_path / "t.csv")
    use = ["--embeddings", output, "--data", table, "--target", "y"]
    pair = Pair.__new__(Pair)
    pair.forks, pair.output = good.forks, output
    pair.options = {
        FIRST: [*good.options[FIRST][:4], "--epochs", 1, "--output", output],
        SECOND: [*use, "--epochs", 1, "--output", tmp_path / "sets" / "other"],
        "--predict": ["--embeddings", output, "--predict", table],
    }
    return pair


def predict(pair):
    return pair.forks.run(SECOND, *pair.options["--predict"], watch=pair.output.parent)


def rewrite(folder, name, content):
    """Exchange a file of a set, and its sha256 in the manifest, as someone hostile would."""
    (folder / name).write_bytes(content)
    manifest = read_json(folder / "embeddings.json")
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "embeddings.json").write_text(json.dumps(manifest), encoding="utf-8")


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


# Code in files


def test_a_pickle_among_the_arrays_is_not_opened(pair, tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, city=np.array([Bomb(tmp_path / "ran")], dtype=object))
    for folder, run in (
        (pair.output, lambda: pair.run(SECOND, 1)),
        (pair.output / "embed_model", lambda: predict(pair)),
    ):
        rewrite(folder, "embeddings.npz", buffer.getvalue())
        sentence = refused(run())
        assert str(folder / "embeddings.npz") in sentence
    assert not (tmp_path / "ran").exists()


def lambda_model(path):
    """A model with a Lambda layer whose code makes the folder "ran" beside the file."""
    import keras

    inputs = {"codes": keras.Input((2,), dtype="int32"), "numbers": keras.Input((1,))}
    ran = str(path.parent / "ran")
    code = f"lambda x: (__import__('os').makedirs({ran!r}, exist_ok=True), x)[1]"
    outputs = keras.layers.Lambda(eval(code))(inputs["numbers"])
    outputs = keras.layers.Reshape((1, 1))(outputs)
    network = keras.Model(inputs, outputs, name="network")
    keras.Model(inputs, network(inputs)).save(path)
    shutil.rmtree(ran, ignore_errors=True)  # building the model has run it


def change_config(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def call_of(module, name, argument):
    """A change that lets a config name any function of any module, to be called with something."""

    def change(config):
        config.clear()
        config.update(module=module, class_name=name, config={"path": argument, "name": argument})
        config.update(registered_name=name, build_config=None)

    return change


def layer_of(module, name, argument):
    """The same for a layer inside the model."""

    def change(config):
        layer = config["config"]["layers"][-1]
        layer.update(module=module, class_name=name, registered_name=None)
        layer["config"] = {"name": argument, "cmd": argument, "path": argument}

    return change


def initializer_of(module, name):
    """The same for what a layer's own config mentions."""

    def change(config):
        text = json.dumps(config["config"]["layers"])
        found = {"module": "keras.initializers", "class_name": "HeNormal"}
        assert all(part in text for part in found.values())
        config["config"]["layers"] = json.loads(
            text.replace('"HeNormal"', json.dumps(name)).replace(
                '"keras.initializers"', json.dumps(module)
            )
        )

    return change


# The saved models are made in a fork: this process imports no TensorFlow.
def make_model(pair, path, statement):
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
    code += f"from pathlib import Path; import test_trust\n{statement}\nimport os; os._exit(0)"
    result = pair.forks.run(SECOND, "--help", before=code)
    assert result.returncode == 0, result.stderr
    return path.read_bytes()


def test_a_model_with_code_in_it_is_refused(pair, tmp_path):
    path = tmp_path / "lambda.keras"
    content = make_model(pair, path, f"test_trust.lambda_model(Path({str(path)!r}))")
    rewrite(pair.output / "embed_model", "model.keras", content)
    sentence = refused(predict(pair))
    assert "model.keras" in sentence and "Keras refuses it" in sentence
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda ran: call_of("os", "mkdir", ran),
        lambda ran: call_of("builtins", "exec", f"import os; os.mkdir({ran!r})"),
        lambda ran: layer_of("os", "mkdir", ran),
        lambda ran: layer_of("evil", "Layer", ran),
        lambda ran: initializer_of("evil", "Layer"),
    ],
)
def test_a_model_that_names_other_code_is_refused(pair, tmp_path, change):
    """Also a module that lies where Python would find it."""
    folder, ran = pair.output / "embed_model", tmp_path / "ran"
    path = shutil.copy(folder / "model.keras", tmp_path / "model.keras")
    change_config(path, change(str(ran)))
    (tmp_path / "evil.py").write_text(f"import os\nos.mkdir({str(ran)!r})\nLayer = os.mkdir\n")
    rewrite(folder, "model.keras", path.read_bytes())
    result = pair.forks.run(
        SECOND, *pair.options["--predict"], cwd=tmp_path,
        before=f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
    )  # fmt: skip
    assert "model.keras" in refused(result)
    assert not ran.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"not an archive", "cut"])
def test_a_model_that_is_none_is_refused(pair, content):
    folder = pair.output / "embed_model"
    if content == "cut":
        content = (folder / "model.keras").read_bytes()[:-500]
    rewrite(folder, "model.keras", content)
    assert "model.keras" in refused(predict(pair))


def test_a_model_of_another_shape_is_refused(pair):
    """The manifest says that the column has a category more than the model's embedding."""
    folder = pair.output / "embed_model"
    manifest, vectors = read_set(folder)
    manifest["columns"]["city"]["vocabulary"].append("e")
    manifest["columns"]["city"]["cardinality"] += 1
    for name in ("rows", "mean_target"):
        manifest["columns"]["city"][name].append(1)
    files = dict(manifest["files"])
    vectors["city"] = np.vstack([vectors["city"], vectors["city"][:1]])
    write_vectors(folder, manifest, vectors)
    seal(folder, manifest)
    assert manifest["files"]["model.keras"] == files["model.keras"]
    assert "model.keras" in refused(predict(pair))


def test_hostile_json_is_refused(pair):
    """Of a set and of its model, by both ways of using them."""
    junk = {
        "table": {"a": 1}, "version": "1", "options": [], "split": None, "target": {"name": 1},
        "numeric": {"x": {"center": "nan", "scale": 0, "missing": "x"}}, "columns": {"x": []},
    }  # fmt: skip
    texts = [b"", b"[" * 100_000, b'{"version": 1}', b"\xff\xfe", b"null"]
    for folder, run in (
        (pair.output, lambda: pair.forks.run(SECOND, "--embeddings", pair.output)),
        (pair.output / "embed_model", lambda: predict(pair)),
    ):
        good = read_json(folder / "embeddings.json")
        wrong = junk if folder != pair.output else {k: v for k, v in junk.items() if k != "numeric"}
        texts += [json.dumps(good | {key: value}).encode() for key, value in wrong.items()]
        for key in good["options"]:
            broken = good | {"options": good["options"] | {key: {"a": [7]}}}
            texts.append(json.dumps(broken).encode())
        for text in texts:
            (folder / "embeddings.json").write_bytes(text)
            assert str(folder) in refused(run()), text[:100]


# Damage


def flipped(path):
    """A file's bytes with one bit flipped: in a manifest where a checksum is, so that it matters
    (what a letter of a category ought to be, nobody can tell), else in the middle."""
    content = bytearray(path.read_bytes())
    checksum = sha256(path.with_name("embeddings.npz")).encode()
    place = content.index(checksum) if path.name == "embeddings.json" else len(content) // 2
    content[place] ^= 1
    return bytes(content)


@pytest.mark.parametrize("name", ["embeddings.npz", "embeddings.json"])
def test_a_damaged_set_is_refused(pair, name):
    """By a script; tests/test_saving.py damages what is read in every way."""
    (pair.output / name).write_bytes(flipped(pair.output / name))
    assert name in refused(pair.run(SECOND, 1))
    (pair.output / name).unlink()
    assert str(pair.output) in refused(pair.run(SECOND, 1))


def test_a_damaged_model_is_refused(pair):
    for name in ("model.keras", "embeddings.npz", "embeddings.json"):
        path = pair.output / "embed_model" / name
        kept = path.read_bytes()
        path.write_bytes(flipped(path))
        assert name in refused(predict(pair))
        path.write_bytes(kept)
    shutil.copy(pair.output / "embeddings.npz", pair.output / "embed_model" / "embeddings.npz")
    assert "embeddings.npz" in refused(predict(pair))


def test_damage_in_a_set_that_is_kept_is_not_sealed_anew(pair):
    """The second script keeps the first one's files beside its model, and seals them again."""
    path = pair.output / "vectors" / "city.csv"
    path.write_text(path.read_text().replace("a", "b", 1))
    before = tree(pair.output)
    sentence = refused(pair.forks.run(SECOND, "--embeddings", pair.output, "--epochs", 1))
    assert "vectors/city.csv" in sentence
    assert tree(pair.output) == before


# Names

NAMES = [
    "../../escaped", "/etc/escaped", "a/b", "a%2Fb", "..", "CON", "Case", "case", "ss", "ß",
    "$(touch escaped)", "<script>", "file", "x" * 300, "é", "e\u0301", "a\\b", "line\nbreak",
]  # fmt: skip


def test_no_name_leads_outside_or_into_another(pair, tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame({name: random.choice(NAMES[:6], 60) for name in NAMES})
    table["../target/.."] = random.normal(size=60)
    data = tmp_path / "in" / "...csv"
    data.parent.mkdir()
    table.to_csv(data, index=False)
    before = tree(tmp_path)
    output = tmp_path / "sets" / "wild"
    options = ["--target", "../target/..", "--categorical", *NAMES]
    succeeded(
        pair.forks.run(
            FIRST, "--data", data, *options, "--epochs", 1, "--output", output, cwd=tmp_path
        )
    )
    succeeded(pair.forks.run(SECOND, "--embeddings", output, "--epochs", 1, cwd=tmp_path))
    look(output)
    after = tree(tmp_path)
    inside = ("sets/wild/", "sets/.wild/")
    assert before.items() <= after.items()
    assert all(name.startswith(inside) for name in after.keys() - before.keys())
    assert not os.path.lexists("/etc/escaped") and not (tmp_path.parent / "escaped").exists()
    columns = load_embeddings(output)
    assert set(columns) == set(NAMES)
    files = [name.lower() for name in after if name.startswith("sets/wild/vectors/")]
    assert len(set(files)) == len(files) == len(columns)
    assert (columns["a/b"].index.isin(NAMES)).all()
    new = tmp_path / "..%2F..csv"
    table.to_csv(new, index=False)
    succeeded(pair.forks.run(SECOND, "--embeddings", output, "--predict", new))
    (predicted,) = (output.parent / "wild-predictions").iterdir()
    assert len(pd.read_csv(predicted)) == 60
    assert tree(tmp_path).keys() - after.keys() == {
        new.name,
        predicted.relative_to(tmp_path).as_posix(),
    }


@pytest.mark.parametrize(
    ("name", "folder"), [("...csv", "table"), ("CON.csv", "%43ON"), ("x" * 250 + ".csv", None)]
)
def test_the_tables_own_name_is_a_folder_of_its_own(name, folder):
    from data.sets.names import file_names
    from data.tables.sources import table_name

    (stem,) = file_names([table_name([name])]).values()
    assert folder in (None, stem) and len(stem.encode()) <= 255 and "/" not in stem


# Numbers


def test_extreme_numbers_end_well(pair, tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "city": random.choice(list("abcd"), 80),
            "huge": random.choice([1e300, -1e300, 1e308, 0.0], 80),
            "tiny": random.choice([5e-324, 1e-310, 0.0], 80),
            "constant": 7.5,
            "endless": random.choice([np.inf, -np.inf, 1.5, 2.5], 80),
            "empty": np.nan,
            "y": random.normal(size=80),
        }
    )
    columns = ["huge", "tiny", "constant", "endless", "empty"]
    data, output = tmp_path / "numbers.csv", tmp_path / "sets" / "numbers"
    table.assign(y=table["y"] * 1e30).to_csv(data, index=False)
    options = ["--categorical", "city", "--numeric", *columns, "--epochs", 1]
    succeeded(pair.forks.run(FIRST, "--data", data, "--target", "y", *options, "--output", output))
    succeeded(pair.forks.run(SECOND, "--embeddings", output, "--epochs", 1))
    look(output)
    table.assign(y=table["y"] * 1e300).to_csv(data, index=False)
    result = pair.forks.run(FIRST, "--data", data, "--target", "y", *options, "--output", output)
    assert "y" in refused(result)
