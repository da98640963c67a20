"""The leaderboard as a table: one row a system, one column a metric under a convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import RunArchive, ScoreRecord

if TYPE_CHECKING:
    import pandas as pd

_ARROWS = {"lower": "↓", "higher": "↑", "none": ""}


def leaderboard(archive: RunArchive) -> pd.DataFrame:
    """Return every score of a run as a long frame with the columns of `ScoreRecord`."""
    import pandas as pd

    records = [record.model_dump() for record in archive.read_summary()]
    return pd.DataFrame(records, columns=list(ScoreRecord.model_fields))


def column_title(record: ScoreRecord) -> str:
    """Return the head of a score's column: metric, convention where it is not the default, direction."""
    metric = metrics()[record.metric]
    convention = "" if record.convention == metric.default else f" ({record.convention})"
    return f"{metric.title}{convention} {_ARROWS[record.direction]}".strip()


def format_value(record: ScoreRecord | None) -> str:
    """Return a score without its interval, or a dash; the reason is printed below the table."""
    if record is None or record.value is None:
        return "–"
    value = record.value
    if abs(value) < 1e-9:
        return "0"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def leaderboard_rows(records: Sequence[ScoreRecord]) -> tuple[list[dict[str, str]], list[str], list[str]]:
    """Return one row a score with a column a system, and lines on what is not in it.

    A value of fewer clips than the row's others carries their number. Intervals are left to the report and to
    ``--json``: a terminal has no room for them.
    """
    systems = list(dict.fromkeys(record.system for record in records))
    by_score: dict[str, dict[str, ScoreRecord]] = {}
    empty: dict[str, list[str]] = {}
    for record in records:
        title = column_title(record)
        by_score.setdefault(title, {})[record.system] = record
        if record.value is None:
            empty.setdefault(f"{title}: {record.reason}", []).append(record.system)
    most = {title: max(record.n for record in of_system.values()) for title, of_system in by_score.items()}
    rows = [
        {"score": title} | {system: _cell(of_system.get(system), most[title]) for system in systems}
        for title, of_system in by_score.items()
    ]
    notes = [f"{text} ({', '.join(names)})" for text, names in empty.items()]
    if any(record.value is not None and record.n < most[column_title(record)] for record in records):
        notes.append("a value with (m of n) is of m clips only, where others have n: not one comparison")
    notes.append("intervals, tests and clips: in the report, or with --json")
    return rows, ["score", *systems], notes


def _cell(record: ScoreRecord | None, most: int) -> str:
    if record is None or record.value is None or record.n == most:
        return format_value(record)
    return f"{format_value(record)} ({record.n} of {most})"
