"""FOL-AI's stage 2: a ControlNet for Stable Audio Open's transformer, told the RMS as a stereo envelope."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

SAMPLE_RATE = 44_100
VAE_STRIDE = 2048
"""Samples a latent frame: strides 2, 4, 4, 8, 8 of the Oobleck VAE. The paper says 1024."""


class DiTShape(BaseModel):
    """Size of a Stable Audio transformer and of its ControlNet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_channels: int = 64
    layers: int = 24
    heads: int = 24
    kv_heads: int = 12
    head_dim: int = 64
    cross_dim: int = 768
    global_dim: int = 1536
    time_dim: int = 256
    control_layers: int = Field(default=5, ge=1)
    """The paper's text; its depth factor of 0.2 gives 4 of 24 layers."""
    residual_at: Literal["output", "input"] = "output"
    """Where a layer's residual is added: after the frozen layer (paper) or before it (co-author's code)."""


def make_dit(shape: DiTShape) -> Any:
    """Build the transformer; without arguments, Stable Audio Open's 1,056,939,136 parameters."""
    from diffusers import StableAudioDiTModel

    make: Any = StableAudioDiTModel
    return make(
        in_channels=shape.latent_channels,
        out_channels=shape.latent_channels,
        num_layers=shape.layers,
        attention_head_dim=shape.head_dim,
        num_attention_heads=shape.heads,
        num_key_value_attention_heads=shape.kv_heads,
        cross_attention_dim=shape.cross_dim,
        time_proj_dim=shape.time_dim,
        global_states_input_dim=shape.global_dim,
        cross_attention_input_dim=shape.cross_dim,
    )


class DiTControlNet(nn.Module):
    """A copy of a Stable Audio transformer's embeddings and first layers, between zero maps.

    Parameters
    ----------
    dit : StableAudioDiTModel
        Frozen; where the copy starts.
    shape : DiTShape

    Notes
    -----
    Sources: FOL-AI (Gramaccioni et al., 2024), section IV-D; EmilianPostolache/stable-audio-controlnet@cbc37e6.
    """

    def __init__(self, dit: Any, shape: DiTShape) -> None:
        super().__init__()
        width = shape.heads * shape.head_dim
        self.shape = shape
        for name in _EMBEDDINGS:
            self.add_module(name, copy.deepcopy(getattr(dit, name)))
        self.transformer_blocks = nn.ModuleList(
            [copy.deepcopy(block) for block in dit.transformer_blocks[: shape.control_layers]]
        )
        self.zero_in = nn.Conv1d(shape.latent_channels, shape.latent_channels, 1, bias=False)
        self.zero_out = nn.ModuleList(
            [nn.Linear(width, width, bias=False) for _ in range(shape.control_layers)]
        )
        for module in (self.zero_in, *self.zero_out):
            nn.init.zeros_(module.weight)

    def forward(self, told: DiTInput, control: Tensor) -> list[Tensor]:
        """Return one residual a layer, shape (batch, 1 + frames, width).

        Parameters
        ----------
        told : DiTInput
        control : Tensor, shape (batch, channels, frames)
            The encoded envelope.
        """
        hidden, tokens = _embed(self, told, told.sample + self.zero_in(control))
        residuals = []
        for block, zero in zip(self.transformer_blocks, self.zero_out, strict=True):
            hidden = block(hidden_states=hidden, encoder_hidden_states=tokens, rotary_embedding=told.rotary)
            residuals.append(zero(hidden))
        return residuals


@dataclass(frozen=True)
class DiTInput:
    """What the transformer is told."""

    sample: Tensor
    """The noisy latent, shape (batch, channels, frames)."""
    timestep: Tensor
    """Shape (batch,)."""
    cross: Tensor
    """Prompt and lengths, shape (batch, tokens, cross_dim)."""
    global_states: Tensor
    """Lengths, shape (batch, 1, global_dim)."""
    rotary: Any
    """As `rotary_for` gives it."""


def controlled_dit(
    dit: Any, told: DiTInput, controlnet: DiTControlNet | None = None, control: Tensor | None = None
) -> Tensor:
    """Run the transformer with a ControlNet's residuals in its first layers, or plain without one.

    Returns
    -------
    Tensor, shape as ``told.sample``
    """
    residuals: list[Tensor] = []
    after = True
    if controlnet is not None and control is not None:
        after = controlnet.shape.residual_at == "output"
        residuals = controlnet(told, control)
    hidden, tokens = _embed(dit, told, told.sample)
    for index, block in enumerate(dit.transformer_blocks):
        residual = residuals[index] if index < len(residuals) else None
        if residual is not None and not after:
            hidden = hidden + residual
        hidden = block(hidden_states=hidden, encoder_hidden_states=tokens, rotary_embedding=told.rotary)
        if residual is not None and after:
            hidden = hidden + residual
    made = dit.proj_out(hidden).transpose(1, 2)[:, :, 1:]
    predicted: Tensor = dit.postprocess_conv(made) + made
    return predicted


_EMBEDDINGS = (
    "time_proj",
    "timestep_proj",
    "global_proj",
    "cross_attention_proj",
    "preprocess_conv",
    "proj_in",
)


def _embed(network: Any, told: DiTInput, sample: Tensor) -> tuple[Tensor, Tensor]:
    """Return the latent as tokens, the one of time and lengths first, and the prompt as tokens."""
    of_time = network.timestep_proj(network.time_proj(told.timestep.to(sample.dtype)))
    head = network.global_proj(told.global_states) + of_time.unsqueeze(1)
    projected = network.proj_in((network.preprocess_conv(sample) + sample).transpose(1, 2))
    return torch.cat([head, projected], dim=1), network.cross_attention_proj(told.cross)


def rotary_for(shape: DiTShape, frames: int) -> Any:
    """Return the rotary embedding of a latent of `frames` frames and the token before it."""
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    return get_1d_rotary_pos_embed(shape.head_dim // 2, frames + 1, use_real=True, repeat_interleave_real=False)


def stereo_envelope(rms: NDArray[np.float64], rate: float, samples: int) -> NDArray[np.float32]:
    """Bring an RMS curve to audio rate for the VAE.

    Parameters
    ----------
    rms : ndarray, shape (frames,) or (2, frames)
        A mono curve stands for both channels.
    rate : float
        Frames a second.
    samples : int
        Length at 44.1 kHz; rounded up to whole latent frames.

    Returns
    -------
    ndarray of float32, shape (2, samples)
    """
    curves = np.broadcast_to(np.atleast_2d(rms), (2, np.atleast_2d(rms).shape[1]))
    length = -(-samples // VAE_STRIDE) * VAE_STRIDE
    times = np.arange(length) / SAMPLE_RATE
    middles = (np.arange(curves.shape[1]) + 0.5) / rate
    return np.stack([np.interp(times, middles, curve) for curve in curves]).astype(np.float32)


def v_objective(sample: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Return the noisy latent and its target at times in [0, 1]: alpha = cos(pi t / 2), sigma = sin(pi t / 2).

    Parameters
    ----------
    sample, noise : Tensor, shape (batch, channels, frames)
    time : Tensor, shape (batch,)
    """
    alpha = torch.cos(time * torch.pi / 2)[:, None, None]
    sigma = torch.sin(time * torch.pi / 2)[:, None, None]
    return alpha * sample + sigma * noise, alpha * noise - sigma * sample
