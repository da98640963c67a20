"""Training of FOL-AI's stage 2: the ControlNet and the maps of its tokens; Stable Audio Open stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.media import read_audio
from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.dit_controlnet import (
    SAMPLE_RATE,
    VAE_STRIDE,
    DiTInput,
    rotary_for,
    stereo_envelope,
    v_objective,
)
from clapstick.systems.two_stage.fol_ai_sound import (
    CAVP_FPS,
    RMS_RATE,
    FolAIConfig,
    FolAISound,
    save_fol_ai,
    stereo_rms,
)
from clapstick.systems.two_stage.processes import require_finite, share_of
from clapstick.systems.two_stage.supplied import SuppliedFeatures
from clapstick.systems.two_stage.train_rms2sound import StepReport
from clapstick.systems.two_stage.training_state import keep_state, resume

CHECKPOINT = "controlnet.safetensors"
_STATE = "training-state.pt"


class FolAITraining(BaseModel):
    """How the ControlNet is trained; steps, batch and learning rate are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=20_000, ge=1)
    batch_size: int = Field(default=12, ge=1)
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.95, 0.999)
    weight_decay: float = 1e-3
    prompt_dropout: float = Field(default=0.1, ge=0, le=1)
    clip_gradient: float = 1.0
    ema_decay: float = Field(default=0.9999, ge=0, lt=1)
    save_every: int = Field(default=500, ge=1)
    precision: str = "bf16"


@dataclass(frozen=True)
class StereoSound:
    """One recording as the ControlNet learns it."""

    clip: Clip
    samples: NDArray[np.float32]
    """At 44.1 kHz, shape (2, samples)."""
    rms: NDArray[np.float64]
    """Shape (2, frames), 125 a second."""
    cavp: NDArray[np.float32] | None
    """Shape (rows, 512), 4 a second."""


Prompt = Callable[[Sequence[NDArray[np.float32]]], Tensor]
"""Embeds windows of shape (2, samples) as points of shape (windows, 512)."""


def load_stereo_sounds(
    clips: Sequence[Clip], config: FolAIConfig, cavp: SuppliedFeatures | None = None
) -> list[StereoSound]:
    """Read the reference sound of clips that are at least a window long.

    Raises
    ------
    ClapstickError
        If there is none, or a clip's CAVP rows cannot be used.
    """
    import soxr

    window = config.window_frames * VAE_STRIDE
    sounds = []
    for clip in clips:
        if clip.reference is None or clip.duration_s * SAMPLE_RATE < window:
            continue
        audio = read_audio(clip.reference, clip.reference_start_s, clip.duration_s)
        heard = soxr.resample(audio.samples, audio.sample_rate, SAMPLE_RATE, quality="HQ")
        sides = np.stack([heard[:, 0], heard[:, min(1, heard.shape[1] - 1)]]).astype(np.float32)
        if sides.shape[1] >= window:
            rms = stereo_rms(Audio(sides.T, SAMPLE_RATE), sides.shape[1] / SAMPLE_RATE)
            sounds.append(StereoSound(clip, sides, rms, None if cavp is None else cavp.of(clip)))
    if not sounds:
        raise fail(
            "every clip is shorter than a training window",
            f"{len(clips)} clips",
            expected=f"{window / SAMPLE_RATE:.2f} s",
            remedy="Give longer recordings.",
        )
    return sounds


