"""Stable Audio Open's networks without its T5: sizes, and both layouts of its weights."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.checkpoints import load_strictly
from clapstick.systems.two_stage.dit_controlnet import DiTShape, make_dit

LONGEST_S = 512
"""Seconds that the numbers for start and length are scaled by."""


class OobleckShape(BaseModel):
    """Size of the waveform VAE; the strides, 2048 together, are the published ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = 128
    multiples: tuple[int, int, int, int, int] = (1, 2, 4, 8, 16)


class StableAudio(nn.Module):
    """Transformer, VAE and the embedding of start and length.

    Parameters
    ----------
    dit : DiTShape
    vae : OobleckShape
    """

    def __init__(self, dit: DiTShape, vae: OobleckShape) -> None:
        super().__init__()
        self.dit: Any = make_dit(dit)
        self.vae: Any = make_oobleck(vae, dit.latent_channels)
        self.lengths: Any = make_lengths(dit)


def make_oobleck(shape: OobleckShape, latent_channels: int = 64) -> Any:
    """Build the stereo 44.1 kHz VAE: one latent frame every 2048 samples."""
    from diffusers import AutoencoderOobleck

    make: Any = AutoencoderOobleck
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # diffusers still calls torch's old weight_norm
        return make(
            encoder_hidden_size=2 * latent_channels,
            downsampling_ratios=[2, 4, 4, 8, 8],
            channel_multiples=list(shape.multiples),
            decoder_channels=shape.width,
            decoder_input_channels=latent_channels,
            audio_channels=2,
            sampling_rate=44_100,
        )


def make_lengths(shape: DiTShape) -> Any:
    """Build the embedding of start and length in seconds, each of shape (batch, 1, cross_dim)."""
    from diffusers import StableAudioProjectionModel

    make: Any = StableAudioProjectionModel
    width = shape.cross_dim
    return make(text_encoder_dim=width, conditioning_dim=width, min_value=0, max_value=LONGEST_S)


_FOLDERS = {"dit": "transformer", "vae": "vae", "lengths": "projection_model"}


def load_stable_audio(path: Path, dit: DiTShape, vae: OobleckShape) -> StableAudio:
    """Load Stable Audio Open.

    Parameters
    ----------
    path : Path
        ``model.safetensors`` or ``model.ckpt`` as Stability AI publishes it, or a folder in diffusers' layout.
    dit : DiTShape
    vae : OobleckShape

    Raises
    ------
    ClapstickError
        If a file is missing or unreadable, or a tensor is missing, unknown or has another shape; names it.
    """
    network = StableAudio(dit, vae)
    if path.is_dir():
        parts = {}
        for part, folder in _FOLDERS.items():
            parts[part] = _read(path / folder / "diffusion_pytorch_model.safetensors")
    else:
        parts = from_original(_read(path))
    for part, tensors in parts.items():
        load_strictly(getattr(network, part), tensors, path)
    return network.eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        flat = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise fail(
            "Stable Audio Open cannot be read",
            path,
            found=error,
            expected="model.safetensors, model.ckpt, or a folder with transformer, vae and projection_model",
            remedy="Accept its licence and download stabilityai/stable-audio-open-1.0.",
        ) from error
    state: dict[str, Tensor] = flat.get("state_dict", flat)
    return state


_DIT, _VAE, _CONDITIONER = "model.model.", "pretransform.model.", "conditioner.conditioners.seconds_"


def from_original(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Sort tensors under Stability AI's names into ``dit``, ``vae`` and ``lengths`` under diffusers' names.

    T5 and tables that are computed are left out.
    """
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in _FOLDERS}
    for name, tensor in state.items():
        if name.startswith(_DIT) and not name.endswith("rotary_pos_emb.inv_freq"):
            parts["dit"] |= _dit_tensors(name.removeprefix(_DIT), tensor)
        elif name.startswith(_VAE):
            parts["vae"] |= _vae_tensor(name.removeprefix(_VAE), tensor)
        elif name.startswith(_CONDITIONER):
            which, _, _, leaf = name.removeprefix(_CONDITIONER).split(".", 3)
            number = {"start": "start", "total": "end"}[which]
            parts["lengths"][f"{number}_number_conditioner.time_positional_embedding.{leaf}"] = tensor
    return parts


_DIT_NAMES = (
    (r"^timestep_features\.", "time_proj."),
    (r"^to_timestep_embed\.", "timestep_proj."),
    (r"^to_global_embed\.", "global_proj."),
    (r"^to_cond_embed\.", "cross_attention_proj."),
    (r"^transformer\.project_(in|out)\.", r"proj_\1."),
    (r"^transformer\.layers\.", "transformer_blocks."),
    (r"\.pre_norm\.", ".norm1."),
    (r"\.cross_attend_norm\.", ".norm2."),
    (r"\.ff_norm\.", ".norm3."),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.to_out\.", ".to_out.0."),
    (r"\.ff\.ff\.", ".ff.net."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
)


def _dit_tensors(name: str, tensor: Tensor) -> dict[str, Tensor]:
    for official, ours in _DIT_NAMES:
        name = re.sub(official, ours, name)
    if name == "time_proj.weight":
        return {name: tensor.reshape(-1)}
    for joint in ("qkv", "kv"):
        if f".to_{joint}." in name:
            split = tensor.chunk(len(joint))
            names = [name.replace(f".to_{joint}.", f".to_{one}.") for one in joint]
            return dict(zip(names, split, strict=True))
    return {name: tensor}


_BLOCK = {
    "encoder": {"0": "res_unit1", "1": "res_unit2", "2": "res_unit3", "3": "snake1", "4": "conv1"},
    "decoder": {"0": "snake1", "1": "conv_t1", "2": "res_unit1", "3": "res_unit2", "4": "res_unit3"},
}
_UNIT = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}
_ENDS = {"0": "conv1", "6": "snake1", "7": "conv2"}


def _vae_tensor(name: str, tensor: Tensor) -> dict[str, Tensor]:
    side, *steps = [step for step in name.split(".") if step != "layers"]
    leaf = steps.pop()
    if steps[0] in _ENDS:
        steps = [_ENDS[steps[0]]]
    else:
        steps = ["block", str(int(steps[0]) - 1), _BLOCK[side][steps[1]], *(_UNIT[step] for step in steps[2:])]
    shaped = tensor.reshape(1, -1, 1) if leaf in ("alpha", "beta") else tensor
    return {".".join([side, *steps, leaf]): shaped}
