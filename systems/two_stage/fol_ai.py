"""``fol-ai``: RMS predicted from video, then Stable Audio Open with a ControlNet that is told it in stereo."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import reference_of
from clapstick.systems.two_stage.block_motion import BlockMotion
from clapstick.systems.two_stage.clap_prompts import ClapPrompts
from clapstick.systems.two_stage.dit_controlnet import SAMPLE_RATE
from clapstick.systems.two_stage.envelope import Envelope, Source, require_length, source_of
from clapstick.systems.two_stage.features import default_cache, extract, refuse_long
from clapstick.systems.two_stage.fol_ai_sound import (
    CAVP_DIM,
    CAVP_FPS,
    RMS_RATE,
    DiTSampling,
    FolAISound,
    StereoOrder,
    load_fol_ai,
    render_stereo,
    stereo_rms,
)
from clapstick.systems.two_stage.official import load_laion_clap
from clapstick.systems.two_stage.sampling import settings_of
from clapstick.systems.two_stage.stage_one_windows import StageOnePrediction, predict
from clapstick.systems.two_stage.supplied import SuppliedFeatures
from clapstick.systems.two_stage.video2rms import Video2RMS, load_video2rms


class Rows(Protocol):
    """Where stage 1's feature rows come from."""

    def of(self, clip: Clip) -> NDArray[np.float32]:
        """Return the rows of a clip, shape (rows, feature_dim)."""


class Prompts(Protocol):
    """Where the prompt's embedding comes from."""

    def embed(self, request: Request) -> Tensor:
        """Return the embedding of a request's prompt, shape (512,)."""


class MotionRows:
    """Block motion in place of TC-CLIP: no weights, for the small configuration."""

    def __init__(self, fps: float) -> None:
        self._fps = fps

    def of(self, clip: Clip) -> NDArray[np.float32]:
        """Return the rows of a clip."""
        return extract(
            BlockMotion(),
            clip.video,
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            fps=self._fps,
            cache_in=default_cache(),
        )


class FolAI:
    """Both stages.

    Parameters
    ----------
    stage_one : Video2RMS, optional
        None where the envelope does not come from the picture.
    rows : Rows, optional
    stage_two : FolAISound
    prompts : Prompts
    cavp : SuppliedFeatures, optional
        CAVP rows at 4 a second; without them the prompt and the lengths are all that the tokens say.
    envelopes : str
    sampling : DiTSampling, optional
        In place of the configuration's.
    """

    def __init__(
        self,
        stage_one: Video2RMS | None,
        rows: Rows | None,
        stage_two: FolAISound,
        prompts: Prompts,
        *,
        cavp: SuppliedFeatures | None = None,
        envelopes: Source = "predicted",
        sampling: DiTSampling | None = None,
    ) -> None:
        if cavp is not None and not stage_two.config.cavp:
            raise fail(
                "ControlNet was trained without CAVP",
                "fol-ai",
                found="CAVP features",
                expected="none",
                remedy="Leave the parameter cavp empty.",
            )
        self._stage_one = stage_one
        self._rows = rows
        self._stage_two = stage_two
        self._prompts = prompts
        self._cavp = cavp
        self._envelopes = envelopes
        self._sampling = sampling

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the stereo sound of one clip."""
        if self._envelopes == "none":
            return self._render(request, None, rng)
        if self._envelopes == "reference":
            curves = stereo_rms(reference_of(request), request.clip.duration_s)
            return self._render(request, curves, rng)
        predicted = self._predict(request)
        output = self._render(request, predicted.envelope, rng)
        return NativeOutput(output.audio, (*predicted.warnings, *output.warnings), predicted.as_predictions())

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that stage 1 sees in the clip's picture."""
        return Envelope(self._predict(request).envelope, RMS_RATE)

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Make sound whose channels follow an envelope.

        Raises
        ------
        ClapstickError
            If the envelope has another length than the clip.
        """
        require_length(envelope, request.clip)
        return self._render(request, envelope.amplitudes, rng)

    def _predict(self, request: Request) -> StageOnePrediction:
        if self._stage_one is None or self._rows is None:
            raise fail("system has no stage 1", request.clip.id, remedy="Set envelopes to predicted.")
        rows = self._rows.of(request.clip)
        return predict(self._stage_one, rows, request.clip.duration_s, where=request.clip.id)

    def _render(
        self, request: Request, envelope: NDArray[np.float64] | None, rng: np.random.Generator
    ) -> NativeOutput:
        clip = request.clip
        refuse_long(clip.duration_s, clip.id)
        order = StereoOrder(
            clap=self._prompts.embed(request),
            cavp=None if self._cavp is None else self._cavp_rows(clip),
            envelope=envelope,
            envelope_rate=RMS_RATE,
            duration_s=clip.duration_s,
            seed=int(rng.integers(2**31)),
        )
        made = render_stereo(self._stage_two, order, self._sampling)
        lacking = self._cavp is None and self._stage_two.config.cavp
        warnings = (*made.warnings, "no CAVP features: told the prompt alone") if lacking else made.warnings
        mono = None if envelope is None else np.atleast_2d(envelope).mean(axis=0)
        return NativeOutput(
            Audio(made.samples, SAMPLE_RATE), warnings, {} if mono is None else {"envelope": mono}
        )

    def _cavp_rows(self, clip: Clip) -> NDArray[np.float32] | None:
        rows = None if self._cavp is None else self._cavp.of(clip)
        expected = max(1, round(clip.duration_s * CAVP_FPS))
        if rows is not None and abs(rows.shape[0] - expected) > 1:
            raise fail(
                "CAVP features have another length than the clip",
                clip.id,
                found=f"{rows.shape[0]} rows",
                expected=f"{expected} rows: {CAVP_FPS:g} a second",
                remedy="Compute them for this clip.",
            )
        return rows


def build(context: Context) -> FolAI:
    """Build ``fol-ai`` from Stable Audio Open and what was trained on it.

    Raises
    ------
    ClapstickError
        If a file belongs to another network, or there is no folder of TC-CLIP features.
    """
    weights, parameters = context.weights, context.parameters
    envelopes = source_of(parameters)
    stage_one, rows = None, None
    if envelopes == "predicted":
        stage_one = load_video2rms(weights["fol-ai-video2rms"]).to(context.device)
        width = stage_one.config.feature_dim
        rows = _supplied(parameters["features"], "TC-CLIP features", width, "30 rows a second")
    towers = load_laion_clap(weights["laion-clap-music-speech"])
    prompts = ClapPrompts(*towers, weights["roberta-base-vocab"], weights["roberta-base-merges"])
    cavp = str(parameters["cavp"])
    return FolAI(
        stage_one,
        rows,
        load_fol_ai(weights["fol-ai-controlnet"], weights["stable-audio-open"]).to(context.device),
        prompts,
        cavp=_supplied(cavp, "CAVP features", CAVP_DIM, "4 rows a second") if cavp else None,
        envelopes=envelopes,
        sampling=settings_of(DiTSampling, parameters),
    )


def _supplied(folder: object, kind: str, width: int, rate: str) -> SuppliedFeatures:
    path = Path(str(folder))
    source = f"their own repository, {rate}"
    if not str(folder) or not path.is_dir():
        raise fail(
            f"no folder with {kind}",
            "fol-ai",
            found=folder or "the parameter is empty",
            expected=f"a folder with one .npy of shape (rows, {width}) a clip",
            remedy=f"Compute them with {source}, and name the folder: --set fol-ai.features=FOLDER.",
        )
    return SuppliedFeatures(path, kind, source, (width,))
