"""Arranging a run's scores as a leaderboard: columns, groups of rows, cells, marks and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from clapstick.metrics.base import Metric
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import SPLITS, RankRecord, ScoreRecord
from clapstick.reports.board import ARROWS, Cell, Column, Group, Leaderboard, Row, column_name
from clapstick.reports.findings import (
    above_ceiling,
    beaten_by,
    beaten_sentence,
    findings,
    not_told_from_controls,
)
from clapstick.reports.numbers import decimals_for, format_value
from clapstick.reports.prompts import caution_of
from clapstick.reports.run_data import Pair, RunData, SystemFacts

_GROUP_TITLES = {
    "none": "No prompt",
    "text": "Text prompt",
    "audio": "Audio prompt",
    "audio-visual": "Audio-visual prompt",
}


def make_leaderboard(data: RunData, apart: Mapping[Pair, str] | None = None) -> Leaderboard:
    """Arrange a run's scores as the papers' tables do: by prompt kind, controls set apart.

    Parameters
    ----------
    data : RunData
        One run, or several runs whose signatures agree.
    apart : mapping of (metric, convention) to str, optional
        Columns that stand apart from others of the same metric and convention, and why.
    """
    columns = tuple(
        make_column(data, metric, convention, (apart or {}).get((metric, convention), ""))
        for metric, convention in data.columns
    )
    titles = {system.name: system.title for system in data.systems}
    common = {column.key: _common_signature(data, column) for column in columns}
    rows = {
        system.name: Row(
            system,
            tuple(_cell(data, system, column, common[column.key]) for column in columns),
            _splits(data, system, columns),
            _training(data, system),
        )
        for system in data.systems
    }
    warnings: list[str] = []
    not_told: list[str] = []
    for position, column in enumerate(columns):
        for system, tests in beaten_by(data, column).items():
            cells = list(rows[system].cells)
            controls = tuple(titles[test.system_b] for test in tests)
            cells[position] = replace(cells[position], beaten_by=controls)
            rows[system] = replace(rows[system], cells=tuple(cells))
            warnings.append(beaten_sentence(column, tests, titles))
        warnings.extend(above_ceiling(data, column, titles))
        not_told += not_told_from_controls(data, column, titles)
    return Leaderboard(
        columns=columns,
        groups=_groups(data, rows),
        findings=findings(data, columns, titles),
        warnings=tuple(warnings),
        not_told=tuple(not_told),
        overlaps=tuple(
            f"{system.title} was {rows[system.name].training}, by its published training list."
            for system in data.systems
            if _seen_clips(data, system)
        ),
        missing=_missing(data, columns),
    )


def make_column(data: RunData, metric: str, convention: str, apart: str = "") -> Column:
    """Describe a column from the registry, and from its scores alone where the metric is not known here."""
    facts = metrics().get(metric)
    known = {item.name: item for item in facts.conventions} if facts else {}
    scores = [score for score in data.scores if (score.metric, score.convention) == (metric, convention)]
    half_widths = [
        (score.ci_high - score.ci_low) / 2
        for score in scores
        if score.ci_high is not None and score.ci_low is not None
    ]
    most = max(score.n for score in scores)
    return Column(
        key=f"{metric}@{convention}" + (f"@{apart}" if apart else ""),
        metric=metric,
        convention=convention,
        title=facts.title if facts else metric,
        unit=scores[0].unit,
        direction=scores[0].direction if scores[0].direction in ARROWS else "none",
        decimals=decimals_for([score.value for score in scores], half_widths),
        clips_note=f"{most} of {len(data.clips)} clips" if facts and 0 < most < len(data.clips) else "",
        is_default=facts is None or facts.default == convention,
        is_first=convention == _first_convention(data, metric, facts),
        apart=apart,
        facts=facts,
        convention_facts=known.get(convention),
    )


def _first_convention(data: RunData, metric: str, facts: Metric | None) -> str:
    scored = [convention for name, convention in data.columns if name == metric]
    return facts.default if facts is not None and facts.default in scored else scored[0]


def _cell(data: RunData, system: SystemFacts, column: Column, common_signature: str) -> Cell:
    identity = f"{system.name}@{column.key}"
    score = data.score_of.get((system.name, column.metric, column.convention))
    if score is None:
        return Cell(identity, None, format_value(None, 0))
    notes = [*score.warnings]
    if score.value is not None and score.n < _most_clips(data, column):
        notes.append(f"{len(score.missing)} of {len(data.clips)} clips are missing from this value")
    if score.value is not None and _comparable(score.signature) != common_signature:
        notes.append("its signature differs from the rest of the column: not one comparison")
    rank = _rank_of(data, score)
    return Cell(
        identity,
        score,
        format_value(score.value, column.decimals),
        interval=_interval(score, column),
        mark="" if rank is None or score.value is None else _mark(data, rank),
        rank="" if rank is None else _span(rank.rank_low, rank.rank_high),
        notes=tuple(notes),
    )


def _interval(score: ScoreRecord, column: Column) -> str:
    if score.value is None or score.ci_low is None or score.ci_high is None:
        return ""
    return f"{format_value(score.ci_low, column.decimals)} to {format_value(score.ci_high, column.decimals)}"


def _seen_clips(data: RunData, system: SystemFacts) -> int:
    return sum(system.name in clip.seen_by for clip in data.clips)


def _training(data: RunData, system: SystemFacts) -> str:
    if system.is_control:
        return ""
    seen = _seen_clips(data, system)
    if seen:
        return f"trained on {seen} of {len(data.clips)} clips"
    return "trained on none of the clips" if system.has_training_list else ""


def _splits(data: RunData, system: SystemFacts, columns: tuple[Column, ...]) -> tuple[tuple[Cell, Cell], ...]:
    if not any(
        (part, system.name, c.metric, c.convention) in data.split_score_of for part in SPLITS for c in columns
    ):
        return ()
    seen, unseen = SPLITS
    return tuple((_split_cell(data, system, c, seen), _split_cell(data, system, c, unseen)) for c in columns)


def _split_cell(data: RunData, system: SystemFacts, column: Column, part: str) -> Cell:
    identity = f"{system.name}@{column.key}@{part}"
    score = data.split_score_of.get((part, system.name, column.metric, column.convention))
    if score is None:
        return Cell(identity, None, format_value(None, 0))
    text = format_value(score.value, column.decimals)
    return Cell(identity, score, text, interval=_interval(score, column), notes=score.warnings)


def _most_clips(data: RunData, column: Column) -> int:
    scores = (data.score_of.get((s.name, column.metric, column.convention)) for s in data.systems)
    return max((score.n for score in scores if score is not None), default=0)


def _rank_of(data: RunData, score: ScoreRecord) -> RankRecord | None:
    for rank in data.compared.ranks:
        if (rank.system, rank.metric, rank.convention) == (score.system, score.metric, score.convention):
            return rank
    return None


def _mark(data: RunData, rank: RankRecord) -> str:
    if rank.tie_group != 1:
        return ""
    column = [r for r in data.compared.ranks if (r.metric, r.convention) == (rank.metric, rank.convention)]
    if len(column) < 2:
        return ""
    return "best" if sum(r.tie_group == 1 for r in column) == 1 else "tie"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _comparable(signature: str) -> str:
    """Return a signature without what names the system's own clip count."""
    return "|".join(part for part in signature.split("|") if not part.startswith(("n:", "param.clips:")))


