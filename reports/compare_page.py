"""A comparison of runs as one HTML file."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from clapstick.protocols.archive import write_text
from clapstick.reports.board import column_name
from clapstick.reports.compare import Change, RunComparison
from clapstick.reports.leaderboard import make_column
from clapstick.reports.media import json_for_script
from clapstick.reports.merge import MergedRuns, merge_runs
from clapstick.reports.numbers import decimals_for, format_value
from clapstick.reports.pages import (
    EARLY_SCRIPT,
    STYLES,
    clapstick_version,
    drawer_cells,
    environment,
    inline_parts,
)
from clapstick.reports.run_data import Pair, RunData
from clapstick.reports.tables import comparison_rows

_ORDER = ("worse", "better", "changed", "within noise", "not tested")


def write_comparison(found: RunComparison, out: Path) -> Path:
    """Write the page: what got worse or better, what is kept apart and why, one leaderboard of all runs."""
    whole = merge_runs(found)
    changes = [change for change in found.changes if not change.is_none]
    changes.sort(key=lambda change: _ORDER.index(change.verdict))
    counts = Counter(change.verdict for change in changes)
    parts = inline_parts(STYLES, EARLY_SCRIPT, ("chunks.js", "drawer.js"))
    first = next(iter(found.data.values()))
    names = column_names(found)
    page = (
        environment()
        .get_template("compare.html")
        .render(
            policy=parts.policy,
            styles=parts.styles,
            early_script=parts.early_script,
            scripts=parts.scripts,
            version=clapstick_version(),
            runs=[_run(name, data) for name, data in found.data.items()],
            run=first.run,
            systems=whole.board.rows,
            board=whole.board,
            comparisons=[row for data, board in whole.parts for row in comparison_rows(data, board)],
            separated=[replace(item, metric=names[item.metric, item.convention]) for item in found.separated],
            changes=[_change(change, names[change.metric, change.convention], found) for change in changes],
            equal=len(found.changes) - len(changes),
            verdicts=[(verdict, counts[verdict]) for verdict in _ORDER if counts[verdict]],
            cells_json=Markup(json_for_script(_cells(whole))),
        )
    )
    write_text(out, page)
    return out


def column_names(found: RunComparison) -> dict[Pair, str]:
    """Return (metric, convention) -> how people call it."""
    names = {}
    for column in found.columns:
        data = found.data[column.runs[0]]
        names[column.metric, column.convention] = column_name(
            make_column(data, column.metric, column.convention)
        )
    return names


def _cells(whole: MergedRuns) -> dict[str, dict[str, Any]]:
    return {key: cell for data, board in whole.parts for key, cell in drawer_cells(data, board).items()}


def _run(name: str, data: RunData) -> dict[str, object]:
    return {
        "name": name,
        "protocol": f"{data.run.protocol.name}, version {data.run.protocol.version}",
        "systems": [system.title for system in data.competitors],
        "clips": len(data.clips),
        "seed": data.run.seed,
        "version": data.run.libraries.get("clapstick", "–"),
        "finished": (data.run.finished or "not finished")[:10],
    }


def _change(change: Change, metric: str, found: RunComparison) -> dict[str, object]:
    titles = {system.name: system.title for system in found.data[change.run_a].systems}
    low, high = change.ci_low, change.ci_high
    widths = [] if low is None or high is None else [(high - low) / 2]
    decimals = decimals_for([change.value_a, change.value_b], widths)
    difference = format_value(change.difference, decimals)
    return {
        "metric": metric,
        "system": titles.get(change.system, change.system),
        "run": change.run_b,
        "verdict": change.verdict,
        "reason": change.reason,
        "before": format_value(change.value_a, decimals),
        "after": format_value(change.value_b, decimals),
        "difference": difference if difference.startswith("−") else f"+{difference}",
        "interval": f"{format_value(low, decimals)} to {format_value(high, decimals)}" if widths else "",
        "p": "–" if change.p_holm is None else ("< 0.001" if change.p_holm < 0.001 else f"{change.p_holm:.3f}"),
        "clips": change.clips or "–",
    }
