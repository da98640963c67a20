"""Names beside marks: clear of marks, intervals and other names, with a line to a mark that is far."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from clapstick.reports.figures.svg import element, text

_GAP = 8.0
"""From the middle of a mark to a name right beside it."""
_RING = 6.0
"""Places farther away lie on rings of this distance."""
_RINGS = 50
_DIRECTIONS = 24
_CLOSE = 10.0
"""Marks nearer than this to a name's own mark may be crossed by its line."""
_APART = np.array([-5.0, 0.0, 5.0, 0.0])
"""Room that a name keeps to its left and right from the next."""
_PIECE = 4.0
"""A line is kept clear as small squares of this size."""

_PIXELS_TO_AVOID = {
    "name on mark or name": 2000.0,
    "name on line": 500.0,
    "line on mark or name": 200.0,
    "line on line": 30.0,
}
"""How far a name goes, so that it covers neither mark nor line, and that its own line crosses none of them."""

_Boxes = NDArray[np.float64]
"""Rectangles, shape (rectangles, 4): left, top, right, bottom."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def wider(self, margin: float) -> Box:
        """Return the rectangle with a margin on every side."""
        return Box(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Label:
    """A name and the mark that it belongs to."""

    x: float
    y: float
    words: str
    style: str


@dataclass(frozen=True)
class _Taken:
    """What is drawn already."""

    solid: _Boxes
    """Marks and names."""
    lines: _Boxes
    """Intervals, and lines from names to marks."""

    def with_label(self, box: _Boxes, line: _Boxes) -> _Taken:
        return _Taken(np.vstack([self.solid, box]), np.vstack([self.lines, line]))


def draw_labels(
    labels: Sequence[Label],
    marks: Sequence[Box],
    intervals: Sequence[Box],
    within: Box,
    *,
    font_size: int = 11,
) -> list[Markup]:
    """Return every name at the best free place, and the lines to marks that names had to leave.

    Parameters
    ----------
    labels : sequence of Label
        The first ones come nearest to their marks.
    marks, intervals : sequence of Box
        What names keep clear of.
    within : Box
        Where names may stand.
    """
    taken = _Taken(_as_boxes(marks), _as_boxes(intervals))
    parts: list[Markup] = []
    for label in labels:
        width = min(text_width(label.words, font_size), within.right - within.left)
        places = _places(label, width, font_size + 2.0, within)
        ends = _nearest(label, places)
        best = int(np.argmin(_costs(label, places, ends, taken)))
        line = _pieces(label, ends[best])
        taken = taken.with_label(places[best : best + 1] + _APART, line)
        parts += _drawn(label, places[best], ends[best], bool(len(line)), font_size)
    return parts


def text_width(words: str, font_size: float) -> float:
    """Return about how wide a line of text is drawn."""
    ems = sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.58 for letter in words)
    return font_size * ems


def _as_boxes(boxes: Sequence[Box]) -> _Boxes:
    return np.array([box.corners for box in boxes], dtype=np.float64).reshape(-1, 4)


def _places(label: Label, width: float, height: float, within: Box) -> _Boxes:
    """Return where a name might stand: around its mark, to the right before to the left."""
    half = np.arange(_DIRECTIONS // 2 + 1) * 2 * np.pi / _DIRECTIONS
    angles = np.stack([-half, half], axis=1).ravel()
    distances = _GAP + _RING * np.arange(_RINGS)
    across, down = (np.outer(distances, wave(angles)) for wave in (np.cos, np.sin))
    # Beside the mark a name begins or ends there; above and below it may also stand over its middle.
    shares = np.stack([np.broadcast_to((1 - np.cos(angles)) / 2, across.shape), 0 * across, 0 * across + 1])
    left = np.clip(label.x + across - width * shares, within.left, within.right - width)
    top = label.y + down - height * (1 - np.sin(angles)) / 2
    top = np.broadcast_to(np.clip(top, within.top, within.bottom - height), left.shape)
    places: _Boxes = np.stack([left, top, left + width, top + height], axis=-1).reshape(-1, 4)
    return places


def _nearest(label: Label, places: _Boxes) -> NDArray[np.float64]:
    """Return the point of each place that is nearest to the mark, shape (places, 2)."""
    points: NDArray[np.float64] = np.clip([label.x, label.y], places[:, :2], places[:, 2:])
    return points


def _costs(label: Label, places: _Boxes, ends: NDArray[np.float64], taken: _Taken) -> NDArray[np.float64]:
    """Return how bad each place is, in pixels of distance."""
    avoid = _PIXELS_TO_AVOID
    costs: NDArray[np.float64] = (
        np.maximum(_GAP, np.hypot(ends[:, 0] - label.x, ends[:, 1] - label.y))
        + avoid["name on mark or name"] * _overlaps(places, taken.solid).sum(axis=1)
        + avoid["name on line"] * _overlaps(places, taken.lines).sum(axis=1)
        + avoid["line on mark or name"] * _crossings(label, ends, taken.solid).sum(axis=1)
        + avoid["line on line"] * _crossings(label, ends, taken.lines).sum(axis=1)
    )
    return costs


def _overlaps(places: _Boxes, others: _Boxes) -> NDArray[np.bool_]:
    """Return which rectangles share a point, shape (places, others)."""
    a, b = places[:, None], others[None]
    found: NDArray[np.bool_] = (
        (a[..., 0] < b[..., 2]) & (b[..., 0] < a[..., 2]) & (a[..., 1] < b[..., 3]) & (b[..., 1] < a[..., 3])
    )
    return found


def _crossings(label: Label, ends: NDArray[np.float64], others: _Boxes) -> NDArray[np.bool_]:
    """Return which lines from near the mark cross which rectangles, shape (lines, others)."""
    mark = np.array([label.x, label.y])
    way = np.where(np.abs(ends - mark) < 1e-9, 1e-9, ends - mark)[:, None]
    low, high = ((others[None, :, sides] - mark) / way for sides in (slice(0, 2), slice(2, 4)))
    enters, leaves = np.minimum(low, high).max(axis=-1), np.maximum(low, high).min(axis=-1)
    length = np.linalg.norm(way, axis=-1)
    crossed = (enters <= leaves) & (enters < 1) & (leaves * length > _CLOSE)
    found: NDArray[np.bool_] = crossed & (length > _CLOSE)
    return found


def _pieces(label: Label, end: NDArray[np.float64]) -> _Boxes:
    """Return a line as small squares; none where the name stands right beside its mark."""
    mark = np.array([label.x, label.y])
    way = end - mark
    length = float(np.hypot(*way))
    if length <= _CLOSE:
        return np.empty((0, 4))
    points = mark + np.outer(np.arange(_CLOSE, length, _PIECE) / length, way)
    return np.hstack([points - _PIECE / 2, points + _PIECE / 2])


def _drawn(
    label: Label, box: NDArray[np.float64], end: NDArray[np.float64], has_line: bool, font_size: int
) -> list[Markup]:
    left, top, right, bottom = (float(side) for side in box)
    parts = []
    if has_line:
        x, y = (float(number) for number in end)
        parts.append(element("line", "rule", x1=label.x, y1=label.y, x2=x, y2=y, stroke_width=0.7))
    starts = math.fabs(left - end[0]) <= math.fabs(right - end[0])
    parts.append(
        text(
            left if starts else right,
            (top + bottom) / 2 + 0.35 * font_size,
            label.words,
            label.style,
            text_anchor="start" if starts else "end",
            font_size=font_size,
        )
    )
    return parts
