"""Published numbers beside measured ones, each pair with whether it may be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clapstick.protocols.archive import ScoreRecord
from clapstick.protocols.results import comparability, lookup
from clapstick.reports.board import Column, Leaderboard, column_name
from clapstick.reports.numbers import MOST_DECIMALS, decimals_for, format_value
from clapstick.reports.run_data import RunData

_MARKS = {"yes": "✓ comparable", "with care": "≈ with care", "no": "✕ not comparable"}


@dataclass(frozen=True)
class PublishedRow:
    """One published number and what this run measured for it."""

    system: str
    column: str
    source: str
    """Paper, table and what the paper calls row and column."""
    published: str
    measured: str
    """With its convention and clips; empty where nothing was measured."""
    interval: str
    difference: str
    """Measured minus published; empty where the two may not be compared."""
    comparable: str
    why: str


def published_rows(data: RunData, board: Leaderboard) -> list[PublishedRow]:
    """Return every number that the paper behind the run's protocol prints for the run's systems and metrics."""
    protocol = data.run.protocol.name
    titles = {system.name: system.title for system in data.systems}
    columns: dict[str, list[Column]] = {}
    for column in board.columns:
        columns.setdefault(column.metric, []).append(column)
    rows = []
    for record in lookup(protocol=protocol).to_dict("records"):
        system, metric = str(record["system"]), str(record["metric"])
        if system not in titles or metric not in columns:
            continue
        measured = [
            (column, score)
            for column in columns[metric]
            if (score := data.score_of.get((system, metric, column.convention))) is not None
            and score.value is not None
        ]
        same = [pair for pair in measured if pair[0].convention == record["convention"]]
        source = f"{record['paper']}, {record['table']}: {record['row']}, {record['column']}"
        value, half = float(record["value"]), float(record["ci"])
        nothing: list[tuple[Column, ScoreRecord | None]] = [(columns[metric][0], None)]
        for column, score in same or measured or nothing:
            rows.append(_row(protocol, titles[system], column, score, source, system, value, half))
    return rows


def _row(
    protocol: str,
    title: str,
    column: Column,
    score: ScoreRecord | None,
    source: str,
    system: str,
    value: float,
    half_width: float,
) -> PublishedRow:
    decimals = min(max(column.decimals, decimals_for([value], [])), MOST_DECIMALS)
    published = format_value(value, decimals)
    if not math.isnan(half_width):
        published += f" ± {half_width:g}"
    if score is None or score.value is None:
        return PublishedRow(
            title,
            column_name(column),
            source,
            published,
            "",
            "",
            "",
            "not measured",
            "",
        )
    judged, why = comparability(
        protocol=protocol,
        system=system,
        metric=column.metric,
        convention=column.convention,
        clips=score.n,
    )
    interval = ""
    if score.ci_low is not None and score.ci_high is not None:
        interval = f"{format_value(score.ci_low, decimals)} to {format_value(score.ci_high, decimals)}"
    difference = "" if judged == "no" else format_value(score.value - value, decimals)
    if difference and not difference.startswith("−"):
        difference = f"+{difference}"
    return PublishedRow(
        title,
        column_name(column),
        source,
        published,
        format_value(score.value, decimals),
        interval,
        difference,
        _MARKS[judged],
        why,
    )
