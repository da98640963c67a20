"""Stage 2 told a prompt by CLAP: what `video-foley` and `rewas` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clapstick.metrics.embedders.laion_clap import ClapAudio, ClapText, video_foley_window
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import NativeOutput, Request
from clapstick.systems.controls import mono_16k
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.features import refuse_long
from clapstick.systems.two_stage.prompts import text_of
from clapstick.systems.two_stage.rms2sound import Order, RMS2Sound, render
from clapstick.systems.two_stage.sampling import Sampling

SAMPLE_RATE = 16_000
_LONGEST_TEXT = 512
"""Tokens that the text tower reads."""


class ClapPrompts:
    """Text and audio prompts as CLAP embeddings."""

    def __init__(self, audio: ClapAudio, text: ClapText, vocabulary: Path, merges: Path) -> None:
        from transformers import RobertaTokenizerFast

        self._audio = audio
        self._text = text
        make: Any = RobertaTokenizerFast
        self._tokenizer = make(vocab_file=str(vocabulary), merges_file=str(merges))

    def embed(self, request: Request) -> Tensor:
        """Return the embedding of a request's prompt, shape (512,); that of the empty text without one.

        Raises
        ------
        ClapstickError
            If the text is empty or has more tokens than the text tower reads.
        """
        if request.prompt_audio is not None:
            prompt = request.prompt_audio
            samples = mono_16k(prompt, max(1, round(prompt.duration_s * SAMPLE_RATE)))
            window = video_foley_window(samples.astype(np.float32), SAMPLE_RATE)
            with torch.no_grad():
                point: Tensor = self._audio(torch.from_numpy(window))["embedding"][0]
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
            point: Tensor = self._text(ids)["embedding"][0]
        return point


class PromptedStageTwo:
    """AudioLDM told an envelope and a prompt.

    Parameters
    ----------
    model : RMS2Sound
    prompts : ClapPrompts
    sampling : Sampling
    null_prompt_chance : float
        Chance of losing the prompt; 0.1 in the released code, by an oversight.
    """

    def __init__(
        self, model: RMS2Sound, prompts: ClapPrompts, sampling: Sampling, null_prompt_chance: float = 0.0
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._sampling = sampling
        self._null_prompt_chance = null_prompt_chance
        self._null = prompts.of_text("", "the null prompt")

    def render(self, request: Request, envelope: Envelope | None, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip.

        Raises
        ------
        ClapstickError
            If the clip lasts more than ten minutes, or its prompt is empty or too long.
        """
        refuse_long(request.clip.duration_s, request.clip.id)
        seed, lost = int(rng.integers(2**31)), bool(rng.random() < self._null_prompt_chance)
        prompt = self._null if lost else self._prompts.embed(request)
        order = Order(prompt, envelope, request.clip.duration_s, seed)
        made = render(self._model, order, self._null, sampling=self._sampling)
        warnings = (*made.warnings, "the prompt was dropped by chance") if lost else made.warnings
        told: dict[str, NDArray[np.generic]] = {} if envelope is None else {"envelope": envelope.amplitudes}
        return NativeOutput(Audio(made.samples[:, None], SAMPLE_RATE), warnings, told)
