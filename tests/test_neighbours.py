"""Nearest categories: the tables, lines and projector files a user looks at."""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from data.reports.neighbours import (  # noqa: E402
    inverse,
    nearest,
    nearest_known,
    neighbour_lines,
    write_neighbours,
    write_projector,
)


def make_set(columns):
    """A manifest and vectors from {column: (vocabulary, vectors, mean targets or None)}."""
    manifest, arrays = {"columns": {}}, {}
    for name, (vocabulary, vectors, means) in columns.items():
        cardinality = len(vocabulary) + 2
        manifest["columns"][name] = {
            "type": type(vocabulary[0]).__name__, "vocabulary": vocabulary,
            "cardinality": cardinality, "rows": [0, 0, *range(100, 100 + len(vocabulary))],
        }  # fmt: skip
        if means is not None:
            manifest["columns"][name]["mean_target"] = [None, None, *means]
        reserved = np.ones((2, len(vectors[0])))
        arrays[name] = np.vstack([reserved, vectors]).astype("float32")
    return manifest, arrays


def circle(n):
    angles = np.linspace(0, np.pi, n)
    return np.column_stack([np.cos(angles), np.sin(angles)]) * np.arange(1, n + 1)[:, None]


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_nearest_agrees_with_cosines_computed_one_by_one(n, k, seed):
    vectors = np.random.default_rng(seed).normal(size=(n, 4)).astype("float32")
    vectors[0] *= seed % 2  # sometimes a zero vector
    indices, similarities = nearest(vectors, k)
    assert indices.shape == similarities.shape == (n, min(k, n - 1))
    for i in range(n):
        others = [j for j in range(n) if j != i]
        lengths = np.linalg.norm(vectors[i]) * np.linalg.norm(vectors, axis=1)
        cosines = vectors @ vectors[i] / np.where(lengths > 0, lengths, 1)
        assert i not in indices[i] and len(set(indices[i])) == indices.shape[1]
        best = np.sort(cosines[others])[::-1][: min(k, n - 1)]
        np.testing.assert_allclose(similarities[i], best, atol=1e-5)
        np.testing.assert_allclose(cosines[indices[i]], best, atol=1e-5)


def test_inverse_finds_each_vector_itself_even_among_parallel_ones():
    vectors = np.array([[1, 1], [2, 2], [0, 0], [-1, 3]], "float32")
    indices, distances = inverse(vectors, vectors + np.float32(0.01), k=9)
    assert indices[:, 0].tolist() == [0, 1, 2, 3] and indices.shape == (4, 4)
    np.testing.assert_allclose(distances[:, 0], 0.01 * 2**0.5, rtol=1e-3)


def test_the_table_of_neighbours(tmp_path):
    words = ["Rome", "a,b", 'q"', "NA", "x\ny", "Oslo", "Bonn"]
    means = np.zeros(7).tolist()
    manifest, arrays = make_set(
        {"city/town": (words, circle(7), means), "one": ([5], [[1.0, 2.0]], None)}
    )
    write_neighbours(tmp_path, manifest, arrays)
    frame = pd.read_csv(tmp_path / "neighbours" / "city%2Ftown.csv", keep_default_na=False)
    assert frame["category"].tolist() == words
    assert frame.columns[1:4].tolist() == ["nearest_1", "similarity_1", "rows_1"]
    assert frame.shape == (7, 16) and frame.loc[0, "rows_1"] == 101
    assert frame.loc[0, ["nearest_1", "nearest_2"]].tolist() == ["a,b", 'q"']
    assert frame.loc[0, "similarity_1"] == pytest.approx(np.cos(np.pi / 6), abs=1e-4)
    assert (tmp_path / "neighbours" / "one.csv").read_text() == "category\n5\n"


def test_of_very_many_categories_the_most_frequent_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("data.reports.neighbours.MOST_CATEGORIES", 3)
    manifest, arrays = make_set({"c": (list("abcdef"), circle(6), None)})
    manifest["columns"]["c"]["rows"] = [9, 9, 5, 1, 6, 1, 1, 7]
    write_neighbours(tmp_path, manifest, arrays)
    frame = pd.read_csv(tmp_path / "neighbours" / "c.csv")
    assert frame["category"].tolist() == ["a", "c", "f"]
    assert set(frame["nearest_1"]) | set(frame["nearest_2"]) == {"a", "c", "f"}


