"""Maps of the categories and learning curves, as PNG and SVG (matplotlib).

The vectors of a column are projected to two dimensions, so that one sees which categories the
model treats alike (Guo and Berkhahn 2016, figures 4 and 5: the map of the German states).
matplotlib is imported late and asked for files only: no window, no state that outlives a call.
"""

import contextlib
import functools
import logging
import math
import unicodedata
import warnings
from pathlib import Path

import numpy as np

from data.sets.names import file_names

PLACED = 500  # categories that get coordinates; the time of t-SNE grows faster than their number
DRAWN = 300  # of those, points in a picture
LABELLED = 60  # of those, names in a picture
LABEL_LENGTH = 26  # characters
TSNE_FROM = 30  # fewer categories are too few for neighbourhoods to mean anything
LOW, MIDDLE, HIGH = (
    "#1f5fa8",
    "#cfcfca",
    "#c4500f",
)  # below, at and above the mean; colour-blind safe
INK, SOFT, GRID = "#1d2126", "#626870", "#e6e6e2"


def most_frequent(column, limit):
    """Return the embedding rows of the `limit` most frequent categories, int64 [<= limit].

    `column` is an entry of `manifest["columns"]`. Row 0 (missing) counts as a category when
    training rows had it; row 1 (unseen) has no rows of its own and never does.
    """
    rows = np.asarray(column["rows"], dtype=np.int64)
    order = np.argsort(-rows, kind="stable")
    return order[(order > 1) | ((order == 0) & (rows[0] > 0))][:limit]


def category_text(column, row):
    """Return the name of an embedding row as text; None for row 0, the missing values."""
    return None if row == 0 else str(column["vocabulary"][row - 2])


