"""Maps of the categories: the vectors of a column in a plane, so that one sees which categories the
model treats alike (Guo and Berkhahn 2016, figures 4 and 5: the map of the German states).

What is placed where is decided here, for the pictures and for the page.
"""

import math

import numpy as np

from data.reports.categories import category_text, colour_scale, most_frequent, sureness
from data.reports.drawing import (
    matplotlib_for,
    new_figure,
    save,
    short_line,
    short_number,
)
from data.reports.labels import leader_end, place_labels, text_size
from data.reports.palette import light
from data.reports.projection import map_coordinates, misplaced
from data.sets.names import file_names

PLACED = 500  # categories that get coordinates; the time of t-SNE grows faster than their number
DRAWN = 300  # of those, points in a picture
LABELLED = 60  # of those, names in a picture
LABELLED_ZOOMED = 140  # names that the page may show to those who zoom in
ZOOMS = (1, 2, 4)
LETTER = 12  # pixels, of the names in the page
# width, lowest and highest height of a map in the page, in pixels; its rim for names
LAYOUTS = {"wide": (760, 300, 560, 60), "narrow": (340, 240, 420, 36)}


def draw_maps(folder, manifest, arrays, title=""):
    """Draw <column>.png and <column>.svg for every column into `folder`.

    Args:
        folder: pathlib.Path that exists.
        manifest: of the set; arrays: column -> float32 [cardinality, size].
        title: of all, such as table, model and date.
    """
    target = manifest["target"]["name"]
    stems, scale = file_names(manifest["columns"]), colour_scale(manifest["columns"].values())
    for name, column in manifest["columns"].items():
        placed = most_frequent(column, PLACED)
        coordinates, how = map_coordinates(arrays[name][placed])
        drawn = placed[:DRAWN]
        means = column.get("mean_target")
        draw_map(
            folder / stems[name],
            name,
            [category_text(column, row) or "(missing)" for row in drawn],
            coordinates[:DRAWN],
            np.asarray(column["rows"])[drawn],
            None if means is None else np.asarray(means, dtype=float)[drawn],
            target,
            None if means is None else scale,
            sureness(column)[drawn],
            f"{how_many(len(drawn), len(column['vocabulary']))}; {how}",
            title,
        )


def how_many(shown, count):
    """How many categories a map shows, in words."""
    if shown < count:
        return f"the {shown} most frequent of {count:,} categories"
    return f"{count:,} {'category' if count == 1 else 'categories'}"


def warning_of(column, chosen, vectors, coordinates):
    """One sentence on where the map misleads, or None.

    Args:
        chosen: int [n], embedding rows; vectors: float [n, size]; coordinates: float [n, 2].
    """
    found = misplaced(vectors, coordinates)
    if found is None:
        return None
    one, beside, near = (
        short_line(category_text(column, chosen[i]) or "(missing)", 40) for i in found
    )
    return f"This map misleads in places: {one} lies beside {beside}, though {near} is its nearest."


# The page


def page_layouts(coordinates, rows, names):
    """What the page draws, for screens and for phones: dict of "wide", "narrow" -> dict of
    width, height, points [[x, y, radius], ...] and labels [[index, zoom, x, y, leader, text], ...],
    where x and y lead from the point to the left end of the text's base line.

    Args:
        coordinates: float [n, 2]; rows: int [n]; names: list of n texts, most frequent first.
    """
    return {kind: _layout(coordinates, rows, names, *sizes) for kind, sizes in LAYOUTS.items()}


