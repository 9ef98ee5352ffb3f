"""Saved sets: what was written is what is read, whatever happens to the files in between."""

import contextlib
import copy
import errno
import hashlib
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from conftest import sha256, tree  # noqa: E402

from data import InputError  # noqa: E402
from data.reports.neighbours import nearest_categories  # noqa: E402
from data.sets import publishing  # noqa: E402
from data.sets.loading import _read_manifest, check_file, load_embeddings, read_set  # noqa: E402
from data.sets.manifest import saved_settings  # noqa: E402
from data.sets.names import file_names  # noqa: E402
from data.sets.publishing import (  # noqa: E402
    check_output,
    check_same_table,
    publish,
    stage_copy,
    working_folder,
)
from data.sets.saving import seal, versions, write_vectors  # noqa: E402
from data.tables.settings import OPTION_OF, RECORDED  # noqa: E402
from data.transformer import EmbeddingTransformer  # noqa: E402

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")


def make_set(columns, seed=0):
    """A manifest and random vectors from {column: (type, vocabulary, size)}."""
    random = np.random.default_rng(seed)
    manifest = {
        "format": "keras-entity-embeddings", "version": 1, "table": "trips", "columns": {},
        "numeric": {}, "target": {"name": "price", "task": "regression"}, "split": {},
        "options": {}, "versions": versions(),
    }  # fmt: skip
    arrays = {}
    for name, (kind, vocabulary, size) in columns.items():
        cardinality = len(vocabulary) + 2
        manifest["columns"][name] = {
            "role": "categorical", "type": kind, "vocabulary": vocabulary,
            "cardinality": cardinality, "size": size,
            "rows": [0, 0, *range(len(vocabulary), 0, -1)],
            "mean_target": [None, None, *np.linspace(0, 1, len(vocabulary)).tolist()],
        }  # fmt: skip
        arrays[name] = random.normal(size=(cardinality, size)).astype("float32")
    return manifest, arrays


SMALL = {
    "country": ("str", ["Spain", "Italy", "NA", "007", "", "=1+1"], 3),
    "shop": ("int", [-5, 0, 7], 2),
    "weight": ("float", [0.1, 2.0], 2),
    "open": ("bool", [False, True], 2),
}


def save(output, columns=None, seed=0):
    manifest, arrays = make_set(SMALL if columns is None else columns, seed)
    with working_folder(output) as working:
        staging = working / "staging"
        write_vectors(staging, manifest, arrays)
        seal(staging, manifest)
        publish(staging, output)
    return manifest, arrays


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "trips")
    return tmp_path / "trips"


def refusal(function, *arguments):
    """The one sentence of the InputError that the call must raise."""
    with pytest.raises(InputError) as caught:
        function(*arguments)
    sentence = str(caught.value)
    assert sentence.isprintable() and len(sentence) < 600
    return sentence


def edit(folder, change):
    """Change the manifest as someone would who also knows about the checksums."""
    manifest = json.loads((folder / "embeddings.json").read_text())
    change(manifest)
    (folder / "embeddings.json").write_text(json.dumps(manifest))


def forge(folder, members, compression=zipfile.ZIP_STORED):
    """Replace embeddings.npz by zeros or {column: bytes of an npy file}, checksums included."""
    columns = json.loads((folder / "embeddings.json").read_text())["columns"]
    with zipfile.ZipFile(folder / "embeddings.npz", "w", compression) as archive:
        for name in columns:
            array = np.zeros((columns[name]["cardinality"], columns[name]["size"]), "<f4")
            archive.writestr(f"{columns[name]['array']}.npy", members.get(name, npy(array)))
    digest = hashlib.sha256((folder / "embeddings.npz").read_bytes()).hexdigest()

    def change(manifest):
        manifest["files"]["embeddings.npz"] = digest
        for name, column in manifest["columns"].items():
            length = 4 * column["cardinality"] * column["size"]
            content = members.get(name, bytes(length))[-length:]
            column["sha256"] = hashlib.sha256(content).hexdigest()

    edit(folder, change)


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


# ------------------------------------------------------------------------------ names of files


