"""``rewas``: the energy curve predicted from video, then AudioLDM-M with an energy adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from clapstick.metrics import mel_energy
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import mono_16k, reference_of, samples_of
from clapstick.systems.two_stage.block_motion import DIM, BlockMotion
from clapstick.systems.two_stage.clap_prompts import ClapPrompts, PromptedStageTwo
from clapstick.systems.two_stage.energy import FEATURE_DIM, POINTS, EnergyRegressor, load_official_energy
from clapstick.systems.two_stage.envelope import Envelope, Source, require_length, source_of
from clapstick.systems.two_stage.features import default_cache, extract
from clapstick.systems.two_stage.mel import ENERGY_FRAMES, FLOOR, smooth_energy
from clapstick.systems.two_stage.official import load_official_rewas
from clapstick.systems.two_stage.rms2sound import MEL_RATE
from clapstick.systems.two_stage.sampling import Sampling, settings_of
from clapstick.systems.two_stage.stage_one_windows import window_starts
from clapstick.systems.two_stage.supplied import SuppliedFeatures

FPS = 25
WINDOW_S = 5.0
"""Seconds of video that one window of 5.12 s of sound is made from."""
_WINDOW_FRAMES = round(WINDOW_S * FPS)


class Tokens(Protocol):
    """Where the regressor's tokens come from."""

    def of(self, clip: Clip) -> NDArray[np.float32]:
        """Return the tokens of a clip's windows, shape (windows, 112, width)."""


class MotionTokens:
    """Block motion in place of Synchformer: no weights, for the small configuration."""

    width = DIM

    def of(self, clip: Clip) -> NDArray[np.float32]:
        """Return the tokens of a clip's windows; a clip shorter than a window is looped."""
        rows = extract(
            BlockMotion(),
            clip.video,
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            fps=FPS,
            cache_in=default_cache(),
        )
        rows = np.resize(rows, (max(_WINDOW_FRAMES, rows.shape[0]), rows.shape[1]))
        nearest = np.arange(POINTS) * _WINDOW_FRAMES // POINTS
        return np.stack([rows[start + nearest] for start in starts_of(clip)])


def starts_of(clip: Clip) -> list[int]:
    """Return the first video frame, at 25 fps, of every window of a clip."""
    frames = max(_WINDOW_FRAMES, round(clip.duration_s * FPS))
    return window_starts(frames, _WINDOW_FRAMES, _WINDOW_FRAMES)


