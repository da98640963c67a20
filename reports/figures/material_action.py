"""Means by material and action, drawn towards the system's own mean where few clips stand behind them."""

from __future__ import annotations

from markupsafe import Markup

from clapstick.reports.board import Column, column_name
from clapstick.reports.breakdown import SMALL_CELL, Breakdown, by_attribute
from clapstick.reports.figures.svg import Figure, Scale, drawing, element, label_for, scale_for, text
from clapstick.reports.run_data import RunData

MOST_SYSTEMS = 6
_LABELS = 190
_PANEL = 150
_GAP = 22
_ROW = 20
_TOP = 46


def breakdown_figure(data: RunData, column: Column) -> Figure | None:
    """Draw a metric by material and action, one panel a competitor; None where clips have no attribute."""
    if not any(clip.material or clip.action for clip in data.clips):
        return None
    found = by_attribute(data, (column.metric, column.convention), "material and action")
    competing = {system.name: system.title for system in data.competitors}
    systems = [name for name in found.systems if name in competing][:MOST_SYSTEMS]
    shown = [
        number
        for name in systems
        for label in found.labels
        if (cell := found.cells.get((label, name)))
        for number in (cell.mean, cell.shrunk)
    ]
    if not shown:
        return None
    bottom = _TOP + _ROW * len(found.labels)
    width = _LABELS + (_PANEL + _GAP) * len(systems)
    parts = [
        text(_LABELS - 12, _TOP + _ROW * (i + 0.5) + 4, f"{label} ({n})", text_anchor="end", font_size=11)
        for i, (label, n) in enumerate(zip(found.labels, found.counts, strict=True))
    ]
    for position, name in enumerate(systems):
        start = _LABELS + (_PANEL + _GAP) * position
        place = scale_for(shown, start, start + _PANEL)
        parts.append(_panel(found, name, competing[name], place, bottom))
    words = f"{column_name(column)} by material and action"
    caption = (
        f"{words} (number of clips). Filled: mean drawn towards the system’s own; hollow: the same with fewer "
        f"than {SMALL_CELL} clips; grey: the plain mean. {column.direction_words.capitalize()}."
    )
    return Figure(
        f"breakdown-{column.metric}", drawing(width, bottom + 28, words, *parts), caption, is_wide=True
    )


def _panel(found: Breakdown, name: str, title: str, place: Scale, bottom: float) -> Markup:
    middle = (place.start + place.end) / 2
    heading = title if len(title) <= 22 else title[:21] + "…"
    parts = [text(middle, 16, heading, text_anchor="middle", font_weight=600)]
    for tick in place.ticks(3):
        x = place(tick)
        parts.append(element("line", "grid", x1=x, x2=x, y1=_TOP - 12, y2=bottom))
        parts.append(text(x, bottom + 16, label_for(tick), "dim", text_anchor="middle", font_size=10))
    for index, label in enumerate(found.labels):
        cell = found.cells.get((label, name))
        if cell is None:
            continue
        y = _TOP + _ROW * (index + 0.5)
        parts.append(element("circle", "ghost", cx=place(cell.mean), cy=y, r=3))
        style = "hollow" if cell.is_small else "mark"
        parts.append(element("circle", style, cx=place(cell.shrunk), cy=y, r=4, stroke_width=1.5))
    return Markup("").join(parts)