@settings(max_examples=40, deadline=None)
@given(st.sets(st.text() | st.text("aAbéÉeß\u0301./\\: %~", max_size=4), max_size=12))
@example({"a", "A"})
@example({"\u00e9", "e\u0301", "E\u0301"})
@example({"n" * 101, "n" * 102, "/" * 40, "/" * 41})
def test_every_name_gets_a_safe_file_name_of_its_own(names):
    stems = file_names(names)
    assert stems == file_names(sorted(names, reverse=True))
    for spelling in ("NFC", "NFD", "NFKC", "NFKD"):
        folded = {unicodedata.normalize(spelling, stem).casefold() for stem in stems.values()}
        assert len(folded) == len(names)
    for stem in stems.values():
        assert stem and len(stem.encode()) <= 100
        assert not set(stem) & set('/\\:*?"<>|\0') and stem.isprintable()
        assert stem[0] not in "-. " and stem[-1] not in ". "


@pytest.mark.parametrize("name", ["country", "Ad Group", "día_2", "a.b-c", "file", "国"])
def test_ordinary_names_stay_as_they_are(name):
    assert file_names([name]) == {name: name}


@pytest.mark.parametrize("name", ["CON", "nul.txt", "Com1", "LPT9 .x", ".", "..", "/etc", "", "~"])
def test_names_with_a_meaning_to_a_system_are_changed(name):
    stem = file_names([name])[name]
    assert stem.startswith("%") and stem != name


def test_np_load_finds_every_column(tmp_path):
    names = ["file", "allow_pickle", "a", "a.npy", "b", "B", "c", "c.NPY", "x/y", "n" * 300]
    _, arrays = save(tmp_path / "s", {name: ("int", [1, 2], 2) for name in names})
    stems = file_names(names)
    with np.load(tmp_path / "s" / "embeddings.npz", allow_pickle=False) as saved:
        assert stems["file"] == "file"
        for name in names:
            np.testing.assert_array_equal(saved[stems[name]], arrays[name])


# ------------------------------------------------------------------------------ there and back

VOCABULARIES = st.one_of(
    st.tuples(st.just("str"), st.lists(st.text(), unique=True, max_size=8)),
    st.tuples(st.just("int"), st.lists(st.integers(-(2**63), 2**64 - 1), unique=True, max_size=8)),
    st.tuples(
        st.just("float"),
        st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, max_size=8),
    ),
    st.tuples(st.just("bool"), st.lists(st.booleans(), unique=True)),
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(max_size=20), VOCABULARIES, max_size=4))
def test_any_set_is_read_as_it_was_written(columns):
    columns = {name: (kind, words, 2) for name, (kind, words) in columns.items()}
    with tempfile.TemporaryDirectory() as folder:
        manifest, arrays = save(Path(folder) / "s")
        manifest, arrays = save(Path(folder) / "s", columns, seed=1)
        assert sorted(os.listdir(folder)) == [".s", "s"]
        assert sorted(os.listdir(Path(folder) / ".s")) == ["lock", "replaced"]
        found, vectors = read_set(Path(folder) / "s")
        frames = load_embeddings(Path(folder) / "s")
    assert found == manifest and list(vectors) == list(frames) == list(columns)
    for name, (kind, words, _) in columns.items():
        assert vectors[name].dtype == np.float32 and (vectors[name] == arrays[name]).all()
        assert frames[name].index.tolist() == words
        assert [type(word).__name__ for word in frames[name].index.tolist()] == [kind] * len(words)
        np.testing.assert_array_equal(frames[name].to_numpy(), arrays[name][2:])


