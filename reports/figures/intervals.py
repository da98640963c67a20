"""Every system's value with its interval, one picture a metric."""

from __future__ import annotations

from markupsafe import Markup

from clapstick.reports.board import Cell, Column, Leaderboard, Row, column_name
from clapstick.reports.figures.reach import IN_WORDS, Reach, Span, arrow, reach_of, span_of
from clapstick.reports.figures.svg import Figure, Scale, drawing, element, label_for, scale_for, text

WIDTH = 560
_LABELS = 212
_RIGHT = 24
_ROW = 26
_TOP = 34


def interval_figure(board: Leaderboard, column: Column, level: float) -> Figure | None:
    """Draw a column of the leaderboard; None where it has no value."""
    position = board.columns.index(column)
    rows = [(row, row.cells[position]) for row in board.rows if _has_value(row.cells[position])]
    if not rows:
        return None
    reach = reach_of([_span(cell) for _, cell in rows], column.direction)
    place = scale_for(reach.ends, _LABELS, WIDTH - _RIGHT)
    bottom = _TOP + _ROW * len(rows)
    parts = [text(0, 14, f"{column_name(column)} {column.arrow}", font_weight=600)]
    for tick in place.ticks():
        parts.append(element("line", "grid", x1=place(tick), x2=place(tick), y1=_TOP - 6, y2=bottom))
        parts.append(text(place(tick), bottom + 16, label_for(tick), "dim", text_anchor="middle", font_size=11))
    for index, (row, cell) in enumerate(rows):
        parts.append(_row(row, cell, place, reach, _TOP + _ROW * (index + 0.5)))
    if column.unit:
        parts.append(text(WIDTH - _RIGHT, bottom + 34, column.unit, "dim", text_anchor="end", font_size=11))
    words = f"{column_name(column)} with intervals, {len(rows)} systems"
    caption = (
        f"{column_name(column)} ({column.direction_words}) with {level * 100:g} % intervals. "
        "Squares are controls. Overlapping intervals do not tell whether two systems differ: paired tests do."
    )
    if any(reach.side(_number(cell)) for _, cell in rows):
        caption += f" {IN_WORDS}"
    return Figure(
        f"intervals-{column.metric}-{column.convention}", drawing(WIDTH, bottom + 40, words, *parts), caption
    )


def _row(row: Row, cell: Cell, place: Scale, reach: Reach, y: float) -> Markup:
    control = row.system.is_control
    style = "dim" if control else "fg"
    name = text(_LABELS - 14, y + 4, _short(row.system.title), style, text_anchor="end", direction="ltr")
    side = reach.side(_number(cell))
    if side:
        words = f"{cell.text} ({cell.interval})" if cell.interval else cell.text
        end, anchor = (place.end, "end") if side > 0 else (place.start, "start")
        value = text(end - 8 * side, y + 4, words, style, text_anchor=anchor, font_size=11)
        return name + value + arrow(end, y, side, 0, is_control=control)
    return name + _interval_and_mark(cell, place, y, is_control=control)


def _interval_and_mark(cell: Cell, place: Scale, y: float, *, is_control: bool) -> Markup:
    low, high = (place(number) for number in _span(cell))
    x = place(_number(cell))
    line = Markup("")
    if low < high:
        style = "control-line" if is_control else "mark-line"
        line = element("path", style, d=f"M{low:.2f},{y}H{high:.2f}", stroke_width=2)
    if is_control:
        return line + element("rect", "control", x=x - 4, y=y - 4, width=8, height=8, stroke_width=1.5)
    return line + element("circle", "mark", cx=x, cy=y, r=4.5)


def _short(title: str, most: int = 31) -> str:
    return title if len(title) <= most else title[: most - 1] + "…"


def _has_value(cell: Cell) -> bool:
    return cell.score is not None and cell.score.value is not None


def _number(cell: Cell) -> float:
    assert cell.score is not None
    assert cell.score.value is not None
    return cell.score.value


def _span(cell: Cell) -> Span:
    assert cell.score is not None
    return span_of(cell.score)
