"""The leaderboard as data: columns, groups of rows, cells, marks and warnings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from clapstick.metrics.base import Convention, Metric
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import SPLITS, RankRecord, ScoreRecord
from clapstick.reports.numbers import decimals_for, format_p, format_value
from clapstick.reports.run_data import Pair, RunData, SystemFacts

CEILINGS = frozenset({"reference", "disc-rms", "envelope-shaper"})
"""Controls that no system should beat; every other control is a floor: it does not follow the picture."""

_GROUP_TITLES = {
    "none": "No prompt",
    "text": "Text prompt",
    "audio": "Audio prompt",
    "audio-visual": "Audio-visual prompt",
}
ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
DIRECTION_WORDS = {"lower": "lower is better", "higher": "higher is better", "none": "no direction"}


@dataclass(frozen=True)
class Column:
    """A metric under a convention."""

    key: str
    """``metric@convention``."""
    metric: str
    convention: str
    title: str
    unit: str
    direction: str
    decimals: int
    clips_note: str
    """How many clips stand behind the values, where it is not all of the run's."""
    is_default: bool
    """Whether it is the metric's default convention."""
    is_first: bool
    """Whether it stands for its metric while other conventions are hidden."""
    facts: Metric | None
    """None where this installation does not know the metric."""
    convention_facts: Convention | None

    @property
    def arrow(self) -> str:
        """``↓``, ``↑`` or nothing."""
        return ARROWS[self.direction]

    @property
    def direction_words(self) -> str:
        """The arrow in words."""
        return DIRECTION_WORDS[self.direction]

    @property
    def is_published(self) -> bool:
        """False for quantities that no paper reports."""
        return self.facts is None or self.facts.published


@dataclass(frozen=True)
class Cell:
    """One value of the leaderboard."""

    id: str
    score: ScoreRecord | None
    text: str
    interval: str = ""
    mark: str = ""
    """``best`` for a single winner, ``tie`` for each of several that no test tells apart."""
    rank: str = ""
    """``1``, or ``1–3`` where the data leave several ranks open."""
    notes: tuple[str, ...] = ()
    """What a reader must know before comparing this number."""
    beaten_by: tuple[str, ...] = ()
    """Floor controls with a better value."""


@dataclass(frozen=True)
class Row:
    """One system."""

    system: SystemFacts
    cells: tuple[Cell, ...]
    splits: tuple[tuple[Cell, Cell], ...]
    """Value on clips that it was trained on, and on the others, for every column; empty where it saw none."""
    training: str
    """What is known of its training on the run's clips."""


@dataclass(frozen=True)
class Group:
    """Rows that were told the same."""

    title: str
    kind: str
    """``competitors``, ``ceiling`` or ``floor``."""
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Leaderboard:
    """What the main table shows."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    findings: tuple[str, ...]
    """Who leads what, in sentences."""
    warnings: tuple[str, ...]
    overlaps: tuple[str, ...]
    """Systems that were trained on clips of this run, in sentences."""
    missing: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(column titles, reason, systems) of what was not computed."""

    @property
    def rows(self) -> list[Row]:
        """All rows in order."""
        return [row for group in self.groups for row in group.rows]

    @property
    def has_splits(self) -> bool:
        """Whether some row has values on seen and on unseen clips."""
        return any(row.splits for row in self.rows)


def make_leaderboard(data: RunData) -> Leaderboard:
    """Arrange a run's scores as the papers' tables do: by prompt kind, controls set apart."""
    columns = tuple(make_column(data, metric, convention) for metric, convention in data.columns)
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
    for position, column in enumerate(columns):
        beaten = _beaten(data, column)
        for system, controls in beaten.items():
            cells = list(rows[system].cells)
            cells[position] = replace(cells[position], beaten_by=tuple(titles[name] for name in controls))
            rows[system] = replace(rows[system], cells=tuple(cells))
            warnings.append(_beaten_sentence(data, column, system, controls, titles))
        warnings.extend(_above_ceiling(data, column, titles))
    return Leaderboard(
        columns=columns,
        groups=_groups(data, rows),
        findings=_findings(data, columns, titles),
        warnings=tuple(warnings),
        overlaps=tuple(
            f"{system.title} was {rows[system.name].training}, by its published training list."
            for system in data.systems
            if _seen_clips(data, system)
        ),
        missing=_missing(data, columns),
    )


def make_column(data: RunData, metric: str, convention: str) -> Column:
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
        key=f"{metric}@{convention}",
        metric=metric,
        convention=convention,
        title=facts.title if facts else metric,
        unit=scores[0].unit,
        direction=scores[0].direction if scores[0].direction in ARROWS else "none",
        decimals=decimals_for([score.value for score in scores], half_widths),
        clips_note=f"{most} of {len(data.clips)} clips" if facts and 0 < most < len(data.clips) else "",
        is_default=facts is None or facts.default == convention,
        is_first=convention == _first_convention(data, metric, facts),
        facts=facts,
        convention_facts=known.get(convention),
    )


def _first_convention(data: RunData, metric: str, facts: Metric | None) -> str:
    scored = [convention for name, convention in data.columns if name == metric]
    return facts.default if facts is not None and facts.default in scored else scored[0]


