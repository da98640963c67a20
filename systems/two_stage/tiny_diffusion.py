"""The small trained pair: stage 1 of ``two-stage-tiny`` and a diffusion stage 2; with it the ablations."""

from __future__ import annotations

from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clapstick.metrics.rms import HOP_SAMPLES, SAMPLE_RATE
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import mono_16k, reference_of, samples_of
from clapstick.systems.envelope_shaper.shaping import shape_to_envelope
from clapstick.systems.two_stage.envelope import Envelope, Source, source_of
from clapstick.systems.two_stage.following import render_following
from clapstick.systems.two_stage.mel import rms_for_mel
from clapstick.systems.two_stage.prompts import text_of
from clapstick.systems.two_stage.rms2sound import (
    MEL_RATE,
    Order,
    RMS2Sound,
    load_rms2sound,
)
from clapstick.systems.two_stage.sampling import Sampling, settings_of
from clapstick.systems.two_stage.tiny import WEIGHTS, TwoStageTiny, load_tiny
from clapstick.systems.two_stage.tiny_codec import PROMPT_DIM, TimbreEncoder

_MOST_CORRECTIONS = 10


class TinyDiffusion:
    """Sound by diffusion, told the prompt's timbre and an envelope.

    Parameters
    ----------
    stage_one : TwoStageTiny
    model : RMS2Sound
        Of configuration ``tiny``.
    envelopes : str
        ``predicted`` from the picture, ``reference`` for what stage 2 can do at best, ``none`` for no control.
    shaped : bool
        Whether gains over time bring what the diffusion made to the envelope exactly.
    corrections : int
        How many drafts correct the curve that stage 2 is told.
    """

    def __init__(
        self,
        stage_one: TwoStageTiny,
        model: RMS2Sound,
        envelopes: Source,
        *,
        shaped: bool = False,
        corrections: int = 0,
    ) -> None:
        if model.timbre is None:
            raise ValueError(f"configuration {model.config.name} has no timbre encoder")
        self._stage_one = stage_one
        self.model = model
        self._timbre: TimbreEncoder = model.timbre
        self._envelopes = envelopes
        self._shaped = shaped
        self._corrections = corrections
        self._sampling = model.config.sampling

    def sampled_as(self, sampling: Sampling) -> TinyDiffusion:
        """Return the same system with another way of drawing latents."""
        other = copy(self)
        other._sampling = sampling
        return other

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip."""
        if self._envelopes == "none":
            return self._render(request, None, rng)
        if self._envelopes == "reference":
            curve = np.maximum(rms_for_mel(mono_16k(reference_of(request), samples_of(request))), 0.0)
            return self._render(request, Envelope(curve, MEL_RATE), rng)
        told = self._stage_one.predictions(request)
        output = self._render(request, Envelope(told.envelope, self._stage_one.rate), rng)
        return NativeOutput(output.audio, (*told.warnings, *output.warnings), told.as_predictions())

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that stage 1 sees in the clip's picture."""
        return self._stage_one.predict_envelope(request)

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Make sound that follows an envelope.

        Raises
        ------
        ClapstickError
            If the envelope has another length than the clip.
        """
        lasts_s = envelope.amplitudes.size / envelope.rate
        if abs(lasts_s - request.clip.duration_s) > 1.5 / envelope.rate:
            raise fail(
                "envelope has another length than the clip",
                request.clip.id,
                found=f"{lasts_s:.3f} s",
                expected=f"{request.clip.duration_s:.3f} s",
                remedy="Take the envelope from this clip.",
            )
        return self._render(request, envelope, rng)

    def _render(self, request: Request, envelope: Envelope | None, rng: np.random.Generator) -> NativeOutput:
        prompt, warnings = self._prompt(request)
        order = Order(prompt, envelope, request.clip.duration_s, int(rng.integers(2**31)))
        null = torch.zeros(PROMPT_DIM)
        made = render_following(self.model, order, null, self._corrections, sampling=self._sampling)
        told: dict[str, NDArray[np.generic]] = {} if envelope is None else {"envelope": envelope.amplitudes}
        samples = made.samples
        if self._shaped and envelope is not None:
            middles_s = (np.arange(samples.size // HOP_SAMPLES) + 0.5) * HOP_SAMPLES / SAMPLE_RATE
            wanted = np.interp(middles_s, envelope.times_s, envelope.amplitudes)
            samples = shape_to_envelope(samples.astype(np.float64), wanted).astype(np.float32)
        return NativeOutput(Audio(samples[:, None], SAMPLE_RATE), (*warnings, *made.warnings), told)

    def _prompt(self, request: Request) -> tuple[Tensor, tuple[str, ...]]:
        if request.prompt_audio is not None:
            prompt = request.prompt_audio
            samples = mono_16k(prompt, max(1, round(prompt.duration_s * SAMPLE_RATE)))
            return self._timbre.of_audio(samples), ()
        text = text_of(request) or ""
        embedded = self._timbre.of_text(text)
        if embedded is not None:
            return embedded, ()
        asked = f"the prompt {text!r} has no word of" if text else "there is no prompt of"
        known = ", ".join(self._timbre.vocabulary)
        return torch.zeros(PROMPT_DIM), (f"{asked} {known}: the timbre is left open",)


@cache
def load_pair(
    envelopes: Source,
    *,
    shaped: bool = False,
    corrections: int = 0,
    video2rms: Path = WEIGHTS / "video2rms-tiny.safetensors",
    rms2sound: Path = WEIGHTS / "rms2sound-tiny.safetensors",
) -> TinyDiffusion:
    """Load both stages, those of the package where no others are named.

    Raises
    ------
    ClapstickError
        If a file cannot be read, or holds another network.
    """
    model = load_rms2sound(rms2sound)
    return TinyDiffusion(load_tiny(video2rms), model, envelopes, shaped=shaped, corrections=corrections)


def build(context: Context) -> TinyDiffusion:
    """Build the system.

    The card's ``envelopes`` says where the envelope comes from; ``video2rms`` and ``rms2sound`` name other
    checkpoints that `clapstick train` wrote.

    Raises
    ------
    ClapstickError
        If a parameter has an impossible value; names it.
    """
    parameters = context.parameters
    trained = {
        stage: Path(str(parameters[stage])) for stage in ("video2rms", "rms2sound") if parameters.get(stage)
    }
    pair = load_pair(
        source_of(parameters),
        shaped=bool(parameters.get("shaped", False)),
        corrections=_corrections(parameters.get("corrections", 0)),
        **trained,
    )
    return pair.sampled_as(settings_of(Sampling, pair.model.config.sampling.model_dump() | dict(parameters)))


def _corrections(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_CORRECTIONS:
        return value
    raise fail(
        "impossible number of corrections",
        repr(value),
        expected=f"a whole number from 0 to {_MOST_CORRECTIONS}",
        remedy="Change the parameter corrections.",
    )
