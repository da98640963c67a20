"""FOL-AI's stage 2: Stable Audio Open with a ControlNet, 44.1 kHz stereo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from clapstick.protocols.audio import Audio
from clapstick.systems.two_stage.checkpoints import load_strictly, read_checkpoint, save_checkpoint
from clapstick.systems.two_stage.dit_controlnet import (
    SAMPLE_RATE,
    VAE_STRIDE,
    DiTControlNet,
    DiTInput,
    DiTShape,
    controlled_dit,
    rotary_for,
    stereo_envelope,
)
from clapstick.systems.two_stage.rms2sound import Rendered, cross_fade
from clapstick.systems.two_stage.rms_codec import target_curve
from clapstick.systems.two_stage.stable_audio import OobleckShape, StableAudio, load_stable_audio
from clapstick.systems.two_stage.stage_one_windows import window_starts
from clapstick.systems.two_stage.video2rms import CONFIGS as STAGE_ONE

CLAP_DIM = CAVP_DIM = 512
CAVP_FPS = 4.0
RMS_RATE = 125.0
_RMS_SAMPLE_RATE = 16_000
SMALLEST_SIGMA, LARGEST_SIGMA = 0.3, 500.0


class DiTSampling(BaseModel):
    """How a latent is drawn from Stable Audio."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=150, ge=2, le=1000)
    guidance: float = Field(default=2.0, ge=0)
    solver: Literal["sde-dpmsolver++", "dpmsolver++"] = "sde-dpmsolver++"
    """Of second order, with fresh noise each step as Stable Audio's own, or without."""