def _layout(coordinates, rows, names, width, lowest, highest, rim):
    span = np.ptp(coordinates, axis=0) if len(coordinates) else np.zeros(2)
    high = (width - 2 * rim) * span[1] / span[0] + rim if span[0] > 0 else 0
    height = int(np.clip(high, lowest, highest))
    scale = min(
        (width - 2 * rim) / span[0] if span[0] > 0 else math.inf,
        (height - rim) / span[1] if span[1] > 0 else math.inf,
    )
    points = np.zeros((len(coordinates), 2))
    if len(coordinates):
        middle = (coordinates.min(axis=0) + coordinates.max(axis=0)) / 2
        points = (coordinates - middle) * (scale if math.isfinite(scale) else 0) * (1, -1)
    points += (width / 2, height / 2)
    largest = (14 if len(rows) <= 60 else 10 if len(rows) <= 200 else 7) * min(1, width / 500)
    radii = 2.2 + (largest - 2.2) * np.sqrt(np.asarray(rows) / max(np.max(rows, initial=1), 1))
    texts = [short_line(name, 24) for name in names[:LABELLED_ZOOMED]]
    sizes = [text_size(text, LETTER) if text else None for text in texts]
    labels = place_labels(points, radii, sizes, (3, 3, width - 3, height - 3), ZOOMS)
    return {
        "width": width,
        "height": height,
        "points": [
            [round(x, 1), round(y, 1), round(r, 1)]
            for (x, y), r in zip(points.tolist(), radii.tolist(), strict=True)
        ],
        "labels": [
            [
                label.index,
                label.zoom,
                round(label.left + 1, 1),
                round(label.low + 0.8 * sizes[label.index][1], 1),
                [round(v, 1) for v in leader_end(label.left, label.low, *sizes[label.index])]
                if label.leader
                else None,
                texts[label.index],
            ]
            for label in labels
        ],
    }


# Pictures


def draw_map(
    path_stem,
    name,
    labels,
    coordinates,
    rows,
    means,
    target_name,
    scale,
    sure=None,
    note="",
    title="",
):
    """Draw one column's categories and write <path_stem>.png and <path_stem>.svg.

    The area of a point grows with its rows, its colour says whether its mean target lies below
    (blue) or above (orange) the mean of all; points whose vectors are not sure are faint. Names
    stand where there is room, most frequent first.

    Args:
        path_stem: path without ending.
        name: of the column.
        labels: list of n texts, most frequent first; any characters.
        coordinates: float [n, 2].
        rows: int [n], training rows.
        means: float [n] mean target, NaN where not known, or None (several classes).
        target_name: for the legend.
        scale: `ColourScale`, or None.
        sure: float [n], from 0 to 1; None for all sure.
        note: small print under the name; title: small print beside it.
    """
    coordinates, rows = np.asarray(coordinates, dtype=float), np.asarray(rows, dtype=float)
    labels = [short_line(label) for label in labels]
    name, target_name = short_line(name, 60), short_line(target_name, 16)
    title = short_line(title, 90)
    with matplotlib_for("".join([name, title, target_name, *labels])):
        width = 6.8 if scale is not None else 7.76  # inches, as all of these
        height = _map_height(coordinates, width)
        figure = new_figure(8, height + 0.9)
        axes = figure.add_axes(
            (0.12 / 8, 0.12 / (height + 0.9), width / 8, height / (height + 0.9))
        )
        note = f"{note}; area: training rows".removeprefix("; ")
        for text, below, style in (
            (name, 0.36, {"fontsize": 13, "color": light("ink"), "weight": "bold"}),
            (note, 0.6, {"fontsize": 8, "color": light("soft")}),
        ):
            figure.text(0.015, 1 - below / (height + 0.9), text, parse_math=False, **style)
        figure.text(
            0.985, 1 - 0.34 / (height + 0.9), title, parse_math=False, ha="right", fontsize=8,
            color=light("soft"),
        )  # fmt: skip
        _frame(axes, coordinates)
        areas = _areas(rows)
        points = _draw_points(axes, coordinates, areas, means, scale, sure)
        if scale is not None:
            _legend(figure, points, f"mean\n{target_name}", scale)
        _write_names(figure, axes, coordinates, areas, labels)
        save(figure, path_stem)


