"""The shipped diffusion stage 2: it follows envelopes that are drawn by hand, and hears its prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clapstick.metrics.rms import rms_curve
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.base import Request
from clapstick.systems.registry import find_system
from clapstick.systems.two_stage.envelope import Envelope, EnvelopeSystem
from clapstick.systems.two_stage.tiny_diffusion import TinyDiffusion, load_pair

DURATION_S = 2.56
FOLLOWED = 0.8
"""Correlation of asked and obtained envelope. Rings of wood follow least; the slow test hears more prompts."""


@pytest.fixture(scope="module")
def system() -> TinyDiffusion:
    return load_pair("predicted")


def _request(text: str) -> Request:
    clip = Clip(
        id="clip",
        source="clip",
        video=Path("none.mp4"),
        duration_s=DURATION_S,
        prompt=Prompt(kind="text", policy="user", text=text),
    )
    return Request(clip, None, None)


def _shapes() -> dict[str, np.ndarray]:
    ramp = np.linspace(0, 0.15, 320)
    fold = np.abs(np.linspace(-0.15, 0.15, 320))
    return {"rising": ramp, "falling": ramp[::-1], "V": fold, "A": 0.15 - fold}


@pytest.mark.parametrize("shape", ["rising", "falling", "V", "A"])
def test_hand_drawn_envelopes_are_followed(system: TinyDiffusion, shape: str) -> None:
    wanted = _shapes()[shape]
    output = system.generate_from_envelope(
        _request("wood hit"), Envelope(wanted, 125.0), np.random.default_rng(0)
    )
    heard = rms_curve(output.audio.mono.astype(np.float64))
    assert heard.size == wanted.size
    assert np.corrcoef(heard, wanted)[0, 1] > FOLLOWED


@pytest.mark.parametrize("shape", ["rising", "falling", "V", "A"])
def test_shaped_output_follows_closely(shape: str) -> None:
    wanted = _shapes()[shape]
    output = load_pair("predicted", shaped=True).generate_from_envelope(
        _request("wood hit"), Envelope(wanted, 125.0), np.random.default_rng(0)
    )
    heard = rms_curve(output.audio.mono.astype(np.float64))
    assert np.corrcoef(heard, wanted)[0, 1] > 0.9


def test_the_prompt_is_heard(system: TinyDiffusion) -> None:
    beats = Envelope(0.15 * np.exp(-(np.arange(320) % 80) / 10), 125.0)
    timbre = system.model.timbre
    assert timbre is not None
    points = {}
    for word in ("carpet", "metal"):
        made = system.generate_from_envelope(_request(f"{word} hit"), beats, np.random.default_rng(0))
        points[word] = timbre.of_audio(made.audio.mono.astype(np.float64))
    for word, other in (("carpet", "metal"), ("metal", "carpet")):
        asked = timbre.of_text(word)
        assert asked is not None
        assert torch.dot(points[word], asked) > torch.dot(points[other], asked)


def test_same_seed_same_samples(system: TinyDiffusion) -> None:
    envelope = Envelope(_shapes()["A"], 125.0)
    first, second = (
        system.generate_from_envelope(_request("wood"), envelope, np.random.default_rng(7)) for _ in range(2)
    )
    assert np.array_equal(first.audio.samples, second.audio.samples)


def test_envelope_of_another_length_is_refused(system: TinyDiffusion) -> None:
    with pytest.raises(ClapstickError, match=r"another length than the clip; found 0\.800 s"):
        system.generate_from_envelope(
            _request("wood"), Envelope(np.zeros(100), 125.0), np.random.default_rng(0)
        )


def test_cards() -> None:
    assert isinstance(load_pair("predicted"), EnvelopeSystem)
    assert find_system("gt-rms").card.sees_reference
    assert not find_system("t2a").card.sees_reference
