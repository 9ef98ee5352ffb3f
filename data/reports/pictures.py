"""The pictures of a set as PNG and SVG files, in its folder pictures/."""

from pathlib import Path

from data.reports.categories import category_text, most_frequent
from data.reports.charts import curve_chart, draw_charts
from data.reports.drawing import cannot_draw, families, lacking_font
from data.reports.maps import DRAWN, draw_maps


def draw_pictures(folder, manifest, arrays, history, found=None, model="embeddings"):
    """Draw pictures/maps/<column>.png and .svg for every column, and the charts of `draw_found`.

    Args:
        folder: of the set that is being written.
        manifest: its manifest.
        arrays: column -> float32 [cardinality, size].
        history, found, model: see `draw_found`.

    Returns:
        None, or one sentence that says why there are no pictures, or which font they lack.
    """
    if reason := cannot_draw():
        return reason
    maps = Path(folder) / "pictures" / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    draw_maps(maps, manifest, arrays, _title(manifest, model, found))
    draw_found(folder, manifest, history, found, model)
    return lacking_font(families(frozenset(_names(manifest)))[1])


def draw_found(folder, manifest, history, found=None, model="final model"):
    """Draw pictures/curves, test_rows, importance, numbers and categories, where there are such.

    Args:
        history: DataFrame, one row per epoch.
        found: what report.json holds, or None.
        model: its name, for the titles.

    Returns:
        None, or one sentence that says why there are no pictures.
    """
    if reason := cannot_draw():
        return reason
    pictures = Path(folder) / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    title, found = _title(manifest, model, found), found or {}
    effects = found.get("effects") or {}
    importance = found.get("importance")
    curve = curve_chart(history, "Learning curves")
    for name, charts, height in (
        ("curves", [curve] if curve else [], 3.4),
        ("test_rows", found.get("charts"), 3.6),
        ("importance", [importance["chart"]] if importance else [], 4.2),
        ("numbers", effects.get("numbers", [])[:8], 3.2),
        ("categories", effects.get("categories", [])[:8], 4.4),
    ):
        if charts:
            draw_charts(pictures / name, charts, title, height=height)
    return None


def _title(manifest, model, found):
    """Table, model and date."""
    return ", ".join(filter(None, [manifest["table"], model, (found or {}).get("date")]))


def _names(manifest):
    for name, column in manifest["columns"].items():
        yield from name
        for row in most_frequent(column, DRAWN):
            yield from category_text(column, row) or ""