def better(direction: str, value: float, other: float) -> bool:
    """Whether `value` is strictly better than `other`."""
    if direction == "lower":
        return value < other
    return direction == "higher" and value > other


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
    for rank in data.ranks:
        if (rank.system, rank.metric, rank.convention) == (score.system, score.metric, score.convention):
            return rank
    return None


def _mark(data: RunData, rank: RankRecord) -> str:
    if rank.tie_group != 1:
        return ""
    column = [r for r in data.ranks if (r.metric, r.convention) == (rank.metric, rank.convention)]
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


def _value(data: RunData, system: str, column: Column) -> float | None:
    score = data.score_of.get((system, column.metric, column.convention))
    return None if score is None else score.value


def _has_values(data: RunData, column: Column) -> bool:
    return any(_value(data, system.name, column) is not None for system in data.competitors)


def _beaten(data: RunData, column: Column) -> dict[str, list[str]]:
    """Competitor -> floor controls with a better value."""
    floors = [s.name for s in data.systems if s.is_control and s.name not in CEILINGS]
    beaten: dict[str, list[str]] = {}
    for system in data.competitors:
        value = _value(data, system.name, column)
        if value is None:
            continue
        above = [
            name
            for name in floors
            if (floor := _value(data, name, column)) is not None and _visibly_better(column, floor, value)
        ]
        if above:
            beaten[system.name] = above
    return beaten


def _visibly_better(column: Column, value: float, other: float) -> bool:
    """Whether a value is better and also printed differently."""
    printed = [format_value(number, column.decimals) for number in (value, other)]
    return better(column.direction, value, other) and printed[0] != printed[1]


def _beaten_sentence(
    data: RunData, column: Column, system: str, controls: list[str], titles: dict[str, str]
) -> str:
    value = format_value(_value(data, system, column), column.decimals)
    listed = " and ".join(
        f"{titles[name]} ({format_value(_value(data, name, column), column.decimals)})" for name in controls
    )
    verb = "does" if len(controls) == 1 else "do"
    return f"{column_name(column)}: {listed} {verb} better than {titles[system]} ({value})."


def _above_ceiling(data: RunData, column: Column, titles: dict[str, str]) -> list[str]:
    warnings = []
    for ceiling in (s.name for s in data.systems if s.is_control and s.name in CEILINGS):
        top = _value(data, ceiling, column)
        if top is None:
            continue
        for system in data.competitors:
            value = _value(data, system.name, column)
            if value is not None and _visibly_better(column, value, top):
                warnings.append(
                    f"{column_name(column)}: {titles[system.name]} "
                    f"({format_value(value, column.decimals)}) does better than {titles[ceiling]} "
                    f"({format_value(top, column.decimals)}): this metric rewards something besides likeness."
                )
    return warnings


def column_name(column: Column) -> str:
    """Return the title, with the convention where it is not the metric's default."""
    return column.title if column.is_default else f"{column.title} ({column.convention})"


def _findings(data: RunData, columns: tuple[Column, ...], titles: dict[str, str]) -> tuple[str, ...]:
    valued = [column for column in columns if _has_values(data, column)]
    if valued and len(data.competitors) < 2:
        return (f"{data.competitors[0].title} is the only system: there is nothing to rank.",)
    tested = [column for column in valued if len(_ranks(data, column)) > 1]
    untested = [column_name(column) for column in valued if column not in tested]
    findings = [_finding(data, column, titles) for column in tested]
    if untested:
        findings.append(f"{', '.join(untested)}: no paired test, so no system is called best.")
    return tuple(findings)


def _ranks(data: RunData, column: Column) -> list[RankRecord]:
    return [r for r in data.ranks if (r.metric, r.convention) == (column.metric, column.convention)]


def _finding(data: RunData, column: Column, titles: dict[str, str]) -> str:
    name = column_name(column)
    first = [rank.system for rank in _ranks(data, column) if rank.tie_group == 1]
    if len(first) > 1:
        listed = ", ".join(titles.get(system, system) for system in first)
        return f"{name}: no test tells {listed} apart."
    best = first[0]
    value = format_value(_value(data, best, column), column.decimals)
    against = [
        comparison
        for comparison in data.comparisons
        if (comparison.metric, comparison.convention) == (column.metric, column.convention)
        and best in (comparison.system_a, comparison.system_b)
    ]
    if not against:
        return f"{name}: {titles.get(best, best)} is best ({value})."
    closest = max(against, key=lambda comparison: comparison.p_holm)
    other = closest.system_b if closest.system_a == best else closest.system_a
    return (
        f"{name}: {titles.get(best, best)} is best ({value}); closest is {titles.get(other, other)} "
        f"({format_value(_value(data, other, column), column.decimals)}, "
        f"{format_p(closest.p_holm)} after Holm, {closest.n} clips)."
    )


def _groups(data: RunData, rows: dict[str, Row]) -> tuple[Group, ...]:
    groups = []
    for kind, title in _GROUP_TITLES.items():
        members = tuple(rows[system.name] for system in data.competitors if system.prompt == kind)
        if members:
            groups.append(Group(title, "competitors", members))
    controls = [system.name for system in data.systems if system.is_control]
    ceiling = tuple(rows[name] for name in controls if name in CEILINGS)
    floor = tuple(rows[name] for name in controls if name not in CEILINGS)
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
