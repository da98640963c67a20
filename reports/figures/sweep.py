"""The figures of a sweep: a score against the settings, and quality against size and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clapstick.reports.figures.svg import Figure, Scale, drawing, element, label_for, scale_for, text

WIDTH = 560
_LEFT = 64
_RIGHT = 20
_TOP = 44
_PLOT = 210
_ROTATE_ABOVE = 9
_ARROWS = {"lower": "↓", "higher": "↑", "none": ""}


@dataclass(frozen=True)
class SweepValue:
    """One setting's score."""

    label: str
    mean: float
    low: float
    high: float
    published: float | None = None
    seconds: float | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class SweepLine:
    """One system's values over the settings, in the order of the grid."""

    system: str
    varied: bool
    """Whether it is the system that the sweep varies; the others are controls."""
    values: tuple[SweepValue, ...]


def setting_figure(
    name: str, title: str, direction: str, labels: Sequence[str], lines: Sequence[SweepLine]
) -> Figure | None:
    """Draw a score over the settings, with intervals over seeds and clips; None where there is no value."""
    numbers = [
        n for line in lines for v in line.values for n in (v.mean, v.low, v.high, v.published) if n is not None
    ]
    if not numbers:
        return None
    bottom = _TOP + _PLOT
    across = Scale(-0.5, len(labels) - 0.5, _LEFT, WIDTH - _RIGHT)
    up = scale_for(numbers, bottom, _TOP)
    parts = [text(0, 14, f"{title} {_ARROWS[direction]}".strip(), font_weight=600), *_vertical_axis(up)]
    parts += _labels(labels, across, bottom)
    offset = 10.0 / max(1, len(lines))
    for index, line in enumerate(lines):
        parts += _line(line, labels, across, up, (index - (len(lines) - 1) / 2) * offset)
    parts += _legend(lines)
    low_words = {"lower": "lower is better", "higher": "higher is better", "none": "neither end is better"}[
        direction
    ]
    caption = (
        f"{title} over the settings ({low_words}); bars are 95 % intervals over seeds and clips. "
        "Hollow squares are controls, diamonds are numbers printed in the paper, which used other data."
    )
    height = bottom + (90 if _long(labels) else 44)
    return Figure(name, drawing(WIDTH, height, f"{title} over {len(labels)} settings", *parts), caption)


def cost_figure(name: str, title: str, direction: str, line: SweepLine) -> Figure | None:
    """Draw quality against time and against size side by side; None where costs are not known."""
    axes = [
        ("seconds a point", [(v.seconds, v) for v in line.values if v.seconds is not None]),
        ("weights of stage 1", [(float(v.parameters), v) for v in line.values if v.parameters is not None]),
    ]
    axes = [(words, points) for words, points in axes if points]
    if not axes:
        return None
    bottom = _TOP + _PLOT
    up = scale_for([n for v in line.values for n in (v.low, v.high)], bottom, _TOP)
    gap = 40.0
    panel = (WIDTH - _LEFT - _RIGHT - gap * (len(axes) - 1)) / len(axes)
    parts = [text(0, 14, f"{title} {_ARROWS[direction]} against cost", font_weight=600), *_vertical_axis(up)]
    for index, (words, points) in enumerate(axes):
        start = _LEFT + index * (panel + gap)
        along = scale_for([x for x, _ in points], start, start + panel, margin=0.12)
        parts.append(text(start + panel / 2, bottom + 36, words, "dim", text_anchor="middle", font_size=11))
        for tick in along.ticks(4):
            parts.append(
                text(along(tick), bottom + 16, label_for(tick), "dim", text_anchor="middle", font_size=11)
            )
        for x, value in points:
            parts += _mark(along(x), value, up, varied=True)
            parts.append(
                text(along(x) + 7, up(value.mean) - 6, value.label.rpartition("=")[2], "dim", font_size=10)
            )
    caption = f"{title} against what a point costs: mean wall seconds, and the size of the trained network."
    return Figure(name, drawing(WIDTH, bottom + 46, f"{title} against cost", *parts), caption)


def _vertical_axis(up: Scale) -> list[Markup]:
    parts = []
    for tick in up.ticks():
        parts.append(element("line", "grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=up(tick), y2=up(tick)))
        parts.append(text(_LEFT - 8, up(tick) + 4, label_for(tick), "dim", text_anchor="end", font_size=11))
    return parts


def _long(labels: Sequence[str]) -> bool:
    return max(len(label) for label in labels) > _ROTATE_ABOVE


def _labels(labels: Sequence[str], across: Scale, bottom: float) -> list[Markup]:
    if not _long(labels):
        return [
            text(across(i), bottom + 18, label, "dim", text_anchor="middle", font_size=11)
            for i, label in enumerate(labels)
        ]
    return [
        text(
            across(i),
            bottom + 16,
            label,
            "dim",
            text_anchor="end",
            font_size=10,
            transform=f"rotate(-30 {across(i):.1f} {bottom + 16:.1f})",
        )
        for i, label in enumerate(labels)
    ]


def _line(line: SweepLine, labels: Sequence[str], across: Scale, up: Scale, offset: float) -> list[Markup]:
    places = [(across(labels.index(value.label)) + offset, value) for value in line.values]
    path = "L".join(f"{x:.2f},{up(value.mean):.2f}" for x, value in places)
    parts = [element("path", "mark-line" if line.varied else "control-line", d=f"M{path}", stroke_width=1.2)]
    for x, value in places:
        parts += _mark(x, value, up, varied=line.varied)
        if value.published is not None:
            y = up(value.published)
            d = f"M{x:.1f},{y - 5:.1f}l5,5l-5,5l-5,-5z"
            parts.append(element("path", "hollow", d=d, stroke_width=1.4))
    return parts


def _mark(x: float, value: SweepValue, up: Scale, *, varied: bool) -> list[Markup]:
    style = "mark-line" if varied else "control-line"
    bar = element("path", style, d=f"M{x:.2f},{up(value.low):.2f}V{up(value.high):.2f}", stroke_width=2)
    y = up(value.mean)
    if varied:
        return [bar, element("circle", "mark", cx=x, cy=y, r=4.5)]
    return [bar, element("rect", "control", x=x - 4, y=y - 4, width=8, height=8, stroke_width=1.5)]


def _legend(lines: Sequence[SweepLine]) -> list[Markup]:
    parts = []
    x = float(_LEFT)
    for line in lines:
        if line.varied:
            parts.append(element("circle", "mark", cx=x + 4, cy=28.0, r=4.0))
        else:
            parts.append(element("rect", "control", x=x, y=24.0, width=8, height=8, stroke_width=1.5))
        parts.append(text(x + 14, 32, line.system, "dim", font_size=11))
        x += 34 + 6.6 * len(line.system)
    return parts
