"""What all pictures share: fonts for any script, one figure without a window, PNG and SVG.

matplotlib is imported late and asked for files only: no window, no state that outlives a call.
"""

import contextlib
import functools
import logging
import math
import unicodedata
import warnings

import numpy as np

LABEL_LENGTH = 26  # characters
# Where no font is found: the family that has the script, as Linux distributions package it.
FONTS = {"CJK": "Noto Sans CJK", "HANGUL": "Noto Sans CJK", "HIRAGANA": "Noto Sans CJK",
         "KATAKANA": "Noto Sans CJK"}  # fmt: skip


def cannot_draw():
    """One sentence that says why there are no pictures; None where matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return "no pictures were drawn: matplotlib is not installed (pip install matplotlib)"
    return None


def new_figure(width, height, **options):
    """A matplotlib Figure of that many inches, for files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, **options)
    FigureCanvasAgg(figure)
    return figure


def save(figure, path_stem):
    """Write <path_stem>.png and <path_stem>.svg; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stem = str(path_stem)  # with_suffix() would cut a name at its last dot
    # savefig() draws each file twice, once to measure what is not asked for here.
    FigureCanvasAgg(figure).print_png(stem + ".png", metadata={"Software": None})
    FigureCanvasSVG(figure).print_svg(stem + ".svg", metadata={"Date": None, "Creator": None})


@contextlib.contextmanager
def matplotlib_for(characters):
    """Settings of one picture: fonts that have the characters, and none of matplotlib's chatter."""
    import matplotlib

    settings = {
        "font.family": list(families(frozenset(characters))[0]),
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
def families(characters):
    """DejaVu Sans and the installed fonts that have the characters it lacks.

    Args:
        characters: frozenset of str.

    Returns:
        (tuple of font families, frozenset of the letters that no installed font has)
    """
    from matplotlib import font_manager

    found_families = ["DejaVu Sans"]
    needed = {ord(c) for c in characters} - charmap(font_manager.findfont(found_families[0]))
    if needed:
        fonts = [
            font
            for font in font_manager.fontManager.ttflist
            if font.style == "normal" and not font.name.strip(".").startswith(("Last", "DejaVu"))
        ]
        # plain weights first, and the fonts for the screen; by name, so that runs agree
        fonts.sort(key=lambda font: (abs(_weight(font) - 400), "Sans" not in font.name, font.name))
        for font in fonts:
            found = needed & charmap(font.fname)
            if found:
                found_families.append(font.name)
                needed -= found
            if not needed:
                break
    letters = frozenset(chr(c) for c in needed if unicodedata.category(chr(c))[0] == "L")
    return tuple(found_families), letters


def lacking_font(letters):
    """One sentence that names the font for letters that no installed font has; None without any."""
    if not letters:
        return None
    letter = min(letters)
    script = unicodedata.name(letter, "UNKNOWN").split()[0]
    family = FONTS.get(script, f"Noto Sans {script.capitalize()}")
    return (
        f"no installed font has letters such as {letter}, which are boxes in the pictures; "
        f"install {family}, and the next run draws them."
    )


def _weight(font):
    return font.weight if isinstance(font.weight, int) else 400


@functools.lru_cache(maxsize=4096)
def charmap(path):
    """Characters that a font file draws as outlines: frozenset of code points."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def short_line(text, length=LABEL_LENGTH):
    """Text for a picture: no control characters, one line, cut after `length` characters."""
    kept = "".join(
        " " if c.isspace() else c
        for c in str(text)
        if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= length else kept[: length - 1].rstrip() + "…"


def short_number(value, scale):
    """Format a number to the digits that matter where differences are as large as `scale`."""
    digits = max(0, 1 - math.floor(math.log10(scale))) if scale > 0 else 2
    return f"{value:,.{digits}f}" if digits < 7 and abs(value) < 1e12 else f"{value:.3g}"


def wide_range(values):
    """Whether values ask for a logarithmic axis: positive, the largest over ten times the least."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 10 * values.min())