def train_fol_ai(
    sounds: Sequence[StereoSound],
    model: FolAISound,
    training: FolAITraining,
    out: Path,
    *,
    seed: int,
    prompt_of: Prompt,
    device: str = "cpu",
    report: Callable[[StepReport], None] = lambda report: None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Train, or go on with what `out` holds; a run that was killed ends with the same weights.

    Under ``accelerate launch`` every process takes its share of each batch, and the first one writes.

    Parameters
    ----------
    sounds : sequence of StereoSound
        All with CAVP rows where the configuration has them.
    model : FolAISound
        Its base is not changed.
    training : FolAITraining
    out : Path
    seed : int
        Decides windows, times, noise and dropped prompts.
    prompt_of : callable
    device : str
    report : callable
        Called after every tenth step, by the first process.
    facts : mapping, optional
        Goes into the checkpoint's header.

    Raises
    ------
    ClapstickError
        If `out` holds the state of another training, or the batch cannot be shared out evenly.
    """
    from accelerate import Accelerator
    from diffusers.training_utils import EMAModel
    from torch.utils.tensorboard import SummaryWriter

    accelerator = Accelerator(mixed_precision=training.precision, cpu=device == "cpu")
    model.to(accelerator.device).requires_grad_(False)
    model.control.requires_grad_(True)
    weights = list(model.control.parameters())
    optimiser: Any = torch.optim.AdamW(
        weights, lr=training.learning_rate, betas=training.betas, weight_decay=training.weight_decay
    )
    average = EMAModel(weights, decay=training.ema_decay, use_ema_warmup=True)
    identity = f"{model.config.model_dump_json()} {training.model_dump_json()} seed {seed}"
    parts = {"control": model.control, "optimiser": optimiser, "average": average}
    first = resume(out / _STATE, identity, parts)
    average.to(accelerator.device)
    loss_of, optimiser = accelerator.prepare(_Loss(model), optimiser)
    started = time.monotonic()
    with ExitStack() as stack:
        writer: Any = None
        if accelerator.is_main_process:
            writer = stack.enter_context(SummaryWriter(str(out / "tensorboard"), purge_step=first))
        for step in range(first, training.steps):
            batch = _draw(sounds, model, training, np.random.default_rng([seed, step]), accelerator, prompt_of)
            with accelerator.autocast():
                loss = loss_of(batch)
            optimiser.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(weights, training.clip_gradient)
            optimiser.step()
            average.step(weights)
            told = require_finite(float(accelerator.reduce(loss.detach(), "mean")), f"step {step}")
            if writer is None:
                continue
            writer.add_scalar("loss/control", told, step)
            if step % 10 == 0:
                report(StepReport("control", step, told, None, time.monotonic() - started))
            if (step + 1) % training.save_every == 0:
                keep_state(out / _STATE, identity, step + 1, parts)
    average.copy_to(weights)
    path = out / CHECKPOINT
    if accelerator.is_main_process:
        extra = {"training": training.model_dump(mode="json"), "seed": seed, **(facts or {})}
        save_fol_ai(path, model, extra)
    return path


@dataclass(frozen=True)
class _Batch:
    noisy: Tensor
    target: Tensor
    times: Tensor
    control: Tensor
    prompts: Tensor
    cavp: Tensor | None
    kept: Tensor
    """False where the tokens are dropped."""


class _Loss(nn.Module):
    """The forward pass of training as one module, which accelerate can spread over processes."""

    def __init__(self, model: FolAISound) -> None:
        super().__init__()
        self._model = model

    def forward(self, batch: _Batch) -> Tensor:
        model, frames = self._model, batch.noisy.shape[2]
        seconds = torch.full_like(batch.times, frames * VAE_STRIDE / SAMPLE_RATE)
        cross, lengths = model.conditions(batch.prompts, batch.cavp, seconds)
        cross = cross * batch.kept[:, None, None]
        rotary = tuple(part.to(batch.noisy.device) for part in rotary_for(model.config.dit, frames))
        told = DiTInput(batch.noisy, batch.times, cross, lengths, rotary)
        return nn.functional.mse_loss(model.predict(told, batch.control).float(), batch.target)


@torch.no_grad()
def _draw(
    sounds: Sequence[StereoSound],
    model: FolAISound,
    training: FolAITraining,
    rng: np.random.Generator,
    accelerator: Any,
    prompt_of: Prompt,
) -> _Batch:
    """Draw this process's share; everything is drawn for the whole batch."""
    size, device = training.batch_size, accelerator.device
    window = model.config.window_frames * VAE_STRIDE
    chosen = [sounds[index] for index in rng.integers(len(sounds), size=size)]
    starts = [int(rng.integers(sound.samples.shape[1] - window + 1)) for sound in chosen]
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    # Times are logit-normal, as in EmilianPostolache/stable-audio-controlnet@cbc37e6.
    times = torch.sigmoid(torch.randn(size, generator=generator))
    shape = (size, model.config.dit.latent_channels, model.config.window_frames)
    noise = torch.randn(shape, generator=generator)
    kept = torch.from_numpy(rng.random(size) >= training.prompt_dropout)
    share = share_of(size, accelerator)
    cuts = list(zip(chosen, starts, strict=True))[share]
    waves = [sound.samples[:, start : start + window] for sound, start in cuts]
    curves = [_curve(sound, start, window) for sound, start in cuts]
    latents = model.encode(torch.from_numpy(np.stack(waves)).to(device))
    control = model.encode(torch.from_numpy(np.stack(curves)).to(device))
    noisy, target = v_objective(latents, noise[share].to(device), times[share].to(device))
    cavp = [_cavp(sound, start, window) for sound, start in cuts if sound.cavp is not None]
    return _Batch(
        noisy,
        target,
        times[share].to(device),
        control,
        prompt_of(waves).to(device),
        torch.from_numpy(np.stack(cavp)).to(device) if cavp and model.config.cavp else None,
        kept[share].to(device),
    )


def _curve(sound: StereoSound, start: int, window: int) -> NDArray[np.float32]:
    whole = stereo_envelope(sound.rms, RMS_RATE, sound.samples.shape[1])
    return whole[:, start : start + window]


def _cavp(sound: StereoSound, start: int, window: int) -> NDArray[np.float32]:
    """Return the CAVP rows of a window; the last row is repeated where the clip has no more."""
    if sound.cavp is None:
        raise ValueError("the sound has no CAVP rows")
    at = round(start / SAMPLE_RATE * CAVP_FPS) + np.arange(max(1, round(window / SAMPLE_RATE * CAVP_FPS)))
    return np.asarray(sound.cavp[np.minimum(at, len(sound.cavp) - 1)])
