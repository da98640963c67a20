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
    """Return one row a score with a column a system, and one line for every reason why a cell is empty.

    Intervals are left to the report and to ``--json``: a terminal has no room for them.
    """
    systems = list(dict.fromkeys(record.system for record in records))
    by_score: dict[str, dict[str, ScoreRecord]] = {}
    empty: dict[str, list[str]] = {}
    for record in records:
        title = column_title(record)
        by_score.setdefault(title, {})[record.system] = record
        if record.value is None:
            empty.setdefault(f"{title}: {record.reason}", []).append(record.system)
    rows = [
        {"score": title} | {system: format_value(of_system.get(system)) for system in systems}
        for title, of_system in by_score.items()
    ]
    notes = [f"{text} ({', '.join(names)})" for text, names in empty.items()]
    return rows, ["score", *systems], notes
