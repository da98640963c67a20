"""Statistics of listening tests against hand-worked numbers, libraries, papers and known effects."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from clapstick.metrics.base import NotComputableError
from clapstick.reports.survey.agreement import intraclass_correlation, krippendorff_alpha
from clapstick.reports.survey.correlation import metric_correlations, noise_ceilings, spearman
from clapstick.reports.survey.crossed import crossed_mean, variance_components
from clapstick.reports.survey.opinion import holm, opinion_differences, opinion_scores, printed_score
from clapstick.reports.survey.preference import binomial, bradley_terry, normal_half_width, strengths, win_rates

# P. Shrout and J. Fleiss, Intraclass correlations: uses in assessing rater reliability, 1979, table 2: six
# targets
# (rows) rated by four judges; they print ICC(2,1) = .29 and ICC(2,4) = .62.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
).T


def long_table(values: np.ndarray, system: str = "a") -> pd.DataFrame:
    rater, clip = np.indices(values.shape)
    return pd.DataFrame(
        {
            "rater": [f"r{n}" for n in rater.ravel()],
            "clip": [f"c{n}" for n in clip.ravel()],
            "system": system,
            "criterion": "x",
            "rating": values.ravel(),
        }
    )


def simulate(rng, raters, clips, *, mean=3.0, rater_sd=0.5, clip_sd=0.4, noise_sd=0.8):
    return (
        mean
        + rng.normal(0, rater_sd, (raters, 1))
        + rng.normal(0, clip_sd, (1, clips))
        + rng.normal(0, noise_sd, (raters, clips))
    )


class TestPrintedScores:
    def test_by_hand(self):
        # Ratings 5, 4, 4, 3: mean 4, s = sqrt(2/3) = 0.8165; 1.96 * 0.8165 / sqrt(4) = 0.8002.
        mean, half_width = printed_score(np.array([5.0, 4, 4, 3]), 0.95)
        assert mean == 4.0
        assert half_width == pytest.approx(1.959964 * math.sqrt(2 / 3) / 2, rel=1e-6)

    @pytest.mark.parametrize(
        ("mean", "half_width"),
        # Video-Foley, table 2: every printed MOS, n = 12 questions x 20 raters = 240.
        [
            (4.57, 0.08), (4.83, 0.06), (4.70, 0.08), (4.90, 0.04), (2.11, 0.11), (1.86, 0.14), (1.78, 0.13),
            (2.38, 0.17), (3.10, 0.13), (1.93, 0.13), (2.36, 0.16), (2.79, 0.17), (3.10, 0.19), (3.04, 0.18),
            (3.22, 0.19), (3.93, 0.12), (4.40, 0.11), (3.83, 0.15), (4.56, 0.08), (2.39, 0.13), (2.00, 0.13),
            (2.78, 0.16), (3.21, 0.17),
        ],
    )  # fmt: skip
    def test_the_papers_half_widths_can_come_from_240_ratings_and_not_from_20(self, mean, half_width):
        # Whole scores 1..5 with this mean have a standard deviation between that of the two nearest scores
        # and that
        # of the two extreme ones.
        part = mean - math.floor(mean)
        least = math.sqrt(part * (1 - part))
        most = math.sqrt((5 - mean) * (mean - 1))
        assert 1.96 * least / math.sqrt(240) <= half_width + 0.005
        assert 1.96 * most / math.sqrt(240) >= half_width - 0.005
        implied = half_width * math.sqrt(240) / 1.96
        assert 0.3 < implied < 1.6, "the spread of a plausible five-point scale"

    def test_from_20_ratings_the_ground_truth_s_half_width_would_be_impossible(self):
        # 4.90 +- 0.04: the smallest standard deviation is sqrt(.9 * .1) = 0.3; with n = 20 the half-width is
        # 0.13.
        assert 1.96 * 0.3 / math.sqrt(20) > 0.13 > 0.045
        assert round(1.96 * 0.3 / math.sqrt(240), 2) == 0.04

    @pytest.mark.parametrize(("rate", "printed"), [(85.8, 3.4), (86.5, 3.4), (90.2, 2.9)])
    def test_multifoley_s_half_widths_are_normal_ones_with_400_choices(self, rate, printed):
        # 94.5 +- 2.1 in the same table is not: the normal half-width is 2.23.
        wins = round(rate * 4)
        assert 100 * normal_half_width(wins, 400, 0.95) == pytest.approx(printed, abs=0.06)
        assert 100 * normal_half_width(378, 400, 0.95) == pytest.approx(2.23, abs=0.01)
        assert binomial(wins, 400, 0.95)[2] < 1e-20, "the paper's bound on p"


class TestCrossedModel:
    def test_complete_data_give_the_analysis_of_variance_by_hand(self):
        # Two raters, two clips: [[1, 2], [3, 6]]. Mean 3; rater means 1.5, 4.5; clip means 2, 4.
        # SS rater = 2 * (1.5^2 + 1.5^2) = 9, SS clip = 2 * (1 + 1) = 4, SS total = 4 + 1 + 0 + 9 = 14, SS
        # rest = 1.
        # MS = 9, 4, 1: noise 1, rater (9 - 1) / 2 = 4, clip (4 - 1) / 2 = 1.5. Variance of the mean
        # 4/2 + 1.5/2 + 1/4 = 3 = (9 + 4 - 1) / 4; degrees 3^2 / ((9/4)^2/1 + (4/4)^2/1 + (1/4)^2/1) = 9/6.125.
        rater, clip = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        values = np.array([1.0, 2, 3, 6])
        found = variance_components(rater, clip, values)
        assert (found.rater, found.clip, found.noise) == pytest.approx((4, 1.5, 1))
        mean = crossed_mean(rater, clip, values, 0.95)
        assert mean.mean == 3.0
        assert mean.standard_error == pytest.approx(math.sqrt(3))
        assert mean.degrees == pytest.approx(9 / 6.125)

    def test_components_and_error_equal_reml_of_statsmodels(self):
        values = simulate(np.random.default_rng(3), 12, 9)
        table = long_table(values).assign(all=1)
        model = smf.mixedlm(
            "rating ~ 1", table, groups="all", vc_formula={"rater": "0 + C(rater)", "clip": "0 + C(clip)"}
        )
        fit = model.fit(reml=True)
        names = dict(zip(model.exog_vc.names, fit.vcomp, strict=True))
        found = crossed_mean(
            table["rater"].to_numpy(), table["clip"].to_numpy(), table["rating"].to_numpy(), 0.95
        )
        assert found.components.rater == pytest.approx(names["rater"], rel=2e-3)
        assert found.components.clip == pytest.approx(names["clip"], rel=2e-3)
        assert found.components.noise == pytest.approx(fit.scale, rel=2e-3)
        assert found.mean == pytest.approx(fit.params["Intercept"], rel=1e-6)
        assert found.standard_error == pytest.approx(fit.bse["Intercept"], rel=2e-3)

    def test_incomplete_data_give_unbiased_components(self):
        rng = np.random.default_rng(5)
        found = []
        for _ in range(300):
            values = simulate(rng, 14, 10)
            kept = rng.random(values.shape) < 0.5
            rater, clip = np.nonzero(kept)
            rater, clip = (np.unique(labels, return_inverse=True)[1] for labels in (rater, clip))
            parts = variance_components(rater, clip, values[kept])
            found.append((parts.rater, parts.clip, parts.noise))
        assert np.mean(found, axis=0) == pytest.approx((0.25, 0.16, 0.64), abs=0.03)

    @pytest.mark.parametrize(("raters", "clips", "share"), [(20, 12, 1.0), (10, 6, 1.0), (24, 12, 0.5)])
    def test_interval_covers_the_truth_in_92_to_98_of_100(self, raters, clips, share):
        rng = np.random.default_rng(11)
        covered = plain = 0
        studies = 600
        for _ in range(studies):
            values = simulate(rng, raters, clips)
            kept = np.zeros_like(values, dtype=bool)
            for row in kept:
                row[rng.permutation(clips)[: round(share * clips)]] = True
            rater, clip = np.nonzero(kept)
            found = crossed_mean(rater, clip, values[kept], 0.95)
            covered += found.low <= 3.0 <= found.high
            mean, half_width = printed_score(values[kept], 0.95)
            plain += abs(mean - 3.0) <= half_width
        assert 0.92 <= covered / studies <= 0.98
        assert plain / studies < 0.75, "the papers' interval is for these raters and clips alone"

    def test_integer_scores_are_covered_too(self):
        rng = np.random.default_rng(12)
        big = np.clip(np.round(simulate(rng, 3000, 1000)), 1, 5).mean()
        covered = 0
        for _ in range(400):
            values = np.clip(np.round(simulate(rng, 20, 12)), 1, 5)
            rater, clip = np.indices(values.shape)
            found = crossed_mean(rater.ravel(), clip.ravel(), values.ravel(), 0.95)
            covered += found.low <= big <= found.high
        assert 0.92 <= covered / 400 <= 0.98

    def test_one_rater_is_a_reason(self):
        with pytest.raises(NotComputableError, match="1 raters and 3 clips"):
            crossed_mean(np.zeros(3), np.arange(3), np.array([1.0, 2, 3]), 0.95)

    def test_raters_that_share_no_clip_are_a_reason(self):
        with pytest.raises(NotComputableError, match="not crossed"):
            crossed_mean(np.arange(4), np.arange(4), np.array([1.0, 2, 3, 4]), 0.95)


class TestDifferences:
    def test_holm_by_hand(self):
        # Sorted .01, .03, .04: .01*3 = .03, .03*2 = .06, max(.06, .04*1) = .06.
        assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])

    def test_known_effect_is_recovered_and_none_is_not_found_where_there_is_none(self):
        rng = np.random.default_rng(2)
        false_alarms, estimates = 0, []
        for _ in range(40):
            base = simulate(rng, 12, 8)
            tables = [
                long_table(base + rng.normal(0, 0.5, base.shape) + shift, name)
                for name, shift in (("a", 0.0), ("b", 0.0), ("c", -1.0))
            ]
            found = {(d.system_a, d.system_b): d for d in opinion_differences(pd.concat(tables), 0.95)}
            same = found.get(("a", "b")) or found[("b", "a")]
            false_alarms += same.p < 0.05
            estimates.append(found[("a", "c")].difference)
            assert found[("a", "c")].p_holm < 0.05
        assert false_alarms <= 6
        assert np.mean(estimates) == pytest.approx(1.0, abs=0.08)

    def test_scores_are_sorted_and_say_why_there_is_no_interval(self):
        scores = opinion_scores(
            pd.concat([long_table(np.array([[2.0]]), "a"), long_table(np.array([[4.0]]), "b")]), 0.95
        )
        assert [score.system for score in scores] == ["b", "a"]
        assert scores[0].half_width is None
        assert "1 raters" in scores[0].reason


class TestAgreement:
    def test_alpha_by_hand(self):
        # Two raters, four units, nominal: (1,1), (2,2), (1,2), (2,2). Values: three 1s, five 2s, n = 8.
        # Observed disagreement: one unit of four; coincidences 1-2 and 2-1 sum to 2, D_o = 2/8.
        # Expected: 2 * 3 * 5 / (8 * 7) = 30/56. alpha = 1 - (2/8) / (30/56) = 1 - 14/30 = 0.5333.
        ratings = np.array([[1, 2, 1, 2], [1, 2, 2, 2]], dtype=float)
        assert krippendorff_alpha(ratings, "nominal") == pytest.approx(16 / 30)

    @pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
    @pytest.mark.parametrize("seed", range(6))
    def test_alpha_equals_the_library(self, level, seed):
        rng = np.random.default_rng(seed)
        ratings = np.clip(np.round(simulate(rng, 5, 15)), 1, 5)
        ratings[rng.random(ratings.shape) < 0.3] = np.nan
        expected = krippendorff.alpha(reliability_data=ratings, level_of_measurement=level)
        assert krippendorff_alpha(ratings, level) == pytest.approx(expected, abs=1e-9)

    def test_icc_of_shrout_and_fleiss(self):
        single, mean = intraclass_correlation(SHROUT_FLEISS)
        assert round(single, 2) == 0.29
        assert round(mean, 2) == 0.62

    def test_equal_ratings_are_a_reason(self):
        with pytest.raises(NotComputableError, match="all ratings are equal"):
            krippendorff_alpha(np.ones((3, 4)), "ordinal")
        with pytest.raises(NotComputableError, match="two raters"):
            krippendorff_alpha(np.array([[1.0, np.nan], [np.nan, 2.0]]), "ordinal")


class TestPreference:
    def test_clopper_pearson_by_hand(self):
        # 10 of 10: the lower bound solves p^10 = 0.025, so p = 0.025^(1/10) = 0.6915; p value 2 / 2^10.
        low, high, p = binomial(10, 10, 0.95)
        assert low == pytest.approx(0.025**0.1)
        assert high == 1.0
        assert p == pytest.approx(2 / 1024)

    def test_two_systems_have_the_log_odds(self):
        choices = pd.DataFrame(
            {"rater": ["r"] * 10, "first": "a", "second": "b", "winner": ["a"] * 8 + ["b"] * 2}
        )
        fitted = bradley_terry(choices, ["a", "b"], 0.95)
        assert fitted["a"][0] == pytest.approx(math.log(4) / 2, abs=1e-6)
        assert fitted["b"][0] == pytest.approx(-math.log(4) / 2, abs=1e-6)

    def test_known_strengths_are_recovered(self):
        rng = np.random.default_rng(4)
        truth = {"a": 0.9, "b": 0.1, "c": -1.0}
        rows = []
        for n in range(6000):
            first, second = rng.choice(list(truth), 2, replace=False)
            wins = rng.random() < 1 / (1 + math.exp(truth[second] - truth[first]))
            rows.append((f"r{n % 30}", "x", first, second, first if wins else second))
        choices = pd.DataFrame(rows, columns=["rater", "criterion", "first", "second", "winner"])
        for row in strengths(choices, 0.95):
            assert row.strength == pytest.approx(truth[row.system], abs=0.1)
            assert row.ci_low < row.strength < row.ci_high

    def test_a_system_that_never_loses_is_a_reason(self):
        choices = pd.DataFrame(
            {"rater": "r", "criterion": "x", "first": "a", "second": "b", "winner": ["a"] * 5}, index=range(5)
        )
        (first, _) = strengths(choices, 0.95)
        assert first.strength is None
        assert "no bound" in first.reason
        (rate,) = win_rates(choices, 0.95)
        assert (rate.wins, rate.n, rate.rate) == (5, 5, 1.0)


class TestCorrelation:
    def test_spearman_by_hand(self):
        # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15) = 0.6.
        assert spearman(np.array([10.0, 20, 30, 40]), np.array([2.0, 1, 4, 3])) == pytest.approx(0.6)
        assert spearman(np.ones(3), np.arange(3.0)) is None

    def test_a_metric_that_is_the_rating_reaches_one_and_the_ground_truth_is_left_out(self):
        rng = np.random.default_rng(0)
        parts = [
            long_table(simulate(rng, 10, 8, mean=mean), name)
            for name, mean in zip("abcd", (2, 3, 4, 4.5), strict=True)
        ]
        ratings = pd.concat([*parts, long_table(np.full((10, 8), 1.0), "reference")])
        means = ratings.groupby(["system", "clip"])["rating"].mean().reset_index(name="value")
        scores = means.assign(metric="perfect", convention="c")
        (found,) = metric_correlations(ratings, scores, {"perfect": "higher"}, 0.95, np.random.default_rng(1))
        assert found.clip_level == pytest.approx(1.0)
        assert found.system_level == pytest.approx(1.0)
        assert (found.sounds, found.systems) == (32, 4)

    def test_too_few_systems_are_a_reason(self):
        ratings = pd.concat([long_table(np.array([[1.0, 2], [2, 3]]), name) for name in "ab"])
        scores = pd.DataFrame(
            {"system": "a", "clip": ["c0", "c1"], "metric": "m", "convention": "c", "value": [1.0, 2.0]}
        )
        (found,) = metric_correlations(ratings, scores, {}, 0.95, np.random.default_rng(0))
        assert found.clip_level is None
        assert found.system_level is None
        assert "at least 4" in found.reason

    def test_ceiling_is_near_the_truth(self):
        # Reliability of the mean of 16 raters: sound variance / (sound variance + noise / 16) with sd 0.7 and
        # 1.2:
        # 0.49 / (0.49 + 1.44 / 16) = 0.845; its root is 0.919.
        rng = np.random.default_rng(8)
        true = rng.normal(3, 0.7, 200)
        values = true[None] + rng.normal(0, 1.2, (16, 200))
        (ceiling,) = noise_ceilings(long_table(values), np.random.default_rng(0))
        assert ceiling.clip_level == pytest.approx(0.919, abs=0.03)
        assert ceiling.clip_level == pytest.approx(np.corrcoef(true, values.mean(axis=0))[0, 1], abs=0.04)