class FolAIConfig(BaseModel):
    """Everything that shapes stage 2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dit: DiTShape = DiTShape()
    vae: OobleckShape = OobleckShape()
    window_frames: int = Field(default=216, ge=1)
    """Latent frames of a window where a sound is longer; 216 are the 10 s that FOL-AI was trained on."""
    fade_frames: int = Field(default=4, ge=0)
    cavp: bool = True
    """Whether CAVP rows are among the tokens."""
    sampling: DiTSampling = DiTSampling()


CONFIGS: Mapping[str, FolAIConfig] = {
    config.name: config
    for config in (
        FolAIConfig(name="fol-ai"),
        FolAIConfig(
            name="fol-ai-tiny",
            dit=DiTShape(
                latent_channels=8,
                layers=4,
                heads=4,
                kv_heads=2,
                head_dim=16,
                cross_dim=32,
                global_dim=64,
                time_dim=32,
                control_layers=2,
            ),
            vae=OobleckShape(width=4, multiples=(1, 1, 2, 2, 2)),
            window_frames=24,
            fade_frames=2,
            sampling=DiTSampling(steps=20),
        ),
    )
}


class FolAIControl(nn.Module):
    """What is trained: the ControlNet, and maps of CLAP and CAVP embeddings onto cross-attention tokens.

    The paper does not say how 512 numbers of CLAP and CAVP become Stable Audio's 768; a linear map each is
    our choice, and so is leaving T5 out.
    """

    def __init__(self, dit: Any, config: FolAIConfig) -> None:
        super().__init__()
        self.controlnet = DiTControlNet(dit, config.dit)
        self.clap = nn.Linear(CLAP_DIM, config.dit.cross_dim)
        self.cavp = nn.Linear(CAVP_DIM, config.dit.cross_dim) if config.cavp else None


class FolAISound(nn.Module):
    """All networks of stage 2.

    Notes
    -----
    Source: FOL-AI (Gramaccioni et al., 2024), section IV-D.
    """

    def __init__(self, config: FolAIConfig, base: StableAudio) -> None:
        super().__init__()
        self.config = config
        self.base = base
        self.control = FolAIControl(base.dit, config)

    def conditions(self, clap: Tensor, cavp: Tensor | None, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return cross-attention tokens (batch, tokens, cross_dim) and global states (batch, 1, 2 * cross_dim).

        Parameters
        ----------
        clap : Tensor, shape (batch, 512)
        cavp : Tensor, shape (batch, rows, 512), optional
            At 4 rows a second.
        seconds : Tensor, shape (batch,)
            Lengths of the sounds.
        """
        told = self.base.lengths(None, torch.zeros_like(seconds), seconds)
        start, total = told.seconds_start_hidden_states, told.seconds_end_hidden_states
        tokens = [self.control.clap(clap)[:, None]]
        if cavp is not None and self.control.cavp is not None:
            tokens.append(self.control.cavp(cavp))
        return torch.cat([*tokens, start, total], dim=1), torch.cat([start, total], dim=2)

    def predict(self, told: DiTInput, control: Tensor | None) -> Tensor:
        """Predict the velocity; shape as the noisy latent."""
        return controlled_dit(self.base.dit, told, self.control.controlnet, control)

    def encode(self, waveform: Tensor) -> Tensor:
        """Map (batch, 2, samples) to the mean latent, (batch, channels, samples / 2048)."""
        latent: Tensor = self.base.vae.encode(waveform).latent_dist.mode()
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Map (batch, channels, frames) to (batch, 2, 2048 * frames)."""
        waveform: Tensor = self.base.vae.decode(latent).sample
        return waveform


@dataclass(frozen=True)
class StereoOrder:
    """One stereo sound that is asked for."""

    clap: Tensor
    """Embedding of the prompt, shape (512,)."""
    cavp: NDArray[np.float32] | None
    """CAVP rows of the whole clip at 4 a second, shape (rows, 512)."""
    envelope: NDArray[np.float64] | None
    """RMS, shape (frames,) or (2, frames); None makes sound from the prompt alone."""
    envelope_rate: float
    duration_s: float
    seed: int


@torch.no_grad()
def render_stereo(model: FolAISound, order: StereoOrder, sampling: DiTSampling | None = None) -> Rendered:
    """Make one stereo sound: whole where it fits a window, else in windows that are faded where they meet.

    Returns
    -------
    Rendered
        ``samples`` of shape (round(duration_s * 44100), 2).
    """
    config = model.config
    length = round(order.duration_s * SAMPLE_RATE)
    frames = max(1, -(-length // VAE_STRIDE))
    window = min(frames, config.window_frames)
    starts = window_starts(frames, window, max(1, window - config.fade_frames))
    curve: NDArray[np.float32] | None = None
    if order.envelope is not None:
        curve = stereo_envelope(order.envelope, order.envelope_rate, frames * VAE_STRIDE)
    pieces = [
        _window(model, order, curve, start, window, index, sampling or config.sampling)
        for index, start in enumerate(starts)
    ]
    begins = [start * VAE_STRIDE for start in starts]
    fade = config.fade_frames * VAE_STRIDE
    sides = [cross_fade([piece[side] for piece in pieces], begins, fade)[:length] for side in (0, 1)]
    return Rendered(np.stack(sides, axis=1).astype(np.float32))


def _window(
    model: FolAISound,
    order: StereoOrder,
    curve: NDArray[np.float32] | None,
    start: int,
    frames: int,
    index: int,
    sampling: DiTSampling,
) -> NDArray[np.float64]:
    """Draw one window; shape (2, 2048 * frames)."""
    device = next(model.parameters()).device
    begin, end = start * VAE_STRIDE, (start + frames) * VAE_STRIDE
    cavp = None
    if order.cavp is not None:
        first, last = (round(sample / SAMPLE_RATE * CAVP_FPS) for sample in (begin, end))
        cavp = torch.from_numpy(order.cavp[first : max(first + 1, last)])[None].to(device)
    seconds = min(end / SAMPLE_RATE, order.duration_s) - begin / SAMPLE_RATE
    lasts = torch.tensor([seconds], device=device)
    cross, lengths = model.conditions(order.clap[None].to(device), cavp, lasts)
    control = None
    if curve is not None:
        control = model.encode(torch.from_numpy(curve[None, :, begin:end]).to(device))
    generator = torch.Generator().manual_seed(order.seed + index)
    latent = draw_latent(model, cross, lengths, control, frames, sampling, generator)
    waveform: NDArray[np.float64] = model.decode(latent)[0].double().cpu().numpy()
    return waveform


def stereo_rms(audio: Audio, duration_s: float) -> NDArray[np.float64]:
    """Return what the ControlNet is told of a sound: its RMS a channel, smoothed as stage 1's targets are.

    Parameters
    ----------
    audio : Audio
        A mono sound stands for both channels.
    duration_s : float
        The sound is cut or padded to it.

    Returns
    -------
    ndarray, shape (2, frames)
        125 frames a second.
    """
    import soxr

    length = round(duration_s * _RMS_SAMPLE_RATE)
    curves = []
    for side in (0, min(1, audio.samples.shape[1] - 1)):
        samples = audio.samples[:, side].astype(np.float64)
        heard = soxr.resample(samples, audio.sample_rate, _RMS_SAMPLE_RATE, quality="HQ")[:length]
        padded = np.pad(heard, (0, length - heard.size))
        curves.append(target_curve(padded, STAGE_ONE["fol-ai"]))
    return np.stack(curves)


def make_dit_scheduler(sampling: DiTSampling) -> Any:
    """Return Stable Audio's sigmas, 500 to 0.3 in even ratios and then 0, as a diffusers scheduler.

    It is diffusers' CosineDPMSolverMultistepScheduler without that class's torchsde.
    """
    from diffusers import EDMDPMSolverMultistepScheduler

    make: Any = EDMDPMSolverMultistepScheduler
    scheduler = make(
        sigma_min=SMALLEST_SIGMA,
        sigma_max=LARGEST_SIGMA,
        sigma_data=1.0,
        sigma_schedule="exponential",
        prediction_type="v_prediction",
        solver_order=2,
        algorithm_type=sampling.solver,
    )
    scheduler.set_timesteps(sampling.steps)
    return scheduler


def draw_latent(
    model: FolAISound,
    cross: Tensor,
    lengths: Tensor,
    control: Tensor | None,
    frames: int,
    sampling: DiTSampling,
    generator: torch.Generator,
) -> Tensor:
    """Draw one latent, shape (1, channels, frames).

    The null branch of the guidance is told no token; lengths and control stay.
    """
    device = cross.device
    shape = model.config.dit
    scheduler = make_dit_scheduler(sampling)
    sample = torch.randn((1, shape.latent_channels, frames), generator=generator).to(device)
    sample = sample * scheduler.init_noise_sigma
    rotary = tuple(part.to(device) for part in rotary_for(shape, frames))
    both = torch.cat([torch.zeros_like(cross), cross])
    for step, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        scaled = scheduler.scale_model_input(sample, step)
        time = (torch.atan(sigma) * 2 / torch.pi).to(device)
        told = DiTInput(scaled.repeat(2, 1, 1), time.expand(2), both, lengths.repeat(2, 1, 1), rotary)
        null, full = model.predict(told, None if control is None else control.repeat(2, 1, 1)).chunk(2)
        guided = null + sampling.guidance * (full - null)
        sample = scheduler.step(guided, step, sample, generator=generator).prev_sample
    drawn: Tensor = sample
    return drawn


def save_fol_ai(path: Path, model: FolAISound, extra: Mapping[str, Any]) -> None:
    """Write what was trained; Stable Audio Open itself is not part of the file."""
    save_checkpoint(path, model.control.state_dict(), model.config, extra)


def load_fol_ai(path: Path, base: Path) -> FolAISound:
    """Load a trained ControlNet onto Stable Audio Open.

    Parameters
    ----------
    path : Path
        As `save_fol_ai` wrote it; its header says the sizes.
    base : Path
        As `load_stable_audio` takes it.

    Raises
    ------
    ClapstickError
        If a file belongs to another network.
    """
    config, tensors, _ = read_checkpoint(path, FolAIConfig)
    model = FolAISound(config, load_stable_audio(base, config.dit, config.vae))
    load_strictly(model.control, tensors, path)
    return model.eval().requires_grad_(False)