def test_frames_say_what_each_row_is(folder):
    _, arrays = read_set(folder)
    frames = load_embeddings(folder)
    frame = frames["country"]
    assert frame.index.name == "country" and list(frame.columns) == ["dim_0", "dim_1", "dim_2"]
    np.testing.assert_array_equal(frame.loc["NA"], arrays["country"][4])
    np.testing.assert_array_equal(np.float32(frame.attrs["missing"]), arrays["country"][0])
    np.testing.assert_array_equal(np.float32(frame.attrs["unseen"]), arrays["country"][1])
    dtypes = [str(frames[name].index.dtype) for name in ("country", "shop", "weight", "open")]
    assert dtypes == ["str", "int64", "float64", "bool"]
    assert len(pd.concat([frames["shop"], frames["weight"]])) == 5  # pandas compares the attrs


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(), unique=True, min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_the_csv_holds_categories_and_floats_exactly(words, seed):
    manifest, arrays = make_set({"c": ("str", words, 50)})
    bits = np.random.default_rng(seed).integers(0, 2**32, arrays["c"].shape, dtype="uint32")
    floats = bits.view("float32")  # of every size, subnormal ones, too
    arrays["c"] = np.where(np.isfinite(floats), floats, np.float32(0))
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(folder, manifest, arrays)
        frame = pd.read_csv(
            Path(folder) / "vectors" / "c.csv", dtype={"category": str},
            keep_default_na=False,
        ).set_index("category")  # fmt: skip
    assert frame.index.tolist() == words
    assert frame.pop("rows").tolist() == manifest["columns"]["c"]["rows"][2:]
    assert (frame.to_numpy().astype("float32") == arrays["c"][2:]).all()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("str", ["Rome", "a,b", '"', "\r", "\n", " x ", "NA", "None", "", "01234", "1234", "1.0"]),
        ("int", [102, -5, 10**17]),
        ("float", [0.1, 2.0]),
        ("bool", [True, False]),
    ],
)
def test_the_csv_is_read_back_as_it_is_documented(tmp_path, kind, words):
    """By README.md of saved_embeddings/: categories as text, each with its own vector."""
    _, arrays = save(tmp_path / "s", {"city": (kind, words, 2)})
    recipe = 'index_col="category", dtype={"category": str}, keep_default_na=False'
    assert recipe in (ROOT / "saved_embeddings" / "README.md").read_text()
    frame = pd.read_csv(
        tmp_path / "s" / "vectors" / "city.csv",
        index_col="category", dtype={"category": str}, keep_default_na=False,
    )  # fmt: skip
    assert frame.index.tolist() == [str(word) for word in words]
    assert (frame[["dim_0", "dim_1"]].to_numpy("float32") == arrays["city"][2:]).all()


