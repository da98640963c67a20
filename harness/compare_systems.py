"""Paired comparisons and ranks of the competitors of a run.

Controls bracket a metric, and what is given the reference sound shows what is possible: neither is ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clapstick.harness.provenance import generator_for
from clapstick.harness.statistics import ScoreRequest, Table
from clapstick.metrics.base import Statistics
from clapstick.protocols.archive import ComparisonRecord, RankRecord, RunRecord
from clapstick.protocols.clips import Clip
from clapstick.reports.ranking import rank_systems

Tables = Mapping[tuple[str, ScoreRequest], Table]


def compare_systems(
    run: RunRecord,
    clips: Sequence[Clip],
    requests: Sequence[ScoreRequest],
    tables: Tables,
) -> tuple[list[ComparisonRecord], list[RankRecord]]:
    """Compare every pair of competitors under every convention on the clips that all of them have."""
    competitors = [
        name
        for name, card in run.systems.items()
        if card["role"] != "control" and not card.get("sees_reference")
    ]
    rules = run.protocol.statistics
    comparisons: list[ComparisonRecord] = []
    ranks: list[RankRecord] = []
    for request in requests:
        made = rank_systems(
            *request.resolve(),
            {name: _statistics(tables.get((name, request), {})) for name in competitors},
            {clip.id: clip.source for clip in clips},
            generator_for(rules.seed, "compare", request.label),
            level=rules.level,
            resamples=rules.resamples,
        )
        comparisons += made[0]
        ranks += made[1]
    return comparisons, ranks


def shared_clips_only(systems: Sequence[str], requests: Sequence[ScoreRequest], tables: Tables) -> Tables:
    """Return the tables with those clips alone that every system with any score under the request has.

    Scores of sets grow or shrink with the number of clips: at equal n they compare.
    """
    shared: dict[tuple[str, ScoreRequest], Table] = {}
    for request in requests:
        of_request = {name: tables.get((name, request), {}) for name in systems}
        scored = [set(found) for table in of_request.values() if (found := _statistics(table))]
        kept = set.intersection(*scored) if scored else set()
        shared |= {
            (name, request): {clip: result for clip, result in table.items() if clip in kept or not scored}
            for name, table in of_request.items()
        }
    return shared


def _statistics(table: Table) -> dict[str, Statistics]:
    return {clip: result.statistics for clip, result in table.items() if result.statistics is not None}
