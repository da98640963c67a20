"""Official stage 2 files of Video-Foley and ReWaS, and AudioLDM's own: every network in one file."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from clapstick.metrics.embedders.checkpoint import read_state_dict
from clapstick.metrics.embedders.htsat import BASE, COMPUTED, TINY
from clapstick.metrics.embedders.laion_clap import ClapAudio, ClapText
from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.audioldm import (
    UNetShape,
    as_shaped,
    controlnet_names,
    energy_adapter_names,
    rename,
    unet_names,
    vae_names,
    vocoder_names,
)
from clapstick.systems.two_stage.checkpoints import load_strictly
from clapstick.systems.two_stage.rms2sound import CONFIGS, RMS2Sound, RMS2SoundConfig, VAECodec
from clapstick.systems.two_stage.rms_controlnet import RMSControlNet

_UNET = "model.diffusion_model."
_CONTROL = ("control_net.", "control_net_input_projection_list.")
_VAE = "first_stage_model."
_VOCODER = "first_stage_model.vocoder."
_CLAP = ("cond_stage_models.0.model.", "cond_stage_model.model.")
"""In the released stage 2, and in AudioLDM's own checkpoints."""
_ADAPTER = "control_model."
_AVERAGED = "model_ema."
_EXPECTED_UNET, _EXPECTED_CONTROL = 690, 332
_CHANNELS_A_HEAD = 32


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
    parts = _load_base(state, path, CONFIGS["video-foley"])
    control = _group(state, tuple(_UNET + part for part in _CONTROL), _UNET)
    _require(path, "the RMS-ControlNet", len(control), _EXPECTED_CONTROL)
    load_strictly(parts.model.controlnet, rename(control, controlnet_names(control)), path)
    return parts


def load_official_rewas(path: Path) -> OfficialParts:
    """Load ``audioldm_m_rewas_vggsound.ckpt``.

    Where the file holds a moving average of the U-Net, this is what is taken, as the released code does.

    Raises
    ------
    ClapstickError
        If a group of tensors is missing or incomplete; names it.
    """
    state = _read(path)
    parts = _load_base(state, path, CONFIGS["rewas"])
    adapter = _group(state, (_ADAPTER,), _ADAPTER)
    _require(path, "the energy adapter", len(adapter), _EXPECTED_CONTROL)
    load_strictly(parts.model.controlnet, rename(adapter, energy_adapter_names(adapter)), path)
    return parts


def load_audioldm_base(path: Path, config: RMS2SoundConfig = CONFIGS["video-foley"]) -> OfficialParts:
    """Load what a ControlNet is trained on: AudioLDM's checkpoint, or a released stage 2 less its ControlNet.

    The ControlNet is a fresh copy of the U-Net's encoder, its zero convolutions zero.

    Raises
    ------
    ClapstickError
        As `load_official_rms2sound`.
    """
    parts = _load_base(_read(path), path, config)
    model = parts.model
    model.controlnet = RMSControlNet(model.unet, model.make_hint())
    return parts


def _read(path: Path) -> dict[str, Tensor]:
    try:
        flat = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise fail(
            "checkpoint cannot be read",
            path,
            found=error,
            expected="a file of tensors that torch.save wrote",
            remedy="Download it again.",
        ) from error
    if not isinstance(flat, dict):
        raise fail("not a checkpoint", path, found=type(flat).__name__, expected="a dictionary of tensors")
    state: dict[str, Tensor] = flat.get("state_dict", flat)
    return state


def _load_base(state: Mapping[str, Tensor], path: Path, config: RMS2SoundConfig) -> OfficialParts:
    """Load everything but the control; sizes are read from the tensors, so any AudioLDM of four levels fits."""
    unet = {
        name: tensor for name, tensor in _group(state, (_UNET,), _UNET).items() if not name.startswith(_CONTROL)
    }
    _require(path, "the U-Net", len(unet), _EXPECTED_UNET)
    for name in ("scale_factor", _ENCODER_WIDTHS.format(0), _VOCODER_WIDTH):
        if name not in state:
            raise fail(f"checkpoint lacks {name}", path, remedy="Download it again.")
    averaged = {name: state[average] for name in unet if (average := _averaged(name)) in state}
    model = RMS2Sound(_sized(config, state, unet))
    load_strictly(model.unet, rename(unet | averaged, unet_names(unet)), path)
    load_audioldm_decoder(model, state, path)
    clap = {name: tensor for prefix in _CLAP for name, tensor in _group(state, (prefix,), prefix).items()}
    return OfficialParts(model.eval(), *load_clap(clap, path))


def _sized(config: RMS2SoundConfig, state: Mapping[str, Tensor], unet: Mapping[str, Tensor]) -> RMS2SoundConfig:
    widths = tuple(unet[f"input_blocks.{3 * level + 1}.0.out_layers.3.weight"].shape[0] for level in range(4))
    shape = UNetShape(
        latent_channels=unet["input_blocks.0.0.weight"].shape[1],
        widths=widths,
        heads=tuple(width // _CHANNELS_A_HEAD for width in widths),
        prompt_dim=unet["film_emb.weight"].shape[1],
    )
    return config.model_copy(
        update={
            "unet": shape,
            "vae_widths": tuple(state[_ENCODER_WIDTHS.format(level)].shape[0] for level in range(3)),
            "vocoder_channels": state[_VOCODER_WIDTH].shape[0],
            "scaling_factor": float(state["scale_factor"]),
        }
    )


_ENCODER_WIDTHS = f"{_VAE}encoder.down.{{}}.block.0.conv1.weight"
_VOCODER_WIDTH = f"{_VOCODER}conv_pre.weight"


def _averaged(name: str) -> str:
    """Return the name of a U-Net tensor's moving average, which has no dots."""
    return f"{_AVERAGED}diffusion_model{name.replace('.', '')}"


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
    """Load both towers of LAION's CLAP from tensors under LAION's names; HTSAT-tiny or HTSAT-base."""
    first = tensors.get("audio_branch.patch_embed.proj.weight")
    size = BASE if first is not None and first.shape[0] == BASE.width else TINY
    towers: tuple[ClapAudio, ClapText] = (ClapAudio(size), ClapText())
    for tower, parts in zip(towers, (("audio_branch.", "audio_projection."), _TEXT_PARTS), strict=True):
        own = tower.state_dict()
        held = {name: tensors[name] for name in tensors if name.startswith(parts) and name in own}
        computed = {
            name: own[name] for name in own if any(fnmatch.fnmatchcase(name, part) for part in _COMPUTED)
        }
        load_strictly(tower, {**computed, **held}, path)
        tower.eval().requires_grad_(False)
    return towers


def load_laion_clap(path: Path) -> tuple[ClapAudio, ClapText]:
    """Load both towers of a checkpoint as LAION publishes it."""
    state = read_state_dict(path, model="LAION CLAP", key="state_dict", prefix="module.", drop=())
    return load_clap(state, path)


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
            remedy="Give the file as released.",
        )
