"""Resampling by source video: cluster bootstrap, grouped jackknife, and the intervals made from them.

Clips that were cut from one recording are not independent, so whole recordings (clusters) are drawn or left
out, never single clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt

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
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)


def bootstrap_means(values: Array, clusters: Sequence[str], rng: np.random.Generator, resamples: int) -> Array:
    """Return the mean over clips of each cluster bootstrap sample; shape (resamples,)."""
    numbers = cluster_numbers(clusters)
    count = int(numbers.max()) + 1
    sums = np.bincount(numbers, weights=values, minlength=count)
    sizes = np.bincount(numbers, minlength=count)
    drawn = bootstrap_counts(count, rng, resamples)
    means: Array = (drawn @ sums) / (drawn @ sizes)
    return means


def percentile_interval(draws: Array, clusters: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap draws, widened for a small number of clusters.

    A bootstrap distribution of n clusters is too narrow by sqrt((n - 1) / n) and has no Student tails. Moving
    the percentiles out to those of a t interval mends both (T. Hesterberg, What Teachers Should Know About the
    Bootstrap, The American Statistician 69(4), 2015, section 5.1.3: expanded percentile interval).
    """
    reach = sqrt(clusters / (clusters - 1)) * student_quantile(0.5 + level / 2, clusters - 1)
    tail = 0.5 * erfc(reach / sqrt(2))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


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
    """
    count = len(set(clusters))
    require_clusters(count)
    low, high = percentile_interval(bootstrap_means(values, clusters, rng, resamples), count, level=level)
    return Interval(
        low, high, f"bootstrap of {count} source videos, {resamples} resamples, percentile expanded"
    )


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
