"""What a sweep may conclude: means over seeds and clips, planted effects found, planted nothings not."""

from __future__ import annotations

import numpy as np
import pytest

from clapstick.harness.ablate.evidence import choose, estimate


def test_estimate_of_two_seeds_and_three_clips_by_hand():
    # Seeds' means 2 and 4 (mean 3): variance 2 over 2 seeds = 1. Clips' means 2, 3, 4: variance 1 over 3 = 1/3.
    # Variance of the mean 4/3. Degrees (4/3)^2 / (1^2 / 1 + (1/3)^2 / 2) = 1.7778 / 1.05556 = 1.68421.
    found = estimate(np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]))
    assert found.mean == 3.0
    assert found.standard_error == pytest.approx(np.sqrt(4 / 3))
    assert found.degrees == pytest.approx(1.684210526)
    scipy_stats = pytest.importorskip("scipy.stats")
    reach = scipy_stats.t.ppf(0.975, found.degrees) * found.standard_error
    assert (found.low, found.high) == pytest.approx((3 - reach, 3 + reach))


def test_one_seed_is_a_plain_student_interval_over_clips():
    scipy_stats = pytest.importorskip("scipy.stats")
    values = np.array([0.1, 0.4, 0.2, 0.35, 0.15])
    expected = scipy_stats.t.interval(0.95, 4, values.mean(), scipy_stats.sem(values))
    found = estimate(values[None])
    assert (found.low, found.high) == pytest.approx(expected)


def simulated(rng, effects, seeds=3, clips=24):
    """Clip scores with clip effects shared by all settings, seed effects and noise of each point."""
    clip = rng.normal(0, 0.01, clips)
    return {
        name: 0.05 + effect + clip + rng.normal(0, 0.0005, (seeds, 1)) + rng.normal(0, 0.002, (seeds, clips))
        for name, effect in effects.items()
    }


def test_a_planted_effect_is_found_and_a_planted_nothing_is_not():
    rng = np.random.default_rng(0)
    found = choose(simulated(rng, {"a": 0.02, "b": 0.0, "c": 0.0}), "lower")
    assert found.chosen in ("b", "c")
    assert {test.label for test in found.against_best if test.worse} == {"a"}
    assert "not significantly worse" in found.text or "best" in found.text
    nothing = choose(simulated(rng, {"a": 0.0, "b": 0.0, "c": 0.0}), "lower")
    assert nothing.chosen == "a"
    assert "No setting is told from the best" in nothing.text


def test_equal_settings_are_told_apart_in_at_most_a_twentieth_of_sweeps():
    rng = np.random.default_rng(1)
    wrong = sum(
        any(
            test.worse
            for test in choose(simulated(rng, {"a": 0, "b": 0, "c": 0, "d": 0}), "higher").against_best
        )
        for _ in range(300)
    )
    assert wrong <= 15


def test_direction_decides_the_best():
    tables = {"low": np.full((2, 4), 0.1) + np.eye(2, 4) * 1e-4, "high": np.full((2, 4), 0.9)}
    assert choose(tables, "lower").best == "low"
    assert choose(tables, "higher").best == "high"


@pytest.mark.parametrize(("seeds", "words"), [(1, "one seed"), (2, "Two seeds")])
def test_few_seeds_are_said(seeds, words):
    rng = np.random.default_rng(2)
    assert words in choose(simulated(rng, {"a": 0.0, "b": 0.0}, seeds=seeds), "lower").text
