"""Maps and learning curves: what is placed where, and pictures from any text."""

import itertools
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.reports import charts, drawing, maps, projection
from data.reports.categories import colour_scale, known_well, most_frequent, sureness
from data.reports.charts import curve_chart, draw_charts
from data.reports.labels import place_labels
from data.reports.maps import draw_map, page_layouts
from data.reports.pictures import draw_pictures
from data.reports.projection import map_coordinates, misplaced

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


def draw(stem, labels, coordinates, rows, means):
    """The map of one column alone."""
    entry = {"rows": [0, 0, *rows], "mean_target": [None, None, *means]}
    draw_map(stem, "c", labels, coordinates, rows, means, "y", colour_scale([entry]))


def vectors(n, size=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size)).astype("float32")


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, in order."""
    saved, save = [], drawing.save
    for module in (maps, charts):
        monkeypatch.setattr(module, "save", lambda f, stem: (saved.append(f), save(f, stem)))
    return saved


# ------------------------------------------------------------------------------------- coordinates


@pytest.mark.parametrize("n", [0, 1, 2, 3, 29, 30, 200])
@pytest.mark.parametrize("size", [1, 2, 50])
def test_any_number_of_categories_has_coordinates(n, size):
    coordinates, how = map_coordinates(vectors(n, size))
    assert coordinates.shape == (n, 2) and np.isfinite(coordinates).all()
    assert how
    projection._map_coordinates.cache_clear()
    assert np.array_equal(map_coordinates(vectors(n, size))[0], coordinates)


@pytest.mark.parametrize("n", [2, 40])
def test_vectors_that_are_all_alike_lie_in_one_place(n):
    coordinates, how = map_coordinates(np.full((n, 20), 0.3, "float32"))
    assert not coordinates.any() and how == "all vectors are alike"


def test_two_dimensions_are_kept_as_they_are():
    points = vectors(50, 2)
    coordinates, how = map_coordinates(points)
    across, up = (int(share) for share in re.findall("([0-9]+)%", how))
    assert how.startswith("PCA") and across >= up and across + up in (99, 100, 101)
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
        told = draw_pictures(tmp_path, make_manifest(columns), arrays, history)
    assert told is None or "install Noto" in told  # the fonts that are not here
    assert capfd.readouterr() == ("", "")
    files = sorted(path.name for path in (tmp_path / "pictures" / "maps").iterdir())
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
        draw(tmp_path / part / "map", labels, vectors(40, 2), np.arange(40), np.arange(40))
    for ending in (".png", ".svg"):
        first, second = ((tmp_path / part / f"map{ending}").read_bytes() for part in ("a", "b"))
        assert first == second


def test_labels_do_not_overlap_and_stay_inside(tmp_path, figures):
    labels = [f"a category {i}" for i in range(300)]
    draw(tmp_path / "map", labels, vectors(300, 2), np.arange(300, 0, -1), np.arange(300))
    (figure,) = figures
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 10 < len(boxes) <= maps.LABELLED
    for a, b in itertools.combinations(boxes, 2):
        assert a.x0 >= b.x1 or b.x0 >= a.x1 or a.y0 >= b.y1 or b.y0 >= a.y1
    frame = axes.get_window_extent()
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 for b in boxes)
    assert all(frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
    assert axes.texts[0].get_text() in labels[:5]  # the most frequent first


def test_points_show_rows_and_mean_target(tmp_path, figures):
    draw(tmp_path / "map", ["a", "b"], vectors(2, 2), [100, 30], [9.0, 1.0])
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
    assert len(figures[0].axes[0].collections[0].get_offsets()) == maps.DRAWN
    assert "300 most frequent of 700" in " ".join(text.get_text() for text in figures[0].texts)


def test_curves_with_failed_epochs(tmp_path, figures):
    first = pd.DataFrame({"epoch": [1, 2], "loss": [50.0, 1.0], "val_loss": [40.0, np.nan]})
    assert curve_chart(pd.DataFrame({"epoch": [1], "loss": [np.nan]}), "t") is None
    draw_charts(tmp_path / "curves", [curve_chart(first, "$model")])
    assert figures[0].axes[0].get_title(loc="left") == "$model"
    assert figures[0].axes[0].get_yscale() == "log"
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "curves.svg").is_file()


def test_fonts_cover_the_script_where_one_is_installed(tmp_path, figures):
    from matplotlib import font_manager

    def covers(path, character):
        return ord(character) in drawing.charmap(path)

    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last")]
    if not any(covers(font.fname, "京") for font in fonts):
        pytest.skip("no font for Chinese here")
    families, lacking = drawing.families(frozenset("北京 a"))
    assert not lacking and families[0] == "DejaVu Sans" and len(families) == 2
    assert covers(font_manager.findfont(families[1]), "京")


def test_a_font_that_is_lacking_is_named():
    assert drawing.lacking_font(frozenset()) is None
    assert "Noto Sans CJK" in drawing.lacking_font(frozenset("北"))
    assert "Noto Sans Arabic" in drawing.lacking_font(frozenset("ق"))
    _, lacking = drawing.families(frozenset("a\U00011f02"))  # Kawi, which hardly any font has
    assert "a" not in lacking


# ----------------------------------------------------------------------- colours, names, warnings


def test_a_column_of_noise_is_grey_beside_one_that_tells():
    rows = [0, 0, *[500] * 4]
    telling = {"rows": rows, "mean_target": [None, None, 2.0, 8.0, 12.0, 18.0]}
    noise = {"rows": rows, "mean_target": [None, None, 9.8, 10.1, 10.2, 9.9]}
    scale = colour_scale([telling, noise])
    assert scale.centre == pytest.approx(10) and np.abs(scale.shades([2.0, 18.0])).min() == 1
    assert np.abs(scale.shades(noise["mean_target"][2:])).max() < 0.05
    assert (scale.low, scale.high) == (2.0, 18.0)  # no further than what occurs
    assert colour_scale([{"rows": rows}]) is None
    rare = {"rows": [0, 0, 1], "mean_target": [None, None, 1e6]}  # one row sets no scale
    assert colour_scale([telling, noise, rare]).half == pytest.approx(scale.half, rel=0.2)


def test_a_vector_is_known_by_its_spread_or_by_its_rows():
    entry = column(list("abc"), rows=[5, 10, 1000])
    assert known_well(entry).tolist() == [False, False, False, True, True]
    assert sureness(entry)[4] > 0.9 > 0.5 > sureness(entry)[2]
    entry = column(list("abcd"), rows=[5, 10, 1000, 400])
    entry["spread"] = [None, None, 0.1, 2.0, 0.2, 0.3]
    assert known_well(entry).tolist() == [False, False, False, False, True, True]
    assert sureness(entry)[4] > 0.9 > 0.5 > sureness(entry)[2] > sureness(entry)[3]
    entry["spread"][4:] = [2.0, 2.0]  # none is: the rows alone decide
    assert known_well(entry).tolist() == [False, False, False, True, True, True]


def test_names_cover_neither_points_nor_names_and_leader_lines_help():
    points = 400 * np.random.default_rng(0).random((60, 2))
    radii, sizes = np.full(60, 6.0), [(60.0, 14.0)] * 60
    placed = place_labels(points, radii, sizes, (0, 0, 400, 400))
    assert any(label.leader for label in placed)
    corners = [points[label.index] + (label.left, label.low) for label in placed]
    boxes = [(*corner, corner[0] + 60, corner[1] + 14) for corner in corners]
    discs = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    for i, a in enumerate(boxes):
        for b in [*boxes[:i], *discs]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]
    zoomed = place_labels(points, radii, sizes, (0, 0, 400, 400), zooms=(1, 4))
    assert len(zoomed) > len(placed) and {label.zoom for label in zoomed} == {1, 4}


def test_the_page_places_points_inside_its_frame():
    for n in (0, 1, 7, 300):
        for layout in page_layouts(
            vectors(n, 2), np.ones(n), [f"name {i}" for i in range(n)]
        ).values():
            points = np.array(layout["points"]).reshape(-1, 3)
            assert len(points) == n and (points[:, :2] >= 0).all()
            assert (points[:, 0] <= layout["width"]).all()
            assert (points[:, 1] <= layout["height"]).all()
            assert {label[0] for label in layout["labels"]} <= set(range(n))


def test_a_map_that_misleads_is_told():
    week = np.array([[1, 0, 0], [0.9, 0.4, 0], [-1, 0.1, 1], [-1, 0.1, -1], [-0.9, -1, 0]])
    flat = week[:, :2] - week[:, :2].mean(axis=0)
    one, beside, near = misplaced(np.vstack([week, [[-0.8, -1, 0.1]]]), np.vstack([flat, [[2, 2]]]))
    assert one != beside and near != beside
    plane = vectors(20, 2)
    far = plane / np.linalg.norm(plane, axis=1, keepdims=True)  # on a circle all is as it seems
    assert misplaced(far, far) is None


def test_without_matplotlib_it_says_so_in_one_sentence(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from data.reports.pictures import draw_found, draw_pictures\n"
        f"print(draw_pictures({str(tmp_path)!r}, {{}}, {{}}, None))\n"
        f"assert draw_found({str(tmp_path)!r}, {{}}, None).startswith('no pictures')\n"
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
