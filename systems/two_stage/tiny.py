"""``two-stage-tiny-shaper``: a small Video2RMS, and a prompt's timbre shaped to the envelope it predicts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clapstick.metrics.rms import HOP_SAMPLES, SAMPLE_RATE
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import samples_of
from clapstick.systems.envelope_shaper.shaping import shape_to_envelope
from clapstick.systems.envelope_shaper.system import prompt_texture
from clapstick.systems.two_stage.checkpoints import load_strictly, read_checkpoint
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.extractors import make_extractor
from clapstick.systems.two_stage.features import FeatureCache, extract
from clapstick.systems.two_stage.prompts import text_of
from clapstick.systems.two_stage.stage_one_windows import StageOnePrediction, predict
from clapstick.systems.two_stage.timbres import OVERALL, load_timbres, named_in, timbre_noise
from clapstick.systems.two_stage.video2rms import Video2RMS, Video2RMSConfig

WEIGHTS = Path(__file__).parent / "weights"
_QUIET_SHARE = 0.01
"""Envelopes that never reach this amplitude, the lowest RMS class, hold no event."""


class TwoStageTiny:
    """Video2RMS and envelope shaping."""

    def __init__(self, network: Video2RMS, timbres: dict[str, NDArray[np.float32]]) -> None:
        self._network = network
        self._timbres = timbres
        self._extractor = make_extractor(network.config, {})

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Predict the clip's envelope and give it the prompt's timbre."""
        predicted = self.predictions(request)
        output = self.generate_from_envelope(request, Envelope(predicted.envelope, self.rate), rng)
        return NativeOutput(output.audio, (*predicted.warnings, *output.warnings), predicted.as_predictions())

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that the network sees in the clip's picture."""
        return Envelope(self.predictions(request).envelope, self.rate)

    @property
    def rate(self) -> float:
        """Envelope values a second."""
        return self._network.config.rms_rate

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Give an envelope the prompt's timbre.

        Raises
        ------
        ClapstickError
            If the envelope has another length than the clip.
        """
        samples = samples_of(request)
        frames = samples // HOP_SAMPLES
        if envelope.amplitudes.size != frames or abs(envelope.rate * HOP_SAMPLES - SAMPLE_RATE) > 1e-6:
            raise fail(
                "envelope has another length than the clip",
                request.clip.id,
                found=f"{envelope.amplitudes.size} values at {envelope.rate:g} a second",
                expected=f"{frames} values at {SAMPLE_RATE / HOP_SAMPLES:g} a second",
                remedy="Take the envelope from this clip.",
            )
        texture, warnings = self._texture(request, samples, rng)
        shaped = shape_to_envelope(texture, envelope.amplitudes)
        return NativeOutput(
            Audio(shaped[:, None].astype(np.float32), SAMPLE_RATE),
            warnings,
            {"envelope": envelope.amplitudes},
        )

    def predictions(self, request: Request) -> StageOnePrediction:
        """Return all that stage 1 says of the clip."""
        config = self._network.config
        clip = request.clip
        features = extract(
            self._extractor,
            clip.video,
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            fps=config.fps,
            cache_in=FeatureCache(None),
        )
        predicted = predict(self._network, features, clip.duration_s, where=clip.id)
        if predicted.envelope.max() >= _QUIET_SHARE:
            return predicted
        silent = "stage 1 sees no event in the picture: the sound is silent"
        return replace(predicted, warnings=(*predicted.warnings, silent))

    def _texture(
        self, request: Request, samples: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Return a steady sound of the prompt's timbre, and what could not be done as asked."""
        if request.prompt_audio is not None:
            return prompt_texture(request, samples), ()
        text = text_of(request) or ""
        materials = named_in(text, self._timbres)
        spectra = [self._timbres[name] for name in materials or [OVERALL]]
        texture = timbre_noise(np.mean(spectra, axis=0), samples, rng)
        if materials:
            return texture, ()
        known = ", ".join(name for name in self._timbres if name != OVERALL)
        asked = f"the prompt {text!r} names none of the materials" if text else "there is no prompt of"
        return texture, (f"{asked} {known}: the timbre is their mean",)


@cache
def load_tiny(path: Path = WEIGHTS / "video2rms-tiny.safetensors") -> TwoStageTiny:
    """Load a stage 1, the one of the package where no other is named, and the timbres of the package."""
    config, tensors, _ = read_checkpoint(path, Video2RMSConfig)
    network = Video2RMS(config)
    load_strictly(network, tensors, path)
    return TwoStageTiny(network.eval(), load_timbres(WEIGHTS / "timbres-tiny.safetensors"))


def build(context: Context) -> TwoStageTiny:
    """Build the system; parameter ``video2rms`` names another checkpoint that `clapstick train` wrote."""
    torch.set_num_threads(max(1, min(2, torch.get_num_threads())))
    trained = str(context.parameters["video2rms"])
    return load_tiny(Path(trained)) if trained else load_tiny()
