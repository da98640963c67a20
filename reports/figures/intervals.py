"""Every system's value with its interval, one picture a metric."""

from __future__ import annotations

from markupsafe import Markup

from clapstick.reports.board import Cell, Column, Leaderboard, Row, column_name
from clapstick.reports.figures.svg import Figure, drawing, element, label_for, scale_for, text

WIDTH = 560
_LABELS = 196
_RIGHT = 24
_ROW = 26
_TOP = 34


def interval_figure(board: Leaderboard, column: Column, level: float) -> Figure | None:
    """Draw a column of the leaderboard; None where it has no value."""
    position = board.columns.index(column)
    rows = [(row, row.cells[position]) for row in board.rows if _has_value(row.cells[position])]
    if not rows:
        return None
    ends = [number for _, cell in rows for number in _numbers(cell)]
    place = scale_for(ends, _LABELS, WIDTH - _RIGHT)
    bottom = _TOP + _ROW * len(rows)
    parts = [text(0, 14, f"{column_name(column)} {column.arrow}", font_weight=600)]
    for tick in place.ticks():
        parts.append(element("line", "grid", x1=place(tick), x2=place(tick), y1=_TOP - 6, y2=bottom))
        parts.append(text(place(tick), bottom + 16, label_for(tick), "dim", text_anchor="middle", font_size=11))
    for index, (row, cell) in enumerate(rows):
        parts.append(_row(row, cell, place, _TOP + _ROW * (index + 0.5)))
    if column.unit:
        parts.append(text(WIDTH - _RIGHT, bottom + 34, column.unit, "dim", text_anchor="end", font_size=11))
    words = f"{column_name(column)} with intervals, {len(rows)} systems"
    caption = (
        f"{column_name(column)} ({column.direction_words}) with {level * 100:g} % intervals. "
        "Squares are controls. Overlapping intervals do not tell whether two systems differ: paired tests do."
    )
    return Figure(
        f"intervals-{column.metric}-{column.convention}", drawing(WIDTH, bottom + 40, words, *parts), caption
    )


def _row(row: Row, cell: Cell, place: object, y: float) -> Markup:
    assert callable(place)
    score = cell.score
    assert score is not None
    assert score.value is not None
    control = row.system.is_control
    parts = [
        text(
            _LABELS - 14,
            y + 4,
            _short(row.system.title),
            "dim" if control else "fg",
            text_anchor="end",
            direction="ltr",
        )
    ]
    if score.ci_low is not None and score.ci_high is not None:
        style = "control-line" if control else "mark-line"
        low, high = place(score.ci_low), place(score.ci_high)
        parts.append(element("path", style, d=f"M{low:.2f},{y}H{high:.2f}", stroke_width=2))
    x = place(score.value)
    if control:
        parts.append(element("rect", "control", x=x - 4, y=y - 4, width=8, height=8, stroke_width=1.5))
    else:
        parts.append(element("circle", "mark", cx=x, cy=y, r=4.5))
    return Markup("").join(parts)


def _short(title: str, most: int = 27) -> str:
    return title if len(title) <= most else title[: most - 1] + "…"


def _has_value(cell: Cell) -> bool:
    return cell.score is not None and cell.score.value is not None


def _numbers(cell: Cell) -> list[float]:
    score = cell.score
    if score is None:
        return []
    return [value for value in (score.value, score.ci_low, score.ci_high) if value is not None]
