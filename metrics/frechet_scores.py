"""Fréchet distances as scores of a set: what the FAD family shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clapstick.metrics.base import Statistics
from clapstick.metrics.combiners import ScoreOfSet, stacked
from clapstick.metrics.frechet import Draw, frechet_distance, frechet_distance_inf, small_set_warning

SPREAD_RERUNS = 3


def plain_distance() -> ScoreOfSet:
    """Return the combiner of the plain Fréchet distance over statistics ``reference`` and ``generated``."""
    return ScoreOfSet(_distance, warn=_warn)


def extrapolated_distance(draw: Draw, seed: int = 0, *, half_precision_mean: bool = False) -> ScoreOfSet:
    """Return the combiner of FAD-inf, drawing from a fixed seed.

    Its interval is the plain distance's, widened by the spread over other seeds: leaving clips out of a score
    that throws dice would measure the dice.
    """
    extrapolation = _Extrapolated(draw, seed, half_precision_mean)
    return ScoreOfSet(
        extrapolation,
        low=None,
        stable_score=_distance,
        random_spread=extrapolation.spread,
        warn=extrapolation.warn,
    )


def _distance(statistics: Sequence[Statistics]) -> float:
    return frechet_distance(stacked(statistics, "reference"), stacked(statistics, "generated"))


def _warn(statistics: Sequence[Statistics]) -> tuple[str, ...]:
    reference, generated = stacked(statistics, "reference"), stacked(statistics, "generated")
    return small_set_warning(len(reference), len(generated), reference.shape[1])


@dataclass(frozen=True)
class _Extrapolated:
    draw: Draw
    seed: int
    half_precision_mean: bool

    def __call__(self, statistics: Sequence[Statistics]) -> float:
        return self._run(statistics, self.seed)[0]

    def spread(self, statistics: Sequence[Statistics]) -> float:
        values = [self._run(statistics, self.seed + rerun)[0] for rerun in range(SPREAD_RERUNS + 1)]
        return float(np.std(values, ddof=1))

    def warn(self, statistics: Sequence[Statistics]) -> tuple[str, ...]:
        value, r2 = self._run(statistics, self.seed)
        plain = _distance(statistics)
        line = (
            f"plain distance {plain:.6g}, extrapolated {value:.6g}; the line explains {r2:.0%} of the variance."
        )
        return (line, *_warn(statistics))

    def _run(self, statistics: Sequence[Statistics], seed: int) -> tuple[float, float]:
        reference, generated = stacked(statistics, "reference"), stacked(statistics, "generated")
        rng = np.random.default_rng(seed)
        line = frechet_distance_inf(
            reference, generated, rng, draw=self.draw, half_precision_mean=self.half_precision_mean
        )
        return line.value, line.r2
