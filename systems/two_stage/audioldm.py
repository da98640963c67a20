"""AudioLDM's networks as diffusers parts, and what its checkpoints call them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from pydantic import BaseModel, ConfigDict
from torch import Tensor


class UNetShape(BaseModel):
    """Size of an AudioLDM U-Net."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_channels: int = 8
    widths: tuple[int, ...] = (128, 256, 384, 640)
    heads: tuple[int, ...] = (4, 8, 12, 20)
    """Attention heads a level; the first level has no attention. diffusers' own conversion has 8 everywhere,
    which loads without an error and computes something else."""
    layers: int = 2
    prompt_dim: int = 512
    groups: int = 32


def make_unet(shape: UNetShape) -> Any:
    """Build the U-Net; attention in every level but the first."""
    levels = len(shape.widths)
    make: Any = UNet2DConditionModel
    return make(
        in_channels=shape.latent_channels,
        out_channels=shape.latent_channels,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
        block_out_channels=shape.widths,
        layers_per_block=shape.layers,
        cross_attention_dim=list(shape.widths),
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=shape.prompt_dim,
        class_embeddings_concat=True,
        attention_head_dim=shape.heads,
        norm_num_groups=shape.groups,
    )


def make_vae(scaling_factor: float, widths: tuple[int, ...] = (128, 256, 512)) -> Any:
    """Build the mel VAE of three levels: (batch, 1, frames, 64) to (batch, 8, frames / 4, 16)."""
    make: Any = AutoencoderKL
    return make(
        in_channels=1,
        out_channels=1,
        latent_channels=8,
        block_out_channels=widths,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        scaling_factor=scaling_factor,
    )


def make_vocoder(channels: int = 1024) -> Any:
    """Build the HiFi-GAN: log-mels of shape (batch, frames, 64) to 160 * frames + 32 samples at 16 kHz.

    `channels` is halved at each of its five upsamplings.
    """
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    settings: Any = SpeechT5HifiGanConfig

    return SpeechT5HifiGan(
        settings(
            model_in_dim=64,
            sampling_rate=16_000,
            upsample_initial_channel=channels,
            upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[16, 16, 8, 4, 4],
            resblock_kernel_sizes=[3, 7, 11],
            resblock_dilation_sizes=[[1, 3, 5]] * 3,
            normalize_before=False,
        )
    )


_EMBEDDINGS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "film_emb": "class_embedding",
    "input_blocks.0.0": "conv_in",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def unet_names(names: Iterable[str], *, levels: int = 4, layers: int = 2) -> dict[str, str]:
    """Return official name -> diffusers name of a U-Net's tensors, or of a copy of its encoder.

    Raises
    ------
    ValueError
        If a name is none of this U-Net's.
    """
    return {name: _unet_name(name, levels, layers) for name in names}


def _unet_name(name: str, levels: int, layers: int) -> str:
    for official, ours in _EMBEDDINGS.items():
        if name.startswith(official + "."):
            return _resnet_name(ours + name[len(official) :])
    match = re.match(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.+)", name)
    if match is None:
        raise ValueError(f"{name} is no tensor of AudioLDM's U-Net")
    side, index, part, rest = match[1], int(match[2]), int(match[3]), match[4]
    if side == "input":
        block, layer = divmod(index - 1, layers + 1)
        if layer == layers:
            return f"down_blocks.{block}.downsamplers.0.conv.{rest.removeprefix('op.')}"
        kind = "resnets" if part == 0 else "attentions"
        return _resnet_name(f"down_blocks.{block}.{kind}.{layer}.{rest}")
    block, layer = divmod(index, layers + 1)
    if rest.startswith("conv."):
        return f"up_blocks.{block}.upsamplers.0.{rest}"
    kind = "resnets" if part == 0 else "attentions"
    return _resnet_name(f"up_blocks.{block}.{kind}.{layer}.{rest}")


def _resnet_name(name: str) -> str:
    if ".resnets." in name:
        for official, ours in _RESNET.items():
            name = name.replace(f".{official}.", f".{ours}.")
    return name


