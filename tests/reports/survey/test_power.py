"""Planned power against simulated studies that are analysed as the plan says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.power import TTestPower

from clapstick.metrics.base import NotComputableError
from clapstick.reports.survey.crossed import Components, crossed_mean
from clapstick.reports.survey.power import (
    choice_power,
    components_from_ratings,
    paired_power,
    plan_sizes,
    smallest_raters,
)


def simulated_power(
    difference: float, raters: int, clips: int, components: Components, each: int, studies: int, seed: int
) -> float:
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(studies):
        values = (
            difference
            + rng.normal(0, np.sqrt(components.rater), (raters, 1))
            + rng.normal(0, np.sqrt(components.clip), (1, clips))
            + rng.normal(0, np.sqrt(components.noise), (raters, clips))
        )
        kept = np.zeros_like(values, dtype=bool)
        for number, row in enumerate(kept):
            row[(np.arange(each) + number * each) % clips] = True
        rater, clip = np.nonzero(kept)
        found += crossed_mean(rater, clip, values[kept], 0.95).p < 0.05
    return found / studies


@pytest.mark.parametrize(
    ("difference", "raters", "clips", "each", "components"),
    [
        (0.5, 20, 12, 12, Components(0.10, 0.20, 1.40)),
        (0.4, 12, 24, 24, Components(0.30, 0.10, 1.00)),
        (0.6, 30, 10, 5, Components(0.20, 0.30, 1.20)),
        (0.3, 40, 40, 10, Components(0.10, 0.10, 1.40)),
    ],
)
def test_planned_power_is_within_three_points_of_simulated(
    difference: float, raters: int, clips: int, each: int, components: Components
) -> None:
    planned = paired_power(difference, raters, clips, components, clips_per_rater=each)
    simulated = simulated_power(difference, raters, clips, components, each, studies=2500, seed=raters)
    assert 0.3 < planned < 0.99, "a size at which power can go wrong"
    assert planned == pytest.approx(simulated, abs=0.03)


def test_without_clip_and_noise_it_is_the_t_test_of_statsmodels() -> None:
    # Only raters differ: the mean of each rater is one value, so this is a t test with 15 degrees.
    planned = paired_power(0.5, 16, 8, Components(rater=0.49, clip=0.0, noise=0.0))
    expected = TTestPower().power(effect_size=0.5 / 0.7, nobs=16, alpha=0.05)
    assert planned == pytest.approx(expected, abs=1e-6)


def test_no_difference_is_found_as_often_as_alpha_says() -> None:
    assert paired_power(0.0, 20, 12, Components(0.1, 0.2, 1.4)) == pytest.approx(0.05, abs=1e-9)


def test_huge_differences_are_certain_and_more_raters_never_hurt() -> None:
    components = Components(0.1, 0.2, 1.4)
    assert paired_power(50.0, 100, 96, components) == pytest.approx(1.0)
    powers = [size.power for size in plan_sizes(0.4, components, raters=[5, 10, 20, 40, 80], clips=[24])]
    assert powers == sorted(powers)


def test_smallest_number_of_raters_is_the_smallest() -> None:
    components = Components(0.1, 0.2, 1.4)
    raters = smallest_raters(0.5, 24, components, 0.8)
    assert raters is not None
    assert paired_power(0.5, raters, 24, components) >= 0.8
    assert paired_power(0.5, raters - 1, 24, components) < 0.8
    assert smallest_raters(0.5, 3, components, 0.9) is None, "no number of raters makes up for three clips"


def test_pilot_gives_the_components_back() -> None:
    rng = np.random.default_rng(1)
    shape = (60, 50)
    base = rng.normal(3, 0.5, shape)
    difference = rng.normal(0, 0.4, (60, 1)) + rng.normal(0, 0.6, (1, 50)) + rng.normal(0, 1.0, shape)
    rows = []
    for name, values in (("a", base), ("b", base + difference)):
        rater, clip = np.indices(shape)
        rows.append(
            pd.DataFrame(
                {"rater": rater.ravel(), "clip": clip.ravel(), "system": name, "rating": values.ravel()}
            )
        )
    found = components_from_ratings(pd.concat(rows).assign(criterion="x"))
    assert found.rater == pytest.approx(0.16, abs=0.06)
    assert found.clip == pytest.approx(0.36, abs=0.15)
    assert found.noise == pytest.approx(1.0, abs=0.06)
    with pytest.raises(NotComputableError, match="two raters on two common clips"):
        components_from_ratings(rows[0].assign(criterion="x"))


def test_one_rater_is_refused() -> None:
    with pytest.raises(ValueError, match="needs two raters"):
        paired_power(0.5, 1, 12, Components(0.1, 0.1, 1.0))


def test_forced_choice_power_by_hand_and_by_simulation() -> None:
    # Five choices: the smallest p value, 2 / 2^5 = 0.0625, is above 0.05: nothing can be found.
    assert choice_power(0.99, 5) == 0.0
    # Six: only 6 of 6 (or none) has p = 2 / 64 = 0.031: power 0.9^6 + 0.1^6.
    assert choice_power(0.9, 6) == pytest.approx(0.9**6 + 0.1**6)


def test_crossed_test_is_the_t_test_where_clips_do_not_matter() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, (30, 1)) + np.zeros((1, 4))
    rater, clip = np.indices(values.shape)
    found = crossed_mean(rater.ravel(), clip.ravel(), values.ravel(), 0.95)
    assert found.p == pytest.approx(ttest_1samp(values[:, 0], 0).pvalue, rel=1e-6)
