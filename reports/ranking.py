"""How the rows of a column differ, from the statistics of their clips, as an archive keeps it.

Systems are ranked among each other. Controls are not ranked: a system is tested against one only where the two
stand in the wrong order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from clapstick.metrics.base import Convention, Direction, Metric, NotComputableError, Statistics
from clapstick.metrics.comparison import (
    Comparison,
    PairedTest,
    Rank,
    compare,
    compare_pairs,
    shared_clips,
    with_holm,
)
from clapstick.protocols.archive import ComparedRecord, ComparisonRecord, RankRecord
from clapstick.reports.run_data import SystemFacts

MIN_SHARE_OF_CLIPS = 0.8
"""A system that lacks more clips than this leaves is not compared: it would take the others' clips away."""

Table = Mapping[str, Statistics]
"""Clip -> that clip's statistics."""


@dataclass(frozen=True)
class Rows:
    """The rows of a column by what they are compared with, each by its name."""

    ranked: dict[str, Table]
    given_reference: dict[str, Table]
    """Systems that are compared with controls alone."""
    floors: dict[str, Table]
    """Controls that every system should beat."""
    ceilings: dict[str, Table]
    """Controls that no system should beat."""


def rows_by_role(tables: Mapping[str, Table], systems: Iterable[SystemFacts]) -> Rows:
    """Sort the rows of a column by what they are compared with."""
    rows = Rows({}, {}, {}, {})
    for system in systems:
        if system.is_ceiling:
            kind = rows.ceilings
        elif system.is_floor:
            kind = rows.floors
        else:
            kind = rows.ranked if system.is_ranked else rows.given_reference
        kind[system.name] = tables[system.name]
    return rows


def compare_rows(
    metric: Metric,
    convention: Convention,
    rows: Rows,
    sources: Mapping[str, str],
    rng: np.random.Generator,
    *,
    level: float,
    resamples: int,
) -> ComparedRecord:
    """Compare the rows of one column.

    Parameters
    ----------
    rows : Rows
        Those without statistics are left out.
    sources : mapping
        Clip -> source video.

    Returns
    -------
    ComparedRecord
        Ranks, and tests of every pair of ranked systems, on the clips that all of them have; tests against
        controls on the clips that both have. Empty where rows, shared clips or sources are too few.
    """
    column = _Column(metric, convention, sources, rng, level, resamples)
    systems = {**rows.ranked, **rows.given_reference}
    return _rank(column, rows.ranked) + ComparedRecord(
        controls=[
            *_against(column, systems, rows.floors, control_ahead=True),
            *_against(column, systems, rows.ceilings, control_ahead=False),
        ]
    )


@dataclass(frozen=True)
class _Column:
    metric: Metric
    convention: Convention
    sources: Mapping[str, str]
    rng: np.random.Generator
    level: float
    resamples: int

    @property
    def direction(self) -> Direction:
        return self.convention.direction or self.metric.direction

    def compare(self, rows: Mapping[str, Table]) -> Comparison:
        return compare(
            rows,
            self.sources,
            self.convention.combiner,
            self.direction,
            self.rng,
            level=self.level,
            resamples=self.resamples,
        )

    def compare_pairs(
        self, pairs: Sequence[tuple[str, str]], clips: Sequence[str], tables: Mapping[str, Table]
    ) -> list[PairedTest]:
        names = dict.fromkeys(name for pair in pairs for name in pair)
        rows = {name: {clip: tables[name][clip] for clip in clips} for name in names}
        return compare_pairs(
            pairs,
            rows,
            self.sources,
            self.convention.combiner,
            self.rng,
            level=self.level,
            resamples=self.resamples,
        )

    def records(self, pairs: Iterable[PairedTest]) -> list[ComparisonRecord]:
        return [
            ComparisonRecord(
                metric=self.metric.name,
                convention=self.convention.name,
                system_a=pair.system_a,
                system_b=pair.system_b,
                difference=pair.difference,
                ci_low=pair.low,
                ci_high=pair.high,
                p=pair.p,
                p_holm=pair.p_holm,
                n=pair.clips,
                method=pair.method,
                detectable=pair.detectable,
            )
            for pair in pairs
        ]

    def record(self, rank: Rank) -> RankRecord:
        return RankRecord(
            metric=self.metric.name,
            convention=self.convention.name,
            system=rank.system,
            rank_low=rank.low,
            rank_high=rank.high,
            tie_group=rank.tie_group,
        )


def _rank(column: _Column, systems: Mapping[str, Table]) -> ComparedRecord:
    most = max((len(table) for table in systems.values()), default=0)
    enough = {
        name: table for name, table in systems.items() if table and len(table) >= MIN_SHARE_OF_CLIPS * most
    }
    try:
        found = column.compare(enough)
    except NotComputableError:
        return ComparedRecord()
    return ComparedRecord(
        comparisons=column.records(found.pairs), ranks=[column.record(rank) for rank in found.ranks]
    )


def _against(
    column: _Column, systems: Mapping[str, Table], controls: Mapping[str, Table], *, control_ahead: bool
) -> list[ComparisonRecord]:
    """Test the pairs in which the control is ahead, or behind; Holm's correction is over all pairs."""
    values: dict[tuple[str, tuple[str, ...]], float] = {}

    def value(name: str, table: Table, clips: tuple[str, ...]) -> float:
        if (name, clips) not in values:
            values[name, clips] = column.convention.combiner.value([table[clip] for clip in clips])
        return values[name, clips]

    sign = {"higher": 1.0, "lower": -1.0, "none": 0.0}[column.direction] * (1.0 if control_ahead else -1.0)
    tables = {**systems, **controls}
    pairs = list(product(systems, controls))
    wrong: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for pair in pairs:
        clips = shared_clips({name: tables[name] for name in pair})
        try:
            of_system, of_control = (value(name, tables[name], clips) for name in pair)
        except NotComputableError:
            continue
        if sign * (of_control - of_system) > 0:
            wrong.setdefault(clips, []).append(pair)
    tests: list[PairedTest] = []
    for clips, chosen in wrong.items():
        try:
            tests += column.compare_pairs(chosen, clips, tables)
        except NotComputableError:
            continue
    return column.records(with_holm(tests, of=len(pairs)))
