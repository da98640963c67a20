"""Comparing systems on the clips they share: paired tests, Holm's correction, rank intervals, ties.

Scores that are means over clips are compared by flipping the signs of whole source videos' differences, which
is exact when the systems are equal. Scores of sets are compared by a jackknife that leaves the same groups of
source videos out of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, Combiner, Direction, NotComputableError, Statistics
from clapstick.metrics.combiners import ScoreOfSet
from clapstick.metrics.uncertainty import (
    accelerated_interval,
    bootstrap_means,
    cluster_numbers,
    jackknife,
    jackknife_groups,
    leave_group_out,
    means_without_each,
    require_clusters,
    student_quantile,
    student_two_sided_p,
)

ALPHA = 0.05
POWER = 0.8
PERMUTATIONS = 9999


@dataclass(frozen=True)
class PairedTest:
    """How two systems differ on the clips that both have."""

    system_a: str
    system_b: str
    difference: float
    """Value of a minus value of b."""
    low: float
    high: float
    """Limits of the 95 % interval of the difference."""
    p: float
    p_holm: float
    """Adjusted over all pairs; equal to `p` for a single pair."""
    clips: int
    clusters: int
    detectable: float
    """Smallest true difference that this many clips would find with probability 0.8."""
    method: str


@dataclass(frozen=True)
class Rank:
    """Where a system may stand, counted from 1 for the best."""

    system: str
    low: int
    high: int
    tie_group: int
    """Systems that no test tells from the best of their group share a number."""


@dataclass(frozen=True)
class Comparison:
    """All pairs, and the ranks that they leave open."""

    pairs: tuple[PairedTest, ...]
    ranks: tuple[Rank, ...]
    clips: tuple[str, ...]
    """The clips that every system has; ranks and pairs use these."""


def compare(
    systems: Mapping[str, Mapping[str, Statistics]],
    clusters: Mapping[str, str],
    combiner: Combiner,
    direction: Direction,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    permutations: int = PERMUTATIONS,
    resamples: int = 1000,
) -> Comparison:
    """Compare every pair of systems on the clips that all of them have.

    Parameters
    ----------
    systems : mapping
        System -> clip -> that clip's statistics.
    clusters : mapping
        Clip -> source video.
    direction : {"lower", "higher", "none"}
        What is better; with "none" all systems share rank and tie group.

    Raises
    ------
    NotComputableError
        If there are fewer than two systems or fewer than two shared source videos.
    """
    if len(systems) < 2:
        raise NotComputableError(f"a comparison needs two systems, found {len(systems)}")
    clips = shared_clips(systems)
    if not clips:
        raise NotComputableError("the systems have no clip in common; score them on the same clips")
    values = {name: combiner.value([by_clip[clip] for clip in clips]) for name, by_clip in systems.items()}
    tests = compare_pairs(
        list(combinations(systems, 2)),
        systems,
        clusters,
        combiner,
        rng,
        level=level,
        permutations=permutations,
        resamples=resamples,
    )
    pairs = with_holm(tests)
    return Comparison(pairs, rank_intervals(values, pairs, direction), clips)


def compare_pairs(
    pairs: Sequence[tuple[str, str]],
    systems: Mapping[str, Mapping[str, Statistics]],
    clusters: Mapping[str, str],
    combiner: Combiner,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    permutations: int = PERMUTATIONS,
    resamples: int = 1000,
) -> list[PairedTest]:
    """Test chosen pairs on the clips that all of `systems` have; p values are not adjusted.

    Raises
    ------
    NotComputableError
        If there are fewer than two shared source videos.
    """
    clips = shared_clips(systems)
    sources = [clusters[clip] for clip in clips]
    statistics = {name: [by_clip[clip] for clip in clips] for name, by_clip in systems.items()}
    require_clusters(len(set(sources)))
    values = {name: [combiner.clip_value(one) for one in of] for name, of in statistics.items()}
    if all(value is not None for of in values.values() for value in of):
        arrays = {name: np.array(of, dtype=np.float64) for name, of in values.items()}
        return [
            _mean_test(a, b, arrays[a] - arrays[b], sources, rng, level, permutations, resamples)
            for a, b in pairs
        ]
    groups = jackknife_groups(sources, rng)
    left_out = {name: _left_out(combiner, of, groups) for name, of in statistics.items()}
    return [_set_test(a, b, left_out[a], left_out[b], sources, level) for a, b in pairs]


def shared_clips(systems: Mapping[str, Mapping[str, Statistics]]) -> tuple[str, ...]:
    """Return the clips that every system has, in order of name: a comparison at equal n."""
    return tuple(sorted(set.intersection(*(set(by_clip) for by_clip in systems.values()))))


def with_holm(tests: Sequence[PairedTest], of: int | None = None) -> tuple[PairedTest, ...]:
    """Return the tests with p values adjusted by Holm's step-down rule over all of them.

    Where only some of `of` tests were made, the others count as if their p were 1.

    Source: S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics
    6(2), 1979.
    """
    from dataclasses import replace

    order = np.argsort([test.p for test in tests], kind="stable")
    adjusted = [0.0] * len(tests)
    largest = 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, ((of or len(tests)) - position) * tests[index].p))
        adjusted[index] = largest
    return tuple(replace(test, p_holm=p) for test, p in zip(tests, adjusted, strict=True))


def rank_intervals(
    values: Mapping[str, float], pairs: Sequence[PairedTest], direction: Direction, alpha: float = ALPHA
) -> tuple[Rank, ...]:
    """Return the ranks that adjusted tests leave open, best value first.

    A system's best rank is one more than the number of systems that are better beyond doubt, its worst rank
    leaves out those that are worse beyond doubt.
    """
    sign = {"higher": -1.0, "lower": 1.0, "none": 0.0}[direction]
    order = sorted(values, key=lambda name: (sign * values[name], name))
    beaten_by: dict[str, set[str]] = {name: set() for name in values}
    for pair in pairs:
        if pair.p_holm <= alpha and sign * pair.difference != 0:
            better_first = sign * pair.difference < 0
            winner, loser = (pair.system_a, pair.system_b) if better_first else (pair.system_b, pair.system_a)
            beaten_by[loser].add(winner)
    ranks = []
    group, head = 1, order[0]
    for name in order:
        if head in beaten_by[name]:
            group, head = group + 1, name
        beats = sum(name in winners for winners in beaten_by.values())
        ranks.append(Rank(name, 1 + len(beaten_by[name]), len(order) - beats, group))
    return tuple(ranks)


def minimum_detectable_difference(
    standard_error: float, clusters: int, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Return the true difference that a paired two-sided test at `alpha` finds with probability `power`."""
    degrees = clusters - 1
    return (student_quantile(1 - alpha / 2, degrees) + student_quantile(power, degrees)) * standard_error


