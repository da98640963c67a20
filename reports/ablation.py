"""The page of a sweep: the question, what the data say, figures, the whole table, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clapstick.protocols.archive import write_text
from clapstick.reports.figures.svg import Figure
from clapstick.reports.figures.sweep import (
    Axes,
    CostAxis,
    SweepLine,
    SweepValue,
    cost_figure,
    setting_figure,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SweepPage:
    """What a sweep's page tells."""

    title: str
    question: str
    paper: str
    paper_says: str
    system: str
    choose: str
    prefer: str
    verdict: str
    seeds: Sequence[int]
    axes: Sequence[tuple[str, str]]
    """(column of the table, what people call it) of every varied key; the first runs along the figures."""
    figures: Sequence[tuple[str, str, Sequence[str]]]
    """(title, score, systems); empty: one a score, of all systems."""
    table: pd.DataFrame
    """Columns setting, one a varied key, system, score, metric, unit, direction, mean, low, high, seeds, clips,
    reason, published, published_in, train_s, generate_s, parameters."""
    against_best: Sequence[dict[str, object]]
    closed_form: Sequence[dict[str, str]]
    """The discretised reference beside its closed form."""
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
    """Draw the figures that the sweep asks for, and the deciding score against cost."""
    scores = list(dict.fromkeys(page.table.score))
    systems = list(dict.fromkeys(page.table.system))
    orders = page.figures or [(_title(page.table, score), score, systems) for score in scores]
    figures = [
        _setting_figure(page, f"{number}-{score.replace(':', '-')}", title, score, rows)
        for number, (title, score, rows) in enumerate(orders, 1)
    ]
    figures.append(_cost_figure(page))
    return [figure for figure in figures if figure is not None]


def _title(table: pd.DataFrame, score: str) -> str:
    return f"{table[table.score == score].metric.iloc[0]} ({score.partition(':')[2]})"


def _axes(page: SweepPage, title: str, score: str) -> Axes:
    first = page.table[page.table.score == score].iloc[0]
    key, along = page.axes[0]
    labels = [str(value) for value in page.table[key].dropna().tolist()]
    return Axes(title, str(first.unit or ""), str(first.direction), along, tuple(dict.fromkeys(labels)))


def _setting_figure(
    page: SweepPage, name: str, title: str, score: str, systems: Sequence[str]
) -> Figure | None:
    rows = page.table[(page.table.score == score) & page.table["mean"].notna()]
    moving: list[SweepLine] = []
    constant: list[SweepLine] = []
    for system in systems:
        of_system = rows[rows.system == system]
        still = of_system[of_system[page.axes[0][0]].isna()]
        if len(still):
            constant.append(SweepLine(system, False, _values(still, page.axes[0][0])))
        moving += _lines(of_system.drop(still.index), page, system, systems)
    return setting_figure(name, _axes(page, title, score), moving, constant)


def _lines(of_system: pd.DataFrame, page: SweepPage, system: str, systems: Sequence[str]) -> list[SweepLine]:
    """Return one line a combination of the keys that do not run along the figure."""
    along, *others = page.axes
    varied = system == page.system or len(systems) == 1 or system == systems[0]
    names = [", ".join(f"{title} {row[key]}" for key, title in others) for row in of_system.to_dict("records")]
    lines = []
    for name in dict.fromkeys(names):
        chosen = of_system[[other == name for other in names]]
        shown = ", ".join(part for part in (system if len(systems) > 1 or not name else "", name) if part)
        lines.append(SweepLine(shown, varied, _values(chosen, along[0])))
    return lines


def _values(rows: pd.DataFrame, key: str) -> tuple[SweepValue, ...]:
    return tuple(
        SweepValue(
            label=str(row[key]),
            mean=float(row["mean"]),
            low=float(row["low"]),
            high=float(row["high"]),
            published=_number(row["published"]),
        )
        for row in rows.to_dict("records")
    )


def _cost_figure(page: SweepPage) -> Figure | None:
    table = page.table
    rows = table[(table.score == page.choose) & (table.system == page.system) & table["mean"].notna()]
    costs = [
        CostAxis(words, tuple(float(value) for value in rows[column]))
        for column, words in (
            ("train_s", "processor s to train"),
            ("generate_s", "s to make a clip"),
            ("parameters", "weights of stage 1"),
        )
        if len(rows) and rows[column].notna().all()
    ]
    values = [
        replace(value, label=", ".join(str(row[key]) for key, _ in page.axes))
        for value, row in zip(_values(rows, page.axes[0][0]), rows.to_dict("records"), strict=True)
    ]
    axes = _axes(page, _title(table, page.choose), page.choose)
    name = f"{page.choose.replace(':', '-')}-cost"
    return cost_figure(name, axes, SweepLine(page.system, True, tuple(values)), costs)


def _number(value: Any) -> float | None:
    """Return a number of a table; None where the cell is empty."""
    return None if value is None or value != value else float(value)


def _rows(page: SweepPage) -> list[dict[str, str]]:
    rows = []
    for row in page.table.to_dict("records"):
        mean, low, high, published = (_number(row[name]) for name in ("mean", "low", "high", "published"))
        convention = str(row["score"]).partition(":")[2]
        over = f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}" + (
            f" × {row['clips']} clips" if row["clips"] else ""
        )
        rows.append(
            {
                "setting": str(row["setting"]),
                "system": str(row["system"]),
                "score": f"{row['metric']} ({convention})",
                "value": "–" if mean is None else f"{mean:.4g}",
                "interval": "" if low is None or high is None else f"{low:.4g} to {high:.4g}",
                "basis": str(row["reason"]) if mean is None else over,
                "published": "" if published is None else f"{published:g}",
                "published_in": "" if published is None else str(row["published_in"]),
            }
        )
    return rows
