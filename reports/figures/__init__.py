"""The figures of a report, as SVG."""

from __future__ import annotations

from dataclasses import replace

from clapstick.protocols.clips import safe_stem
from clapstick.reports.board import Leaderboard
from clapstick.reports.figures.envelope_rows import chosen_clips, envelope_figure
from clapstick.reports.figures.intervals import interval_figure
from clapstick.reports.figures.material_action import breakdown_figure
from clapstick.reports.figures.scatter import cost_figure, metric_scatter
from clapstick.reports.figures.svg import Figure
from clapstick.reports.run_data import RunData

MOST_SCATTERS = 2

__all__ = ["Figure", "make_figures"]


def make_figures(data: RunData, board: Leaderboard) -> list[Figure]:
    """Return every figure that the run's data allow.

    Metrics are drawn under one convention each, the default where it was scored.
    """
    columns = [column for column in board.columns if column.is_first]
    level = data.run.protocol.statistics.level
    found = [interval_figure(board, column, level) for column in columns]
    valued = [column for column, figure in zip(columns, found, strict=True) if figure is not None]
    if valued:
        found += [metric_scatter(board, valued[0], other) for other in valued[1 : 1 + MOST_SCATTERS]]
        found.append(cost_figure(data, board, valued[0]))
    with_clips = [column for column in valued if (column.metric, column.convention) in data.clip_values]
    if with_clips:
        found.append(breakdown_figure(data, with_clips[0]))
    found += [envelope_figure(data, clip) for clip in chosen_clips(data)]
    return [replace(figure, name=safe_stem(figure.name)) for figure in found if figure is not None]