def sign_flip_p(sums: Array, rng: np.random.Generator, permutations: int = PERMUTATIONS) -> float:
    """Return the two-sided p value of cluster sums of differences under random signs.

    All sign patterns are taken where there are no more of them than `permutations`.
    """
    observed = abs(float(sums.sum()))
    slack = 1e-12 * float(np.abs(sums).sum())
    if 2 ** len(sums) <= permutations:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((1.0 - 2.0 * patterns) @ sums) >= observed - slack).mean())
    signs = 1.0 - 2.0 * rng.integers(0, 2, size=(permutations, len(sums)))
    extreme = int((np.abs(signs @ sums) >= observed - slack).sum())
    return (1 + extreme) / (1 + permutations)


def _mean_test(
    a: str,
    b: str,
    differences: Array,
    sources: Sequence[str],
    rng: np.random.Generator,
    level: float,
    permutations: int,
    resamples: int,
) -> PairedTest:
    numbers = cluster_numbers(sources)
    clusters = int(numbers.max()) + 1
    sums = np.bincount(numbers, weights=differences).astype(np.float64)
    draws = bootstrap_means(differences, sources, rng, resamples)
    difference = float(differences.mean())
    left_out = means_without_each(differences, sources)
    low, high = accelerated_interval(draws, difference, left_out, level=level)
    return PairedTest(
        system_a=a,
        system_b=b,
        difference=difference,
        low=low,
        high=high,
        p=(p := sign_flip_p(sums, rng, permutations)),
        p_holm=p,
        clips=len(differences),
        clusters=clusters,
        detectable=minimum_detectable_difference(jackknife(difference, left_out).standard_error, clusters),
        method=f"sign flips of {clusters} source videos",
    )


def _left_out(
    combiner: Combiner, statistics: Sequence[Statistics], groups: NDArray[np.int64]
) -> tuple[float, Array]:
    if isinstance(combiner, ScoreOfSet):
        return combiner.left_out_values(statistics, groups)
    left_out = leave_group_out(lambda kept: combiner.value([statistics[i] for i in kept]), groups)
    return combiner.value(statistics), left_out


def _set_test(
    a: str,
    b: str,
    of_a: tuple[float, Array],
    of_b: tuple[float, Array],
    sources: Sequence[str],
    level: float,
) -> PairedTest:
    full = of_a[0] - of_b[0]
    estimate = jackknife(full, of_a[1] - of_b[1])
    degrees = estimate.groups - 1
    reach = student_quantile(0.5 + level / 2, degrees) * estimate.standard_error
    if estimate.standard_error:
        p = student_two_sided_p(estimate.corrected / estimate.standard_error, degrees)
    else:
        p = 1.0 if estimate.corrected == 0 else 0.0
    return PairedTest(
        system_a=a,
        system_b=b,
        difference=full,
        low=min(estimate.corrected - reach, full),
        high=max(estimate.corrected + reach, full),
        p=p,
        p_holm=p,
        clips=len(sources),
        clusters=len(set(sources)),
        detectable=minimum_detectable_difference(estimate.standard_error, estimate.groups),
        method=f"paired jackknife over {estimate.groups} groups of source videos",
    )