def test_all_vectors_are_in_one_parquet_file(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("data.sets.saving.CSV_LIMIT", 4)  # which is also how many at a time
    manifest, arrays = save(tmp_path / "s", SMALL | {"empty": ("str", [], 2)})
    assert "vectors.parquet" in manifest["files"]
    frame = pd.read_parquet(tmp_path / "s" / "vectors.parquet")
    for name, (_, words, _) in SMALL.items():
        part = frame[frame["column"] == name]
        assert part["category"].tolist() == [str(word) for word in words]
        assert part["rows"].tolist() == manifest["columns"][name]["rows"][2:]
        np.testing.assert_array_equal(np.stack(part["vector"]), arrays[name][2:])
    assert len(frame) == sum(len(words) for _, words, _ in SMALL.values())


@pytest.mark.parametrize("name", RECORDED)
def test_an_option_that_an_older_set_lacks_has_its_default(name):
    options = {name: keywords.get("default") for name, keywords in RECORDED.items()}
    options |= {"data": ["t.csv"], "validation_data": [], "test_data": [], "seed": 0}
    for value in (5, [5]):
        manifest = {"options": options | {name: value}, "split": {"sources": {}}}
        with pytest.raises(InputError, match=name):
            saved_settings(manifest, "here")
    del manifest["options"][name]
    if name in OPTION_OF.values():
        with pytest.raises(InputError, match=name):
            saved_settings(manifest, "here")
    else:
        assert saved_settings(manifest, "here")[0][name] == RECORDED[name].get("default")


def test_very_many_categories_get_no_csv(tmp_path, monkeypatch):
    monkeypatch.setattr("data.sets.saving.CSV_LIMIT", 5)
    manifest, arrays = make_set(SMALL)
    write_vectors(tmp_path, manifest, arrays)
    assert manifest["columns"]["country"]["csv"] is None
    assert os.listdir(tmp_path / "vectors").count("country.csv") == 0


def test_the_same_vectors_give_the_same_bytes(tmp_path):
    save(tmp_path / "a")
    save(tmp_path / "b")
    for name in ("embeddings.npz", "embeddings.json", "vectors/country.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("wrong", [np.zeros((8, 2), "f4"), np.zeros((8, 3)), np.full((8, 3), "x")])
def test_vectors_of_a_wrong_shape_or_type_are_not_written(tmp_path, wrong):
    manifest, arrays = make_set(SMALL)
    with pytest.raises(ValueError, match="country"):
        write_vectors(tmp_path, manifest, arrays | {"country": wrong})
    arrays["country"][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        write_vectors(tmp_path, manifest, arrays)


def test_the_seal_covers_every_file_but_not_the_model_folder(tmp_path):
    manifest, arrays = make_set(SMALL)
    for name in ("maps", "embed_model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"picture")
    (tmp_path / "embed_model.txt").write_text("not in the folder")
    write_vectors(tmp_path, manifest, arrays)
    seal(tmp_path, manifest)
    vectors = {f"vectors/{name}.csv" for name in SMALL}
    expected = {"embeddings.npz", "maps/x.png", "embed_model.txt"} | vectors
    if importlib.util.find_spec("pyarrow"):
        expected.add("vectors.parquet")
    assert set(json.loads((tmp_path / "embeddings.json").read_text())["files"]) == expected
    assert check_file(tmp_path, manifest, "maps/x.png") == tmp_path / "maps" / "x.png"
    (tmp_path / "maps" / "x.png").write_bytes(b"pictura")
    assert "x.png" in refusal(check_file, tmp_path, manifest, "maps/x.png")
    assert "embed_model/x.png" in refusal(check_file, tmp_path, manifest, "embed_model/x.png")


# ------------------------------------------------------------------------- damaged and hostile


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_one_flipped_bit_anywhere_is_noticed(data):
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "trips"
        save(folder)
        path = folder / "embeddings.npz"
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        assert "embeddings.npz" in refusal(read_set, folder)


def fit_transformer(folder):
    EmbeddingTransformer(folder).fit(pd.DataFrame({"shop": [1]}))


def test_a_truncated_or_missing_file_is_named(folder):
    path = folder / "embeddings.npz"
    content = path.read_bytes()
    for end in (-1, -100, len(content) // 2, 0):
        path.write_bytes(content[:end])
        for read in (read_set, load_embeddings, fit_transformer):
            assert "embeddings.npz" in refusal(read, folder)
    path.unlink()
    assert "embeddings.npz" in refusal(read_set, folder)
    (folder / "embeddings.json").unlink()
    assert "build_embeddings.py" in refusal(read_set, folder)
    assert "build_embeddings.py" in refusal(read_set, folder / "nowhere")


def test_the_array_of_another_column_is_refused(folder):
    def swap(manifest):
        weight, is_open = manifest["columns"]["weight"], manifest["columns"]["open"]
        weight["array"], is_open["array"] = is_open["array"], weight["array"]

    edit(folder, swap)
    assert "'weight'" in refusal(read_set, folder)


def test_a_newer_format_asks_for_a_newer_program(folder):
    edit(folder, lambda manifest: manifest.update(version=2))
    sentence = refusal(read_set, folder)
    assert str(folder / "embeddings.json") in sentence and "use a newer program" in sentence


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize(
    "member",
    [
        npy(np.array([[Bomb()] * 2] * 5, dtype=object)),
        npy(np.zeros((5, 2), "f8")),
        npy(np.zeros((5, 2), ">f4")),
        npy(np.zeros((2, 5), "f4")),
        npy(np.asfortranarray(np.zeros((5, 2), "f4"))),
        npy(np.zeros((5, 2), "f4"))[:-4],
        npy(np.zeros((5, 2), "f4")) + b"more",
        npy(np.full((5, 2), np.nan, "f4")),
        npy(np.zeros((5, 2), "f4")).replace(b"(5, 2)", b"(5,2e9)"),
        npy(np.zeros((5, 2), "f4")).replace(b"(5, 2), }", b"(-----5,2)"),
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"PK",
        b"",
    ],
)
def test_an_array_that_is_not_what_the_manifest_says_is_refused(folder, member, monkeypatch):
    monkeypatch.chdir(folder)
    forge(folder, {})
    read_set(folder)  # the forgery itself is accepted
    forge(folder, {"shop": member})
    assert "embeddings.npz" in refusal(read_set, folder)
    assert not (folder / "exploded").exists()


def test_what_a_file_only_claims_to_hold_takes_no_memory(folder):
    """A petabyte declared, and a compressed member that would unpack to a gigabyte."""
    forge(folder, {}, zipfile.ZIP_DEFLATED)
    assert "uncompressed" in refusal(read_set, folder)
    huge = 2**48
    forged = npy(np.zeros((5, 2), "f4")).replace(b"(5, 2), }" + b" " * 14, b"(5, %d), }" % huge)
    assert b"%d" % huge in forged
    forge(folder, {"shop": forged})
    edit(folder, lambda manifest: manifest["columns"]["shop"].update(size=huge))
    assert "'shop'" in refusal(read_set, folder)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["../../etc/passwd", "/etc/passwd", "C:\\x", "\ud800", "HUGE", 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.data(), JUNK)
def test_a_manifest_with_anything_anywhere_is_read_or_refused_in_one_sentence(data, junk):
    manifest = copy.deepcopy(PLAIN[0])
    place = manifest
    for _ in range(data.draw(st.integers(1, 4))):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        holder, key = place, data.draw(st.sampled_from(keys))
        place = holder[key]
        if not isinstance(place, dict | list) or not place:
            break
    if data.draw(st.booleans()):
        holder[key] = junk
    elif isinstance(holder, dict):
        del holder[key]
    else:
        holder.append(junk)
    text = json.dumps(manifest).replace('"HUGE"', "9" * 5000)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(PLAIN_FOLDER.name) / "s" / "embeddings.npz", folder)
        (Path(folder) / "embeddings.json").write_text(text)
        with contextlib.suppress(InputError):
            frames = load_embeddings(folder)
            assert all(len(frame) for frame in frames.values())
            return
        refusal(read_set, folder)


PLAIN_FOLDER = tempfile.TemporaryDirectory()
PLAIN = save(Path(PLAIN_FOLDER.name) / "s")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "\xff", "[" * 100_000, '{"a":' * 100_000, '{"version": NaN}', "1e999"],
)
def test_what_is_not_a_manifest_is_refused(folder, text):
    (folder / "embeddings.json").write_bytes(text.encode("latin-1"))
    assert "embeddings.json" in refusal(read_set, folder)


@pytest.mark.parametrize(
    ("column", "key", "value"),
    [
        ("shop", "vocabulary", [1, 1, 2]),
        ("shop", "vocabulary", [1, 2]),
        ("shop", "vocabulary", [1, 2, True]),
        ("shop", "vocabulary", [1, 2, 2**64]),
        ("weight", "vocabulary", [1, 1.0]),
        ("weight", "vocabulary", [1.0, "HUGE"]),
        ("weight", "vocabulary", [1.0, 10**400]),
        ("weight", "spellings", {"1.0": 0}),
        ("open", "vocabulary", [0, 1]),
        ("open", "cardinality", 4.0),
        ("open", "size", True),
        ("open", "rows", [1, 2, 3]),
        ("open", "rows", [1, 2, 3, -1]),
        ("open", "mean_target", [1, 2, 3, "4"]),
        ("open", "array", "country"),
        ("open", "array", "../open"),
        ("open", "csv", "/etc/passwd"),
        ("open", "type", "object"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(folder, column, key, value):
    edit(folder, lambda manifest: manifest["columns"][column].update({key: value}))
    path = folder / "embeddings.json"
    path.write_text(path.read_text().replace('"HUGE"', "1e999"))
    assert "cannot be used" in refusal(read_set, folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hosts", "a/../../b", "C:\\x", "a\\b", ""])
def test_no_path_of_a_manifest_leads_outside(folder, name):
    edit(folder, lambda manifest: manifest["files"].update({name: "0" * 64}))
    assert "path inside" in refusal(read_set, folder)


def test_a_set_replaced_while_it_is_read_is_read_again(folder, monkeypatch):
    read, left = _read_manifest, [5, 6]

    def read_and_replace(folder):
        manifest = read(folder)
        if left:
            _, arrays = save(folder, seed=left.pop())
            expected.update(arrays)
        return manifest

    expected = {}
    monkeypatch.setattr("data.sets.loading._read_manifest", read_and_replace)
    _, arrays = read_set(folder)
    assert not left and all((arrays[name] == expected[name]).all() for name in SMALL)


# --------------------------------------------------------------------------------- publishing


def die_at(step, action):
    """Run `action` in a copy of this process that is killed before so many steps on files; True
    if it was."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event, arguments):
            nonlocal left
            left -= event == "open" or event.startswith(("os.", "shutil.", "fcntl.", "ctypes."))
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        with contextlib.suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), "the run failed by itself"
    return status != 0


@posix
@pytest.mark.parametrize("exchange", [True, False])
def test_killed_at_any_step_the_output_is_the_previous_set_or_the_new_one(
    tmp_path, exchange, monkeypatch
):
    if not exchange:
        monkeypatch.setattr(publishing, "_exchange", lambda one, other: False)
    columns = {"shop": ("int", [1, 2], 2)}
    output = tmp_path / "trips"
    sets = {seed: save(tmp_path / f"set-{seed}", columns, seed)[1]["shop"] for seed in (1, 2)}

    def state():
        if not output.exists():
            return None
        found = read_set(output)[1]["shop"]
        return next(seed for seed, array in sets.items() if (array == found).all())

    def run(seed):
        with working_folder(output) as working:
            stage_copy(tmp_path / f"set-{seed}", working / "staging")
            publish(working / "staging", output)

    seen = set()
    for first, previous in ((1, None), (2, 1)):
        step, killed = 0, True
        while killed:
            step += 1
            killed = die_at(step, lambda seed=first: run(seed))
            if exchange or previous is None:
                assert state() in (previous, first)
            if not killed:
                break
            with working_folder(output):
                seen.add((previous, state()))  # what was between two renames is back
                assert state() in (previous, first)
            left = tmp_path / ".trips"
            assert not left.exists() or sorted(os.listdir(left)) == ["lock", "replaced"]
            if previous is None:
                shutil.rmtree(output, ignore_errors=True)
            elif state() != previous:
                run(previous)
        assert state() == first and step > 20
    assert seen == {(None, None), (None, 1), (1, 1), (1, 2)}


HOLDER = """
import sys, time; sys.path.insert(0, {root!r})
from data.sets.publishing import working_folder
with working_folder({output!r}) as working:
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_run_into_one_folder_is_told_so_until_the_first_is_dead(tmp_path):
    output = tmp_path / "s"
    code = HOLDER.format(root=str(ROOT), output=str(output))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline().strip() == b"locked"
            assert "another run" in refusal(save, output)
            assert "another run" in refusal(save, str(tmp_path / "x" / ".." / "s"))
            save(tmp_path / "other")
        finally:
            holder.kill()
    save(output)
    assert sorted(os.listdir(tmp_path)) == ["other", "s"]


def test_what_a_run_may_resume_from_is_kept_and_half_a_set_is_not(tmp_path):
    with pytest.raises(RuntimeError), working_folder(tmp_path / "s") as working:
        for name in ("checkpoint", "staging"):
            (working / name).mkdir()
            (working / name / "x").touch()
        raise RuntimeError("crash")
    with working_folder(tmp_path / "s") as working:
        assert sorted(os.listdir(working)) == ["checkpoint", "lock"]


def test_a_hidden_folder_of_someone_else_is_not_worked_in(tmp_path):
    (tmp_path / ".config" / "staging").mkdir(parents=True)
    (tmp_path / ".config" / "settings").touch()
    assert ".config" in refusal(save, tmp_path / "config")
    assert sorted(os.listdir(tmp_path / ".config")) == ["settings", "staging"]


@pytest.mark.parametrize("inside", ["notes.txt", "embeddings.json", "sub/notes.txt"])
def test_a_folder_that_is_not_ours_is_refused_and_untouched(tmp_path, inside):
    output = tmp_path / "Documents"
    (output / inside).parent.mkdir(parents=True)
    (output / inside).write_text('{"files": {}}')
    assert "not a set of embeddings" in refusal(check_output, output)
    assert "Documents" in refusal(save, output)
    assert (output / inside).exists() and os.listdir(tmp_path) == ["Documents"]
    assert "is a file" in refusal(save, output / inside)


def test_work_that_someone_put_into_a_set_is_not_destroyed(folder):
    (folder / ".DS_Store").touch()
    save(folder)
    (folder / "vectors" / "analysis.ipynb").touch()
    assert "analysis.ipynb" in refusal(save, folder)
    assert (folder / "vectors" / "analysis.ipynb").exists()


def test_an_empty_folder_and_a_carried_over_set_may_be_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty")
    model = tmp_path / "carried" / "embed_model"
    model.parent.mkdir()
    save(model)
    (tmp_path / "carried" / "report.html").touch()
    save(tmp_path / "carried")
    assert not model.exists()


@posix
def test_what_a_run_replaces_is_kept_until_something_is_replaced_again(tmp_path):
    output, kept = tmp_path / "trips", tmp_path / ".trips" / "replaced"
    save(output)
    assert not kept.exists()
    before = tree(output)
    save(output, seed=1)
    assert tree(kept) == before
    # A set that is completed by another script loses nothing: what was kept stays.
    between = tree(output)
    with working_folder(output) as working:
        stage_copy(output, working / "staging")
        (working / "staging" / "embed_model").mkdir()
        (working / "staging" / "embed_model" / "model.keras").write_bytes(b"model")
        manifest, _ = make_set(SMALL)
        seal(working / "staging" / "embed_model", manifest)
        assert publish(working / "staging", output) is None
    assert tree(kept) == before
    assert between.items() <= tree(output).items()
    save(output, seed=2)
    assert "embed_model/model.keras" in tree(kept)
    assert sorted(os.listdir(tmp_path)) == [".trips", "trips"]


def test_a_set_of_another_table_is_replaced_only_when_told_so(tmp_path):
    tables = [tmp_path / name / "train.csv" for name in ("one", "two", "moved")]
    for i, path in enumerate(tables):
        path.parent.mkdir()
        path.write_text(f"a,b\n{i % 2},2\n")
    output = tmp_path / "train"
    manifest, arrays = make_set(SMALL)
    manifest["options"]["data"] = [str(tables[0])]
    manifest["split"]["sources"] = {"data": [{"path": str(tables[0]), "sha256": sha256(tables[0])}]}
    for folder in (output, output / "embed_model"):  # also where a table only reuses vectors
        write_vectors(folder, manifest, arrays)
        seal(folder, manifest)
        for same in (tables[0], tables[2]):
            check_same_table(output, {"data": [str(same)]})
        for other in (tables[1], tmp_path / "absent.csv"):
            sentence = refusal(check_same_table, output, {"data": [str(other)]})
            assert str(tables[0]) in sentence and "--replace" in sentence
        check_same_table(output, {"data": [str(tables[1])]}, replace=True)
        (folder / "embeddings.json").unlink()
    check_same_table(output, {"data": [str(tables[1])]})  # no set is there


def test_through_a_symbolic_link_the_folder_behind_it_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    save(tmp_path / "disk" / "trips", seed=1)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "trips")
    _, arrays = save(tmp_path / "link", seed=2)
    assert (tmp_path / "link").is_symlink()
    found = read_set(tmp_path / "disk" / "trips")[1]
    assert (found["shop"] == arrays["shop"]).all()
    assert sorted(os.listdir(tmp_path)) == ["disk", "link"]
    assert sorted(os.listdir(tmp_path / "disk")) == [".trips", "trips"]


def test_a_staged_copy_shares_files_but_writing_to_it_leaves_the_set_as_it_was(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with working_folder(folder) as working:
        staging = working / "staging"
        stage_copy(folder, staging)
        (staging / "report.html").write_text("new")
        manifest = read_set(staging)[0]
        seal(staging, manifest)
        assert {path: path.read_bytes() for path in before} == before
        assert (staging / "embeddings.npz").samefile(folder / "embeddings.npz")
        publish(staging, folder)
    assert "report.html" in read_set(folder)[0]["files"]


def test_a_full_disk_and_an_impossible_place_are_told_in_one_sentence(tmp_path):
    def write_until_full():
        with working_folder(tmp_path / "s"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert "space" in refusal(write_until_full)
    (tmp_path / "file").touch()
    assert "cannot write" in refusal(save, tmp_path / "file" / "s")
    assert "cannot write" in refusal(save, tmp_path / ("n" * 255))
    assert os.listdir(tmp_path) == ["file"]


def test_when_the_system_refuses_the_exchange_both_sets_are_still_there(folder, monkeypatch):
    before = read_set(folder)[1]["shop"]
    rename = os.rename

    def refuse(source, target):
        if Path(source).name == "staging":
            raise PermissionError(errno.EACCES, "a file in it is open")
        rename(source, target)

    monkeypatch.setattr(publishing, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", refuse)
    sentence = refusal(save, folder, SMALL, 5)
    staging = folder.parent / ".trips" / "staging"
    assert str(staging) in sentence and (staging / "embeddings.json").exists()
    assert (read_set(folder)[1]["shop"] == before).all()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_without_permission_is_told_in_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot write" in refusal(save, tmp_path / "s")


def test_deleting_the_working_folder_stops_the_run_and_nothing_else(folder):
    def run():
        with working_folder(folder) as working:
            shutil.rmtree(working)
            (working / "staging" / "x").touch()

    assert "removed" in refusal(run)

    def restarted():
        with working_folder(folder) as working:
            shutil.rmtree(working)
            stage_copy(folder, working / "staging")  # as if another run had made it anew
            publish(working / "staging", folder)

    assert "removed" in refusal(restarted)
    read_set(folder)


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), working_folder(tmp_path / "s"):
        (tmp_path / "no such table.csv").read_text()


def test_no_tensorflow_is_needed():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import data.sets.loading, "
        "data.reports.neighbours, data.transformer; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(ROOT)]).returncode == 0


# ------------------------------------------------------------------- from Python, from any folder


def python(code, cwd, **environment):
    """What a fresh process prints, which is in another folder and runs the code."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=False, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_nearest_categories_from_another_folder_without_tensorflow(tmp_path):
    words = ["Spain", "Italy", "France", "Peru", "NA"]
    manifest, arrays = make_set({"country": ("str", words, 2), "shop": ("int", [1, 2, 30], 2)})
    angles = np.radians([0, 0, 0, 10, 90, 200, 5])  # of the reserved rows too
    arrays["country"] = np.column_stack([np.cos(angles), np.sin(angles)]).astype("float32")
    manifest["columns"]["country"]["rows"] = [0, 0, 100, 50, 40, 30, 60]
    write_vectors(tmp_path / "s", manifest, arrays)
    seal(tmp_path / "s", manifest)
    (tmp_path / "elsewhere").mkdir()
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from build_embeddings import nearest\n"
        "print(nearest('../s', 'country', 'Spain', n=3).to_csv(index=False))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    lines = python(code, tmp_path / "elsewhere").splitlines()
    assert lines[0] == "category,similarity,rows,sure"
    assert [line.split(",")[0] for line in lines[1:4]] == ["NA", "Italy", "France"]
    similarities = [float(line.split(",")[1]) for line in lines[1:4]]
    np.testing.assert_allclose(similarities, np.cos(angles[[6, 3, 4]]), atol=1e-6)
    assert [line.split(",")[2] for line in lines[1:4]] == ["60", "50", "40"]
    found = nearest_categories(tmp_path / "s", "shop", 30.0, n=9)  # as pandas may hold 30
    assert set(found["category"]) <= {1, 2} and found["sure"].between(0, 1).all()
    for wrong, hint in {("country", "Spian"): "did you mean 'Spain'", ("contry", "Spain"):
                        "did you mean 'country'"}.items():  # fmt: skip
        assert hint in refusal(nearest_categories, tmp_path / "s", *wrong)


def test_beside_a_package_of_the_users_that_is_called_data(tmp_path):
    """The folder at the front of sys.path wins; where theirs came first, Python says whose it is.

    README.md says so.
    """
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__init__.py").write_text("mine = 1\n")
    first = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    use = "from build_embeddings import load_embeddings; print(load_embeddings.__name__)"
    assert python(first + use, tmp_path).strip() == "load_embeddings"
    shown = python("import data\n" + first + use, tmp_path)
    assert "ImportError" in shown and str(tmp_path / "data" / "__init__.py") in shown
    # One that is only a folder, without __init__.py, hides nothing.
    (tmp_path / "data" / "__init__.py").unlink()
    last = f"import sys; sys.path.append({str(ROOT)!r})\n"
    assert python(last + use, tmp_path).strip() == "load_embeddings"