class ReWaS:
    """Both stages. The envelope between them is the exponential of the energy, 100 values a second.

    Parameters
    ----------
    regressor : EnergyRegressor, optional
        None where the energy does not come from the picture.
    tokens : Tokens, optional
    stage_two : PromptedStageTwo
        Of configuration ``rewas`` or ``rewas-tiny``.
    envelopes : str
        Where the energy comes from; ``none`` leaves stage 2 without control.

    Notes
    -----
    Sources: ReWaS (Jeong et al., 2024), section 3; naver-ai/rewas@4e09954, audioldm/pipeline.py.
    """

    def __init__(
        self,
        regressor: EnergyRegressor | None,
        tokens: Tokens | None,
        stage_two: PromptedStageTwo,
        *,
        envelopes: Source = "predicted",
    ) -> None:
        self._regressor = regressor
        self._tokens = tokens
        self._stage_two = stage_two
        self._envelopes = envelopes

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip."""
        if self._envelopes == "none":
            return self._stage_two.render(request, None, rng)
        if self._envelopes == "reference":
            return self._stage_two.render(request, _envelope(reference_energy(request)), rng)
        output = self._stage_two.render(request, _envelope(self._energy(request.clip)), rng)
        return NativeOutput(output.audio, (*_looped(request.clip), *output.warnings), output.predictions)

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that stage 1 sees in the clip's picture, cut to the clip and to full scale."""
        curve = _envelope(self._energy(request.clip)).amplitudes
        frames = max(1, round(request.clip.duration_s * MEL_RATE))
        return Envelope(np.minimum(curve[:frames], 1.0), MEL_RATE)

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Make sound whose energy follows an envelope.

        Raises
        ------
        ClapstickError
            If the envelope has another length than the clip.
        """
        require_length(envelope, request.clip)
        return self._stage_two.render(request, envelope, rng)

    @torch.no_grad()
    def _energy(self, clip: Clip) -> NDArray[np.float64]:
        if self._regressor is None or self._tokens is None:
            raise fail("system has no stage 1", clip.id, remedy="Set envelopes to predicted.")
        tokens, starts = self._tokens.of(clip), starts_of(clip)
        if len(tokens) != len(starts):
            raise fail(
                "features have another number of windows than the clip",
                clip.id,
                found=len(tokens),
                expected=f"{len(starts)}: one every {WINDOW_S:g} s, the last one aligned to the end",
                remedy="Compute them for this clip.",
            )
        device = next(self._regressor.parameters()).device
        # One window at a time: the released network attends over the batch.
        curves = [
            self._regressor(torch.from_numpy(window[None]).to(device))[0].double().cpu().numpy()
            for window in tokens
        ]
        return _joined([smooth_energy(curve) for curve in curves], starts)


def reference_energy(request: Request) -> NDArray[np.float64]:
    """Return the smoothed energy of the request's reference on the grid that stage 1 predicts."""
    samples = mono_16k(reference_of(request), samples_of(request))
    starts = starts_of(request.clip)
    begins = [start * mel_energy.SAMPLE_RATE // FPS for start in starts]
    curves = [mel_energy.energy_curve(samples[begin:]) for begin in begins]
    return _joined([mel_energy.control_curve(curve) for curve in curves], starts)


def _joined(curves: list[NDArray[np.float64]], starts: list[int]) -> NDArray[np.float64]:
    """Put curves of 512 values at their places; where two meet, the later one counts."""
    begins = [round(start / FPS * MEL_RATE) for start in starts]
    joined = np.empty(begins[-1] + ENERGY_FRAMES)
    for begin, curve in zip(begins, curves, strict=True):
        joined[begin : begin + ENERGY_FRAMES] = curve
    return joined


def _envelope(energy: NDArray[np.float64]) -> Envelope:
    return Envelope(np.maximum(np.exp(energy), FLOOR), MEL_RATE)


def _looped(clip: Clip) -> tuple[str, ...]:
    short = clip.duration_s < WINDOW_S - 1e-6
    return (f"the clip is shorter than the window of {WINDOW_S:g} s and was looped",) if short else ()


def build(context: Context) -> ReWaS:
    """Build ``rewas`` from released weights.

    Raises
    ------
    ClapstickError
        If a file belongs to another network, or there is no folder of Synchformer features.
    """
    weights, parameters = context.weights, context.parameters
    envelopes = source_of(parameters)
    regressor, tokens = None, None
    if envelopes == "predicted":
        regressor = load_official_energy(weights["rewas-phi"]).to(context.device)
        tokens = synchformer_tokens(str(parameters["features"]))
    parts = load_official_rewas(weights["rewas-audioldm"])
    prompts = ClapPrompts(
        parts.clap_audio, parts.clap_text, weights["roberta-base-vocab"], weights["roberta-base-merges"]
    )
    stage_two = PromptedStageTwo(
        parts.model.to(context.device),
        prompts,
        settings_of(Sampling, parameters),
        float(parameters["null_prompt_chance"]),
    )
    return ReWaS(regressor, tokens, stage_two, envelopes=envelopes)


def synchformer_tokens(folder: str) -> SuppliedFeatures:
    """Return the supplied Synchformer tokens of a folder; raise `ClapstickError` where it is none."""
    source = "the visual branch of Synchformer (24-01-04T16-39-21.pt): 14 segments of 8 tokens a window of 5 s"
    if not folder or not Path(folder).is_dir():
        raise fail(
            "no folder with Synchformer features",
            "rewas",
            found=folder or "parameter features is empty",
            expected="a folder with one .npy of shape (windows, 112, 768) a clip",
            remedy=f"Compute them with {source}, and name the folder: --set rewas.features=FOLDER.",
        )
    return SuppliedFeatures(Path(folder), "Synchformer features", source, (POINTS, FEATURE_DIM))
