"""Stage 2: an RMS envelope and a prompt's embedding become sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from clapstick.systems.two_stage.audioldm import UNetShape, make_unet, make_vae, make_vocoder
from clapstick.systems.two_stage.checkpoints import load_strictly, read_checkpoint, save_checkpoint
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.mel import (
    BINS,
    FLOOR,
    FRAMES_PER_LATENT,
    HOP,
    SAMPLE_RATE,
    held_at,
    to_mel_frames,
)
from clapstick.systems.two_stage.rms_controlnet import EnergyHint, RMSControlNet, RMSHint, controlled_unet
from clapstick.systems.two_stage.sampling import Branch, Prediction, Sampling, draw
from clapstick.systems.two_stage.stage_one_windows import smaller_batch, window_starts
from clapstick.systems.two_stage.tiny_codec import GriffinLim, PatchCodec, TimbreEncoder, level_control

MEL_RATE = SAMPLE_RATE / HOP
_TINY_LATENT_BINS = 4
_LATENT_BINS = 16


class RMS2SoundConfig(BaseModel):
    """Everything that shapes stage 2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    unet: UNetShape
    codec: Literal["audioldm-vae", "patches"] = "audioldm-vae"
    vocoder: Literal["hifi-gan", "griffin-lim"] = "hifi-gan"
    prompts: Literal["clap", "timbre"] = "clap"
    control: Literal["rms", "level", "energy"] = "rms"
    """What the hint is told: amplitudes, their level in decibels, or the mean log-mel, whose exponential is the
    envelope then."""
    window_frames: int = Field(multiple_of=32)
    """Mel frames of a window; AudioLDM's U-Net halves a quarter of it three times."""
    fade_frames: int = Field(ge=0)
    """Mel frames in which two windows are faded into each other."""
    prediction: Prediction = "epsilon"
    scaling_factor: float = 0.9227914214134216
    """Of the VAE; official checkpoints hold their own."""
    vae_widths: tuple[int, ...] = (128, 256, 512)
    vocoder_channels: int = 1024
    vocabulary: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    output_gain: Literal["none", "peak-0.8", "match-rms"] = "none"
    """``peak-0.8`` as released, which loses the level that the envelope asks for."""


CONFIGS: Mapping[str, RMS2SoundConfig] = {
    config.name: config
    for config in (
        RMS2SoundConfig(name="video-foley", unet=UNetShape(), window_frames=1024, fade_frames=24),
        RMS2SoundConfig(
            name="rewas",
            unet=UNetShape(widths=(192, 384, 576, 960), heads=(6, 12, 18, 30)),
            control="energy",
            window_frames=512,
            fade_frames=12,
            sampling=Sampling(guidance=3.0, guided="prompt-and-control"),
        ),
        RMS2SoundConfig(
            name="rewas-tiny",
            unet=UNetShape(widths=(32, 64, 96, 160), heads=(1, 2, 3, 5)),
            control="energy",
            window_frames=512,
            fade_frames=12,
            vae_widths=(32, 64, 96),
            vocoder_channels=64,
            sampling=Sampling(steps=20, guidance=3.0, guided="prompt-and-control"),
        ),
        RMS2SoundConfig(
            name="tiny",
            unet=UNetShape(
                latent_channels=16, widths=(32, 64, 96), heads=(2, 4, 6), layers=1, prompt_dim=16, groups=8
            ),
            codec="patches",
            vocoder="griffin-lim",
            prompts="timbre",
            control="level",
            window_frames=256,
            fade_frames=32,
            prediction="v_prediction",
            sampling=Sampling(solver="dpm++", steps=12, eta=0.0, guidance=1.0, temperature=0.1),
            output_gain="match-rms",
        ),
    )
}


