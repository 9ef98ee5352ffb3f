"""The pictures of a set as PNG and SVG files, in its folder pictures/."""

from pathlib import Path

from data.reports.categories import category_text, most_frequent
from data.reports.charts import curve_chart, draw_charts
from data.reports.drawing import cannot_draw, families, lacking_font
from data.reports.maps import DRAWN, draw_maps


def draw_pictures(folder, manifest, arrays, history):
    """Draw pictures/maps/<column>.png and .svg for every column, and pictures/curves.

    Args:
        folder: of the set that is being written.
        manifest: its manifest.
        arrays: column -> float32 [cardinality, size].
        history: DataFrame, one row per epoch.

    Returns:
        None, or one sentence that says why there are no pictures, or which font they lack.
    """
    if reason := cannot_draw():
        return reason
    maps = Path(folder) / "pictures" / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    draw_maps(maps, manifest, arrays)
    draw_curves(folder, history)
    return lacking_font(families(frozenset(_names(manifest)))[1])


def draw_curves(folder, history, title="Learning curves"):
    """Draw pictures/curves.png and .svg; returns None, or why there is no picture."""
    (Path(folder) / "pictures").mkdir(parents=True, exist_ok=True)
    curve = curve_chart(history, title)
    return draw_charts(Path(folder) / "pictures" / "curves", [curve]) if curve else None


def _names(manifest):
    for name, column in manifest["columns"].items():
        yield from name
        for row in most_frequent(column, DRAWN):
            yield from category_text(column, row) or ""
