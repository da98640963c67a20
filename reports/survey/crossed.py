"""The mixed model of a listening test: every rating is a mean, plus a rater, plus a clip, plus noise.

Raters and clips are both samples: another test would have others of each. The variances are found by moments
(K. Gao and A. Owen, Efficient moment calculations for variance components in large unbalanced crossed random
effects models, 2017), which on complete data are the analysis-of-variance estimates and, where those are not
negative, the REML ones.
Intervals are t intervals with Satterthwaite's degrees of freedom (F. Satterthwaite, 1946; H. Clark, 1973).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.uncertainty import student_quantile, student_two_sided_p

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Variances of ratings, in squared points; moment estimates, which can be below zero."""

    rater: float
    clip: float
    noise: float


@dataclass(frozen=True)
class CrossedMean:
    """A mean over raters and clips, with the interval that holds for other raters and other clips."""

    mean: float
    low: float
    high: float
    standard_error: float
    degrees: float
    p: float
    """Two-sided, for a mean of zero."""
    n: int
    raters: int
    clips: int
    components: Components


def crossed_mean(
    raters: NDArray[np.generic], clips: NDArray[np.generic], values: Array, level: float
) -> CrossedMean:
    """Estimate the mean of values over raters and clips.

    Several values of one rater on one clip are averaged first.

    Parameters
    ----------
    raters, clips : arrays, shape (n,)
        Labels.
    values : array, shape (n,)

    Raises
    ------
    NotComputableError
        If there are fewer than two raters or clips, or the answers do not cross enough to tell them apart.
    """
    rater, clip, value = _one_a_cell(raters, clips, values)
    components = variance_components(rater, clip, value)
    per_rater, per_clip, n = np.bincount(rater), np.bincount(clip), value.size
    parts = [
        max(components.rater, 0) * float((per_rater**2).sum()) / n**2,
        max(components.clip, 0) * float((per_clip**2).sum()) / n**2,
        max(components.noise, 0) / n,
    ]
    mean = float(value.mean())
    variance, degrees = satterthwaite(parts, per_rater.size, per_clip.size, n)
    error = float(np.sqrt(variance))
    if error == 0.0:
        return CrossedMean(
            mean, mean, mean, 0.0, degrees, float(mean == 0), n, per_rater.size, per_clip.size, components
        )
    reach = student_quantile(0.5 + level / 2, degrees) * error
    p = student_two_sided_p(mean / error, degrees)
    return CrossedMean(
        mean, mean - reach, mean + reach, error, degrees, p, n, per_rater.size, per_clip.size, components
    )


def satterthwaite(parts: list[float], raters: int, clips: int, n: int) -> tuple[float, float]:
    """Return the variance of a mean and its degrees of freedom.

    Parameters
    ----------
    parts : list of three floats
        What raters, clips and noise add to the variance of the mean.
    """
    rater, clip, noise = parts
    variance = rater + clip + noise
    spread = (rater + noise) ** 2 / (raters - 1) + (clip + noise) ** 2 / (clips - 1)
    left = n - raters - clips + 1
    spread += noise**2 / left if left > 0 else 0.0
    return variance, variance**2 / spread if spread > 0 else float(min(raters, clips) - 1)


def variance_components(rater: NDArray[np.int64], clip: NDArray[np.int64], value: Array) -> Components:
    """Estimate the variances of raters, clips and noise from at most one value a cell.

    The sums of squares within raters, within clips and over all have the expectations
    ``(clip + noise)(N - R)``, ``(rater + noise)(N - C)`` and
    ``rater (N - sum N_i^2 / N) + clip (N - sum N_j^2 / N) + noise (N - 1)``.
    """
    per_rater, per_clip, n = np.bincount(rater), np.bincount(clip), value.size
    within_rater = float(((value - (np.bincount(rater, value) / per_rater)[rater]) ** 2).sum())
    within_clip = float(((value - (np.bincount(clip, value) / per_clip)[clip]) ** 2).sum())
    total = float(((value - value.mean()) ** 2).sum())
    expectations = np.array(
        [
            [0.0, n - per_rater.size, n - per_rater.size],
            [n - per_clip.size, 0.0, n - per_clip.size],
            [n - (per_rater**2).sum() / n, n - (per_clip**2).sum() / n, n - 1.0],
        ]
    )
    if min(per_rater.size, per_clip.size) < 2 or np.linalg.matrix_rank(expectations) < 3:
        raise NotComputableError(
            f"{per_rater.size} raters and {per_clip.size} clips in {n} ratings: too few, or not "
            "crossed, to tell raters from clips"
        )
    found = np.linalg.solve(expectations, np.array([within_rater, within_clip, total]))
    return Components(*(float(variance) for variance in found))


def _one_a_cell(
    raters: NDArray[np.generic], clips: NDArray[np.generic], values: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    if len(values) == 0:
        raise NotComputableError("no ratings")
    rater = np.unique(raters, return_inverse=True)[1]
    clip = np.unique(clips, return_inverse=True)[1]
    cells, place = np.unique(rater * (clip.max() + 1) + clip, return_inverse=True)
    means = np.bincount(place, np.asarray(values, dtype=np.float64)) / np.bincount(place)
    return cells // (clip.max() + 1), cells % (clip.max() + 1), means