def test_the_lines_tell_of_the_columns_that_say_most_about_the_target():
    n = 12
    smooth = np.linspace(0, 1, n)
    noise = smooth[np.random.default_rng(0).permutation(n)]
    words = [f"{word}{i}" for word in ("w",) for i in range(n)]
    manifest, arrays = make_set({
        "number": (list(range(n)), circle(n), smooth.tolist()),
        "few": (list("abc"), circle(3), [0.0, 0.5, 1.0]),
        "noise": (words, circle(n), noise.tolist()),
        "weak": (words, circle(n), (smooth / 10).tolist()),
        "strong": (words, circle(n), smooth.tolist()),
    })  # fmt: skip
    lines = neighbour_lines(manifest, arrays)
    assert [line.split(":")[0] for line in lines] == ["strong"] * 3 + ["weak"] * 3
    told = {line.split()[1]: line.split(" is near ")[1].split(", ") for line in lines[:3]}
    for word, near in told.items():  # on a circle the next ones are the nearest
        assert len(near) == 3 and all(0.6 < float(other.split()[1]) < 1 for other in near)
        near = [other.split()[0] for other in near]
        assert all(abs(int(other[1:]) - int(word[1:])) <= 3 for other in near)


def test_neighbours_are_categories_known_well():
    vectors = np.array([[1, 0], [0.999, 0.01], [0.9, 0.3], [0, 1]], "float32")
    column = {"rows": [0, 0, 500, 2, 500, 500]}
    indices, similarities = nearest_known(column, vectors, np.arange(2, 6), 2)
    assert indices.tolist() == [[2, 3], [0, 2], [0, 3], [2, 0]]  # 1 is nobody's neighbour
    np.testing.assert_allclose(similarities[0], [0.9 / np.hypot(0.9, 0.3), 0], atol=1e-6)


def test_lines_for_many_classes_and_wild_categories_stay_on_one_line():
    words = [f"{i}\x1b[31m\n{'x' * 50}" for i in range(9)]
    manifest, arrays = make_set({"c\nd": (words, circle(9), None)})
    lines = neighbour_lines(manifest, arrays)
    assert len(lines) == 3 and all(line.isprintable() and len(line) < 170 for line in lines)
    assert neighbour_lines(*make_set({"n": ([1, 2], circle(2), [0.0, 1.0])})) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(), unique=True, min_size=1, max_size=9), st.booleans())
def test_the_projector_sees_one_label_for_each_vector(words, with_means):
    means = [None, *np.arange(len(words) - 1.0)] if with_means else None
    random = np.random.default_rng(0).normal(size=(len(words), 3))
    manifest, arrays = make_set({"c": (words, random, means)})
    with tempfile.TemporaryDirectory() as folder:
        write_projector(folder, manifest, arrays)
        path = Path(folder) / "projector"
        # as its JavaScript reads them: split("\n"), then split("\t")
        vectors = (path / "c_vectors.tsv").read_bytes().decode().split("\n")[:-1]
        header, *labels = (path / "c_metadata.tsv").read_bytes().decode().split("\n")[:-1]
    assert len(vectors) == len(labels) == len(words)
    read = np.array([line.split("\t") for line in vectors]).astype("float32")
    np.testing.assert_array_equal(read, arrays["c"][2:])
    assert header.split("\t")[:2] == ["category", "rows"]
    for word, label in zip(words, labels, strict=True):
        fields = label.split("\t")
        assert len(fields) == len(header.split("\t")) == 2 + with_means
        if not set(word) & set("\t\n\r"):
            assert fields[0] == word


def test_names_of_columns_do_not_lead_out_of_the_folder(tmp_path):
    manifest, arrays = make_set({"../../x": (["a", "b"], circle(2), None)})
    (tmp_path / "set").mkdir()
    write_neighbours(tmp_path / "set", manifest, arrays)
    write_projector(tmp_path / "set", manifest, arrays)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3 and all(path.is_relative_to(tmp_path / "set") for path in files)
    with open(tmp_path / "set" / "neighbours" / "%2E.%2F..%2Fx.csv", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["category", "a", "b"]
