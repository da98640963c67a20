"""Stage 2 told the reference's curve in bins: what it is told, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clapstick.metrics.rms import RMS_MIN, bin_edges
from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.base import Context, Request
from clapstick.systems.registry import find_system
from clapstick.systems.two_stage.binned_rms import BinnedRMS, build
from clapstick.systems.two_stage.tiny_diffusion import load_pair
from clapstick.systems.two_stage.video_foley import reference_curve

CARD = find_system("rms2sound-tiny").card


def request(amplitude: float) -> Request:
    """A clip whose reference is a square wave: its RMS is its amplitude everywhere."""
    samples = amplitude * np.where(np.arange(48_000) // 8 % 2, 1.0, -1.0)
    audio = Audio(samples.astype(np.float32)[:, None], 16_000)
    clip = Clip(id="clip", source="clip", video=Path("none.mp4"), duration_s=3.0)
    return Request(clip, audio, None)


def condition(amplitude: float, bins: int) -> float:
    told = BinnedRMS(load_pair("none"), bins).condition(request(amplitude))
    assert told.rate == 125.0
    assert told.amplitudes.shape == (375,)
    return float(np.median(told.amplitudes))


def test_the_curve_is_rounded_up_to_the_edges_of_so_many_bins() -> None:
    # Four bins have the edges 0.01, 0.20633, 0.51493, 1 (worked in tests/harness/test_ablate_quantisation.py).
    assert condition(0.3, 4) == pytest.approx(0.51493, abs=1e-5)
    assert condition(0.15, 4) == pytest.approx(0.20633, abs=1e-5)
    assert condition(0.3, 2) == 1.0
    assert condition(0.004, 64) == 0.0


def test_no_bins_leave_the_curve_as_it_is() -> None:
    assert condition(0.3, 0) == pytest.approx(0.3, abs=1e-3), "the filter's ripple is 0.01 dB each way"
    told = BinnedRMS(load_pair("none"), 0).condition(request(0.3))
    assert np.array_equal(told.amplitudes, reference_curve(request(0.3)).amplitudes)


@pytest.mark.parametrize("bins", [4, 16, 64, 1024])
def test_rounding_is_up_and_by_one_step_at_most(bins: int) -> None:
    # Edges plus 1 / mu grow by q = (bins / (1 + 0.01 mu)) ** (1 / mu) from one to the next.
    mu = bins - 1
    step = (bins / (1 + RMS_MIN * mu)) ** (1 / mu)
    curve = condition(0.3, 0)
    told = condition(0.3, bins)
    assert told in bin_edges(bins)
    assert curve < told <= (curve + 1 / mu) * step - 1 / mu + 1e-12


@pytest.mark.parametrize("given", [1, -3, 2.5, True, "all"])
def test_impossible_bins_are_named(given: object) -> None:
    parameters = {**CARD.parameters, "rms_bins": given}
    with pytest.raises(ClapstickError, match="rms2sound-tiny: impossible number of RMS bins; found"):
        build(Context((), lambda clip: Audio(np.zeros((1, 1), np.float32), 16_000), parameters, {}))


def test_sound_of_every_condition_has_the_clips_length() -> None:
    for given in ("none", 0, 16):
        parameters = {**CARD.parameters, "rms_bins": given, "steps": 2}
        system = build(Context((), lambda clip: Audio(np.zeros((1, 1), np.float32), 16_000), parameters, {}))
        made = system.generate(request(0.3), np.random.default_rng(0))
        assert made.audio.samples.shape == (48_000, 1)
        assert ("envelope" in made.predictions) == (given != "none")
