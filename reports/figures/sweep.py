"""The figures of a sweep: a score against the settings, and quality against size and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clapstick.reports.figures.labels import Box, Label, draw_labels
from clapstick.reports.figures.svg import Figure, Scale, drawing, element, label_for, scale_for, text

WIDTH = 560
_LEFT = 64
_RIGHT = 20
_TOP = 24
_PLOT = 210
_LEGEND_ROW = 18
_ROTATE_ABOVE = 9
"""Characters of a label under the axis, from which labels are turned."""
_MOST_NAMED = 6
"""Settings that all find room for a name in a panel."""
_ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
_DIRECTION_WORDS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "none": "neither end is better",
}
_DASHES = ("", "6 4", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class SweepValue:
    """One setting's score."""

    label: str
    """Value of the key along the axis."""
    mean: float
    low: float
    high: float
    published: float | None = None
    """What a paper prints for it."""


@dataclass(frozen=True)
class SweepLine:
    """Scores of one row over the axis."""

    name: str
    varied: bool
    """Whether it is the system that the sweep varies; the others are controls."""
    values: tuple[SweepValue, ...]


@dataclass(frozen=True)
class Axes:
    """What a figure of a sweep has along and up."""

    title: str
    unit: str
    direction: str
    along: str
    """What is varied."""
    labels: tuple[str, ...]
    """Its values, in the order of the grid."""

    @property
    def words(self) -> str:
        """Title with an arrow towards better."""
        return f"{self.title} {_ARROWS[self.direction]}".strip()


def setting_figure(
    name: str, axes: Axes, lines: Sequence[SweepLine], constant: Sequence[SweepLine] = ()
) -> Figure | None:
    """Draw a score over the settings, with intervals over seeds and clips; None where there is no value.

    Parameters
    ----------
    lines : sequence of SweepLine
        Rows that the settings reach.
    constant : sequence of SweepLine
        Rows that they do not: one value each, drawn across the whole width.
    """
    drawn = [*lines, *constant]
    numbers = [n for line in drawn for value in line.values for n in (value.mean, value.low, value.high)]
    if not numbers:
        return None
    top = _TOP + _LEGEND_ROW * (1 + _legend_rows(drawn))
    bottom = top + _PLOT
    across = Scale(-0.5, len(axes.labels) - 0.5, _LEFT, WIDTH - _RIGHT)
    up = scale_for(numbers, bottom, top)
    parts = [text(0, 14, axes.words, font_weight=600), *_vertical_axis(up, axes.unit)]
    parts += _legend(drawn, len(lines))
    for line in constant:
        parts += _band(line, up)
    step = min(12.0, 60.0 / max(1, len(lines)))
    for index, line in enumerate(lines):
        parts += _line(line, index, axes.labels, across, up, (index - (len(lines) - 1) / 2) * step)
    parts += _labels(axes.labels, across, bottom)
    height = bottom + (78 if _long(axes.labels) else 44)
    parts.append(text(WIDTH - _RIGHT, height - 6, axes.along, "dim", text_anchor="end", font_size=11))
    words = f"{axes.title} over {len(axes.labels)} values of {axes.along}"
    return Figure(name, drawing(WIDTH, height, words, *parts), _caption(axes, lines, constant))


def _caption(axes: Axes, lines: Sequence[SweepLine], constant: Sequence[SweepLine]) -> str:
    sentences = [
        f"{axes.title} ({_DIRECTION_WORDS[axes.direction]}).",
        "Bars are 95 % intervals over seeds and clips; of scores of whole sets, the range over seeds.",
    ]
    if any(not line.varied for line in lines):
        sentences.append("Squares are controls.")
    if constant:
        sentences.append("The band does not depend on the setting.")
    printed = [
        f"{value.label}: {value.published:g}"
        for line in lines
        for value in line.values
        if value.published is not None
    ]
    if printed:
        sentences.append(f"The paper prints, from other data, {'; '.join(dict.fromkeys(printed))}.")
    return " ".join(sentences)


@dataclass(frozen=True)
class CostAxis:
    """One way to pay for quality."""

    words: str
    costs: tuple[float, ...]
    """One a value of the line."""


