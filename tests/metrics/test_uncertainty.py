"""Intervals: exact on sets that can be counted, and right as often as they promise on simulated ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from clapstick.metrics.base import Array, NotComputableError
from clapstick.metrics.combiners import MeanOfClips, ScoreOfSet, clip_score, stacked
from clapstick.metrics.frechet import frechet_distance
from clapstick.metrics.frechet_scores import extrapolated_distance, plain_distance
from clapstick.metrics.uncertainty import (
    bootstrap_counts,
    bootstrap_means,
    cluster_numbers,
    jackknife,
    jackknife_groups,
    leave_group_out,
    mean_interval,
    student_quantile,
    student_two_sided_p,
)


def test_clusters_are_numbered_in_order() -> None:
    assert cluster_numbers(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def test_bootstrap_draws_whole_clusters() -> None:
    # Clusters {1, 3} and {8}: two clusters are drawn. Twice the first: (1+3+1+3)/4 = 2, one of each: 12/3 = 4,
    # twice the second: 8. With probability 1/4, 1/2, 1/4.
    means = bootstrap_means(np.array([1.0, 3, 8]), ["x", "x", "y"], np.random.default_rng(0), 20_000)
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [2.0, 4.0, 8.0]
    assert counts / 20_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.015)


def test_equal_generators_pair_two_systems() -> None:
    first, second = (bootstrap_counts(7, np.random.default_rng(3), 50) for _ in range(2))
    assert (first == second).all()
    assert (first.sum(axis=1) == 7).all()


def test_jackknife_of_a_mean_by_hand() -> None:
    # Values 1, 2, 6, mean 3. Leaving one out: 4, 3.5, 1.5, centre 3: no bias. Variance (2/3)(1 + 0.25 + 2.25) =
    # 7/3, which is the variance of the mean: s^2 / n = 7 / 3.
    values = np.array([1.0, 2, 6])
    left_out = leave_group_out(lambda kept: float(values[kept].mean()), np.arange(3))
    assert left_out.tolist() == [4.0, 3.5, 1.5]
    estimate = jackknife(3.0, left_out)
    assert estimate.corrected == pytest.approx(3.0)
    assert estimate.standard_error**2 == pytest.approx(7 / 3)


def test_jackknife_takes_the_bias_of_a_variance_away() -> None:
    # The variance with divisor n of 0, 0, 3 is 2; with divisor n - 1 it is 3, and the jackknife finds that.
    values = np.array([0.0, 0, 3])
    left_out = leave_group_out(lambda kept: float(values[kept].var()), np.arange(3))
    assert jackknife(float(values.var()), left_out).corrected == pytest.approx(3.0)


def test_groups_hold_whole_clusters_of_nearly_equal_number() -> None:
    clusters = [f"video {clip % 45}" for clip in range(180)]
    groups = jackknife_groups(clusters, np.random.default_rng(0))
    by_cluster = {(cluster, group) for cluster, group in zip(clusters, groups.tolist(), strict=True)}
    assert len(by_cluster) == 45
    sizes = np.bincount([group for _, group in by_cluster])
    assert len(sizes) == 20
    assert set(sizes.tolist()) == {2, 3}


def test_student_values_from_the_table() -> None:
    # t quantiles 0.975: 12.706 for 1 degree of freedom, 2.093 for 19.
    assert student_quantile(0.975, 1) == pytest.approx(12.706, abs=1e-3)
    assert student_quantile(0.975, 19) == pytest.approx(2.093, abs=1e-3)
    assert student_two_sided_p(-2.093, 19) == pytest.approx(0.05, abs=1e-4)


def test_one_source_video_has_no_interval() -> None:
    with pytest.raises(NotComputableError, match="at least 2 source videos, found 1"):
        mean_interval(np.array([1.0, 2]), ["x", "x"], np.random.default_rng(0))
    with pytest.raises(NotComputableError, match="at least 2 source videos, found 1"):
        plain_distance().interval(_set(np.eye(3)), ["x"] * 3, np.random.default_rng(0))


def test_no_clips_have_no_score() -> None:
    for combiner in (MeanOfClips(), plain_distance()):
        with pytest.raises(NotComputableError, match="at least 1 clips, found 0"):
            combiner.value([])


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(NotComputableError, match="1 of 2 clip values are not finite, the first at position 1"):
        MeanOfClips().value([clip_score(1.0), clip_score(float("nan"))])


def _set(rows: Array) -> list[dict[str, Array]]:
    return [{"reference": row[None], "generated": row[None] + 1} for row in rows]


def test_the_set_interval_holds_its_own_value_and_repeats() -> None:
    rng = np.random.default_rng(0)
    clips = [{"reference": row[None], "generated": row[None] + 0.1} for row in rng.normal(size=(40, 8))]
    clusters = [str(clip) for clip in range(40)]
    for combiner in (plain_distance(), extrapolated_distance("bootstrap")):
        intervals = [combiner.interval(clips, clusters, np.random.default_rng(1)) for _ in range(2)]
        assert intervals[0] == intervals[1]
        assert intervals[0].low <= combiner.value(clips) <= intervals[0].high
    assert "40 frames for 8 dimensions" in plain_distance().warnings(clips)[0]
    assert "plain distance" in extrapolated_distance("bootstrap").warnings(clips)[0]


def test_merged_shards_equal_the_whole() -> None:
    rng = np.random.default_rng(0)
    clips = [{"reference": rng.normal(size=(3, 4)), "generated": rng.normal(size=(2, 4))} for _ in range(12)]
    whole = frechet_distance(stacked(clips, "reference"), stacked(clips, "generated"))
    assert plain_distance().value([*clips[:5], *clips[5:]]) == whole
    assert plain_distance().value([*clips[5:], *clips[:5]]) == pytest.approx(whole, rel=1e-9)


def _normal(rng: np.random.Generator, size: int) -> Array:
    return rng.normal(0.3, 0.1, size)


def _skewed(rng: np.random.Generator, size: int) -> Array:
    """E-L1-like: positive and skewed; mean exp(0.125)."""
    return rng.lognormal(0.0, 0.5, size)


def _shares(rng: np.random.Generator, size: int) -> Array:
    """Accuracy-like: shares of 20 frames; mean 0.7."""
    return rng.binomial(20, 0.7, size) / 20


@pytest.mark.parametrize(("draw", "mean"), [(_normal, 0.3), (_skewed, float(np.exp(0.125))), (_shares, 0.7)])
@pytest.mark.parametrize("size", [30, 150])
def test_mean_intervals_cover_92_to_98_per_cent(
    draw: Callable[[np.random.Generator, int], Array], mean: float, size: int
) -> None:
    rng = np.random.default_rng(size)
    trials, covered = 600, 0
    clusters = [str(clip) for clip in range(size)]
    for _ in range(trials):
        found = mean_interval(draw(rng, size), clusters, rng, resamples=1000)
        covered += found.low <= mean <= found.high
    assert 0.92 <= covered / trials <= 0.98


def test_clustered_clips_are_covered_too() -> None:
    # 40 videos of 2 to 7 clips that share the video's offset: intervals that drew clips would cover far less.
    rng = np.random.default_rng(40)
    trials, by_video, by_clip = 800, 0, 0
    for _ in range(trials):
        sizes = rng.integers(2, 8, 40)
        clusters = np.repeat([f"video {number}" for number in range(40)], sizes).tolist()
        values = np.repeat(rng.normal(0, 1, 40), sizes) + rng.normal(0, 0.3, sizes.sum())
        video = mean_interval(values, clusters, rng, resamples=500)
        clip = mean_interval(values, [str(number) for number in range(len(values))], rng, resamples=500)
        by_video += video.low <= 0 <= video.high
        by_clip += clip.low <= 0 <= clip.high
    assert 0.92 <= by_video / trials <= 0.98
    assert by_clip / trials < 0.85


def _gaussian_sets(rng: np.random.Generator, clips: int, dimension: int, shift: float, scale: float) -> list:
    return [
        {
            "reference": rng.normal(size=(1, dimension)),
            "generated": shift + scale * rng.normal(size=(1, dimension)),
        }
        for _ in range(clips)
    ]


@pytest.mark.parametrize(
    ("clips", "dimension", "shift", "scale"), [(200, 4, 0.5, 1.5), (120, 8, 0.3, 1.0), (200, 8, 0.0, 1.0)]
)
def test_set_intervals_cover_the_distance_of_known_gaussians(
    clips: int, dimension: int, shift: float, scale: float
) -> None:
    # N(0, I) and N(shift, scale^2 I): dimension * (shift^2 + (scale - 1)^2).
    truth = dimension * (shift**2 + (scale - 1) ** 2)
    rng = np.random.default_rng(clips + dimension)
    combiner: ScoreOfSet = plain_distance()
    clusters = [str(clip) for clip in range(clips)]
    trials, covered, held = 120, 0, 0
    for _ in range(trials):
        drawn = _gaussian_sets(rng, clips, dimension, shift, scale)
        found = combiner.interval(drawn, clusters, rng)
        covered += found.low <= truth + 1e-12 and truth <= found.high
        held += found.low <= combiner.value(drawn) <= found.high
    assert held == trials
    assert covered / trials >= 0.90
