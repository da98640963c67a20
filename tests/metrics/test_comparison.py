"""Paired tests, Holm's correction, rank intervals and ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from clapstick.metrics.base import Array, NotComputableError, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.comparison import (
    PairedTest,
    compare,
    minimum_detectable_difference,
    rank_intervals,
    shared_clips,
    sign_flip_p,
    with_holm,
)
from clapstick.metrics.frechet_scores import plain_distance

Clips = dict[str, Statistics]


def _clips(values: Array) -> Clips:
    return {f"clip {number:03}": clip_score(float(value)) for number, value in enumerate(values)}


def _own_source(clips: int) -> dict[str, str]:
    return {f"clip {number:03}": str(number) for number in range(clips)}


def _test(a: str, b: str, difference: float, p: float) -> PairedTest:
    return PairedTest(a, b, difference, 0.0, 0.0, p, p, 10, 10, 0.0, "")


def test_sign_flips_by_hand() -> None:
    # Differences 1, 2, 3: of the 8 sign patterns only +++ and --- reach |sum| = 6: p = 2/8. Differences 1, 1,
    # -1: |sum| = 1 is reached by all 8.
    rng = np.random.default_rng(0)
    assert sign_flip_p(np.array([1.0, 2, 3]), rng) == pytest.approx(0.25)
    assert sign_flip_p(np.array([1.0, 1, -1]), rng) == pytest.approx(1.0)
    assert sign_flip_p(np.zeros(30), rng) == 1.0


def test_drawn_sign_flips_never_give_zero() -> None:
    assert sign_flip_p(np.ones(60), np.random.default_rng(0), 999) == pytest.approx(1 / 1000)


def test_holm_by_hand_and_by_statsmodels() -> None:
    # p = 0.01, 0.04, 0.03: sorted 0.01 * 3 = 0.03, 0.03 * 2 = 0.06, 0.04 * 1 = 0.04 raised to 0.06.
    tests = [_test("a", "b", 1, 0.01), _test("a", "c", 1, 0.04), _test("b", "c", 1, 0.03)]
    adjusted = [test.p_holm for test in with_holm(tests)]
    assert adjusted == pytest.approx([0.03, 0.06, 0.06])
    # One of three tests made: 0.01 * 3.
    assert [test.p_holm for test in with_holm(tests[:1], of=3)] == pytest.approx([0.03])
    rng = np.random.default_rng(0)
    raw = rng.random(15)
    expected = multipletests(raw, method="holm")[1]
    got = [test.p_holm for test in with_holm([_test("a", "b", 1, float(p)) for p in raw])]
    assert got == pytest.approx(expected.tolist())


def test_ranks_and_ties_by_hand() -> None:
    # Lower is better: a 1, b 2, c 3. Only a-c differ beyond doubt: a may be 1 or 2, b 1 to 3, c 2 or 3. b ties
    # with a; c is told from a, so it opens group 2.
    pairs = [_test("a", "b", -1, 0.2), _test("a", "c", -2, 0.01), _test("b", "c", -1, 0.3)]
    ranks = rank_intervals({"a": 1.0, "b": 2.0, "c": 3.0}, pairs, "lower")
    assert [(rank.system, rank.low, rank.high, rank.tie_group) for rank in ranks] == [
        ("a", 1, 2, 1),
        ("b", 1, 3, 1),
        ("c", 2, 3, 2),
    ]
    flipped = rank_intervals({"a": 1.0, "b": 2.0, "c": 3.0}, pairs, "higher")
    assert [rank.system for rank in flipped] == ["c", "b", "a"]
    assert [rank.low for rank in flipped] == [1, 1, 2]
    neutral = rank_intervals({"a": 1.0, "b": 2.0, "c": 3.0}, pairs, "none")
    assert {(rank.low, rank.high, rank.tie_group) for rank in neutral} == {(1, 3, 1)}


def test_detectable_difference_by_hand() -> None:
    # Many clusters: normal quantiles 1.95996 + 0.84162 = 2.80158 standard errors.
    assert minimum_detectable_difference(0.1, 100_000) == pytest.approx(0.280158, abs=1e-4)


def test_a_better_system_wins_and_the_interval_holds_the_difference() -> None:
    rng = np.random.default_rng(1)
    base = rng.lognormal(0, 1, 60)
    systems = {"good": _clips(base), "bad": _clips(base + 0.2 + rng.normal(0, 0.05, 60))}
    found = compare(systems, _own_source(60), MeanOfClips(), "lower", np.random.default_rng(0))
    (pair,) = found.pairs
    assert pair.difference == pytest.approx(-0.2, abs=0.03)
    assert pair.low < pair.difference < pair.high < 0
    assert pair.p_holm < 0.001
    assert 0 < pair.detectable < 0.05
    assert [(rank.system, rank.low, rank.high) for rank in found.ranks] == [("good", 1, 1), ("bad", 2, 2)]


def test_only_shared_clips_count() -> None:
    clips = _clips(np.arange(10.0))
    systems = {"a": clips, "b": {name: clips[name] for name in list(clips)[3:]}}
    assert shared_clips(systems) == tuple(list(clips)[3:])
    found = compare(systems, _own_source(10), MeanOfClips(), "lower", np.random.default_rng(0))
    assert found.pairs[0].clips == 7
    assert found.pairs[0].difference == 0.0
    assert found.pairs[0].p == 1.0


def test_distances_of_sets_are_compared_by_leaving_groups_out() -> None:
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(80, 3))

    def clips(shift: float) -> Clips:
        generated = reference + rng.normal(shift, 0.5, reference.shape)
        return {
            f"clip {number:03}": {"reference": reference[number][None], "generated": generated[number][None]}
            for number in range(80)
        }

    systems = {"near": clips(0.0), "far": clips(1.5), "near too": clips(0.0)}
    found = compare(systems, _own_source(80), plain_distance(), "lower", np.random.default_rng(0))
    by_pair = {(pair.system_a, pair.system_b): pair for pair in found.pairs}
    assert by_pair["near", "far"].p_holm < 0.01
    assert by_pair["near", "near too"].p_holm > 0.05
    assert {rank.system: rank.tie_group for rank in found.ranks} == {"near": 1, "near too": 1, "far": 2}
    again = compare(systems, _own_source(80), plain_distance(), "lower", np.random.default_rng(0))
    assert again == found


def test_identical_sets_do_not_differ() -> None:
    rows = np.random.default_rng(3).normal(size=(30, 3))
    clips: Clips = {
        f"clip {n:03}": {"reference": row[None], "generated": row[None] + 1} for n, row in enumerate(rows)
    }
    found = compare(
        {"a": clips, "b": clips}, _own_source(30), plain_distance(), "lower", np.random.default_rng(0)
    )
    assert found.pairs[0].p == 1.0
    assert {rank.tie_group for rank in found.ranks} == {1}


def test_what_cannot_be_compared_is_a_reason() -> None:
    clips = _clips(np.arange(4.0))
    rng = np.random.default_rng(0)
    with pytest.raises(NotComputableError, match="needs two systems, found 1"):
        compare({"a": clips}, _own_source(4), MeanOfClips(), "lower", rng)
    with pytest.raises(NotComputableError, match="no clip in common"):
        compare({"a": clips, "b": {}}, _own_source(4), MeanOfClips(), "lower", rng)
    one_source = dict.fromkeys(clips, "same video")
    with pytest.raises(NotComputableError, match="at least 2 source videos"):
        compare({"a": clips, "b": clips}, one_source, MeanOfClips(), "lower", rng)


def test_identical_systems_give_a_false_winner_in_at_most_five_per_cent_of_tables() -> None:
    # Five systems that differ by noise alone, 300 tables: Holm holds the chance of any false difference at 5 %.
    # 15 expected at most; 5.0 % plus two standard deviations of the count would be 7.5 %.
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(300):
        clip_effect = rng.lognormal(0, 0.5, 24)
        systems = {
            name: _clips(clip_effect + rng.standard_exponential(24) * 0.3) for name in ("a", "b", "c", "d", "e")
        }
        found = compare(systems, _own_source(24), MeanOfClips(), "lower", rng, permutations=999, resamples=10)
        wrong += any(rank.tie_group > 1 for rank in found.ranks)
    assert wrong / 300 <= 0.05


def test_adjusting_again_changes_nothing_else() -> None:
    test = _test("a", "b", 1.0, 0.03)
    assert with_holm([test]) == (replace(test, p_holm=0.03),)
