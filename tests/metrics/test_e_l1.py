"""E-L1 on sounds whose loudness can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import librosa
import numpy as np
import pytest

from clapstick.metrics import e_l1, rms
from clapstick.metrics.base import Array, ClipInput, NotComputableError

SECONDS_10 = 160_000


def _score(reference: Array, generated: Array, convention: str = "v2s") -> float:
    clip = ClipInput("clip", generated, rms.SAMPLE_RATE, reference=reference)
    how = e_l1.METRIC.convention(convention)
    return how.combiner.value([how.statistics(clip)])


def _impulse(at: int) -> Array:
    sound = np.zeros(SECONDS_10)
    sound[at] = 1.0
    return sound


def test_constants_differ_by_their_difference() -> None:
    # The RMS of a constant is that constant in every frame, and reflecting it changes nothing: 0.5 - 0.25.
    assert _score(np.full(SECONDS_10, 0.5), np.full(SECONDS_10, 0.25)) == pytest.approx(0.25, abs=1e-12)


def test_an_impulse_sounds_in_four_frames() -> None:
    # Frame i covers samples 128 i - 192 to 128 i + 319. Sample 1000 lies in frames 6, 7, 8 and 9, each of RMS
    # sqrt(1/512) = 0.0441942. Against silence: 4 * 0.0441942 / 1250 = 1.41421e-4.
    curve = rms.rms_curve(_impulse(1000))
    assert len(curve) == 1250
    assert np.flatnonzero(curve).tolist() == [6, 7, 8, 9]
    assert curve[6:10] == pytest.approx(sqrt(1 / 512))
    assert _score(_impulse(1000), np.zeros(SECONDS_10)) == pytest.approx(1.41421e-4, rel=1e-5)


def test_an_impulse_one_hop_late_differs_in_two_frames() -> None:
    # Frames 6-9 against 7-10: frames 6 and 10 differ. 2 * 0.0441942 / 1250 = 7.07107e-5.
    assert _score(_impulse(1000), _impulse(1128)) == pytest.approx(7.07107e-5, rel=1e-6)


def test_sines_differ_by_the_difference_of_their_effective_values() -> None:
    # 1 kHz has a period of 16 samples, which divides 512 and 192: every frame holds whole periods, also where
    # it is reflected. Effective value A / sqrt(2): (0.5 - 0.3) / sqrt(2) = 0.1414214.
    sine = np.sin(2 * np.pi * 1000 * np.arange(SECONDS_10) / 16_000)
    assert _score(0.5 * sine, 0.3 * sine) == pytest.approx(0.1414214, abs=1e-7)


def test_scaling_to_peak_one_takes_the_gain_away() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(SECONDS_10) / 16_000)
    assert _score(0.5 * sine, 0.3 * sine, "v2s-normalised") == pytest.approx(0.0, abs=1e-12)
    assert _score(0.5 * sine, 0.3 * sine, "tfoley") == pytest.approx(0.0, abs=1e-6)
    assert _score(0.5 * sine, 0.3 * sine, "fol-ai") == pytest.approx(0.0, abs=1e-12)


def test_video2rms_weighs_clips_not_frames() -> None:
    # Clip errors 0.1 over 10 kept frames and 0.3 over 1000: (0.1 + 0.3) / 2 = 0.2, and not 0.298.
    how = e_l1.METRIC.convention("video2rms")
    clips = [{"value": np.array(0.1)}, {"value": np.array(0.3)}]
    assert how.combiner.value(clips) == pytest.approx(0.2, abs=1e-15)


def test_video2rms_leaves_out_frames_that_are_silent_in_both() -> None:
    # Reference 0.5 throughout (class 52). An envelope of 0.3 in every frame: each frame counts, error near 0.2.
    # The filter's ripple is 0.01 dB a pass: its gain for a constant is 10^(-0.02 / 20) = 0.9977, so the
    # filtered reference is 0.5 * 0.9977 = 0.49885.
    how = e_l1.METRIC.convention("video2rms")
    clip = ClipInput(
        "clip",
        np.zeros(SECONDS_10),
        16_000,
        reference=np.full(SECONDS_10, 0.5),
        predictions={"envelope": np.full(1250, 0.3)},
    )
    assert how.combiner.value([how.statistics(clip)]) == pytest.approx(0.49885 - 0.3, abs=1e-5)
    silent = ClipInput(
        "clip",
        np.zeros(SECONDS_10),
        16_000,
        reference=np.zeros(SECONDS_10),
        predictions={"envelope": np.zeros(1250)},
    )
    with pytest.raises(NotComputableError, match="silent in every frame"):
        how.statistics(silent)


def test_tfoley_counts_690_frames_for_four_seconds() -> None:
    # 4 s at 22.05 kHz = 88200 samples, centred frames every 128: 1 + 88200 // 128 = 690.
    assert len(rms.centred_rms_curve(np.zeros(88_200))) == 690


@pytest.mark.parametrize(("frame", "hop"), [(512, 128), (1024, 160), (400, 160)])
def test_curves_equal_librosas(frame: int, hop: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 20_000)
    margin = (frame - hop) // 2
    expected = librosa.feature.rms(
        y=np.pad(sound, margin, mode="reflect"),
        frame_length=frame,
        hop_length=hop,
        center=False,
        dtype=np.float64,
    )[0]
    got = rms.rms_curve(sound, frame_samples=frame, hop_samples=hop)
    assert got == pytest.approx(expected, abs=1e-12)
    centred = librosa.feature.rms(y=sound, frame_length=frame, hop_length=hop, dtype=np.float64)[0]
    assert rms.centred_rms_curve(sound, frame_samples=frame, hop_samples=hop) == pytest.approx(
        centred, abs=1e-12
    )


def test_a_sound_too_short_to_reflect_is_refused() -> None:
    with pytest.raises(NotComputableError, match="192 samples, an RMS curve needs more than 192"):
        _score(np.zeros(192), np.zeros(192))


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(NotComputableError, match="reference has 16000 samples and generated 15999"):
        _score(np.zeros(16_000), np.zeros(15_999))
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        e_l1.e_l1(np.zeros(3), np.zeros(2))


def test_video2rms_needs_a_prediction() -> None:
    how = e_l1.METRIC.convention("video2rms")
    clip = ClipInput("clip", np.zeros(16_000), 16_000, reference=np.zeros(16_000))
    with pytest.raises(NotComputableError, match="predicts no loudness curve"):
        how.statistics(clip)
    wrong = ClipInput(
        "clip",
        np.zeros(16_000),
        16_000,
        reference=np.zeros(16_000),
        predictions={"rms_logits": np.zeros((124, 64))},
    )
    with pytest.raises(NotComputableError, match=r"\(rms_logits\) has 124 values for 1 s") as raised:
        how.statistics(wrong)
    assert "124 a second; the reference's has 125, one every 8 ms: have the system give that many" in str(
        raised.value
    )
    flat = replace(wrong, predictions={"envelope": np.zeros((125, 1))})
    with pytest.raises(
        NotComputableError, match="envelope has 2 dimensions; it needs one number for every frame"
    ):
        how.statistics(flat)
