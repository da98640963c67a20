"""Paired comparisons and ranks of the competitors of a run. Controls bracket a metric; they are not ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clapstick.harness.provenance import generator_for
from clapstick.harness.statistics import ScoreRequest, Table
from clapstick.metrics.base import NotComputableError, Statistics
from clapstick.metrics.comparison import compare
from clapstick.protocols.archive import ComparisonRecord, RankRecord, RunRecord
from clapstick.protocols.clips import Clip

MIN_SHARE_OF_CLIPS = 0.8
"""A system that lacks more clips than this leaves is not compared: it would take the others' clips away."""


def compare_systems(
    run: RunRecord,
    clips: Sequence[Clip],
    requests: Sequence[ScoreRequest],
    tables: Mapping[tuple[str, ScoreRequest], Table],
) -> tuple[list[ComparisonRecord], list[RankRecord]]:
    """Compare every pair of competitors under every convention on the clips that all of them have."""
    competitors = [name for name, card in run.systems.items() if card["role"] != "control"]
    comparisons: list[ComparisonRecord] = []
    ranks: list[RankRecord] = []
    for request in requests:
        systems = {name: _statistics(tables.get((name, request), {})) for name in competitors}
        most = max((len(found) for found in systems.values()), default=0)
        enough = {
            name: found for name, found in systems.items() if found and len(found) >= MIN_SHARE_OF_CLIPS * most
        }
        made = _compare(run, clips, request, enough)
        comparisons += made[0]
        ranks += made[1]
    return comparisons, ranks


def _compare(
    run: RunRecord,
    clips: Sequence[Clip],
    request: ScoreRequest,
    systems: Mapping[str, Mapping[str, Statistics]],
) -> tuple[list[ComparisonRecord], list[RankRecord]]:
    metric, convention = request.resolve()
    rules = run.protocol.statistics
    try:
        found = compare(
            systems,
            {clip.id: clip.source for clip in clips},
            convention.combiner,
            convention.direction or metric.direction,
            generator_for(rules.seed, "compare", request.label),
            level=rules.level,
            resamples=rules.resamples,
        )
    except NotComputableError:
        return [], []  # fewer than two competitors, clips or sources: there is nothing to rank
    label = {"metric": request.metric, "convention": request.convention}
    pairs = [
        ComparisonRecord(
            **label,
            system_a=pair.system_a,
            system_b=pair.system_b,
            difference=pair.difference,
            ci_low=pair.low,
            ci_high=pair.high,
            p=pair.p,
            p_holm=pair.p_holm,
            n=pair.clips,
            method=pair.method,
        )
        for pair in found.pairs
    ]
    ranks = [
        RankRecord(
            **label, system=rank.system, rank_low=rank.low, rank_high=rank.high, tie_group=rank.tie_group
        )
        for rank in found.ranks
    ]
    return pairs, ranks


def _statistics(table: Table) -> dict[str, Statistics]:
    return {clip: result.statistics for clip, result in table.items() if result.statistics is not None}
