"""Where names stand on a map: beside their points, over no other name and over no point.

Pictures and page take the places from here. Units are those of the points: pixels, y upwards or
downwards.
"""

import math
import unicodedata
from dataclasses import dataclass

import numpy as np

ANGLES = np.arange(16) * math.tau / 16
DISTANCES = (16.0, 30.0, 46.0)  # of a leader line, in pixels of the page
NARROW, BROAD = frozenset("iljtfrI.,:;'|!()[]/ "), frozenset("mwMW@%")


@dataclass(frozen=True)
class Label:
    """A name that has a place.

    Attributes:
        index: of its point.
        zoom: how far one must have zoomed in for the place to be free.
        left, low: from the point to the corner of the text with the lowest coordinates.
        leader: whether a line leads from the point to the text.
    """

    index: int
    zoom: float
    left: float
    low: float
    leader: bool


def text_size(text, size):
    """About how wide and high a text is in a sans-serif font of so many pixels."""
    width = 0.0
    for c in text:
        if unicodedata.east_asian_width(c) in "WF" or c in BROAD:
            width += 1.0
        elif c in NARROW:
            width += 0.38
        else:
            width += 0.72 if c.isupper() else 0.62
    return width * size + 2, size * 1.2


def place_labels(points, radii, sizes, frame, zooms=(1,), unit=1.0):
    """Give names places, the first ones first; a name without a free place gets none.

    Args:
        points: float [n, 2]; radii: float [n], of the discs at the points.
        sizes: list of m (width, height), of the texts of the first m points, None for no text.
        frame: (left, low, right, high) that the texts stay within.
        zooms: ascending; at each those that have found no place before try again, while the
            points lie so many times further apart.
        unit: size of a pixel of the page.

    Returns:
        list of Label
    """
    points, radii = np.asarray(points, float).reshape(-1, 2), np.asarray(radii, float)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2 if len(points) else np.zeros(2)
    waiting, placed = [i for i, size in enumerate(sizes) if size is not None], []
    for zoom in zooms:
        at = (points - middle) * zoom + middle
        discs = np.column_stack([at - radii[:, None], at + radii[:, None]])
        taken = [_taken(label, at, sizes[label.index]) for label in placed]
        taken = np.concatenate(taken) if taken else np.empty((0, 4))
        grown = (zoom - 1) * (np.array(frame).reshape(2, 2) - middle)
        bounds = np.array(frame).reshape(2, 2) + grown
        left = []
        for i in waiting:
            found = _free_place(i, at, radii[i], sizes[i], bounds, taken, discs, unit, zoom)
            if found is None:
                left.append(i)
                continue
            placed.append(found)
            taken = np.concatenate([taken, _taken(found, at, sizes[i])])
        waiting = left
    return placed


def _free_place(i, at, radius, size, bounds, taken, discs, unit, zoom):
    """The first place around a point that is inside, and over no name and no disc; or None."""
    stages = [_near(radius + 2 * unit, *size)]
    if zoom == 1:
        stages.append(_away(radius, *size, unit))
    for leader, offsets in enumerate(stages):
        boxes = np.concatenate([at[i] + offsets, at[i] + offsets + size], axis=1)
        free = (boxes[:, :2] >= bounds[0]).all(axis=1) & (boxes[:, 2:] <= bounds[1]).all(axis=1)
        free[free] = ~_overlap(boxes[free], taken).any(axis=1)
        free[free] = ~_overlap(boxes[free], discs).any(axis=1)
        for k in np.flatnonzero(free):
            label = Label(i, zoom, *offsets[k].tolist(), bool(leader))
            if not leader or not _overlap(_line_boxes(label, at, size), taken).any():
                return label
    return None


def _near(distance, width, height):
    """Offsets of the text's lower left corner, best first: float [8, 2]."""
    slanted = distance * 0.75
    return np.array(
        [
            (distance, -height / 2),
            (-distance - width, -height / 2),
            (-width / 2, distance),
            (-width / 2, -distance - height),
            (slanted, slanted - height / 3),
            (slanted, -slanted - height * 2 / 3),
            (-slanted - width, slanted - height / 3),
            (-slanted - width, -slanted - height * 2 / 3),
        ]
    )


def _away(radius, width, height, unit):
    """Offsets around the point for a text with a leader line, nearest first: float [48, 2]."""
    directions = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])
    ends = [directions * (radius + distance * unit) for distance in DISTANCES]
    ends = np.concatenate(ends)
    left = np.where(ends[:, 0] < -1e-6 * unit, ends[:, 0] - width, ends[:, 0])
    upright = np.abs(ends[:, 0]) < unit
    left[upright] = -width / 2
    low = ends[:, 1] - height / 2
    low[upright] += np.sign(ends[upright, 1]) * height / 2
    return np.column_stack([left, low])


def leader_end(left, low, width, height):
    """Where a leader line from (0, 0) meets its text: (x, y)."""
    return min(max(0.0, left), left + width), min(max(0.0, low), low + height)


def _line_boxes(label, at, size):
    """Small boxes along a leader line: float [5, 4]."""
    end = np.array(leader_end(label.left, label.low, *size))
    along = at[label.index] + np.linspace(0.2, 0.8, 5)[:, None] * end
    return np.concatenate([along - 1, along + 1], axis=1)


def _taken(label, at, size):
    corner = at[label.index] + np.array([label.left, label.low])
    box = np.concatenate([corner, corner + size])[None]
    return np.concatenate([box, _line_boxes(label, at, size)]) if label.leader else box


def _overlap(a, b):
    """Which boxes overlap: bool [len(a), len(b)]."""
    a, b = a[:, None], b[None]
    apart = (a[..., :2] >= b[..., 2:]) | (b[..., :2] >= a[..., 2:])
    return ~apart.any(axis=-1)