def _common_signature(data: RunData, column: Column) -> str:
    signatures = Counter(
        _comparable(score.signature)
        for score in data.scores
        if (score.metric, score.convention) == (column.metric, column.convention) and score.value is not None
    )
    return signatures.most_common(1)[0][0] if signatures else ""


def _groups(data: RunData, rows: dict[str, Row]) -> tuple[Group, ...]:
    groups = []
    for kind, title in _GROUP_TITLES.items():
        members = tuple(rows[system.name] for system in data.competitors if system.prompt == kind)
        if members:
            note = caution_of(data.run.protocol.prompt.audio) if kind == "audio" else ""
            groups.append(Group(title, "competitors", members, note))
    ceiling = tuple(rows[system.name] for system in data.systems if system.is_ceiling)
    floor = tuple(rows[system.name] for system in data.systems if system.is_floor)
    if ceiling:
        groups.append(Group("Controls: ceiling", "ceiling", ceiling))
    if floor:
        groups.append(Group("Controls: floor", "floor", floor))
    return tuple(groups)


def _missing(data: RunData, columns: tuple[Column, ...]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    titles = {system.name: system.title for system in data.systems}
    names = {(column.metric, column.convention): column_name(column) for column in columns}
    gathered: dict[Pair, list[str]] = {}
    for score in data.scores:
        if score.value is None:
            key = (names[score.metric, score.convention], score.reason or "no reason was recorded")
            gathered.setdefault(key, []).append(titles.get(score.system, score.system))
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (name, reason), systems in gathered.items():
        together.setdefault((reason, tuple(systems)), []).append(name)
    return tuple((", ".join(found), reason, systems) for (reason, systems), found in together.items())
