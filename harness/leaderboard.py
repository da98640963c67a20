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


def format_score(record: ScoreRecord) -> str:
    """Return a score with its interval, or a dash; the reason is printed below the table."""
    if record.value is None:
        return "–"
    value = _significant(record.value)
    if record.ci_low is None or record.ci_high is None:
        return value
    return f"{value} [{_significant(record.ci_low)}, {_significant(record.ci_high)}]"


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def leaderboard_rows(records: Sequence[ScoreRecord]) -> tuple[list[dict[str, str]], list[str], list[str]]:
    """Return rows and columns for a terminal, and one line for every reason why a cell is empty."""
    titles = {(r.metric, r.convention): column_title(r) for r in records}
    rows: dict[str, dict[str, str]] = {}
    empty: dict[str, list[str]] = {}
    for record in records:
        title = titles[record.metric, record.convention]
        rows.setdefault(record.system, {"system": record.system})[title] = format_score(record)
        if record.value is None:
            empty.setdefault(f"{title}: {record.reason}", []).append(record.system)
    notes = [f"{text} ({', '.join(systems)})" for text, systems in empty.items()]
    return list(rows.values()), ["system", *dict.fromkeys(titles.values())], notes
