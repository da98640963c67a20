"""The leaderboard as a LaTeX table with booktabs rules."""

from __future__ import annotations

from clapstick.protocols.archive import SPLITS
from clapstick.reports.board import Cell, Column, Leaderboard, column_name
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.run_data import RunData

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "–": "--",
}
_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "none": ""}


def latex(data: RunData) -> str:
    """Return a table environment whose caption states protocol, clips, convention and signature.

    Needs ``\\usepackage{booktabs}``. Superscript letters are tie groups: systems that share one are not told
    apart by any paired test.
    """
    board = make_leaderboard(data)
    heads = [f"{escape(column_name(column))} {_ARROWS[column.direction]}".strip() for column in board.columns]
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{_caption(data, board)}}}",
        rf"\label{{tab:{data.run.protocol.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
        r"\toprule",
        " & ".join(["System", *heads]) + r" \\",
    ]
    for group in board.groups:
        lines.append(r"\midrule")
        lines.append(rf"\multicolumn{{{len(heads) + 1}}}{{l}}{{\textit{{{escape(group.title)}}}}} \\")
        for row in group.rows:
            cells = [_cell(data, cell) for cell in row.cells]
            lines.append(" & ".join([escape(row.system.title), *cells]) + r" \\")
            for part, of_part in zip(SPLITS, zip(*row.splits, strict=True), strict=False):
                cells = [_split_cell(cell) for cell in of_part]
                lines.append(" & ".join([rf"\quad {part} in training", *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))


def _cell(data: RunData, cell: Cell) -> str:
    score = cell.score
    if score is None or score.value is None:
        return "--"
    value = _value_with_interval(cell)
    group = next(
        (
            rank.tie_group
            for rank in data.compared.ranks
            if (rank.system, rank.metric, rank.convention) == (score.system, score.metric, score.convention)
        ),
        None,
    )
    return value if group is None else rf"{value}$^{{\mathrm{{{_letter(group)}}}}}$"


def _split_cell(cell: Cell) -> str:
    """Return a value on seen or unseen clips with its own number of clips."""
    if cell.score is None or cell.score.value is None:
        return "--"
    return rf"{_value_with_interval(cell)} {{\scriptsize $n={cell.score.n}$}}"


def _value_with_interval(cell: Cell) -> str:
    value = escape(cell.text)
    value = rf"\textbf{{{value}}}" if cell.mark == "best" else value
    if not cell.interval:
        return value
    low, _, high = cell.interval.partition(" to ")
    return rf"{value} {{\scriptsize [{escape(low)}, {escape(high)}]}}"


def _letter(group: int) -> str:
    return chr(ord("a") + group - 1) if group <= 26 else str(group)


def _caption(data: RunData, board: Leaderboard) -> str:
    protocol = data.run.protocol
    parts = [
        f"{escape(protocol.title)}: protocol \\texttt{{{escape(protocol.name)}}} version {protocol.version}, "
        f"{len(data.clips)} clips, {protocol.statistics.level * 100:g}\\,\\% intervals over source recordings "
        "in brackets.",
        "Bold: a paired test (Holm) tells it from every other system; a shared letter means a tie.",
        "Controls and systems given the reference sound are not ranked.",
    ]
    if board.has_splits:
        parts.append(
            "Seen and unseen in training: on the clips that the system was trained on, and the others."
        )
    parts += [_column_words(data, column) for column in board.columns]
    return " ".join(parts)


def _column_words(data: RunData, column: Column) -> str:
    scores = [s for s in data.scores if (s.metric, s.convention) == (column.metric, column.convention)]
    counts = sorted({score.n for score in scores if score.value is not None})
    clips = (
        "not computed" if not counts else f"n = {'--'.join(dict.fromkeys(map(str, (counts[0], counts[-1]))))}"
    )
    return rf"{escape(column_name(column))} ({clips}): \texttt{{{escape(scores[0].signature)}}}."
