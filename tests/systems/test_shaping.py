"""Shaping a sound to an envelope: exact where that can be, close where frames overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clapstick.metrics.rms import rms_curve
from clapstick.systems.envelope_shaper.shaping import (
    apply_gains,
    frame_gains,
    shape_to_envelope,
    sounding_texture,
)


def test_a_constant_becomes_the_constant_that_is_asked_for() -> None:
    # RMS of a constant 0.25 is 0.25 in every frame (reflection keeps it), so one gain of 2 does it.
    shaped = shape_to_envelope(np.full(4_096, 0.25), np.full(32, 0.5))

    assert shaped == pytest.approx(np.full(4_096, 0.5))


def test_a_sound_in_its_own_envelope_stays_as_it_is() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000)

    assert shape_to_envelope(sound, rms_curve(sound)) == pytest.approx(sound)


def test_gains_lie_in_the_middle_of_their_hops_with_straight_lines_between() -> None:
    # Hop 4: middles at samples 2 and 6. From 2 to 6 the gain rises from 1 to 3, by half a sample step of 0.5.
    curve = apply_gains(np.ones(8), np.array([1.0, 3.0]), 4)

    assert curve.tolist() == [1, 1, 1, 1.5, 2, 2.5, 3, 3]
    assert np.array_equal(apply_gains(np.ones((8, 2)), np.array([1.0, 3.0]), 4)[:, 1], curve)


@given(seed=st.integers(0, 999), knots=st.lists(st.floats(0.0, 0.5), min_size=5, max_size=40))
@settings(deadline=None, max_examples=40)
def test_noise_follows_any_envelope(seed: int, knots: list[float]) -> None:
    rng = np.random.default_rng(seed)
    envelope = np.interp(np.linspace(0, 1, 250), np.linspace(0, 1, len(knots)), knots)

    reached = rms_curve(shape_to_envelope(rng.normal(0, 0.1, 32_000), envelope))

    assert np.abs(reached - envelope).mean() < 0.02 * max(0.05, envelope.max()) + 1e-9


def test_hits_are_followed_with_a_correlation_of_95_percent() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(160_000)
    hits = np.zeros(160_000)
    for at in rng.integers(0, 155_000, 12):
        hits[at:] += (
            rng.uniform(0.05, 0.3) * np.exp(-(times[at:] - at) / 1_000) * rng.normal(0, 1, 160_000 - at)
        )
    envelope = rms_curve(hits)
    prompt = rng.normal(0, 0.1, 160_000) * np.exp(-((times % 20_000) / 4_000))

    reached = rms_curve(shape_to_envelope(prompt, envelope))

    assert np.corrcoef(reached, envelope)[0, 1] > 0.98
    assert np.abs(reached - envelope).mean() < 0.08 * envelope.mean()


def test_other_frame_sizes() -> None:
    rng = np.random.default_rng(2)
    envelope = 0.1 + 0.1 * np.sin(np.linspace(0, 20, 1_024))

    shaped = shape_to_envelope(rng.normal(0, 0.1, 163_840), envelope, hop_samples=160, window_samples=1_024)

    reached = rms_curve(shaped, frame_samples=1_024, hop_samples=160)
    assert np.corrcoef(reached, envelope)[0, 1] > 0.99


def test_digital_silence_stays_silent_and_no_gain_passes_60_db() -> None:
    sound = np.zeros(16_000)
    sound[8_000:] = 1e-6

    shaped = shape_to_envelope(sound, np.full(125, 0.5))

    assert not shaped[:7_000].any()
    assert np.abs(shaped).max() <= 1e-3 * (1 + 1e-9)
    assert np.isfinite(shaped).all()


def test_values_below_zero_are_silence() -> None:
    shaped = shape_to_envelope(np.full(2_048, 0.5), np.full(16, -0.1))

    assert not shaped.any()


def test_an_envelope_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"envelope of shape \(124,\).*16000 samples: expected 125"):
        frame_gains(np.ones(16_000), np.ones(124), 128, 512)
    with pytest.raises(ValueError, match="expected 125 finite values"):
        frame_gains(np.ones(16_000), np.full(125, np.nan), 128, 512)


def test_texture_has_the_timbre_and_none_of_the_gaps() -> None:
    rate = 16_000
    times = np.arange(rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 1000 * times) * ((times % 0.5) < 0.1)

    texture = sounding_texture(tone, 3 * rate, rate)

    assert texture.shape == (3 * rate,)
    curve = rms_curve(texture)
    assert curve.min() > 0.25 * np.median(curve)
    assert np.median(curve) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    peak_hz = np.argmax(np.abs(np.fft.rfft(texture))) / 3
    assert peak_hz == pytest.approx(1000, abs=10)


@pytest.mark.parametrize("samples", [1, 7, 159, 161, 5_000])
def test_texture_of_a_sound_of_any_length(samples: int) -> None:
    texture = sounding_texture(np.full(samples, 0.5), 16_000, 16_000)

    assert texture.shape == (16_000,)
    assert np.abs(texture).max() > 0.2
    assert np.isfinite(texture).all()


@pytest.mark.parametrize("samples", [0, 100])
def test_texture_of_silence_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match="silent throughout"):
        sounding_texture(np.zeros(samples), 100, 16_000)
