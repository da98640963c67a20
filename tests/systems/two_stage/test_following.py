"""Corrections of what stage 2 is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clapstick.metrics.rms import rms_curve
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.base import Context
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.following import corrected, render_following
from clapstick.systems.two_stage.rms2sound import Order, load_rms2sound, render
from clapstick.systems.two_stage.tiny import WEIGHTS
from clapstick.systems.two_stage.tiny_diffusion import build


def order(curve: np.ndarray, **changes: object) -> Order:
    return Order(torch.zeros(16), Envelope(curve, 100.0), curve.size / 100, 0, **changes)  # type: ignore[arg-type]


def tone(amplitude: float, seconds: float = 2.0) -> np.ndarray:
    """A square wave, whose RMS is its amplitude at every moment."""
    samples = np.full(round(seconds * 16_000), amplitude, dtype=np.float32)
    samples[1::2] *= -1
    return samples


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (0.08, 0.125),  # 0.1 asked and 0.08 heard: told 0.1 * 0.1 / 0.08
        (0.16, 0.0625),
        (0.01, 0.2),  # no more than twice as much
        (0.9, 0.05),  # and no less than half
    ],
)
def test_what_was_too_quiet_is_told_louder(heard: float, told: float) -> None:
    found = corrected(order(np.full(200, 0.1)), tone(heard))
    assert found is not None
    assert found.rate == 100.0
    np.testing.assert_allclose(found.amplitudes, told, rtol=5e-3)


def test_corrections_add_up() -> None:
    # Told 0.125 for an asked 0.1, and 0.05 was heard: twice 0.125.
    found = corrected(order(np.full(200, 0.1), told=Envelope(np.full(200, 0.125), 100.0)), tone(0.05))
    assert found is not None
    np.testing.assert_allclose(found.amplitudes, 0.25, rtol=5e-3)


def test_silence_stays_silent_and_full_scale_is_the_most() -> None:
    silent = corrected(order(np.zeros(200)), tone(0.1))
    loud = corrected(order(np.full(200, 0.8)), tone(0.1))
    assert silent is not None
    assert loud is not None
    assert not silent.amplitudes.any()
    assert loud.amplitudes.max() == 1.0


def test_a_sound_too_short_to_be_heard_changes_nothing() -> None:
    asked = order(np.full(6, 0.1))
    assert corrected(asked, tone(0.01, 0.06)) is asked.envelope


def test_a_drawn_curve_is_followed_more_closely() -> None:
    model = load_rms2sound(WEIGHTS / "rms2sound-tiny.safetensors")
    assert model.timbre is not None
    prompt = model.timbre.of_text("wood hit")
    assert prompt is not None
    fold = np.abs(np.linspace(-0.2, 0.2, 1000))
    asked, null = Order(prompt, Envelope(fold, 100.0), 10.0, 0), torch.zeros(16)
    misses = []
    for corrections in (0, 1):
        heard = render_following(model, asked, null, corrections).samples.astype(np.float64)
        misses.append(np.abs(rms_curve(heard, frame_samples=1024, hop_samples=160) - fold).mean())
    assert misses[1] < 0.7 * misses[0]


def test_without_envelope_or_corrections_nothing_is_done_twice() -> None:
    model = load_rms2sound(WEIGHTS / "rms2sound-tiny.safetensors")
    null = torch.zeros(16)
    asked = Order(null, Envelope(np.full(256, 0.1), 100.0), 2.56, 0)
    for plain, corrections in ((asked, 0), (replace(asked, envelope=None), 3)):
        expected = render(model, plain, null).samples
        np.testing.assert_array_equal(render_following(model, plain, null, corrections).samples, expected)


@pytest.mark.parametrize("value", [-1, 11, 0.5, True, "two"])
def test_an_impossible_number_is_named(value: object) -> None:
    context = Context.__new__(Context)
    object.__setattr__(context, "parameters", {"envelopes": "reference", "corrections": value})
    with pytest.raises(ClapstickError, match=r"impossible number of corrections.*whole number from 0 to 10"):
        build(context)
