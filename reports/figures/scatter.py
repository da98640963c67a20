"""Two quantities of every system against each other: metric against metric, cost against quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clapstick.reports.board import Column, Leaderboard, Row, column_name
from clapstick.reports.figures.svg import (
    Box,
    Figure,
    Scale,
    Taken,
    drawing,
    element,
    label_beside,
    label_for,
    scale_for,
    text,
)
from clapstick.reports.run_data import RunData
from clapstick.reports.tables import cost_of

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 16, 54
_INSIDE = Box(right=WIDTH, top=_TOP, bottom=HEIGHT - _BOTTOM)


@dataclass(frozen=True)
class Point:
    """One system."""

    title: str
    is_control: bool
    x: float
    y: float
    y_low: float | None = None
    y_high: float | None = None
    x_low: float | None = None
    x_high: float | None = None
    note: str = ""


def metric_scatter(board: Leaderboard, horizontal: Column, vertical: Column) -> Figure | None:
    """Draw one metric against another; None where fewer than three systems have both."""
    points = []
    for row in board.rows:
        x, y = _score(board, row, horizontal), _score(board, row, vertical)
        if x is not None and y is not None:
            points.append(Point(row.system.title, row.system.is_control, x[0], y[0], y[1], y[2], x[1], x[2]))
    if len(points) < 3:
        return None
    names = f"{column_name(horizontal)} against {column_name(vertical)}"
    caption = (
        f"{names}, one mark a system, lines are intervals. Better is {_side(horizontal, 'left', 'right')} "
        f"and {_side(vertical, 'down', 'up')}. Squares are controls."
    )
    svg = _draw(points, names, _axis_title(horizontal), _axis_title(vertical), logarithmic=False)
    return Figure(f"scatter-{horizontal.metric}-{vertical.metric}", svg, caption)


def cost_figure(data: RunData, board: Leaderboard, column: Column) -> Figure | None:
    """Draw what systems cost against how good they are; None where fewer than two have both."""
    points = []
    for row in board.rows:
        cost, score = cost_of(data, row.system.name), _score(board, row, column)
        if row.system.is_control or cost is None or score is None or cost.seconds_per_second <= 0:
            continue
        memory = cost.peak_memory_bytes
        note = "" if memory is None else f"{memory / 2**20:.0f} MiB"
        points.append(Point(row.system.title, False, cost.seconds_per_second, *score, note=note))
    if len(points) < 2:
        return None
    names = f"Cost against {column_name(column)}"
    caption = (
        f"{names}: wall seconds for one second of sound (logarithmic), with peak memory where it was "
        "measured. Lines are intervals."
    )
    svg = _draw(points, names, "seconds for one second of sound", _axis_title(column), logarithmic=True)
    return Figure(f"cost-{column.metric}", svg, caption)


def _draw(points: Sequence[Point], words: str, x_title: str, y_title: str, *, logarithmic: bool) -> Markup:
    xs = [value for point in points for value in (point.x, point.x_low, point.x_high) if value is not None]
    ys = [value for point in points for value in (point.y, point.y_low, point.y_high) if value is not None]
    across = scale_for(xs, _LEFT, WIDTH - _RIGHT, logarithmic=logarithmic)
    up = scale_for(ys, HEIGHT - _BOTTOM, _TOP)
    parts = [*_axes(across, up)]
    parts.append(text(WIDTH - _RIGHT, HEIGHT - 12, x_title, "dim", text_anchor="end"))
    parts.append(text(0, 0, y_title, "dim", transform=f"translate(13,{_TOP}) rotate(-90)", text_anchor="end"))
    taken: list[Taken] = []
    for point in sorted(points, key=lambda point: point.is_control):
        parts.append(_point(point, across, up, taken))
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


def _point(point: Point, across: Scale, up: Scale, taken: list[Taken]) -> Markup:
    x, y = across(point.x), up(point.y)
    style = "control-line" if point.is_control else "mark-line"
    parts = []
    if point.y_low is not None and point.y_high is not None:
        parts.append(element("path", style, d=f"M{x:.2f},{up(point.y_low):.2f}V{up(point.y_high):.2f}"))
    if point.x_low is not None and point.x_high is not None:
        parts.append(element("path", style, d=f"M{across(point.x_low):.2f},{y:.2f}H{across(point.x_high):.2f}"))
    if point.is_control:
        parts.append(element("rect", "control", x=x - 4, y=y - 4, width=8, height=8, stroke_width=1.5))
    else:
        parts.append(element("circle", "mark", cx=x, cy=y, r=4.5))
    label = point.title if len(point.title) <= 24 else point.title[:23] + "…"
    if point.note:
        label = f"{label} ({point.note})"
    style_of_words = "dim" if point.is_control else "fg"
    parts.append(label_beside(x, y, label, style_of_words, taken, _INSIDE))
    return Markup("").join(parts)


def _score(board: Leaderboard, row: Row, column: Column) -> tuple[float, float | None, float | None] | None:
    score = row.cells[board.columns.index(column)].score
    if score is None or score.value is None:
        return None
    return score.value, score.ci_low, score.ci_high


def _axis_title(column: Column) -> str:
    return f"{column_name(column)} {column.arrow}" + (f", {column.unit}" if column.unit else "")


def _side(column: Column, lower: str, higher: str) -> str:
    return {"lower": lower, "higher": higher, "none": "neither way"}[column.direction]