def cost_figure(name: str, axes: Axes, line: SweepLine, costs: Sequence[CostAxis]) -> Figure | None:
    """Draw quality against time and against size side by side; None where no cost differs between settings."""
    costs = [cost for cost in costs if len(set(cost.costs)) > 1]
    if not costs:
        return None
    top = _TOP + 10
    bottom = top + _PLOT
    up = scale_for([n for value in line.values for n in (value.low, value.high)], bottom, top)
    gap = 34.0
    panel = (WIDTH - _LEFT - _RIGHT - gap * (len(costs) - 1)) / len(costs)
    parts = [text(0, 14, f"{axes.words} against cost", font_weight=600)]
    all_named = len(line.values) <= _MOST_NAMED
    for index, cost in enumerate(costs):
        start = _LEFT + index * (panel + gap)
        parts += _vertical_axis(up, "" if index else axes.unit, start, start + panel, labelled=index == 0)
        along = scale_for(cost.costs, start, start + panel, margin=0.14)
        parts.append(
            text(start + panel / 2, bottom + 36, cost.words, "dim", text_anchor="middle", font_size=11)
        )
        for tick in along.ticks(3):
            parts.append(
                text(along(tick), bottom + 16, _short(tick), "dim", text_anchor="middle", font_size=11)
            )
        inside = Box(left=start, top=top, right=start + panel + gap / 2, bottom=bottom)
        named = line.values if all_named else _unbeaten(cost.costs, line.values, axes.direction)
        places = [(along(x), value) for x, value in zip(cost.costs, line.values, strict=True)]
        parts += [part for x, value in places for part in _mark(x, value, up, 0, varied=True)]
        labels = [Label(x, up(value.mean), value.label, "dim") for x, value in places if value in named]
        marks = [Box(x, up(value.mean), x, up(value.mean)).wider(5.5) for x, value in places]
        bars = [Box(x, up(value.high), x, up(value.low)).wider(1.5) for x, value in places]
        parts += draw_labels(labels, marks, bars, inside, font_size=10)
    which = (
        f"each mark is labelled with its {axes.along}"
        if all_named
        else "labelled are those that no other is both cheaper and better than"
    )
    caption = (
        f"{axes.title} against what a setting costs; {which}. "
        "Processor seconds of a whole training, wall seconds to make a clip, weights of the trained network."
    )
    return Figure(name, drawing(WIDTH, bottom + 46, f"{axes.title} against cost", *parts), caption)


def _unbeaten(costs: Sequence[float], values: Sequence[SweepValue], direction: str) -> tuple[SweepValue, ...]:
    """Return the values that no other is both cheaper and better than."""
    sign = -1.0 if direction == "higher" else 1.0
    points = [(cost, sign * value.mean) for cost, value in zip(costs, values, strict=True)]
    return tuple(
        value
        for value, (cost, mean) in zip(values, points, strict=True)
        if not any(other_cost < cost and other_mean < mean for other_cost, other_mean in points)
    )


