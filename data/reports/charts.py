"""A chart as plain numbers, which the page draws on the screen and matplotlib into files.

A chart is a dict that JSON can hold:

    title, note: texts; the note says in a sentence how to read it.
    x, y: axes, see `axis`.
    marks: list of what is drawn, see `line`, `dots`, `boxes`, `spans`.

Colours are names of `data.reports.palette`.
"""

import itertools
import math

import numpy as np

from data.reports.drawing import (
    matplotlib_for,
    new_figure,
    save,
    short_line,
    wide_range,
)
from data.reports.palette import light

# A chart


def chart(title, x, y, marks, note=""):
    """A chart; marks that are None are left out."""
    axes = {"x": x, "x0": x, "x1": x, "y": y, "y0": y, "y1": y}
    marks = [
        {key: _rounded(part, axes[key]) if key in axes else part for key, part in mark.items()}
        for mark in marks
        if mark is not None
    ]
    return {"title": title, "note": note, "x": x, "y": y, "marks": marks}


def axis(label, low, high, log=False, ticks=None, percent=False):
    """An axis from low to high.

    Args:
        ticks: list of (value, text); None for round numbers.
        percent: whether the values are shares.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if not high > low:
        room = abs(low) / 2 or 1.0
        low, high = (low / 2, high * 2) if log else (low - room, high + room)
    if ticks is None:
        values = _log_ticks(low, high) if log else _linear_ticks(low, high)
        step = values[1] - values[0] if len(values) > 1 else abs(values[0]) or 1.0
        ticks = [(value, number_text(value, None if log else step, percent)) for value in values]
    scale = {"label": label, "low": float(low), "high": float(high), "log": log}
    values = _rounded([low, high, *(value for value, _ in ticks)], scale)
    texts = [text for _, text in ticks]
    ticks = list(map(list, zip(values[2:], texts, strict=True)))
    return scale | {"low": values[0], "high": values[1], "ticks": ticks}


def spread_axis(label, values, room=0.06, **options):
    """An axis that holds all values, with some room."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if options.get("log"):
        factor = (high / low) ** room
        return axis(label, float(low / factor), float(high * factor), **options)
    more = (high - low) * room
    return axis(label, float(low - more), float(high + more), **options)