def _draw_points(axes, coordinates, areas, means, scale, sure):
    """The points, small ones on top of large ones."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    order = np.argsort(-areas, kind="stable")
    colours, options = light("low"), {}
    if scale is not None:
        means = np.asarray(means, dtype=float)
        colours = np.where(np.isfinite(means), means, scale.centre)[order]
        ends = [light("low"), light("middle"), light("high")]
        options = {
            "cmap": LinearSegmentedColormap.from_list("mean", ends),
            "norm": Normalize(scale.centre - scale.half, scale.centre + scale.half),
        }
    sure = np.ones(len(areas)) if sure is None else np.asarray(sure, dtype=float)
    return axes.scatter(
        *coordinates[order].T,
        s=areas[order],
        c=colours,
        edgecolors=light("rim"),
        linewidths=0.5,
        alpha=(0.2 + 0.72 * sure)[order] if len(sure) else None,
        **options,
    )


def _areas(rows):
    """Marker areas in square points, growing with the rows; smaller where there are many."""
    largest = min(320, max(90, 12_000 / max(len(rows), 1)))
    return 12 + (largest - 12) * rows / max(rows.max(initial=1), 1)


def _map_height(coordinates, width):
    """Height in inches for a map of that width: lower where the points lie in a flat band."""
    span = np.ptp(coordinates, axis=0) if len(coordinates) else np.zeros(2)
    return float(np.clip(width * span[1] / span[0] if span[0] > 0 else 0, 3.3, 5.1))


def _frame(axes, coordinates):
    """Equal scales on both axes, room for names at the rim, no numbers: they would say nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(light("line"))
    if not len(coordinates):
        return
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    box = axes.get_window_extent()
    scale = max(span[0] / (0.8 * box.width), span[1] / (0.88 * box.height))
    if scale * box.width < 1e-6:
        scale = 1 / box.width
    middle = (low + high) / 2
    for set_limits, centre, length in (
        (axes.set_xlim, middle[0], box.width),
        (axes.set_ylim, middle[1], box.height),
    ):
        set_limits(centre - scale * length / 2, centre + scale * length / 2)


def _legend(figure, points, title, scale):
    """The colours from the lowest to the highest mean that occurs."""
    from matplotlib.cm import ScalarMappable

    axes = figure.add_axes((0.895, 0.25, 0.018, 0.4))
    bar = figure.colorbar(ScalarMappable(points.norm, points.cmap), cax=axes)
    if scale.low < scale.high:
        bar.ax.set_ylim(scale.low, scale.high)
    ticks = sorted({scale.low, scale.centre, scale.high})
    bar.set_ticks(ticks, labels=[short_number(tick, scale.half) for tick in ticks])
    bar.ax.tick_params(length=0, labelsize=8, colors=light("soft"))
    bar.outline.set_visible(False)
    figure.text(0.985, 0.69, title, ha="right", fontsize=8, color=light("soft"), parse_math=False)


def _write_names(figure, axes, coordinates, areas, labels):
    """Names beside points, most frequent first, with a leader line where there is no room."""
    from matplotlib.lines import Line2D

    renderer, unit = figure.canvas.get_renderer(), figure.dpi / 72  # pixels in a point
    frame = axes.get_window_extent()
    pixels = axes.transData.transform(coordinates) if len(coordinates) else coordinates
    texts, extents = [], []
    for label in labels[:LABELLED]:
        text = axes.text(0, 0, label, fontsize=8, color=light("ink"), parse_math=False)
        text.set_transform(figure.dpi_scale_trans)  # in inches: the SVG has other pixels
        texts.append(text)
        extents.append(text.get_window_extent(renderer) if label else None)
    sizes = [None if extent is None else (extent.width, extent.height) for extent in extents]
    bounds = (frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2)
    radii = np.sqrt(areas / math.pi) * unit
    placed = place_labels(pixels, radii, sizes, bounds, unit=unit)
    for label in placed:
        i, point = label.index, pixels[label.index]
        corner = point + np.array([label.left, label.low])
        texts[i].set_position((corner - (extents[i].x0, extents[i].y0)) / figure.dpi)
        if label.leader:
            end = point + leader_end(label.left, label.low, *sizes[i])
            line = Line2D(*np.array([point, end]).T / figure.dpi, color=light("soft"), lw=0.6)
            line.set_transform(figure.dpi_scale_trans)
            figure.add_artist(line)
    for i in set(range(len(texts))) - {label.index for label in placed}:
        texts[i].remove()
