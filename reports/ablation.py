"""The page of a sweep: the question, what the data say, figures, the whole table, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clapstick.protocols.archive import write_text
from clapstick.reports.figures.svg import Figure
from clapstick.reports.figures.sweep import SweepLine, SweepValue, cost_figure, setting_figure

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SweepPage:
    """What a sweep's page tells."""

    title: str
    question: str
    paper: str
    system: str
    choose: str
    verdict: str
    seeds: Sequence[int]
    table: pd.DataFrame
    """Columns setting, system, score, metric, direction, mean, low, high, seeds, clips, reason, published,
    published_in, seconds, parameters."""
    against_best: Sequence[dict[str, object]]
    failures: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()


def write_sweep_page(page: SweepPage, out: Path) -> Path:
    """Write ``index.html`` and one SVG a figure into a folder; everything is in the page itself.

    Returns
    -------
    Path
        The page.
    """
    from clapstick.reports.pages import environment

    figures = sweep_figures(page)
    for figure in figures:
        write_text(out / f"{figure.name}.svg", str(figure.svg))
    style = (Path(__file__).parent / "static" / "report.css").read_text(encoding="utf-8")
    html = (
        environment()
        .get_template("sweep.html")
        .render(page=page, figures=figures, rows=_rows(page), style=style)
    )
    write_text(out / "index.html", html)
    return out / "index.html"


def sweep_figures(page: SweepPage) -> list[Figure]:
    """Draw every score over the settings, and the deciding score against cost."""
    figures: list[Figure | None] = []
    labels = list(dict.fromkeys(page.table.setting))
    for score in dict.fromkeys(page.table.score):
        of_score = page.table[page.table.score == score]
        lines = [_line(of_score, system, page.system) for system in dict.fromkeys(of_score.system)]
        title, direction = f"{of_score.metric.iloc[0]} ({score.partition(':')[2]})", of_score.direction.iloc[0]
        name = score.replace(":", "-")
        figures.append(setting_figure(name, title, direction, labels, [line for line in lines if line.values]))
        if score == page.choose:
            varied = _line(of_score, page.system, page.system)
            figures.append(cost_figure(f"{name}-cost", title, direction, varied) if varied.values else None)
    return [figure for figure in figures if figure is not None]


def _line(of_score: pd.DataFrame, system: str, varied: str) -> SweepLine:
    rows = of_score[(of_score.system == system) & of_score["mean"].notna()]
    values = tuple(
        SweepValue(
            label=str(row["setting"]),
            mean=float(row["mean"]),
            low=float(row["low"]),
            high=float(row["high"]),
            published=_number(row["published"]),
            seconds=_number(row["seconds"]),
            parameters=None if (count := _number(row["parameters"])) is None else int(count),
        )
        for row in rows.to_dict("records")
    )
    return SweepLine(system, system == varied, values)


def _number(value: Any) -> float | None:
    """Return a number of a table; None where the cell is empty."""
    return None if value is None or value != value else float(value)


def _rows(page: SweepPage) -> list[dict[str, str]]:
    rows = []
    for row in page.table.to_dict("records"):
        mean, low, high, published = (_number(row[name]) for name in ("mean", "low", "high", "published"))
        convention = str(row["score"]).partition(":")[2]
        over = f"{row['seeds']} seeds" + (f" × {row['clips']} clips" if row["clips"] else "")
        rows.append(
            {
                "setting": str(row["setting"]),
                "system": str(row["system"]),
                "score": f"{row['metric']} ({convention})",
                "value": "–" if mean is None else f"{mean:.4g}",
                "interval": "" if low is None or high is None else f"{low:.4g} to {high:.4g}",
                "basis": str(row["reason"]) if mean is None else over,
                "published": "" if published is None else f"{published:g}",
                "published_in": str(row["published_in"] or ""),
            }
        )
    return rows
