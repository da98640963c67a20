"""Resampling by source video: cluster bootstrap, grouped jackknife, and the intervals made from them.

Clips that were cut from one recording are not independent, so whole recordings (clusters) are drawn or left
out, never single clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, Interval, NotComputableError

JACKKNIFE_GROUPS = 20
"""Groups of source videos that the jackknife leaves out in turn; every group costs one evaluation of the
score.
"""


@dataclass(frozen=True)
class Jackknife:
    """What leaving out one group after the other says about a score."""

    corrected: float
    """The score without its bias of order 1/n."""
    standard_error: float
    groups: int


def cluster_numbers(clusters: Sequence[str]) -> NDArray[np.int64]:
    """Number the clusters 0, 1, ... in order of first appearance; shape (clips,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int64)


def require_clusters(count: int, smallest: int = 2) -> None:
    """Raise `NotComputableError` where there are too few source videos to resample."""
    if count < smallest:
        raise NotComputableError(
            f"an interval needs at least {smallest} source videos, found {count}; score more recordings"
        )


def bootstrap_counts(clusters: int, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    """Draw how often each cluster occurs in each bootstrap sample; shape (resamples, clusters).

    The same generator state gives the same samples, so two systems resampled from equal states are paired.
    """
    drawn = rng.integers(0, clusters, size=(resamples, clusters))
    drawn += clusters * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * clusters).reshape(resamples, clusters)


def bootstrap_means(values: Array, clusters: Sequence[str], rng: np.random.Generator, resamples: int) -> Array:
    """Return the mean over clips of each cluster bootstrap sample; shape (resamples,)."""
    numbers = cluster_numbers(clusters)
    count = int(numbers.max()) + 1
    sums = np.bincount(numbers, weights=values, minlength=count)
    sizes = np.bincount(numbers, minlength=count)
    drawn = bootstrap_counts(count, rng, resamples)
    means: Array = (drawn @ sums) / (drawn @ sizes)
    return means


def accelerated_interval(
    draws: Array, estimate: float, left_out: Array, *, level: float = 0.95
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval, widened for a small number of clusters.

    The percentiles are moved for bias and skewness (B. Efron, Better Bootstrap Confidence Intervals, JASA
    82(397), 1987, section 4). They start from Student's quantile times the jackknife's standard error instead
    of a normal quantile, because a bootstrap distribution of few clusters is too narrow (T. Hesterberg, What
    Teachers Should Know About the Bootstrap, The American Statistician 69(4), 2015, section 5).

    Parameters
    ----------
    draws : array, shape (resamples,)
        The score of each bootstrap sample.
    estimate : float
        The score of the sample itself; the interval holds it.
    left_out : array, shape (clusters,)
        The score without each cluster.
    """
    from scipy.special import ndtr, ndtri

    spread = float(draws.std())
    if spread <= 1e-12 * abs(estimate):  # equal scores up to rounding
        return min(estimate, float(draws.min())), max(estimate, float(draws.max()))
    error = jackknife(estimate, left_out).standard_error
    reach = student_quantile(0.5 + level / 2, len(left_out) - 1) * error / spread
    below = (float((draws < estimate).mean()) + float((draws <= estimate).mean())) / 2
    bias = float(ndtri(min(max(below, 1 / len(draws)), 1 - 1 / len(draws))))
    pull = left_out.mean() - left_out
    squares = float((pull**2).sum())
    acceleration = float((pull**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    tails = [float(ndtr(bias + (bias + side) / (1 - acceleration * (bias + side)))) for side in (-reach, reach)]
    low, high = np.quantile(draws, tails)
    return min(estimate, float(low)), max(estimate, float(high))


def means_without_each(values: Array, clusters: Sequence[str]) -> Array:
    """Return the mean over clips with one cluster left out after the other; shape (clusters,)."""
    numbers = cluster_numbers(clusters)
    sums, sizes = np.bincount(numbers, weights=values), np.bincount(numbers)
    means: Array = (sums.sum() - sums) / (sizes.sum() - sizes)
    return means


def mean_interval(
    values: Array,
    clusters: Sequence[str],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """Return the confidence interval of a mean over clips.

    Parameters
    ----------
    values : array, shape (clips,)
        One value a clip.
    clusters : sequence of str, length clips
        The source video of each clip.

    Raises
    ------
    NotComputableError
        If there are fewer than two source videos.
    """
    count = len(set(clusters))
    require_clusters(count)
    draws = bootstrap_means(values, clusters, rng, resamples)
    low, high = accelerated_interval(
        draws, float(values.mean()), means_without_each(values, clusters), level=level
    )
    return Interval(low, high, f"BCa bootstrap of {count} source videos, {resamples} resamples")


def jackknife_groups(
    clusters: Sequence[str], rng: np.random.Generator, groups: int = JACKKNIFE_GROUPS
) -> NDArray[np.int64]:
    """Put whole clusters into at most `groups` groups of nearly equal numbers of clusters; shape (clips,)."""
    numbers = cluster_numbers(clusters)
    count = int(numbers.max()) + 1
    require_clusters(count)
    order = rng.permutation(count)
    group_of_cluster = np.empty(count, dtype=np.int64)
    group_of_cluster[order] = np.arange(count) % min(groups, count)
    return group_of_cluster[numbers]


def leave_group_out(score: Callable[[NDArray[np.int64]], float], group_of_clip: NDArray[np.int64]) -> Array:
    """Evaluate `score` on the clips outside each group in turn; shape (groups,).

    `score` takes the positions of the clips that stay.
    """
    groups = int(group_of_clip.max()) + 1
    return np.array([score(np.flatnonzero(group_of_clip != group)) for group in range(groups)])


def jackknife(full: float, left_out: Array) -> Jackknife:
    """Return the bias-corrected score and its standard error from the scores with one group left out.

    Source: J. Shao and D. Tu, The Jackknife and Bootstrap, Springer 1995, section 2.3 (delete-d jackknife).
    """
    groups = len(left_out)
    centre = float(left_out.mean())
    variance = (groups - 1) / groups * float(((left_out - centre) ** 2).sum())
    return Jackknife(groups * full - (groups - 1) * centre, sqrt(variance), groups)


def student_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def student_two_sided_p(statistic: float, degrees: float) -> float:
    """Return the two-sided p value of a t statistic."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(statistic)))
