"""A comparison of runs as one HTML file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from clapstick.protocols.archive import write_text
from clapstick.reports.compare import Change, RunComparison
from clapstick.reports.numbers import decimals_for, format_value
from clapstick.reports.pages import EARLY_SCRIPT, STYLES, clapstick_version, environment, inline_parts

_ORDER = ("worse", "better", "changed", "within noise", "not tested")


def write_comparison(found: RunComparison, out: Path) -> Path:
    """Write the page: what got worse first, then what got better, then the rest."""
    changes = sorted(found.changes, key=lambda change: _ORDER.index(change.verdict))
    counts = Counter(change.verdict for change in changes)
    parts = inline_parts(STYLES, EARLY_SCRIPT, ())
    page = (
        environment()
        .get_template("compare.html")
        .render(
            policy=parts.policy,
            styles=parts.styles,
            early_script=parts.early_script,
            version=clapstick_version(),
            found=found,
            rows=[_row(change) for change in changes],
            verdicts=[(verdict, counts[verdict]) for verdict in _ORDER if counts[verdict]],
        )
    )
    write_text(out, page)
    return out


def _row(change: Change) -> dict[str, object]:
    low, high = change.ci_low, change.ci_high
    widths = [] if low is None or high is None else [(high - low) / 2]
    decimals = decimals_for([change.value_a, change.value_b], widths)
    difference = format_value(change.difference, decimals)
    return {
        "metric": f"{change.metric}@{change.convention}",
        "system": change.system,
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