def map_coordinates(vectors, seed=0):
    """Project vectors to two dimensions: (float32 [n, 2], a few words on how).

    PCA, except where 30 or more vectors keep less than half of their variance in two components:
    there t-SNE (van der Maaten and Hinton 2008), by cosine like the lists of neighbours. The same
    vectors and seed give the same coordinates. Vectors that are all alike lie at the origin.

    Args:
        vectors: float [n, size], finite. Give the most frequent 500 at most: t-SNE takes about a
            second for them.
        seed: of t-SNE.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    return _map_coordinates(vectors.tobytes(), vectors.shape, seed)


@functools.lru_cache(maxsize=64)  # the report asks for the maps that were just drawn
def _map_coordinates(data, shape, seed):
    vectors = np.frombuffer(data, dtype=np.float32).reshape(shape).astype(np.float64)
    coordinates = np.zeros((len(vectors), 2), dtype=np.float32)
    coordinates.flags.writeable = False
    spread = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    variance = np.square(spread).sum()
    if not variance > 1e-12 * np.square(vectors).sum():
        return coordinates, "all vectors are alike"

    from sklearn.decomposition import PCA

    components = min(2, *shape)
    pca = PCA(components, svd_solver="full").fit(spread)
    kept = np.square(pca.transform(spread)).sum() / variance
    coordinates = np.zeros((len(vectors), 2), dtype=np.float32)
    if len(vectors) < TSNE_FROM or kept >= 0.5:
        coordinates[:, :components] = pca.transform(spread)
        how = f"PCA, {min(kept, 1):.0%} of the variance"
    else:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        tsne = TSNE(init="pca", metric="cosine", max_iter=500, random_state=seed)
        tsne.set_params(perplexity=min(30, (len(vectors) - 1) / 3))
        with threadpool_limits(1):  # on so few points threads wait more than they work
            placed = tsne.fit_transform(vectors)
        coordinates[:] = PCA(2, svd_solver="full").fit_transform(
            placed
        )  # widest from left to right
        how = f"t-SNE of {shape[1]} dimensions"
    coordinates.flags.writeable = False
    return coordinates, how


def colour_scale(means, rows, shown=slice(None)):
    """Return (centre, half) of the colours: mean target of all rows, and the reach on both sides.

    The reach holds 95 % of the categories shown; what lies beyond takes the colour at the end.

    Args:
        means: float [n], NaN where not known.
        rows: int [n], training rows of each.
        shown: which of them are shown, an index into both.
    """
    means, rows = np.asarray(means, dtype=float), np.asarray(rows)
    known = np.isfinite(means)
    if not known.any():
        return 0.0, 1.0
    centre = float(np.average(means[known], weights=np.maximum(rows[known], 1e-9)))
    half = float(np.nanquantile(np.abs(np.append(means[shown], centre) - centre), 0.95))
    return centre, half if half > 1e-12 * max(1, abs(centre)) else 1.0


def draw_pictures(folder, manifest, arrays, history):
    """Draw maps/<column>.png and .svg for every column, and curves.png and .svg, into `folder`.

    Args:
        folder: of the set that is being written.
        manifest: its manifest.
        arrays: column -> float32 [cardinality, size].
        history: DataFrame, one row per epoch.

    Returns None, or one sentence that says why there are no pictures.
    """
    if reason := _cannot_draw():
        return reason
    folder = Path(folder)
    (folder / "maps").mkdir(parents=True, exist_ok=True)
    target = manifest["target"]["name"]
    stems = file_names(manifest["columns"])
    for name, column in manifest["columns"].items():
        placed = most_frequent(column, PLACED)
        coordinates, how = map_coordinates(arrays[name][placed])
        drawn = placed[:DRAWN]
        count = len(column["vocabulary"])
        means = column.get("mean_target")
        draw_map(
            folder / "maps" / stems[name],
            name,
            [category_text(column, row) or "(missing)" for row in drawn],
            coordinates[:DRAWN],
            np.asarray(column["rows"])[drawn],
            None if means is None else np.asarray(means, dtype=float)[drawn],
            target,
            f"the {DRAWN} most frequent of {count:,} categories, {how}"
            if len(drawn) < count
            else f"{count:,} {'category' if count == 1 else 'categories'}, {how}",
        )
    draw_curves(folder / "curves", {"": history})
    return None


def draw_map(path_stem, name, labels, coordinates, rows, mean_target, target_name, note=""):
    """Draw one column's categories and write <path_stem>.png and <path_stem>.svg.

    The area of a point grows with its rows, its colour says whether its mean target lies below
    (blue) or above (orange) the mean of all. Names stand where there is room, most frequent first.

    Args:
        path_stem: path without ending.
        name: of the column.
        labels: list of n texts, most frequent first; any characters.
        coordinates: float [n, 2].
        rows: int [n], training rows.
        mean_target: float [n] with NaN where not known, or None (several classes).
        target_name: for the legend.
        note: small print under the title.
    """
    coordinates = np.asarray(coordinates, dtype=float)
    rows = np.asarray(rows, dtype=float)
    labels = [_one_line(label) for label in labels]
    name, target_name = _one_line(name, 60), _one_line(target_name, 16)
    with _matplotlib("".join([name, target_name, *labels])):
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        width = 6.8 if mean_target is not None else 7.76  # inches, as all of these
        height = _map_height(coordinates, width)
        figure = _figure(8, height + 0.9)
        axes = figure.add_axes(
            (0.12 / 8, 0.12 / (height + 0.9), width / 8, height / (height + 0.9))
        )
        note = f"{note}; area: training rows".removeprefix("; ")
        for text, below, style in (
            (name, 0.36, {"fontsize": 13, "color": INK, "weight": "bold"}),
            (note, 0.6, {"fontsize": 9, "color": SOFT}),
        ):
            figure.text(0.015, 1 - below / (height + 0.9), text, parse_math=False, **style)
        _frame(axes, coordinates)
        areas = _areas(rows)
        if mean_target is None:
            colours, options = LOW, {}
        else:
            mean_target = np.asarray(mean_target, dtype=float)
            centre, half = colour_scale(mean_target, rows)
            colours = np.where(np.isfinite(mean_target), mean_target, centre)
            options = {
                "cmap": LinearSegmentedColormap.from_list("mean", [LOW, MIDDLE, HIGH]),
                "norm": Normalize(centre - half, centre + half),
            }
        order = np.argsort(-areas, kind="stable")  # small points on top of large ones
        points = axes.scatter(
            *coordinates[order].T,
            s=areas[order],
            c=colours if mean_target is None else colours[order],
            edgecolors="#3a3f45",
            linewidths=0.5,
            alpha=0.92,
            **options,
        )
        if mean_target is not None:
            _legend(figure, points, f"mean\n{target_name}", centre, half)
        _place_labels(figure, axes, coordinates, areas, labels)
        _save(figure, path_stem)


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
        side.set_color(GRID)
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


def _legend(figure, points, title, centre, half):
    axes = figure.add_axes((0.895, 0.25, 0.018, 0.4))
    bar = figure.colorbar(points, cax=axes, extend="both")
    ticks = [centre - half, centre, centre + half]
    bar.set_ticks(ticks, labels=[short_number(tick, half) for tick in ticks])
    bar.ax.tick_params(length=0, labelsize=8, colors=SOFT)
    bar.outline.set_visible(False)
    figure.text(0.985, 0.69, title, ha="right", fontsize=8, color=SOFT, parse_math=False)


def _place_labels(figure, axes, coordinates, areas, labels):
    """Write names beside points, most frequent first, where they cover no other name.

    Of the places around a point the one that covers the fewest points is taken; a name without
    a free place is left out.
    """
    from matplotlib.patheffects import withStroke

    renderer = figure.canvas.get_renderer()
    unit = figure.dpi / 72  # pixels in a point
    frame = axes.get_window_extent()
    pixels = axes.transData.transform(coordinates) if len(coordinates) else coordinates
    radii = np.sqrt(areas / math.pi) * unit
    taken = np.empty((0, 4))
    for point, radius, label in zip(pixels[:LABELLED], radii, labels, strict=False):
        text = axes.text(0, 0, label, fontsize=8, color=INK, parse_math=False)
        text.set_transform(figure.dpi_scale_trans)  # in inches: the SVG has other pixels
        text.set_path_effects([withStroke(linewidth=2.2, foreground="white", alpha=0.85)])
        extent = text.get_window_extent(renderer)
        boxes = _boxes_around(point, radius + 2 * unit, extent.width, extent.height)
        inside = (
            (boxes[:, 0] >= frame.x0 + 2)
            & (boxes[:, 1] >= frame.y0 + 2)
            & (boxes[:, 2] <= frame.x1 - 2)
            & (boxes[:, 3] <= frame.y1 - 2)
        )
        free = inside & ~_overlap(boxes, taken).any(axis=1)
        if not label or not free.any():
            text.remove()
            continue
        discs = np.column_stack([pixels - radii[:, None], pixels + radii[:, None]])
        covered = _overlap(boxes, discs).sum(axis=1).astype(float)
        best = np.argmin(np.where(free, covered, np.inf))
        text.set_position((boxes[best, :2] - (extent.x0, extent.y0)) / figure.dpi)
        taken = np.vstack([taken, boxes[best]])


def _boxes_around(point, distance, width, height):
    """Places for a text around a point, best first: float [8, 4], left, bottom, right, top."""
    slanted = distance * 0.75
    x, y = point
    corners = [
        (x + distance, y - height / 2),
        (x - distance - width, y - height / 2),
        (x - width / 2, y + distance),
        (x - width / 2, y - distance - height),
        (x + slanted, y + slanted - height / 3),
        (x + slanted, y - slanted - height * 2 / 3),
        (x - slanted - width, y + slanted - height / 3),
        (x - slanted - width, y - slanted - height * 2 / 3),
    ]
    return np.array([(left, low, left + width, low + height) for left, low in corners])


def _overlap(a, b):
    """Which boxes overlap: bool [len(a), len(b)]."""
    a, b = a[:, None], b[None]
    apart = (a[..., :2] >= b[..., 2:]) | (b[..., :2] >= a[..., 2:])
    return ~apart.any(axis=-1)


def draw_curves(path_stem, histories):
    """Draw loss and validation loss by epoch and write <path_stem>.png and <path_stem>.svg.

    Args:
        path_stem: path without ending.
        histories: title -> DataFrame with the columns epoch, loss and, if there is one, val_loss;
            one panel each.

    Returns None, or one sentence that says why there are no pictures.
    """
    if reason := _cannot_draw():
        return reason
    titles = [_one_line(title, 60) for title in histories]
    with _matplotlib("".join(titles)):
        from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

        figure = _figure(max(6, 4.5 * len(titles)), 3.6, layout="constrained")
        panels = figure.subplots(1, len(titles), squeeze=False)[0]
        for axes, title, history in zip(panels, titles, histories.values(), strict=True):
            epochs = history["epoch"].to_numpy()
            for column, colour, text in (
                ("loss", SOFT, "training"),
                ("val_loss", HIGH, "validation"),
            ):
                if column in history and history[column].notna().any():
                    values = history[column].to_numpy(dtype=float)
                    axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=text)
            shown = [history[c] for c in ("loss", "val_loss") if c in history]
            if wide_range(np.concatenate(shown)):
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_major_formatter("{x:g}")
                axes.yaxis.set_minor_locator(NullLocator())
            axes.margins(y=0.12)
            _mark_best(axes, history)
            axes.set_title(title, loc="left", fontsize=11, color=INK, parse_math=False)
            axes.set_xlabel("epoch", fontsize=9, color=SOFT)
            axes.set_ylabel("loss", fontsize=9, color=SOFT)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(epochs) == 1:
                axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
            axes.tick_params(labelsize=8, colors=SOFT, length=0)
            axes.grid(color=GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            for side in axes.spines.values():
                side.set_visible(False)
            if axes.lines:
                axes.legend(frameon=False, fontsize=9, labelcolor=INK)
        _save(figure, path_stem)
    return None


def wide_range(values):
    """Whether values ask for a logarithmic axis: positive, the largest over ten times the least."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 10 * values.min())


