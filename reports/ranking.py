"""Paired comparisons and ranks of systems from the statistics of their clips, as an archive keeps them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clapstick.metrics.base import Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.comparison import PairedTest, Rank, compare
from clapstick.protocols.archive import ComparisonRecord, RankRecord

MIN_SHARE_OF_CLIPS = 0.8
"""A system that lacks more clips than this leaves is not compared: it would take the others' clips away."""


def rank_systems(
    metric: Metric,
    convention: Convention,
    systems: Mapping[str, Mapping[str, Statistics]],
    sources: Mapping[str, str],
    rng: np.random.Generator,
    *,
    level: float,
    resamples: int,
) -> tuple[list[ComparisonRecord], list[RankRecord]]:
    """Compare every pair of systems under a convention on the clips that all of them have.

    Parameters
    ----------
    systems : mapping
        System -> clip -> that clip's statistics; systems without statistics are left out.
    sources : mapping
        Clip -> source video.

    Returns
    -------
    comparisons, ranks : list
        Both empty where there is nothing to rank: fewer than two systems, shared clips or sources.
    """
    most = max((len(found) for found in systems.values()), default=0)
    enough = {
        name: found for name, found in systems.items() if found and len(found) >= MIN_SHARE_OF_CLIPS * most
    }
    direction = convention.direction or metric.direction
    try:
        found = compare(enough, sources, convention.combiner, direction, rng, level=level, resamples=resamples)
    except NotComputableError:
        return [], []
    return (
        [_comparison(metric.name, convention.name, pair) for pair in found.pairs],
        [_rank(metric.name, convention.name, rank) for rank in found.ranks],
    )


def _comparison(metric: str, convention: str, pair: PairedTest) -> ComparisonRecord:
    return ComparisonRecord(
        metric=metric,
        convention=convention,
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


def _rank(metric: str, convention: str, rank: Rank) -> RankRecord:
    return RankRecord(
        metric=metric,
        convention=convention,
        system=rank.system,
        rank_low=rank.low,
        rank_high=rank.high,
        tie_group=rank.tie_group,
    )
