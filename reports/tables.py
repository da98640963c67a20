"""Rows of the report's smaller tables, ready to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clapstick.protocols.archive import StandardRecord
from clapstick.reports.board import Column, Leaderboard, column_name
from clapstick.reports.breakdown import by_attribute
from clapstick.reports.numbers import format_value
from clapstick.reports.run_data import RunData, SystemFacts

SIGNIFICANT = 0.05
_ATTRIBUTES = ("material", "action")


@dataclass(frozen=True)
class Cost:
    """What a system spends."""

    seconds_per_second: float
    """Wall seconds for one second of sound."""
    peak_memory_bytes: int | None
    clips: int


def cost_of(data: RunData, system: str) -> Cost | None:
    """Return what a system spent over all clips; None where it made none."""
    durations = {clip.id: clip.duration_s for clip in data.clips}
    records = [record for (name, _), record in data.natives.items() if name == system]
    sound_s = sum(durations[record.clip] for record in records if record.clip in durations)
    if not records or sound_s == 0:
        return None
    memory = [record.peak_memory_bytes for record in records if record.peak_memory_bytes is not None]
    return Cost(sum(record.seconds for record in records) / sound_s, max(memory, default=None), len(records))


def system_rows(data: RunData) -> list[dict[str, Any]]:
    """Return one row a system: what it is and what it spends."""
    rows = []
    for system in data.systems:
        cost = cost_of(data, system.name)
        memory = None if cost is None else cost.peak_memory_bytes
        rows.append(
            {
                "name": system.name,
                "title": system.title,
                "summary": system.summary,
                "prompt": system.prompt,
                "lines": _card_lines(system),
                "clips": 0 if cost is None else cost.clips,
                "cost": "–" if cost is None else f"{cost.seconds_per_second:.3g}",
                "memory": "–" if memory is None else f"{memory / 2**20:.0f} MiB",
            }
        )
    return rows


def _card_lines(system: SystemFacts) -> list[str]:
    card = system.card
    lines = []
    if card.get("paper"):
        lines.append(str(card["paper"]))
    if card.get("repository"):
        commit = str(card.get("commit") or "")[:12]
        lines.append(f"{card['repository']}{'@' + commit if commit else ''}")
    if card.get("parameters"):
        lines.append("parameters " + ", ".join(f"{k} = {v}" for k, v in sorted(card["parameters"].items())))
    for name, digest in sorted((card.get("weights_sha256") or {}).items()):
        lines.append(f"weights {name}, SHA-256 {str(digest)[:16]}")
    if system.sees_reference:
        lines.append("is given the reference sound")
    lines.extend(str(pitfall) for pitfall in card.get("pitfalls") or ())
    return lines


def handling_rows(data: RunData) -> list[dict[str, Any]]:
    """Return one row a system: what standardisation did to its sounds."""
    rate = data.run.protocol.audio.sample_rate
    rows = []
    for system in data.systems:
        records = [record for (name, _), record in data.standards.items() if name == system.name]
        if records:
            rows.append(_handling_row(system.title, records, rate))
    return rows


def _handling_row(title: str, records: list[StandardRecord], rate: int) -> dict[str, Any]:
    padded = [record.padded_samples for record in records if record.padded_samples]
    cut = [record.cut_samples for record in records if record.cut_samples]
    clipped = sum(record.clipped_samples > 0 for record in records)
    return {
        "title": title,
        "sounds": len(records),
        "padded": len(padded),
        "most_padded": f"{max(padded) / rate:.3f} s" if padded else "–",
        "cut": len(cut),
        "most_cut": f"{max(cut) / rate:.3f} s" if cut else "–",
        "rates": _counted(f"{r.resampled_from} Hz" for r in records if r.resampled_from) or "–",
        "channels": _counted(f"{r.mixed_from_channels} mixed" for r in records if r.mixed_from_channels) or "–",
        "clipped": clipped or "–",
    }


def _counted(names: Iterable[str]) -> str:
    counts = Counter(names)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def comparison_rows(data: RunData, board: Leaderboard) -> list[dict[str, Any]]:
    """Return the paired tests as text."""
    columns = {(column.metric, column.convention): column for column in board.columns}
    titles = {system.name: system.title for system in data.systems}
    rows = []
    for record in data.compared.comparisons:
        column = columns.get((record.metric, record.convention))
        if column is None:
            continue
        low, high = (format_value(value, column.decimals) for value in (record.ci_low, record.ci_high))
        rows.append(
            {
                "column": column_name(column),
                "a": titles.get(record.system_a, record.system_a),
                "b": titles.get(record.system_b, record.system_b),
                "difference": format_value(record.difference, column.decimals),
                "interval": f"{low} to {high}",
                "p": _p(record.p),
                "p_holm": _p(record.p_holm),
                "significant": record.p_holm < SIGNIFICANT,
                "n": record.n,
                "detectable": "–"
                if record.detectable is None
                else format_value(record.detectable, column.decimals),
                "method": record.method,
            }
        )
    return rows


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def breakdown_parts(data: RunData, board: Leaderboard) -> list[dict[str, Any]]:
    """Return, for every metric with clip-level values, its tables by material and by action."""
    if not any(clip.material or clip.action for clip in data.clips):
        return []
    titles = {system.name: system.title for system in data.systems}
    parts = []
    for column in board.columns:
        if (column.metric, column.convention) not in data.clip_values:
            continue
        tables = [_breakdown_table(data, column, attribute, titles) for attribute in _ATTRIBUTES]
        parts.append({"title": column_name(column), "column": column, "tables": tables})
    return parts


def _breakdown_table(data: RunData, column: Column, attribute: str, titles: dict[str, str]) -> dict[str, Any]:
    found = by_attribute(data, (column.metric, column.convention), attribute)
    rows = []
    for label, count in zip(found.labels, found.counts, strict=True):
        values = []
        for system in found.systems:
            cell = found.cells.get((label, system))
            text = format_value(None if cell is None else cell.mean, column.decimals)
            ends: tuple[float, ...] = () if cell is None or cell.interval is None else cell.interval
            if column.facts is not None:
                ends = tuple(column.facts.in_range(end) for end in ends)
            interval = " to ".join(format_value(end, column.decimals) for end in ends)
            values.append((text, interval, cell is not None and cell.is_small))
        rows.append((label, count, values))
    return {"attribute": attribute, "titles": [titles.get(name, name) for name in found.systems], "rows": rows}


def protocol_rows(data: RunData) -> list[tuple[str, str]]:
    """Return the protocol as name and value."""
    protocol = data.run.protocol
    rows = [("Protocol", f"{protocol.name}, version {protocol.version}"), ("Data", Path(data.run.data).name)]
    if protocol.paper:
        rows.append(("Paper", f"{protocol.paper}{', ' + protocol.table if protocol.table else ''}"))
    for title, table in (
        ("Data set", protocol.dataset),
        ("Audio", protocol.audio),
        ("Prompt", protocol.prompt),
    ):
        values = table.model_dump()
        rows.append((title, ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())))
    statistics = protocol.statistics
    rows.append(
        ("Statistics", f"{statistics.level:g} level, {statistics.resamples} resamples, seed {statistics.seed}")
    )
    rows.append(("Seed of the run", str(data.run.seed)))
    rows.append(("Started", data.run.started))
    rows.append(("Finished", data.run.finished or "not finished"))
    return rows


def clip_notes(data: RunData) -> list[tuple[str, str]]:
    """Return what is known to be odd about single clips."""
    notes = [(clip.id, clip.reference_missing) for clip in data.clips if clip.reference_missing]
    notes += [(clip.id, warning) for clip in data.clips for warning in clip.warnings]
    return notes
