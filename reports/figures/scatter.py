"""Two quantities of every system against each other: metric against metric, cost against quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clapstick.reports.board import Column, Leaderboard, Row, column_name
from clapstick.reports.figures.labels import Box, Label, draw_labels
from clapstick.reports.figures.reach import IN_WORDS, Reach, Span, arrow, reach_of, span_of
from clapstick.reports.figures.svg import Figure, Scale, drawing, element, label_for, scale_for, text
from clapstick.reports.run_data import RunData
from clapstick.reports.tables import cost_of

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 16, 54
_INSIDE = Box(left=_LEFT, top=_TOP, right=WIDTH, bottom=HEIGHT - _BOTTOM)
_LONGEST = 60
"""Letters of a name."""


@dataclass(frozen=True)
class Value:
    """One of a system's two quantities."""

    number: float
    span: Span
    words: str
    """What to print where it has no place on the axis."""


@dataclass(frozen=True)
class Point:
    """One system."""

    title: str
    is_control: bool
    x: Value
    y: Value
    note: str = ""


@dataclass(frozen=True)
class _Axis:
    """An axis with the numbers that it shows."""

    reach: Reach
    place: Scale

    def put(self, number: float) -> float:
        """Return the place of a number, of one beyond the axis its end."""
        side = self.reach.side(number)
        return self.place(number) if side == 0 else (self.place.end if side > 0 else self.place.start)


def metric_scatter(board: Leaderboard, horizontal: Column, vertical: Column) -> Figure | None:
    """Draw one metric against another; None where fewer than three systems have both."""
    points = []
    for row in board.rows:
        x, y = _value(board, row, horizontal), _value(board, row, vertical)
        if x is not None and y is not None:
            points.append(Point(row.system.title, row.system.is_control, x, y))
    if len(points) < 3:
        return None
    along = reach_of([point.x.span for point in points], horizontal.direction)
    up = reach_of([point.y.span for point in points], vertical.direction)
    names = f"{column_name(horizontal)} against {column_name(vertical)}"
    caption = (
        f"{names}, one mark a system, lines are intervals. Better is {_side(horizontal, 'left', 'right')} "
        f"and {_side(vertical, 'down', 'up')}. Squares are controls."
    )
    if any(along.side(point.x.number) or up.side(point.y.number) for point in points):
        caption += f" {IN_WORDS}"
    across = _Axis(along, scale_for(along.ends, _LEFT, WIDTH - _RIGHT))
    svg = _draw(points, names, across, up, _axis_title(horizontal), _axis_title(vertical))
    return Figure(f"scatter-{horizontal.metric}-{vertical.metric}", svg, caption)


def cost_figure(data: RunData, board: Leaderboard, column: Column) -> Figure | None:
    """Draw what systems cost against how good they are; None where fewer than two have both."""
    points = []
    for row in board.rows:
        cost, score = cost_of(data, row.system.name), _value(board, row, column)
        if row.system.is_control or cost is None or score is None or cost.seconds_per_second <= 0:
            continue
        memory = cost.peak_memory_bytes
        seconds = cost.seconds_per_second
        note = "" if memory is None else f"{memory / 2**20:.0f} MiB"
        points.append(Point(row.system.title, False, Value(seconds, (seconds, seconds), ""), score, note))
    if len(points) < 2:
        return None
    along = reach_of([point.x.span for point in points], "none")
    up = reach_of([point.y.span for point in points], column.direction)
    names = f"Cost against {column_name(column)}"
    caption = (
        f"{names}: wall seconds for one second of sound (logarithmic), with peak memory where it was "
        "measured. Lines are intervals."
    )
    if any(up.side(point.y.number) for point in points):
        caption += f" {IN_WORDS}"
    across = _Axis(along, scale_for(along.ends, _LEFT, WIDTH - _RIGHT, logarithmic=True))
    svg = _draw(points, names, across, up, "seconds for one second of sound", _axis_title(column))
    return Figure(f"cost-{column.metric}", svg, caption)


