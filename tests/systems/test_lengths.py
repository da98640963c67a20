"""Index ramps show which native samples end where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clapstick.systems.lengths import (
    FixedLength,
    FreeLength,
    Window,
    join_windows,
    native_samples,
    plan_windows,
    source_times,
)

DIFF_FOLEY = FixedLength(rule="fixed", covers_s=8.0, shown_s=8.2, native_samples=130_816)
SPECVQGAN = FixedLength(rule="fixed", covers_s=10.0, shown_s=10.0, native_samples=217_088)
CONDFOLEYGEN = FixedLength(rule="fixed", covers_s=2.0, shown_s=2.0, native_samples=40_960)
SYNCFUSION = FixedLength(rule="fixed", covers_s=5.0, shown_s=5.0, native_samples=262_144)
AUDIOLDM = FreeLength(rule="free", block_samples=40_960, block_s=2.5, extra_samples=32, longest_s=20.0)
MMAUDIO = FreeLength(rule="free", block_samples=1024)


def ramps(count: int, samples: int) -> list[NDArray[np.float32]]:
    """Pass k emits k * 10^6, k * 10^6 + 1, ...: exact in float32 below 2^24."""
    return [np.arange(samples, dtype=np.float32)[:, None] + 1e6 * k for k in range(count)]


def joined(rule: FixedLength, sample_rate: int, duration_s: float) -> tuple[NDArray[np.float32], int]:
    windows = plan_windows(rule, sample_rate, duration_s)
    sound, padded = join_windows(windows, ramps(len(windows), rule.native_samples))
    return sound[:, 0], padded


def test_diff_foley_ten_seconds_is_eight_and_the_last_two() -> None:
    windows = plan_windows(DIFF_FOLEY, 16_000, 10.0)
    assert [(window.start_s, window.shown_s) for window in windows] == [(0.0, 8.2), (2.0, 8.2)]
    sound, padded = joined(DIFF_FOLEY, 16_000, 10.0)
    # Each pass emits 130,816 samples (8.176 s). The first keeps 8 s, the second what lies at 8..10 s of the
    # clip, which is at 6..8 s of the pass: samples 96,000 up to 128,000.
    np.testing.assert_array_equal(sound[:128_000], np.arange(128_000))
    np.testing.assert_array_equal(sound[128_000:], 1e6 + np.arange(96_000, 128_000))
    assert padded == 0


def test_syncfusion_ten_seconds_is_two_times_five() -> None:
    sound, padded = joined(SYNCFUSION, 48_000, 10.0)
    np.testing.assert_array_equal(sound[:240_000], np.arange(240_000))
    np.testing.assert_array_equal(sound[240_000:], 1e6 + np.arange(240_000))
    assert padded == 0


def test_condfoleygen_windows_are_filled_up_to_two_seconds() -> None:
    sound, padded = joined(CONDFOLEYGEN, 22_050, 10.0)
    # 2 s are 44,100 samples, a pass emits 40,960: 3,140 samples of silence follow each of the five.
    assert sound.shape == (220_500,)
    assert padded == 5 * 3_140
    for index in range(5):
        part = sound[44_100 * index : 44_100 * (index + 1)]
        np.testing.assert_array_equal(part[:40_960], 1e6 * index + np.arange(40_960))
        assert not part[40_960:].any()


def test_one_window_stays_as_emitted() -> None:
    for rule, sample_rate, duration_s in [
        (SPECVQGAN, 22_050, 10.0),
        (SPECVQGAN, 22_050, 2.0),
        (DIFF_FOLEY, 16_000, 2.0),
    ]:
        sound, padded = joined(rule, sample_rate, duration_s)
        np.testing.assert_array_equal(sound, np.arange(rule.native_samples))
        assert padded == 0


def test_last_window_ends_with_the_clip() -> None:
    # 12 s in windows of 5: 0..5, 5..10, and 7..12 of which 3 s are covered already.
    windows = plan_windows(SYNCFUSION, 48_000, 12.0)
    assert windows == (
        Window(0.0, 5.0, 0, 240_000),
        Window(5.0, 5.0, 0, 240_000),
        Window(7.0, 5.0, 144_000, 96_000),
    )


def test_a_system_without_a_rule_takes_the_clip_whole() -> None:
    assert plan_windows(None, None, 7.3) == (Window(0.0, 7.3),)


def test_free_system_is_split_beyond_its_longest_request() -> None:
    assert len(plan_windows(AUDIOLDM, 16_000, 20.0)) == 1
    assert [window.start_s for window in plan_windows(AUDIOLDM, 16_000, 30.0)] == [0.0, 10.0]


@pytest.mark.parametrize(
    ("rule", "sample_rate", "seconds", "samples"),
    [
        # 160 x frames + 32 with 256 frames for each 2.5 s asked for.
        (AUDIOLDM, 16_000, 10.0, 163_872),
        (AUDIOLDM, 16_000, 5.0, 81_952),
        (AUDIOLDM, 16_000, 2.0, 40_992),
        # ceil(seconds x 44,100 / 1,024) x 1,024.
        (MMAUDIO, 44_100, 10.0, 441_344),
        (MMAUDIO, 44_100, 8.0, 353_280),
        (MMAUDIO, 44_100, 5.0, 221_184),
        (MMAUDIO, 44_100, 4.0, 177_152),
        (MMAUDIO, 44_100, 2.0, 89_088),
        (FreeLength(rule="free", block_samples=512), 16_000, 10.0, 160_256),
        (FreeLength(rule="free", block_samples=512), 16_000, 8.0, 128_000),
        (FreeLength(rule="free", block_samples=512), 16_000, 2.0, 32_256),
        (DIFF_FOLEY, 16_000, 3.0, 130_816),
    ],
)
def test_native_samples_are_those_of_the_official_decoders(
    rule: FixedLength | FreeLength, sample_rate: int, seconds: float, samples: int
) -> None:
    assert native_samples(rule, sample_rate, seconds) == samples


@settings(deadline=None)
@given(
    duration_ms=st.integers(min_value=20, max_value=40_000),
    covers_ms=st.integers(min_value=100, max_value=20_000),
    sample_rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
)
def test_every_native_sample_lands_at_its_own_time(duration_ms: int, covers_ms: int, sample_rate: int) -> None:
    covers_s, duration_s = covers_ms / 1000, duration_ms / 1000
    long_enough = round(covers_s * sample_rate) + 2
    rule = FixedLength(rule="fixed", covers_s=covers_s, shown_s=covers_s, native_samples=long_enough)
    windows = plan_windows(rule, sample_rate, duration_s)
    # A perfect system emits at sample i of a window the clip's sample start + i.
    passes = [
        np.arange(round(window.start_s * sample_rate), round(window.start_s * sample_rate) + long_enough)
        .astype(np.float32)
        .reshape(-1, 1)
        for window in windows
    ]
    sound, padded = join_windows(windows, passes)
    wanted = round(duration_s * sample_rate)
    np.testing.assert_array_equal(sound[:wanted, 0], np.arange(wanted, dtype=np.float32))
    assert padded == 0
    assert windows[-1].start_s + covers_s == pytest.approx(max(duration_s, covers_s))


def test_short_clip_is_looped_and_the_end_of_a_long_one_stays() -> None:
    window = plan_windows(DIFF_FOLEY, 16_000, 2.0)[0]
    times = source_times(2.0, window, 4.0)
    assert times.shape == (33,)
    np.testing.assert_allclose(times[:10], [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 0, 0.25], atol=1e-5)
    last = plan_windows(DIFF_FOLEY, 16_000, 10.0)[1]
    np.testing.assert_allclose(source_times(10.0, last, 25.0)[-3:], [9.98, 9.98, 9.98])
    exact = plan_windows(DIFF_FOLEY, 16_000, 8.0)[0]
    assert source_times(8.0, exact, 25.0).max() == pytest.approx(7.98)


def test_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"above 0 s, found 0\.0"):
        plan_windows(None, None, 0.0)
    with pytest.raises(ValueError, match="known native rate"):
        plan_windows(SYNCFUSION, None, 12.0)
