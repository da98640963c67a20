"""The two ways to turn many clips' statistics into one score: a mean over clips, and a score of the whole
set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, Interval, NotComputableError, Statistics
from clapstick.metrics.uncertainty import (
    jackknife,
    jackknife_groups,
    leave_group_out,
    mean_interval,
    student_quantile,
)

FEW_CLUSTERS = 10


def clip_score(value: float) -> Statistics:
    """Wrap one clip's own score as the statistics that `MeanOfClips` reads."""
    return {"value": np.array(value, dtype=np.float64)}


@dataclass(frozen=True)
class MeanOfClips:
    """The unweighted mean over clips of the statistic ``value``."""

    def value(self, statistics: Sequence[Statistics]) -> float:
        """Return the mean; raise `NotComputableError` without clips or where a value is not finite."""
        return float(self._values(statistics).mean())

    def clip_value(self, statistics: Statistics) -> float | None:
        """Return the clip's own value."""
        return float(statistics["value"])

    def interval(
        self,
        statistics: Sequence[Statistics],
        clusters: Sequence[str],
        rng: np.random.Generator,
        *,
        level: float = 0.95,
        resamples: int = 1000,
    ) -> Interval:
        """Return a bootstrap interval over source videos."""
        return mean_interval(self._values(statistics), clusters, rng, level=level, resamples=resamples)

    def warnings(self, statistics: Sequence[Statistics]) -> tuple[str, ...]:
        """Nothing to warn of: a mean is unbiased at any number of clips."""
        return ()

    def _values(self, statistics: Sequence[Statistics]) -> Array:
        require_clips(statistics)
        values = np.array([float(one["value"]) for one in statistics])
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise NotComputableError(
                f"{bad.size} of {len(values)} clip values are not finite, the first at position {bad[0]}; "
                "compute the clips' statistics again"
            )
        return values


@dataclass(frozen=True)
class ScoreOfSet:
    """A score that only a set of clips has, such as a distance between two distributions.

    The interval comes from a jackknife over groups of source videos. It is centred on the bias-corrected score,
    because a bootstrap of a Fréchet distance lies above its own estimate, and stretched where needed to hold
    the reported value.
    """

    score: Callable[[Sequence[Statistics]], float]
    low: float | None = 0.0
    """Smallest possible score; the interval is cut there."""
    stable_score: Callable[[Sequence[Statistics]], float] | None = None
    """What is evaluated on resampled sets where `score` itself draws random numbers."""
    random_spread: Callable[[Sequence[Statistics]], float] | None = None
    """Standard deviation of `score` over its own random numbers, added to the standard error."""
    warn: Callable[[Sequence[Statistics]], tuple[str, ...]] | None = None

    def value(self, statistics: Sequence[Statistics]) -> float:
        """Return the score of the set; raise `NotComputableError` where it is not defined."""
        require_clips(statistics)
        return float(self.score(statistics))

    def clip_value(self, statistics: Statistics) -> float | None:
        """Return None: one clip has no such score."""
        return None

    def left_out_values(
        self, statistics: Sequence[Statistics], group_of_clip: NDArray[np.int64]
    ) -> tuple[float, Array]:
        """Return the resampled score of the whole set and of the set without each group."""
        score = self.stable_score or self.score
        left_out = leave_group_out(lambda kept: float(score([statistics[i] for i in kept])), group_of_clip)
        return float(score(statistics)), left_out

    def interval(
        self,
        statistics: Sequence[Statistics],
        clusters: Sequence[str],
        rng: np.random.Generator,
        *,
        level: float = 0.95,
        resamples: int = 1000,
    ) -> Interval:
        """Return the jackknife interval; `resamples` has no effect, the number of groups is fixed."""
        value = self.value(statistics)
        estimate = jackknife(*self.left_out_values(statistics, jackknife_groups(clusters, rng)))
        spread = self.random_spread(statistics) if self.random_spread else 0.0
        reach = student_quantile(0.5 + level / 2, estimate.groups - 1) * hypot(estimate.standard_error, spread)
        low, high = min(estimate.corrected - reach, value), max(estimate.corrected + reach, value)
        if self.low is not None:
            low = min(max(low, self.low), value)
        method = f"jackknife over {estimate.groups} groups of source videos, bias corrected, holds the estimate"
        return Interval(low, high, method)

    def warnings(self, statistics: Sequence[Statistics]) -> tuple[str, ...]:
        """Say where the set is too small for the score to mean much."""
        return self.warn(statistics) if self.warn else ()


def require_clips(statistics: Sequence[Statistics], smallest: int = 1) -> None:
    """Raise `NotComputableError` where there are too few clips."""
    if len(statistics) < smallest:
        raise NotComputableError(f"needs at least {smallest} clips, found {len(statistics)}")


def stacked(statistics: Sequence[Statistics], key: str) -> Array:
    """Stack one statistic of all clips by rows; shape (rows of all clips, dimension), float64."""
    return np.concatenate([np.asarray(one[key], dtype=np.float64) for one in statistics])
