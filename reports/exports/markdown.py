"""The leaderboard as a Markdown table."""

from __future__ import annotations

import re

from clapstick.protocols.archive import SPLITS
from clapstick.reports.board import Cell, column_name
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.run_data import RunData

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def markdown(data: RunData) -> str:
    """Return the leaderboard with intervals, what is missing, and a signature for every column."""
    board = make_leaderboard(data)
    level = f"{data.run.protocol.statistics.level * 100:g}"
    lines = [f"## {_plain(data.run.protocol.title)}", ""]
    lines.append(
        f"{len(data.clips)} clips, {level} % intervals in brackets. **Bold**: a paired test (Holm) tells it "
        "from every other system; =: tied for best. Controls and systems given the reference sound are not "
        "ranked."
    )
    heads = [f"{_plain(column_name(column))} {column.arrow}".strip() for column in board.columns]
    lines += ["", f"| System | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for group in board.groups:
        lines.append(f"| *{_plain(group.title)}* |{' |' * len(heads)}")
        for row in group.rows:
            cells = " | ".join(_cell(cell) for cell in row.cells)
            lines.append(f"| {_plain(row.system.title)} | {cells} |")
            for part, of_part in zip(SPLITS, zip(*row.splits, strict=True), strict=False):
                cells = " | ".join(_cell(cell) for cell in of_part)
                lines.append(f"| … {part} in training, {_counts(of_part)} | {cells} |")
    if board.warnings:
        lines += ["", *(f"- Warning: {_plain(warning)}" for warning in board.warnings)]
    if board.missing:
        lines += ["", "Not computed:", ""]
        for names, reason, systems in board.missing:
            lines.append(f"- {_plain(names)}: {_plain(reason)} ({_plain(', '.join(systems))})")
    lines += ["", "Signatures:", ""]
    for column in board.columns:
        score = next(s for s in data.scores if (s.metric, s.convention) == (column.metric, column.convention))
        lines.append(f"- {_plain(column_name(column))}: {_plain(score.signature)}")
    return "\n".join(lines) + "\n"


def _counts(cells: tuple[Cell, ...]) -> str:
    """Return how many clips stand behind the values of a row."""
    counts = sorted({cell.score.n for cell in cells if cell.score is not None and cell.score.value is not None})
    return f"n = {'–'.join(dict.fromkeys(map(str, (counts[0], counts[-1]))))}" if counts else "no value"


def _cell(cell: Cell) -> str:
    if cell.score is None or cell.score.value is None:
        return "–"
    value = f"**{cell.text}**" if cell.mark == "best" else cell.text + (" =" if cell.mark == "tie" else "")
    return f"{value} [{cell.interval}]" if cell.interval else value


def _plain(text: str) -> str:
    """Escape what Markdown or HTML would read; line breaks become spaces."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
