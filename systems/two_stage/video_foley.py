"""``video-foley`` and its ablations with released weights: Video2RMS, then AudioLDM told the RMS curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clapstick.metrics.rms import low_pass, rms_curve
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import mono_16k, reference_of, samples_of
from clapstick.systems.two_stage.clap_prompts import ClapPrompts, PromptedStageTwo
from clapstick.systems.two_stage.envelope import Envelope, Source, require_length, source_of
from clapstick.systems.two_stage.extractors import make_extractor
from clapstick.systems.two_stage.features import Extractor, default_cache, extract
from clapstick.systems.two_stage.official import load_official_rms2sound
from clapstick.systems.two_stage.rms2sound import load_rms2sound
from clapstick.systems.two_stage.sampling import Sampling, settings_of
from clapstick.systems.two_stage.stage_one_windows import StageOnePrediction, predict
from clapstick.systems.two_stage.video2rms import Video2RMS, load_official_video2rms, load_video2rms


class VideoFoley:
    """Both stages.

    Parameters
    ----------
    stage_one : Video2RMS, optional
        None where the envelope does not come from the picture.
    extractor : Extractor, optional
    stage_two : PromptedStageTwo
    envelopes : str
        Where the envelope comes from; ``none`` leaves stage 2 without control.
    """

    def __init__(
        self,
        stage_one: Video2RMS | None,
        extractor: Extractor | None,
        stage_two: PromptedStageTwo,
        *,
        envelopes: Source,
    ) -> None:
        self._stage_one = stage_one
        self._extractor = extractor
        self._stage_two = stage_two
        self._envelopes = envelopes

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip."""
        if self._envelopes == "none":
            return self._stage_two.render(request, None, rng)
        if self._envelopes == "reference":
            return self._stage_two.render(request, reference_curve(request), rng)
        predicted = self._predict(request)
        output = self._stage_two.render(request, Envelope(predicted.envelope, 125.0), rng)
        return NativeOutput(output.audio, (*predicted.warnings, *output.warnings), predicted.as_predictions())

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that stage 1 sees in the clip's picture."""
        return Envelope(self._predict(request).envelope, 125.0)

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Make sound that follows an envelope.

        Raises
        ------
        ClapstickError
            If the envelope has another length than the clip.
        """
        require_length(envelope, request.clip)
        return self._stage_two.render(request, envelope, rng)

    def _predict(self, request: Request) -> StageOnePrediction:
        if self._stage_one is None or self._extractor is None:
            raise fail(
                "system has no stage 1", request.clip.id, remedy="Use video-foley for predicted envelopes."
            )
        clip = request.clip
        features = extract(
            self._extractor,
            clip.video,
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            fps=self._stage_one.config.fps,
            cache_in=default_cache(),
        )
        return predict(self._stage_one, features, clip.duration_s, where=clip.id)


def reference_curve(request: Request) -> Envelope:
    """Return the low-pass filtered RMS curve of the request's reference at 125 values a second."""
    curve = low_pass(rms_curve(mono_16k(reference_of(request), samples_of(request))))
    return Envelope(np.maximum(curve, 0.0), 125.0)


def build(context: Context) -> VideoFoley:
    """Build ``video-foley`` or one of its ablations from released weights.

    Parameters ``video2rms`` and ``rms2sound`` name checkpoints that `clapstick train` wrote; CLAP stays the
    released one.
    """
    weights, parameters = context.weights, context.parameters
    envelopes = source_of(parameters)
    parts = load_official_rms2sound(weights["video-foley-rms2sound"])
    trained = str(parameters.get("rms2sound", ""))
    model = load_rms2sound(Path(trained)) if trained else parts.model
    stage_one, extractor = None, None
    if envelopes == "predicted":
        stage_one = _stage_one(str(parameters.get("video2rms", "")), weights).to(context.device)
        extractor = make_extractor(stage_one.config, weights, context.device)
    prompts = ClapPrompts(
        parts.clap_audio, parts.clap_text, weights["roberta-base-vocab"], weights["roberta-base-merges"]
    )
    stage_two = PromptedStageTwo(
        model.to(context.device),
        prompts,
        settings_of(Sampling, parameters),
        float(parameters.get("null_prompt_chance", 0.0)),
    )
    return VideoFoley(stage_one, extractor, stage_two, envelopes=envelopes)


def _stage_one(trained: str, weights: Mapping[str, Path]) -> Video2RMS:
    if trained:
        return load_video2rms(Path(trained))
    return load_official_video2rms(weights["video-foley-video2rms"])