def line(x, y, colour, name=None, dots=False, dashed=False, faint=False):
    """Points joined by a line; numbers that are not finite are left out."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    kept = np.isfinite(x) & np.isfinite(y)
    return {"kind": "line", "x": _list(x[kept]), "y": _list(y[kept]), "colour": colour,
            "name": name, "dots": dots, "dashed": dashed, "faint": faint}  # fmt: skip


def dots(x, y, colour, name=None, size=3, tips=None):
    """Points; tips: list of texts that the page shows when they are pointed at."""
    return {"kind": "dots", "x": _list(x), "y": _list(y), "colour": colour, "name": name,
            "size": size, "tips": tips}  # fmt: skip


def boxes(x0, x1, y0, y1, colour, name=None, shades=None, texts=None, tips=None):
    """Rectangles: bars, or cells whose shade (0 to 1) tells a share, with texts in them; those
    whose edges are not finite are left out. None where all are."""
    edges = np.array([x0, x1, y0, y1], dtype=float)
    kept = np.isfinite(edges).all(axis=0)
    if not kept.any():
        return None
    x0, x1, y0, y1 = edges[:, kept].tolist()
    texts, tips = (some and list(itertools.compress(some, kept)) for some in (texts, tips))
    shades = None if shades is None else np.round(shades, 3)[kept].tolist()
    return {"kind": "boxes", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "colour": colour,
            "name": name, "shades": shades, "texts": texts, "tips": tips}  # fmt: skip


def spans(x0, y0, x1, y1, colour, name=None):
    """Straight lines from (x0, y0) to (x1, y1): intervals."""
    return {"kind": "spans", "x0": _list(x0), "y0": _list(y0), "x1": _list(x1), "y1": _list(y1),
            "colour": colour, "name": name}  # fmt: skip


def number_text(value, step=None, percent=False):
    """A number as people write it, to the digits that differ where values lie `step` apart."""
    if percent:
        digits = max(0, math.ceil(-math.log10(step * 100) - 1e-9)) if step else 0
        return f"{value * 100:.{digits}f}%".replace("-", "−")
    if value and not 1e-4 <= abs(value) < 1e9:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")
    if step is None:
        return f"{value:,g}".replace("-", "−") if abs(value) < 1e6 else f"{value:,.0f}"
    digits = max(0, math.ceil(-math.log10(step) - 1e-9)) if step else 0
    return f"{value:,.{digits}f}".replace("-", "−")


def _list(values):
    return np.asarray(values, dtype=float).tolist()


def _rounded(values, scale):
    """Numbers to a hundred thousandth of their axis, which keeps the page small: list."""
    if scale["log"]:
        return [float(f"{value:.5g}") for value in values]
    digits = 5 - math.floor(math.log10(scale["high"] - scale["low"]))
    return [round(float(value), digits) for value in values]


def _linear_ticks(low, high):
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)] or [low]


def _log_ticks(low, high):
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(values) <= 6:
            break
    return values[:: -(-len(values) // 6)] if values else [low]


# Learning curves


def curve_chart(history, title):
    """Loss and validation loss by epoch; None where no epoch has a loss.

    Args:
        history: DataFrame with the columns epoch, loss and, if there is one, val_loss.
    """
    lines, known = [], []
    for column, colour, name in (("loss", "soft", "training"), ("val_loss", "high", "validation")):
        if column in history:
            values = history[column].to_numpy(dtype=float)
            if np.isfinite(values).any():
                known.append(values[np.isfinite(values)])
                lines.append(line(history["epoch"], values, colour, name, dots=len(values) <= 60))
    if not lines:
        return None
    note, last = "", lines[-1]
    if last["name"] == "validation":
        best = int(np.argmin(last["y"]))
        note = (
            f"Lowest validation loss {last['y'][best]:.4g}, in epoch "
            f"{last['x'][best]:.0f} of {len(history)}."
        )
        lines.append(dots([last["x"][best]], [last["y"][best]], "high", "kept", size=6))
    epochs = history["epoch"].to_numpy(dtype=float)
    every = max(1, math.ceil(len(epochs) / 8))
    ticks = [(epoch, f"{epoch:.0f}") for epoch in epochs[::every]]
    low, high = epochs.min() - 0.4, epochs.max() + 0.4
    y = spread_axis("loss", np.concatenate(known), log=wide_range(np.concatenate(known)))
    return chart(title, axis("epoch", low, high, ticks=ticks), y, lines, note)


# Into files


def draw_charts(path_stem, charts, title="", columns=2, height=3.4):
    """Draw charts side by side and write <path_stem>.png and <path_stem>.svg.

    Args:
        path_stem: path without ending.
        charts: list of charts, not empty.
        title: above all of them.
        columns: at most so many side by side; height: of each, in inches.
    """
    columns = min(columns, len(charts))
    lines = -(-len(charts) // columns)
    with matplotlib_for(title + "".join(_texts(charts))):
        figure = new_figure(max(6, 4.6 * columns), height * lines + 0.4, layout="constrained")
        if title:
            figure.suptitle(
                short_line(title, 100), x=0.01, ha="left", fontsize=10, color=light("soft"),
                parse_math=False,
            )  # fmt: skip
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, one in zip(panels, charts, strict=False):
            _draw(axes, one)
        for axes in panels[len(charts) :]:
            axes.set_visible(False)
        figure.get_layout_engine().execute(figure)  # once, not again for each file
        figure.set_layout_engine("none")
        save(figure, path_stem)


def _texts(charts):
    for one in charts:
        yield one["title"]
        for side in ("x", "y"):
            yield one[side]["label"]
            yield from (text for _, text in one[side]["ticks"])


def _draw(axes, one):
    """One chart into matplotlib axes."""
    axes.set_title(
        short_line(one["title"], 60), loc="left", fontsize=11, color=light("ink"), parse_math=False
    )
    for side, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        scale = one[name]
        getattr(axes, f"set_{name}scale")("log" if scale["log"] else "linear")
        getattr(axes, f"set_{name}lim")(scale["low"], scale["high"])
        side.set_ticks([value for value, _ in scale["ticks"]])
        side.set_ticklabels([short_line(text) for _, text in scale["ticks"]], parse_math=False)
        side.set_minor_locator(_no_ticks())
        side.set_label_text(
            short_line(scale["label"], 60), fontsize=9, color=light("soft"), parse_math=False
        )
    axes.tick_params(labelsize=8, colors=light("soft"), length=0)
    axes.grid(color=light("line"), linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    for mark in one["marks"]:
        _DRAWN[mark["kind"]](axes, mark)
    if any(mark["name"] for mark in one["marks"]):
        axes.legend(
            fontsize=8,
            labelcolor=light("ink"),
            facecolor="white",
            edgecolor="none",
            framealpha=0.85,
        )


def _no_ticks():
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _draw_line(axes, mark):
    style = {
        "linestyle": "--" if mark["dashed"] else "-",
        "linewidth": 1.0 if mark["faint"] else 1.8,
    }
    style |= {"alpha": 0.35 if mark["faint"] else 1.0, "marker": "o" if mark["dots"] else None}
    axes.plot(mark["x"], mark["y"], color=light(mark["colour"]), markersize=3,
              label=mark["name"], **style)  # fmt: skip


def _draw_dots(axes, mark):
    axes.plot(mark["x"], mark["y"], "o", color=light(mark["colour"]), markersize=mark["size"],
              label=mark["name"], alpha=0.8, markeredgewidth=0)  # fmt: skip


def _draw_boxes(axes, mark):
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    corners = list(zip(mark["x0"], mark["x1"], mark["y0"], mark["y1"], strict=True))
    patches = [Rectangle((x0, y0), x1 - x0, y1 - y0) for x0, x1, y0, y1 in corners]
    collection = PatchCollection(patches, facecolor=light(mark["colour"]), linewidth=0)
    collection.set_alpha(0.8 if mark["shades"] is None else mark["shades"])
    axes.add_collection(collection, autolim=False)
    if mark["name"]:  # a collection of patches has no entry of its own in a legend
        axes.plot([], [], "s", color=light(mark["colour"]), label=mark["name"])
    for (x0, x1, y0, y1), text in zip(corners, mark["texts"] or [], strict=False):
        axes.text((x0 + x1) / 2, (y0 + y1) / 2, text, ha="center", va="center", fontsize=7,
                  color=light("ink"), parse_math=False)  # fmt: skip


def _draw_spans(axes, mark):
    from matplotlib.collections import LineCollection

    ends = zip(mark["x0"], mark["y0"], mark["x1"], mark["y1"], strict=True)
    lines = [((x0, y0), (x1, y1)) for x0, y0, x1, y1 in ends]
    axes.add_collection(
        LineCollection(lines, colors=light(mark["colour"]), linewidths=1.6, label=mark["name"]),
        autolim=False,
    )


_DRAWN = {"line": _draw_line, "dots": _draw_dots, "boxes": _draw_boxes, "spans": _draw_spans}