class VAECodec(nn.Module):
    """AudioLDM's mel VAE as a codec with scaled latents."""

    def __init__(self, scaling_factor: float, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.vae: Any = make_vae(scaling_factor, widths)

    def encode(self, mel: Tensor) -> Tensor:
        """Map (batch, frames, 64) to the mean latent, (batch, 8, frames / 4, 16)."""
        latent: Tensor = self.vae.encode(mel[:, None]).latent_dist.mean
        return latent * float(self.vae.config.scaling_factor)

    def decode(self, latent: Tensor) -> Tensor:
        """Map (batch, 8, frames, 16) to (batch, 4 * frames, 64)."""
        mel: Tensor = self.vae.decode(latent / self.vae.config.scaling_factor).sample
        return mel[:, 0]


class RMS2Sound(nn.Module):
    """All networks of stage 2: codec, U-Net, ControlNet, vocoder and, in tiny, the prompt encoder."""

    def __init__(self, config: RMS2SoundConfig) -> None:
        super().__init__()
        self.config = config
        self.unet: Any = make_unet(config.unet)
        tiny = config.codec == "patches"
        self.codec: PatchCodec | VAECodec = (
            PatchCodec() if tiny else VAECodec(config.scaling_factor, config.vae_widths)
        )
        self.latent_bins = _TINY_LATENT_BINS if tiny else _LATENT_BINS
        self.controlnet = RMSControlNet(self.unet, self.make_hint())
        self.vocoder: Any = (
            GriffinLim() if config.vocoder == "griffin-lim" else make_vocoder(config.vocoder_channels)
        )
        self.timbre = TimbreEncoder(config.vocabulary) if config.prompts == "timbre" else None

    def make_hint(self) -> RMSHint | EnergyHint:
        """Return a fresh input of the ControlNet, of the configuration's kind."""
        channels = self.config.unet.latent_channels
        if self.config.control == "energy":
            return EnergyHint(channels, self.latent_bins, self.config.unet.widths[0])
        return RMSHint(channels)

    def control_of(self, curves: Tensor) -> Tensor:
        """Turn curves of shape (batch, window_frames) into what the hint takes."""
        if self.config.control == "rms":
            return curves[:, None, :, None]
        if self.config.control == "level":
            return level_control(curves)[:, None, :, None]
        return self.codec.encode(curves[:, :, None].expand(-1, -1, BINS).contiguous())

    def to_samples(self, latents: Tensor) -> Tensor:
        """Decode latents to sound, shape (batch, 160 * window_frames)."""
        samples: Tensor = self.vocoder(self.codec.decode(latents))
        return samples.reshape(latents.shape[0], -1)[:, : self.config.window_frames * HOP]

    def predict(
        self,
        sample: Tensor,
        timestep: Tensor,
        prompts: Tensor,
        nulls: Tensor,
        control: Tensor | None,
        branches: Sequence[Branch],
    ) -> Tensor:
        """Predict noise or velocity in each branch; no control at all where it is None."""
        told = torch.cat([prompts if branch.prompted else nulls for branch in branches])
        steps = timestep.expand(sample.shape[0]).repeat(len(branches))
        many = sample.repeat(len(branches), 1, 1, 1)
        if control is None:
            return controlled_unet(self.unet, many, steps, told, None)
        silent = torch.zeros_like(control)
        given = torch.cat([control if branch.controlled else silent for branch in branches])
        return controlled_unet(self.unet, many, steps, told, self.controlnet(many, steps, given, told))


@dataclass(frozen=True)
class Order:
    """One sound that is asked for."""

    prompt: Tensor
    """Embedding, shape (prompt_dim,)."""
    envelope: Envelope | None
    """None makes sound from the prompt alone."""
    duration_s: float
    seed: int
    told: Envelope | None = None
    """What the network is told in place of `envelope`, where that is known to come out closer to it."""


@dataclass(frozen=True)
class Rendered:
    """Sound and what happened on the way."""

    samples: NDArray[np.float32]
    """Mono at 16 kHz, shape (round(duration_s * 16000),)."""
    warnings: tuple[str, ...] = ()


@torch.no_grad()
def render(
    model: RMS2Sound,
    order: Order,
    null_prompt: Tensor,
    *,
    sampling: Sampling | None = None,
    batch: int = 8,
) -> Rendered:
    """Make one sound of any length: windows, the last one aligned to the end, faded where they meet.

    Parameters
    ----------
    model : RMS2Sound
    order : Order
    null_prompt : Tensor, shape (prompt_dim,)
        What the null branch of the guidance is told.
    sampling : Sampling, optional
        In place of the configuration's.
    batch : int
        Windows at once; halved, with a warning, where the GPU's memory does not suffice, and at last the
        guidance makes two calls.

    Raises
    ------
    ClapstickError
        If not even one window fits into the GPU's memory.
    """
    config = model.config
    device = next(model.parameters()).device
    frames = max(config.window_frames, -(-round(order.duration_s * SAMPLE_RATE) // HOP))
    starts = window_starts(frames, config.window_frames, config.window_frames - config.fade_frames)
    curves: Tensor | None = None
    told = order.told or order.envelope
    if told is not None:
        curve = _control_curve(told, frames, config)
        cut = np.stack([curve[start : start + config.window_frames] for start in starts])
        curves = torch.from_numpy(cut.astype(np.float32))
    how = sampling or config.sampling
    pieces: list[NDArray[np.float64]] = []
    warnings: list[str] = []
    first = 0
    while first < len(starts):
        last = min(len(starts), first + batch)
        try:
            generators = [torch.Generator().manual_seed(order.seed + index) for index in range(first, last)]
            control = None if curves is None else model.control_of(curves[first:last].to(device))
            latents = _draw(model, order.prompt, null_prompt, control, how, generators)
            pieces += list(model.to_samples(latents).double().cpu().numpy())
        except torch.OutOfMemoryError as error:
            batch, how = _smaller(batch, how, error)
            calls = "" if how.branches == "together" else ", guidance in two calls"
            warnings.append(f"out of GPU memory: went on with {batch} windows at once{calls}")
            continue
        first = last
    samples = cross_fade(pieces, [start * HOP for start in starts], config.fade_frames * HOP)
    samples = samples[: round(order.duration_s * SAMPLE_RATE)]
    return Rendered(_with_gain(samples, order, config).astype(np.float32), tuple(warnings))


def _smaller(batch: int, sampling: Sampling, error: Exception) -> tuple[int, Sampling]:
    """Return what takes less memory: half the windows, at last the guidance in two calls."""
    if batch == 1 and sampling.branches == "together":
        return 1, sampling.model_copy(update={"branches": "one-by-one"})
    return smaller_batch(batch, "stage 2", error), sampling


def _draw(
    model: RMS2Sound,
    prompt: Tensor,
    null_prompt: Tensor,
    control: Tensor | None,
    sampling: Sampling,
    generators: Sequence[torch.Generator],
) -> Tensor:
    config = model.config
    device = next(model.parameters()).device
    prompts = prompt.to(device).expand(len(generators), -1)
    nulls = null_prompt.to(device).expand(len(generators), -1)

    def predict(sample: Tensor, timestep: Tensor, branches: Sequence[Branch]) -> Tensor:
        return model.predict(sample, timestep, prompts, nulls, control, branches)

    shape = (config.unet.latent_channels, config.window_frames // FRAMES_PER_LATENT, model.latent_bins)
    return draw(predict, shape, sampling, config.prediction, generators, device)


def _control_curve(envelope: Envelope, frames: int, config: RMS2SoundConfig) -> NDArray[np.float64]:
    if config.control == "energy":
        held = held_at(envelope.amplitudes, frames, envelope.rate)
        return np.asarray(np.log(np.maximum(held, FLOOR)))
    return to_mel_frames(envelope.amplitudes, frames, envelope.rate)


def cross_fade(pieces: Sequence[NDArray[np.float64]], starts: Sequence[int], fade: int) -> NDArray[np.float64]:
    """Join sounds; where one begins before the other ends, they are faded into each other with equal power.

    Windows are drawn from noise of their own, so their waveforms are unrelated: it is their powers that add. A
    network is unsure of a window's first and last frames, so of the overlap the middle half is faded over.

    Parameters
    ----------
    pieces : sequence of ndarray, shape (samples,)
    starts : sequence of int
        Rising first samples.
    fade : int
        Most samples of an overlap that count; what is left of a longer one belongs to the later piece.
    """
    joined = np.zeros(max(start + piece.size for start, piece in zip(starts, pieces, strict=True)))
    end = 0
    for start, piece in zip(starts, pieces, strict=True):
        overlap = min(fade, max(0, end - start), piece.size)
        skipped, length = overlap // 4, overlap - 2 * (overlap // 4)
        ramp = (np.arange(length) + 0.5) / max(1, length)
        faded = slice(start + skipped, start + skipped + length)
        joined[faded] *= np.sqrt(1 - ramp)
        joined[faded] += np.sqrt(ramp) * piece[skipped : skipped + length]
        joined[faded.stop : start + piece.size] = piece[skipped + length :]
        end = start + piece.size
    return joined


def _with_gain(samples: NDArray[np.float64], order: Order, config: RMS2SoundConfig) -> NDArray[np.float64]:
    peak = float(np.abs(samples).max(initial=0.0))
    if config.output_gain == "none" or peak == 0.0:
        return samples
    if config.output_gain == "peak-0.8":
        return samples * (0.8 / peak)
    if order.envelope is None:
        return samples
    wanted = float(np.sqrt((order.envelope.amplitudes**2).mean()))
    return samples * (wanted / float(np.sqrt((samples**2).mean())))


def save_rms2sound(path: Path, model: RMS2Sound, extra: Mapping[str, Any], *, half: bool = False) -> None:
    """Write the trained networks; `half` stores 16-bit numbers."""
    tensors = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    save_checkpoint(path, tensors, model.config, extra)


def load_rms2sound(path: Path) -> RMS2Sound:
    """Load what `save_rms2sound` wrote.

    Raises
    ------
    ClapstickError
        If the file belongs to another network.
    """
    config, tensors, _ = read_checkpoint(path, RMS2SoundConfig)
    model = RMS2Sound(config)
    load_strictly(model, {name: tensor.float() for name, tensor in tensors.items()}, path)
    return model.eval()
