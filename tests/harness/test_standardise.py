"""Standardised audio has the protocol's rate, channels and exact length, and says what was done to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clapstick.harness.standardise import mix_channels, resample, standardise
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import AudioRules

RULES = AudioRules(
    sample_rate=16_000,
    channels=1,
    resampler="soxr_hq",
    too_long="cut-end",
    too_short="pad-end",
    gain="none",
    gain_target_db=0.0,
)
RESAMPLERS = ["soxr_hq", "soxr_vhq", "scipy_polyphase", "torchaudio_kaiser_best", "torchaudio_hann"]


def sine(rate: int, seconds: float, hertz: float = 1000.0, amplitude: float = 0.5, channels: int = 1) -> Audio:
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    return Audio(np.repeat(wave[:, None], channels, axis=1).astype(np.float32), rate)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000, 96_000]),
    channels=st.sampled_from([1, 2, 6]),
    native_s=st.floats(0.01, 1.5),
    wanted_s=st.floats(0.01, 1.5),
    to_rate=st.sampled_from([16_000, 22_050, 44_100]),
    to_channels=st.sampled_from([1, 2]),
    too_long=st.sampled_from(["cut-end", "cut-centre"]),
    too_short=st.sampled_from(["pad-end", "loop"]),
)
def test_length_rate_and_channels_are_exact(
    rate, channels, native_s, wanted_s, to_rate, to_channels, too_long, too_short
):
    rules = RULES.model_copy(
        update={"sample_rate": to_rate, "channels": to_channels, "too_long": too_long, "too_short": too_short}
    )
    done = standardise(sine(rate, native_s, channels=channels), rules, wanted_s)
    assert done.audio.samples.shape == (round(wanted_s * to_rate), to_channels)
    assert done.audio.sample_rate == to_rate
    assert done.padded_samples == 0 or done.cut_samples == 0
    assert np.isfinite(done.audio.samples).all()


@settings(max_examples=30, deadline=None)
@given(seconds=st.floats(0.05, 1.0), seed=st.integers(0, 1000))
def test_audio_of_the_right_form_comes_back_unchanged(seconds, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, (round(16_000 * seconds), 1)).astype(np.float32)
    done = standardise(Audio(samples, 16_000), RULES, samples.shape[0] / 16_000)
    np.testing.assert_array_equal(done.audio.samples, samples)
    assert (done.resampled_from, done.mixed_from_channels, done.gain_db) == (None, None, None)


def test_padding_and_cutting_are_counted_at_the_protocol_rate():
    # SpecVQGAN emits 217,088 samples at 22,050 Hz: 217,088 * 16,000 / 22,050 = 157,524.2 samples at 16 kHz,
    # so 160,000 - 157,524 = 2,476 samples of silence follow.
    native = Audio(np.full((217_088, 1), 0.1, np.float32), 22_050)
    done = standardise(native, RULES, 10.0)
    assert done.padded_samples == 2_476
    assert done.cut_samples == 0
    assert not done.audio.samples[-2_476:].any()
    # AudioLDM emits 163,872 samples at 16 kHz for 10 s: 3,872 are cut.
    done = standardise(Audio(np.full((163_872, 1), 0.1, np.float32), 16_000), RULES, 10.0)
    assert (done.padded_samples, done.cut_samples) == (0, 3_872)


def test_cut_centre_takes_the_middle_and_loop_repeats_the_start():
    ramp = Audio(np.arange(10, dtype=np.float32)[:, None] / 16, 16_000)
    centre = standardise(ramp, RULES.model_copy(update={"too_long": "cut-centre"}), 4 / 16_000)
    np.testing.assert_array_equal(centre.audio.samples[:, 0] * 16, [3, 4, 5, 6])
    loop = standardise(ramp, RULES.model_copy(update={"too_short": "loop"}), 13 / 16_000)
    np.testing.assert_array_equal(loop.audio.samples[:, 0] * 16, [*range(10), 0, 1, 2])


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_resamplers_keep_a_tone(resampler):
    # 1 kHz is far below every cut-off: away from the edges the resampled tone is the tone itself.
    out = resample(sine(44_100, 0.5).samples.astype(np.float64), 44_100, 16_000, resampler)[:, 0]
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(out.size) / 16_000)
    np.testing.assert_allclose(out[1000:-1000], wanted[1000:-1000], atol=2e-3)


def test_gain_policies_reach_their_target():
    # A sine of amplitude 0.5 has peak -6.0206 dBFS and RMS -9.0309 dBFS.
    native = sine(16_000, 1.0)
    peak = standardise(native, RULES.model_copy(update={"gain": "peak", "gain_target_db": -1.0}), 1.0)
    assert peak.gain_db == pytest.approx(6.0206 - 1.0, abs=1e-3)
    rms = standardise(native, RULES.model_copy(update={"gain": "rms", "gain_target_db": -20.0}), 1.0)
    assert rms.gain_db == pytest.approx(9.0309 - 20.0, abs=1e-3)


def test_lufs_gain_agrees_with_the_meter_of_another_library():
    pyloudnorm = pytest.importorskip("pyloudnorm")
    done = standardise(
        sine(16_000, 2.0), RULES.model_copy(update={"gain": "lufs", "gain_target_db": -23.0}), 2.0
    )
    measured = pyloudnorm.Meter(16_000).integrated_loudness(done.audio.samples.astype(np.float64))
    assert measured == pytest.approx(-23.0, abs=0.01)


@pytest.mark.parametrize("gain", ["peak", "rms", "lufs"])
def test_silence_stays_silent_without_gain(gain):
    silent = Audio(np.zeros((16_000, 1), np.float32), 16_000)
    done = standardise(silent, RULES.model_copy(update={"gain": gain, "gain_target_db": -20.0}), 1.0)
    assert done.gain_db is None
    assert not done.audio.samples.any()


def test_samples_beyond_full_scale_are_kept_and_counted():
    samples = np.zeros((1600, 1), np.float32)
    samples[[3, 5], 0] = [1.5, -2.0]
    done = standardise(Audio(samples, 16_000), RULES, 0.1)
    assert done.clipped_samples == 2
    assert done.audio.samples[5, 0] == -2.0


def test_downmix_of_5_1_leaves_out_the_low_frequency_channel():
    # Left = FL + C / sqrt(2) + SL / sqrt(2) with FL = 1, C = 2, SL = 4: 1 + 1.41421 + 2.82843 = 5.24264.
    # Right = FR + C / sqrt(2) + SR / sqrt(2) with FR = 3, SR = 6: 3 + 1.41421 + 4.24264 = 8.65685.
    mixed = mix_channels(np.array([[1.0, 3.0, 2.0, 100.0, 4.0, 6.0]]), 2)
    np.testing.assert_allclose(mixed, [[5.24264, 8.65685]], atol=1e-5)


def test_unknown_channel_counts_and_empty_sound_are_named():
    with pytest.raises(ClapstickError, match=r"found 4 channels; expected 1, 2 or 6"):
        standardise(Audio(np.zeros((10, 4), np.float32), 16_000), RULES.model_copy(update={"channels": 2}), 1.0)
    with pytest.raises(ClapstickError, match="sound has no sample"):
        standardise(Audio(np.zeros((0, 1), np.float32), 16_000), RULES, 1.0)
