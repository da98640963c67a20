"""A ControlNet for AudioLDM's U-Net that is told the RMS curve, or another curve of one value a mel frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Control:
    """What the ControlNet adds to the U-Net."""

    down: tuple[Tensor, ...]
    """One tensor for every skip connection."""
    mid: Tensor


class RMSHint(nn.Module):
    """Turns an RMS curve of four values a latent frame into a latent of one column.

    The first convolution strides over time without padding: latent frame k sees values 4k to 4k + 2.

    Source: jakeoneijk/RMS_ControlNet_Inference@aa200a6, UNetWControlNetRMS.py.
    """

    def __init__(self, latent_channels: int, stride: int = 4) -> None:
        super().__init__()
        self.project = nn.Conv2d(1, latent_channels, (3, 1), stride=(stride, 1))
        self.zero = nn.Conv2d(latent_channels, latent_channels, 1)

    def forward(self, curve: Tensor) -> Tensor:
        """Map (batch, 1, frames, 1) to (batch, latent_channels, frames // 4, 1)."""
        hint: Tensor = self.zero(self.project(curve))
        return hint


class EnergyHint(nn.Module):
    """ReWaS: the energy curve as a picture through the VAE, a map over frequency, and a zero convolution.

    Source: naver-ai/rewas@4e09954; added after the first convolution.
    """

    def __init__(self, latent_channels: int, latent_bins: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_bins, latent_bins)
        self.zero = nn.Conv2d(latent_channels, width, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Map (batch, latent_channels, frames, latent_bins) to (batch, width, frames, latent_bins)."""
        hint: Tensor = self.zero(nn.functional.silu(self.project(latent)))
        return hint


class RMSControlNet(nn.Module):
    """A copy of a U-Net's encoder whose outputs pass through zero convolutions.

    Parameters
    ----------
    unet : UNet2DConditionModel
        The frozen U-Net; its weights are where the copy starts.
    hint : Module
        `RMSHint`, added to the noisy latent, or `EnergyHint`, added after the first convolution.

    Notes
    -----
    diffusers' ControlNetModel knows neither ``simple_projection`` class embeddings nor their concatenation
    nor one cross-attention width a block, all of which AudioLDM's U-Net has.
    """

    def __init__(self, unet: Any, hint: RMSHint | EnergyHint) -> None:
        super().__init__()
        copy: Any = type(unet).from_config(unet.config)
        copy.load_state_dict(unet.state_dict())
        self.time_proj = copy.time_proj
        self.time_embedding = copy.time_embedding
        self.class_embedding = copy.class_embedding
        self.conv_in = copy.conv_in
        self.down_blocks = copy.down_blocks
        self.mid_block = copy.mid_block
        self.hint = hint
        self.zero_convs = nn.ModuleList([nn.Conv2d(width, width, 1) for width in _skip_widths(unet)])
        middle = unet.config.block_out_channels[-1]
        self.mid_zero_conv = nn.Conv2d(middle, middle, 1)
        for module in (*self.zero_convs, self.mid_zero_conv, self.hint.zero):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, sample: Tensor, timestep: Tensor, curve: Tensor, prompt: Tensor) -> Control:
        """Return the residuals for the U-Net.

        Parameters
        ----------
        sample : Tensor, shape (batch, channels, frames, bins)
            The noisy latent.
        timestep : Tensor, shape (batch,) or scalar
        curve : Tensor
            What the hint takes: RMS of shape (batch, 1, 4 * frames, 1).
        prompt : Tensor, shape (batch, embedding)
            The CLAP embedding that the U-Net is told too.
        """
        embedding = self._embed(sample, timestep, prompt)
        if isinstance(self.hint, EnergyHint):
            x = self.conv_in(sample) + self.hint(curve)
        else:
            x = self.conv_in(sample + self.hint(curve))
        skips: list[Tensor] = [x]
        for block in self.down_blocks:
            x, residuals = (
                block(x, embedding, encoder_hidden_states=None)
                if getattr(block, "has_cross_attention", False)
                else block(x, embedding)
            )
            skips.extend(residuals)
        x = self.mid_block(x, embedding, encoder_hidden_states=None)
        down = tuple(zero(skip) for zero, skip in zip(self.zero_convs, skips, strict=True))
        return Control(down, self.mid_zero_conv(x))

    def _embed(self, sample: Tensor, timestep: Tensor, prompt: Tensor) -> Tensor:
        steps = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(sample.shape[0])
        of_time = self.time_embedding(self.time_proj(steps).to(sample.dtype))
        return torch.cat([of_time, self.class_embedding(prompt.to(sample.dtype))], dim=-1)


def controlled_unet(
    unet: Any, sample: Tensor, timestep: Tensor, prompt: Tensor, control: Control | None
) -> Tensor:
    """Return the U-Net's prediction, with or without the ControlNet's residuals; shape as `sample`."""
    extra: dict[str, Any] = {}
    if control is not None:
        extra = {
            "down_block_additional_residuals": list(control.down),
            "mid_block_additional_residual": control.mid,
        }
    predicted: Tensor = unet(
        sample, timestep, encoder_hidden_states=None, class_labels=prompt, return_dict=False, **extra
    )[0]
    return predicted


def _skip_widths(unet: Any) -> list[int]:
    """Return the channels of the U-Net's skip connections, in the order in which they arise."""
    widths = unet.config.block_out_channels
    layers = unet.config.layers_per_block
    skips = [widths[0]]
    for index, width in enumerate(widths):
        skips += [width] * (layers + (index < len(widths) - 1))
    return skips
