"""Maps and learning curves: what is placed where, and pictures from any text."""

import itertools
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.reports import pictures
from data.reports.pictures import (
    draw_curves,
    draw_map,
    draw_pictures,
    map_coordinates,
    most_frequent,
)

ROOT = Path(__file__).resolve().parent.parent
WILD = [
    "<script>alert(1)</script>",
    "$x_",
    "$\\frac{$",
    "two\nlines",
    "NUL\0 and \x1b[31m",
    "\ud800 alone",
    "北京市",
    "القاهرة",
    "emoji 🎈",
    "-->",
    "x" * 300,
    "",
    " ",
]


def column(categories, rows=None, means=True, missing=0):
    count = len(categories)
    entry = {
        "vocabulary": categories,
        "cardinality": count + 2,
        "rows": [missing, 0, *(rows or range(count, 0, -1))],
    }
    if means:
        entry["mean_target"] = [None, None, *np.linspace(0, 1, count).tolist()]
    return entry


def make_manifest(columns):
    return {"table": "t", "columns": columns, "target": {"name": "$profit", "task": "regression"}}


def vectors(n, size=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size)).astype("float32")


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, in order."""
    saved, save = [], pictures._save
    monkeypatch.setattr(pictures, "_save", lambda f, stem: (saved.append(f), save(f, stem)))
    return saved


# ------------------------------------------------------------------------------------- coordinates


@pytest.mark.parametrize("n", [0, 1, 2, 3, 29, 30, 200])
@pytest.mark.parametrize("size", [1, 2, 50])
def test_any_number_of_categories_has_coordinates(n, size):
    coordinates, how = map_coordinates(vectors(n, size))
    assert coordinates.shape == (n, 2) and np.isfinite(coordinates).all()
    assert how
    pictures._map_coordinates.cache_clear()
    assert np.array_equal(map_coordinates(vectors(n, size))[0], coordinates)


@pytest.mark.parametrize("n", [2, 40])
def test_vectors_that_are_all_alike_lie_in_one_place(n):
    coordinates, how = map_coordinates(np.full((n, 20), 0.3, "float32"))
    assert not coordinates.any() and how == "all vectors are alike"


def test_two_dimensions_are_kept_as_they_are():
    points = vectors(50, 2)
    coordinates, how = map_coordinates(points)
    assert how == "PCA, 100% of the variance"
    distances = [np.linalg.norm(p[:, None] - p[None], axis=2) for p in (points, coordinates)]
    assert np.allclose(*distances, atol=1e-5)


def test_groups_in_many_dimensions_stay_groups():
    centres = 5 * vectors(12, 50)
    groups = np.repeat(np.arange(12), 10)
    coordinates, how = map_coordinates(centres[groups] + vectors(120, 50, seed=1))
    assert how.startswith("t-SNE")
    distances = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (groups[distances.argmin(axis=1)] == groups).all()


def test_the_most_frequent_come_first_and_missing_counts_where_it_occurs():
    entry = column(["a", "b", "c"], rows=[5, 9, 7], missing=6)
    assert most_frequent(entry, 10).tolist() == [3, 4, 0, 2]
    assert most_frequent(entry, 2).tolist() == [3, 4]
    assert most_frequent(column(["a", "b"], rows=[1, 2]), 10).tolist() == [3, 2]


# ---------------------------------------------------------------------------------------- pictures


def test_each_column_gets_its_map_whatever_its_names(tmp_path, capfd):
    columns = {
        "wild/../$\\frac{$": column(WILD, missing=3),
        "one": column(["only"]),
        "two": column([1, 2], means=False),
        "none": column([]),
        "no rows": column(["a", "b"], rows=[0, 0]) | {"mean_target": [None] * 4},
    }
    arrays = {name: vectors(entry["cardinality"]) for name, entry in columns.items()}
    history = pd.DataFrame({"epoch": [1], "loss": [1.0], "val_loss": [2.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_pictures(tmp_path, make_manifest(columns), arrays, history) is None
    assert capfd.readouterr() == ("", "")
    files = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert len(files) == 10 and sum(name.endswith(".svg") for name in files) == 5
    for path in [*tmp_path.rglob("*.svg")]:
        tags = {node.tag.split("}")[-1] for node in ElementTree.parse(path).iter()}
        assert "script" not in tags
    for path in [*tmp_path.rglob("*.png")]:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_same_data_gives_the_same_files(tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        labels = [f"category {i}" for i in range(40)]
        draw_map(
            tmp_path / part / "map", "c", labels, vectors(40, 2), np.arange(40), np.arange(40), "y"
        )
    for ending in (".png", ".svg"):
        first, second = ((tmp_path / part / f"map{ending}").read_bytes() for part in ("a", "b"))
        assert first == second


def test_labels_do_not_overlap_and_stay_inside(tmp_path, figures):
    labels = [f"a category {i}" for i in range(300)]
    draw_map(
        tmp_path / "map", "c", labels, vectors(300, 2), np.arange(300, 0, -1), np.arange(300), "y"
    )
    (figure,) = figures
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 10 < len(boxes) <= pictures.LABELLED
    for a, b in itertools.combinations(boxes, 2):
        assert a.x0 >= b.x1 or b.x0 >= a.x1 or a.y0 >= b.y1 or b.y0 >= a.y1
    frame = axes.get_window_extent()
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 for b in boxes)
    assert all(frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
    assert axes.texts[0].get_text() in labels[:5]  # the most frequent first


def test_points_show_rows_and_mean_target(tmp_path, figures):
    draw_map(tmp_path / "map", "c", ["a", "b"], vectors(2, 2), [100, 30], [9.0, 1.0], "y")
    points = figures[0].axes[0].collections[0]
    large, small = points.get_sizes()
    assert large > 2 * small
    # the mean of all rows lies at 7.2
    (red_above, _, blue_above), (red_below, _, blue_below) = points.to_rgba(points.get_array())[
        :, :3
    ]
    assert red_above > blue_above and blue_below > red_below


def test_only_the_most_frequent_are_drawn_when_there_are_many(tmp_path, figures):
    columns = {"many": column([f"c{i}" for i in range(700)])}
    history = pd.DataFrame({"epoch": [1, 2], "loss": [100.0, 1.0]})
    draw_pictures(tmp_path, make_manifest(columns), {"many": vectors(702)}, history)
    assert len(figures[0].axes[0].collections[0].get_offsets()) == pictures.DRAWN
    assert "300 most frequent of 700" in " ".join(text.get_text() for text in figures[0].texts)


def test_curves_of_both_scripts_and_failed_epochs(tmp_path, figures):
    first = pd.DataFrame({"epoch": [1, 2], "loss": [50.0, 1.0], "val_loss": [40.0, np.nan]})
    second = pd.DataFrame({"epoch": [1], "loss": [np.nan]})
    draw_curves(tmp_path / "curves", {"embeddings": first, "$model": second})
    assert [axes.get_title(loc="left") for axes in figures[0].axes] == ["embeddings", "$model"]
    assert figures[0].axes[0].get_yscale() == "log"
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "curves.svg").is_file()


def test_fonts_cover_the_script_where_one_is_installed(tmp_path, figures):
    from matplotlib import font_manager

    def covers(path, character):
        return ord(character) in pictures._charmap(path)

    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last")]
    if not any(covers(font.fname, "京") for font in fonts):
        pytest.skip("no font for Chinese here")
    families = pictures._families(frozenset("北京 a"))
    assert families[0] == "DejaVu Sans" and len(families) == 2
    assert covers(font_manager.findfont(families[1]), "京")


def test_without_matplotlib_it_says_so_in_one_sentence(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from data.reports.pictures import draw_curves, draw_pictures\n"
        f"print(draw_pictures({str(tmp_path)!r}, {{}}, {{}}, None))\n"
        f"assert draw_curves({str(tmp_path / 'curves')!r}, {{}}).startswith('no pictures')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "matplotlib is not installed" in done.stdout and done.stdout.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_importing_it_is_quick():
    code = (
        "import sys, data.reports.pictures, data.reports.report\n"
        "print({'matplotlib', 'sklearn', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