def controlnet_names(names: Iterable[str], *, levels: int = 4, layers: int = 2) -> dict[str, str]:
    """Return official name -> our name of the RMS-ControlNet's tensors.

    Official names start with ``control_net.`` or ``control_net_input_projection_list.``.
    """
    renamed = {}
    for name in names:
        if name.startswith("control_net_input_projection_list."):
            index, leaf = name.split(".")[1:]
            renamed[name] = f"hint.{('project', 'zero')[int(index)]}.{leaf}"
            continue
        inner = name.removeprefix("control_net.")
        if inner.startswith("zero_convs."):
            _, index, _, leaf = inner.split(".")
            renamed[name] = f"zero_convs.{index}.{leaf}"
        elif inner.startswith("middle_block_out_zero_conv."):
            renamed[name] = f"mid_zero_conv.{inner.rsplit('.', 1)[1]}"
        else:
            renamed[name] = _unet_name(inner, levels, layers)
    return renamed


def energy_adapter_names(names: Iterable[str]) -> dict[str, str]:
    """Return official name -> our name of the tensors of ReWaS's energy adapter, ``control_model.`` cut off."""
    hint = {"input_hint_block.1": "hint.project", "input_hint_block.4": "hint.zero"}
    renamed = {}
    for name in names:
        module, leaf = name.rsplit(".", 1)
        if module in hint:
            renamed[name] = f"{hint[module]}.{leaf}"
        elif name.startswith("zero_convs."):
            renamed[name] = f"zero_convs.{name.split('.')[1]}.{leaf}"
        elif name.startswith("middle_block_out."):
            renamed[name] = f"mid_zero_conv.{leaf}"
        else:
            renamed[name] = _unet_name(name, 4, 2)
    return renamed


def vae_names(names: Iterable[str]) -> dict[str, str]:
    """Return official name -> diffusers name of the tensors of VAE encoder, decoder and quantising maps.

    Attention names are those of current diffusers; the 1x1 convolutions become linear maps, see `as_shaped`.
    """
    levels = 3
    renamed = {}
    for name in names:
        new = name
        for side, ours in (("down", "down_blocks"), ("up", "up_blocks")):
            match = re.match(rf"(encoder|decoder)\.{side}\.(\d+)\.(block|downsample|upsample)\.?(.*)", name)
            if match is None:
                continue
            level = int(match[2]) if side == "down" else levels - 1 - int(match[2])
            part = {"block": "resnets", "downsample": "downsamplers.0", "upsample": "upsamplers.0"}[match[3]]
            new = f"{match[1]}.{ours}.{level}.{part}.{match[4]}".replace(".nin_shortcut.", ".conv_shortcut.")
        for official, ours in (
            (".mid.block_1.", ".mid_block.resnets.0."),
            (".mid.block_2.", ".mid_block.resnets.1."),
            (".mid.attn_1.norm.", ".mid_block.attentions.0.group_norm."),
            (".mid.attn_1.q.", ".mid_block.attentions.0.to_q."),
            (".mid.attn_1.k.", ".mid_block.attentions.0.to_k."),
            (".mid.attn_1.v.", ".mid_block.attentions.0.to_v."),
            (".mid.attn_1.proj_out.", ".mid_block.attentions.0.to_out.0."),
            (".norm_out.", ".conv_norm_out."),
        ):
            new = new.replace(official, ours)
        renamed[name] = new
    return renamed


def vocoder_names(names: Iterable[str]) -> dict[str, str]:
    """Return official name -> transformers name of the HiFi-GAN's tensors, weight norm already taken out."""
    return {name: re.sub(r"^ups\.", "upsampler.", name) for name in names}


def rename(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the tensors under new names."""
    return {names[name]: tensor for name, tensor in tensors.items()}


def as_shaped(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop trailing axes of length 1 where the network has none: 1x1 convolutions that became linear maps."""
    return {
        name: tensor.reshape(like[name].shape)
        if name in like and tensor.numel() == like[name].numel()
        else tensor
        for name, tensor in tensors.items()
    }
