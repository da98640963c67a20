"""``video-foley`` and its ablations with released weights: Video2RMS, then AudioLDM told the RMS curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clapstick.metrics.embedders.laion_clap import video_foley_window
from clapstick.metrics.rms import low_pass, rms_curve
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import mono_16k, reference_of, samples_of
from clapstick.systems.two_stage.envelope import Envelope, Source, source_of
from clapstick.systems.two_stage.extractors import make_extractor
from clapstick.systems.two_stage.features import Extractor, default_cache, extract
from clapstick.systems.two_stage.official import OfficialParts, load_official_rms2sound
from clapstick.systems.two_stage.prompts import text_of
from clapstick.systems.two_stage.rms2sound import Order, render
from clapstick.systems.two_stage.sampling import Sampling
from clapstick.systems.two_stage.stage_one_windows import StageOnePrediction, predict
from clapstick.systems.two_stage.video2rms import Video2RMS, load_official_video2rms

SAMPLE_RATE = 16_000
_LONGEST_TEXT = 512
"""Tokens that the text tower reads."""


class ClapPrompts:
    """Text and audio prompts as CLAP embeddings."""

    def __init__(self, parts: OfficialParts, vocabulary: Path, merges: Path) -> None:
        from transformers import RobertaTokenizerFast

        self._parts = parts
        make: Any = RobertaTokenizerFast
        self._tokenizer = make(vocab_file=str(vocabulary), merges_file=str(merges))

    def embed(self, request: Request) -> Tensor:
        """Return the embedding of a request's prompt, shape (512,); that of the empty text without one.

        Raises
        ------
        ClapstickError
            If the text has more tokens than the text tower reads.
        """
        if request.prompt_audio is not None:
            prompt = request.prompt_audio
            samples = mono_16k(prompt, max(1, round(prompt.duration_s * SAMPLE_RATE)))
            window = video_foley_window(samples.astype(np.float32), SAMPLE_RATE)
            with torch.no_grad():
                embedded = self._parts.clap_audio(torch.from_numpy(window))
            point: Tensor = embedded["embedding"][0]
            return point
        return self.of_text(text_of(request) or "", request.clip.id)

    def of_text(self, text: str, where: str) -> Tensor:
        """Return the embedding of a text, shape (512,)."""
        ids = self._tokenizer([text], return_tensors="pt")["input_ids"]
        if ids.shape[1] > _LONGEST_TEXT:
            raise fail(
                "text prompt is too long",
                where,
                found=f"{ids.shape[1]} tokens",
                expected=f"{_LONGEST_TEXT} at most",
                remedy="Shorten it.",
            )
        with torch.no_grad():
            point: Tensor = self._parts.clap_text(ids)["embedding"][0]
        return point


class VideoFoley:
    """Both stages.

    Parameters
    ----------
    stage_one : Video2RMS, optional
        None where the envelope does not come from the picture.
    extractor : Extractor, optional
    parts : OfficialParts
    prompts : ClapPrompts
    envelopes : str
        Where the envelope comes from; ``none`` leaves stage 2 without control.
    sampling : Sampling
    null_prompt_chance : float
        Chance of losing the prompt; 0.1 in the released code, by an oversight.
    """

    def __init__(
        self,
        stage_one: Video2RMS | None,
        extractor: Extractor | None,
        parts: OfficialParts,
        prompts: ClapPrompts,
        *,
        envelopes: Source,
        sampling: Sampling,
        null_prompt_chance: float = 0.0,
    ) -> None:
        self._stage_one = stage_one
        self._extractor = extractor
        self._parts = parts
        self._prompts = prompts
        self._envelopes = envelopes
        self._sampling = sampling
        self._null_prompt_chance = null_prompt_chance
        self._null = prompts.of_text("", "the null prompt")

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip."""
        if self._envelopes == "none":
            return self._render(request, None, rng)
        if self._envelopes == "reference":
            return self.generate_from_envelope(request, reference_curve(request), rng)
        predicted = self._predict(request)
        output = self.generate_from_envelope(request, Envelope(predicted.envelope, 125.0), rng)
        return NativeOutput(output.audio, (*predicted.warnings, *output.warnings), predicted.as_predictions())

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that stage 1 sees in the clip's picture."""
        return Envelope(self._predict(request).envelope, 125.0)

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Make sound that follows an envelope."""
        return self._render(request, envelope, rng)

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

    def _render(self, request: Request, envelope: Envelope | None, rng: np.random.Generator) -> NativeOutput:
        seed, lost = int(rng.integers(2**31)), bool(rng.random() < self._null_prompt_chance)
        prompt = self._null if lost else self._prompts.embed(request)
        order = Order(prompt, envelope, request.clip.duration_s, seed)
        made = render(self._parts.model, order, self._null, sampling=self._sampling)
        warnings = (*made.warnings, "the prompt was dropped by chance") if lost else made.warnings
        told: dict[str, NDArray[np.generic]] = {} if envelope is None else {"envelope": envelope.amplitudes}
        return NativeOutput(Audio(made.samples[:, None], SAMPLE_RATE), warnings, told)


def reference_curve(request: Request) -> Envelope:
    """Return the low-pass filtered RMS curve of the request's reference at 125 values a second."""
    curve = low_pass(rms_curve(mono_16k(reference_of(request), samples_of(request))))
    return Envelope(np.maximum(curve, 0.0), 125.0)


def build(context: Context) -> VideoFoley:
    """Build ``video-foley`` or one of its ablations from released weights."""
    weights, parameters = context.weights, context.parameters
    envelopes = source_of(parameters)
    parts = load_official_rms2sound(weights["video-foley-rms2sound"])
    parts.model.to(context.device)
    stage_one, extractor = None, None
    if envelopes == "predicted":
        stage_one = load_official_video2rms(weights["video-foley-video2rms"]).to(context.device)
        extractor = make_extractor(stage_one.config, weights, context.device)
    return VideoFoley(
        stage_one,
        extractor,
        parts,
        ClapPrompts(parts, weights["roberta-base-vocab"], weights["roberta-base-merges"]),
        envelopes=envelopes,
        sampling=sampling_of(parameters),
        null_prompt_chance=float(parameters.get("null_prompt_chance", 0.0)),
    )


def sampling_of(parameters: Mapping[str, str | int | float | bool]) -> Sampling:
    """Return the sampling that a card's parameters name."""
    names = ("solver", "steps", "eta", "guidance", "guided")
    return Sampling.model_validate({name: parameters[name] for name in names if name in parameters})