def _mark_best(axes, history):
    if "val_loss" not in history or not history["val_loss"].notna().any():
        return
    best = history.loc[history["val_loss"].idxmin()]
    axes.plot(best["epoch"], best["val_loss"], "o", color=HIGH, markersize=7, zorder=3)
    axes.annotate(
        f"{best['val_loss']:.4g}",
        (best["epoch"], best["val_loss"]),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=HIGH,
    )


def short_number(value, scale):
    """Format a number to the digits that matter where differences are as large as `scale`."""
    digits = max(0, 1 - math.floor(math.log10(scale))) if scale > 0 else 2
    return f"{value:,.{digits}f}" if digits < 7 and abs(value) < 1e12 else f"{value:.3g}"


def _one_line(text, length=LABEL_LENGTH):
    """Text for a picture: no control characters, one line, cut after `length` characters."""
    kept = "".join(
        " " if c.isspace() else c
        for c in str(text)
        if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= length else kept[: length - 1].rstrip() + "…"


@contextlib.contextmanager
def _matplotlib(characters):
    """Settings of one picture: fonts that have the characters, and none of matplotlib's chatter."""
    import matplotlib

    settings = {
        "font.family": list(_families(frozenset(characters))),
        "svg.hashsalt": "entity embeddings",  # the same file from the same data
        "svg.fonttype": "path",
        "axes.unicode_minus": True,
    }
    logger = logging.getLogger("matplotlib")
    level = logger.level
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


@functools.lru_cache(maxsize=256)
def _families(characters):
    """DejaVu Sans and the installed fonts that have the characters it lacks: tuple of families."""
    from matplotlib import font_manager

    families = ["DejaVu Sans"]
    needed = {ord(c) for c in characters} - _charmap(font_manager.findfont(families[0]))
    if needed:
        fonts = [
            font
            for font in font_manager.fontManager.ttflist
            if font.style == "normal" and not font.name.strip(".").startswith(("Last", "DejaVu"))
        ]
        # plain weights first, and the fonts for the screen; by name, so that runs agree
        fonts.sort(key=lambda font: (abs(_weight(font) - 400), "Sans" not in font.name, font.name))
        for font in fonts:
            found = needed & _charmap(font.fname)
            if found:
                families.append(font.name)
                needed -= found
            if not needed:
                break
    return tuple(families)


def _weight(font):
    return font.weight if isinstance(font.weight, int) else 400


@functools.lru_cache(maxsize=4096)
def _charmap(path):
    """Characters that a font file draws as outlines: frozenset of code points."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _cannot_draw():
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return "no pictures were drawn: matplotlib is not installed (pip install matplotlib)"
    return None


def _figure(width, height, **options):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, **options)
    FigureCanvasAgg(figure)
    return figure


def _save(figure, path_stem):
    stem = str(path_stem)  # with_suffix() would cut a name at its last dot
    figure.savefig(stem + ".png", metadata={"Software": None})
    figure.savefig(stem + ".svg", metadata={"Date": None, "Creator": None})