def _draw(
    points: Sequence[Point], words: str, across: _Axis, up_reach: Reach, x_title: str, y_title: str
) -> Markup:
    up = _Axis(up_reach, scale_for(up_reach.ends, HEIGHT - _BOTTOM, _TOP))
    parts = [*_axes(across.place, up.place)]
    parts.append(text(WIDTH - _RIGHT, HEIGHT - 12, x_title, "dim", text_anchor="end"))
    parts.append(text(0, 0, y_title, "dim", transform=f"translate(13,{_TOP}) rotate(-90)", text_anchor="end"))
    order = sorted(points, key=lambda point: point.is_control)
    labels = [_label(point, across, up) for point in order]
    marks = [Box(label.x, label.y, label.x, label.y).wider(5.5) for label in labels]
    intervals = [line.wider(1.5) for point in order for line in _lines(point, across, up)]
    parts += draw_labels(labels, marks, intervals, _INSIDE)
    parts += [part for point in reversed(order) for part in _point(point, across, up)]
    return drawing(WIDTH, HEIGHT, words, *parts)


def _axes(across: Scale, up: Scale) -> list[Markup]:
    parts = []
    for tick in across.ticks():
        x = across(tick)
        parts.append(element("line", "grid", x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM))
        parts.append(text(x, HEIGHT - _BOTTOM + 17, label_for(tick), "dim", text_anchor="middle", font_size=11))
    for tick in up.ticks():
        y = up(tick)
        parts.append(element("line", "grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
        parts.append(text(_LEFT - 8, y + 4, label_for(tick), "dim", text_anchor="end", font_size=11))
    return parts


def _lines(point: Point, across: _Axis, up: _Axis) -> list[Box]:
    """Return the point's intervals, upright and level, as boxes without width; none beyond an axis."""
    x, y = across.put(point.x.number), up.put(point.y.number)
    found = []
    if point.y.span[0] < point.y.span[1] and not up.reach.side(point.y.number):
        found.append(Box(x, up.place(point.y.span[1]), x, up.place(point.y.span[0])))
    if point.x.span[0] < point.x.span[1] and not across.reach.side(point.x.number):
        found.append(Box(across.place(point.x.span[0]), y, across.place(point.x.span[1]), y))
    return found


def _point(point: Point, across: _Axis, up: _Axis) -> list[Markup]:
    x, y = across.put(point.x.number), up.put(point.y.number)
    right, down = across.reach.side(point.x.number), -up.reach.side(point.y.number)
    style = "control-line" if point.is_control else "mark-line"
    parts = [
        element("path", style, d=f"M{line.left:.2f},{line.top:.2f}L{line.right:.2f},{line.bottom:.2f}")
        for line in _lines(point, across, up)
    ]
    if right or down:
        parts.append(arrow(x, y, right, down, is_control=point.is_control))
    elif point.is_control:
        parts.append(element("rect", "control", x=x - 4, y=y - 4, width=8, height=8, stroke_width=1.5))
    else:
        parts.append(element("circle", "mark", cx=x, cy=y, r=4.5))
    return parts


def _label(point: Point, across: _Axis, up: _Axis) -> Label:
    name = point.title if len(point.title) <= _LONGEST else point.title[: _LONGEST - 1] + "…"
    beyond = [
        value.words for value, axis in ((point.x, across), (point.y, up)) if axis.reach.side(value.number)
    ]
    notes = ", ".join(filter(None, (*beyond, point.note)))
    words = f"{name} ({notes})" if notes else name
    style = "dim" if point.is_control else "fg"
    return Label(across.put(point.x.number), up.put(point.y.number), words, style)


def _value(board: Leaderboard, row: Row, column: Column) -> Value | None:
    cell = row.cells[board.columns.index(column)]
    if cell.score is None or cell.score.value is None:
        return None
    return Value(cell.score.value, span_of(cell.score), f"{column_name(column)} {cell.text}")


def _axis_title(column: Column) -> str:
    return f"{column_name(column)} {column.arrow}" + (f", {column.unit}" if column.unit else "")


def _side(column: Column, lower: str, higher: str) -> str:
    return {"lower": lower, "higher": higher, "none": "neither way"}[column.direction]
