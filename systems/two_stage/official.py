"""``ControlNetstep300000.pth`` of Video-Foley: one flat file with every network of stage 2 and its CLAP."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from clapstick.metrics.embedders.htsat import COMPUTED, TINY
from clapstick.metrics.embedders.laion_clap import ClapAudio, ClapText
from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.audioldm import (
    as_shaped,
    controlnet_names,
    rename,
    unet_names,
    vae_names,
    vocoder_names,
)
from clapstick.systems.two_stage.checkpoints import load_strictly
from clapstick.systems.two_stage.rms2sound import CONFIGS, RMS2Sound, VAECodec
from clapstick.systems.two_stage.rms_controlnet import RMSControlNet, RMSHint

_UNET = "model.diffusion_model."
_CONTROL = (f"{_UNET}control_net.", f"{_UNET}control_net_input_projection_list.")
_VAE = "first_stage_model."
_VOCODER = "first_stage_model.vocoder."
_CLAP = ("cond_stage_models.0.model.", "cond_stage_model.model.")
"""In the released stage 2, and in AudioLDM's own checkpoints."""
_EXPECTED_UNET, _EXPECTED_CONTROL = 690, 332


@dataclass(frozen=True)
class OfficialParts:
    """What the file holds."""

    model: RMS2Sound
    clap_audio: ClapAudio
    clap_text: ClapText


def load_official_rms2sound(path: Path) -> OfficialParts:
    """Load the released stage 2.

    The released loader fills tensors that the file lacks with random numbers; here they are an error.

    Raises
    ------
    ClapstickError
        If a group of tensors is missing or incomplete; names it.
    """
    state = _read(path)
    parts = _load_base(state, path)
    control = _group(state, _CONTROL, _UNET)
    _require(path, "the RMS-ControlNet", len(control), _EXPECTED_CONTROL)
    load_strictly(parts.model.controlnet, rename(control, controlnet_names(control)), path)
    return parts


def load_audioldm_base(path: Path) -> OfficialParts:
    """Load what a ControlNet is trained on: AudioLDM-S, or the released stage 2 without its ControlNet.

    The ControlNet is a fresh copy of the U-Net's encoder, its zero convolutions zero.

    Raises
    ------
    ClapstickError
        As `load_official_rms2sound`.
    """
    parts = _load_base(_read(path), path)
    parts.model.controlnet = RMSControlNet(parts.model.unet, RMSHint(parts.model.config.unet.latent_channels))
    return parts


def _read(path: Path) -> dict[str, Tensor]:
    flat = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(flat, dict):
        raise fail("not a checkpoint", path, found=type(flat).__name__, expected="a dictionary of tensors")
    state: dict[str, Tensor] = flat.get("state_dict", flat)
    return state


def _load_base(state: Mapping[str, Tensor], path: Path) -> OfficialParts:
    control = _group(state, _CONTROL, _UNET)
    unet = {name: tensor for name, tensor in _group(state, (_UNET,), _UNET).items() if name not in control}
    _require(path, "the U-Net", len(unet), _EXPECTED_UNET)
    if "scale_factor" not in state:
        raise fail("checkpoint lacks scale_factor", path, remedy="Download it again.")
    config = CONFIGS["video-foley"].model_copy(update={"scaling_factor": float(state["scale_factor"])})
    model = RMS2Sound(config)
    load_strictly(model.unet, rename(unet, unet_names(unet)), path)
    load_audioldm_decoder(model, state, path)
    clap = {name: tensor for prefix in _CLAP for name, tensor in _group(state, (prefix,), prefix).items()}
    return OfficialParts(model.eval(), *load_clap(clap, path))


def load_audioldm_decoder(model: RMS2Sound, state: Mapping[str, Tensor], path: Path) -> None:
    """Load VAE and vocoder of an AudioLDM checkpoint into a full-size model."""
    codec = model.codec
    if not isinstance(codec, VAECodec):
        raise ValueError(f"configuration {model.config.name} has no VAE")
    parts = tuple(f"{_VAE}{part}." for part in ("encoder", "decoder", "quant_conv", "post_quant_conv"))
    vae = _group(state, parts, _VAE)
    renamed = as_shaped(rename(vae, vae_names(vae)), codec.vae.state_dict())
    load_strictly(codec.vae, renamed, path)
    vocoder = _group(state, (_VOCODER,), _VOCODER)
    own = model.vocoder.state_dict()
    kept = {"mean": torch.zeros_like(own["mean"]), "scale": torch.ones_like(own["scale"])}
    load_strictly(model.vocoder, {**rename(vocoder, vocoder_names(vocoder)), **kept}, path)


def load_clap(tensors: Mapping[str, Tensor], path: Path) -> tuple[ClapAudio, ClapText]:
    """Load both towers of LAION's CLAP from tensors under LAION's names."""
    towers: tuple[ClapAudio, ClapText] = (ClapAudio(TINY), ClapText())
    for tower, parts in zip(towers, (("audio_branch.", "audio_projection."), _TEXT_PARTS), strict=True):
        own = tower.state_dict()
        held = {name: tensors[name] for name in tensors if name.startswith(parts) and name in own}
        computed = {
            name: own[name] for name in own if any(fnmatch.fnmatchcase(name, part) for part in _COMPUTED)
        }
        load_strictly(tower, {**computed, **held}, path)
        tower.eval().requires_grad_(False)
    return towers


_TEXT_PARTS = ("text_branch.", "text_projection.")
_COMPUTED = (*COMPUTED, "*.position_ids", "*.token_type_ids", "*.num_batches_tracked")


def _group(state: Mapping[str, Tensor], prefixes: Iterable[str], cut: str) -> dict[str, Tensor]:
    """Return the tensors under some prefixes, their names without `cut`."""
    wanted = tuple(prefixes)
    return {name.removeprefix(cut): tensor for name, tensor in state.items() if name.startswith(wanted)}


def _require(path: Path, what: str, found: int, expected: int) -> None:
    if found != expected:
        raise fail(
            f"checkpoint does not hold {what}",
            path,
            found=f"{found} tensors",
            expected=f"{expected} tensors",
            remedy="Give ControlNetstep300000.pth as released.",
        )