def _short(value: float) -> str:
    """Return a tick label; thousands and millions as k and M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g} {letter}"
    return label_for(value)


def _vertical_axis(
    up: Scale, unit: str, start: float = _LEFT, end: float = WIDTH - _RIGHT, *, labelled: bool = True
) -> list[Markup]:
    parts = []
    for tick in up.ticks():
        parts.append(element("line", "grid", x1=start, x2=end, y1=up(tick), y2=up(tick)))
        if labelled:
            words = label_for(tick)
            parts.append(text(start - 8, up(tick) + 4, words, "dim", text_anchor="end", font_size=11))
    if unit:
        middle = (up.start + up.end) / 2
        parts.append(
            text(
                12,
                middle,
                unit,
                "dim",
                text_anchor="middle",
                font_size=11,
                transform=f"rotate(-90 12 {middle:.1f})",
            )
        )
    return parts


def _long(labels: Sequence[str]) -> bool:
    return len(labels) > 4 and max(len(label) for label in labels) > _ROTATE_ABOVE


def _labels(labels: Sequence[str], across: Scale, bottom: float) -> list[Markup]:
    turned = _long(labels)
    parts = []
    for index, label in enumerate(labels):
        x, y = across(index), bottom + 18
        attributes: dict[str, object] = {"text_anchor": "middle", "font_size": 11}
        if turned:
            attributes = {"text_anchor": "end", "font_size": 10, "transform": f"rotate(-30 {x:.1f} {y:.1f})"}
        parts.append(text(x, y, label, "dim", **attributes))
    return parts


def _band(line: SweepLine, up: Scale) -> list[Markup]:
    """Draw a row that does not depend on the setting: its interval as a band, its mean as a dashed line."""
    parts = []
    for value in line.values:
        parts.append(
            element(
                "rect",
                "ghost",
                x=_LEFT,
                y=up(value.high),
                width=WIDTH - _RIGHT - _LEFT,
                height=max(0.5, up(value.low) - up(value.high)),
                fill_opacity="0.35",
            )
        )
        y = up(value.mean)
        d = f"M{_LEFT},{y:.2f}H{WIDTH - _RIGHT}"
        parts.append(element("path", "control-line", d=d, stroke_width=1.5, stroke_dasharray="6 4"))
    return parts


def _line(
    line: SweepLine, index: int, labels: Sequence[str], across: Scale, up: Scale, offset: float
) -> list[Markup]:
    places = [(across(labels.index(value.label)) + offset, value) for value in line.values]
    path = "L".join(f"{x:.2f},{up(value.mean):.2f}" for x, value in places)
    style = "mark-line" if line.varied else "control-line"
    dash = {"stroke_dasharray": _DASHES[index % len(_DASHES)]} if _DASHES[index % len(_DASHES)] else {}
    parts = [element("path", style, d=f"M{path}", stroke_width=1.2, **dash)]
    for x, value in places:
        parts += _mark(x, value, up, index, varied=line.varied)
    return parts


def _mark(x: float, value: SweepValue, up: Scale, index: int, *, varied: bool) -> list[Markup]:
    style = "mark-line" if varied else "control-line"
    bar = element("path", style, d=f"M{x:.2f},{up(value.low):.2f}V{up(value.high):.2f}", stroke_width=2)
    return [bar, _shape(x, up(value.mean), index, varied=varied)]


def _shape(x: float, y: float, index: int, *, varied: bool) -> Markup:
    """Return a mark: controls are hollow squares; lines of the varied system differ in shape and filling."""
    if not varied:
        return element("rect", "control", x=x - 4, y=y - 4, width=8, height=8, stroke_width=1.5)
    if index % 4 == 0:
        return element("circle", "mark", cx=x, cy=y, r=4.5)
    if index % 4 == 1:
        return element("circle", "hollow", cx=x, cy=y, r=4.5, stroke_width=1.6)
    style = "mark" if index % 4 == 2 else "hollow"
    return element("path", style, d=f"M{x:.2f},{y - 5.5:.2f}l5,9h-10z", stroke_width=1.6)


def _legend_width(line: SweepLine) -> float:
    return 38 + 6.6 * len(line.name)


def _legend_places(lines: Sequence[SweepLine]) -> list[tuple[float, int]]:
    """Return the place and row of each legend entry, broken where a row is full."""
    places = []
    x, row = float(_LEFT), 0
    for line in lines:
        if x > _LEFT and x + _legend_width(line) > WIDTH:
            x, row = float(_LEFT), row + 1
        places.append((x, row))
        x += _legend_width(line)
    return places


def _legend_rows(lines: Sequence[SweepLine]) -> int:
    return _legend_places(lines)[-1][1]


def _legend(lines: Sequence[SweepLine], moving: int) -> list[Markup]:
    """Name every line; from number `moving` on they are bands."""
    parts = []
    for index, (line, (x, row)) in enumerate(zip(lines, _legend_places(lines), strict=True)):
        y = 30.0 + _LEGEND_ROW * row
        if index >= moving:
            d = f"M{x - 4:.1f},{y:.1f}h16"
            parts.append(element("path", "control-line", d=d, stroke_width=1.5, stroke_dasharray="6 4"))
        else:
            parts.append(_shape(x + 4, y, index, varied=line.varied))
        parts.append(text(x + 16, y + 4, line.name, "dim", font_size=11))
    return parts
