"""Writes small files laid out as AudioLDM's, Video-Foley's and ReWaS's, without any of their code.

Names come from the fixtures' lists of official tensors, shapes from a small configuration, numbers from a seed.
CLAP keeps its size, but each of its tensors is one row repeated, which takes no room on the disk.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch

from clapstick.metrics.embedders.htsat import COMPUTED
from clapstick.systems.two_stage.audioldm import (
    controlnet_names,
    energy_adapter_names,
    unet_names,
    vae_names,
    vocoder_names,
)
from clapstick.systems.two_stage.rms2sound import CONFIGS, RMS2Sound, RMS2SoundConfig, VAECodec

FIXTURES = Path(__file__).parent / "parity" / "fixtures"
SMALL = CONFIGS["rewas-tiny"]
Kind = Literal["audioldm", "video-foley", "rewas"]


def adapter_names() -> list[str]:
    """Return the official names of ReWaS's adapter: the U-Net's encoder, a hint and 13 zero convolutions."""
    unet = _fixture("rms_controlnet")["state_dict_unet"]
    encoder = [name for name in unet if not name.startswith(("output_blocks.", "out."))]
    hint = [f"input_hint_block.{index}.{leaf}" for index in (1, 4) for leaf in ("weight", "bias")]
    zeros = [f"zero_convs.{index}.0.{leaf}" for index in range(12) for leaf in ("weight", "bias")]
    return [*encoder, *hint, *zeros, "middle_block_out.0.weight", "middle_block_out.0.bias"]


def write_official(
    path: Path, kind: Kind, *, clap: Literal["tiny", "base"] = "tiny", averaged: bool = False
) -> RMS2Sound:
    """Write the file and return the network whose tensors it holds."""
    torch.manual_seed(1)
    control: Literal["energy", "rms"] = "energy" if kind == "rewas" else "rms"
    network = RMS2Sound(_config(control))
    for weight in network.controlnet.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.05)
    names, decoder = _fixture("rms_controlnet"), _fixture("rms2sound_decoder_sampler")["state_dict"]
    unet = _named(network.unet.state_dict(), names["state_dict_unet"], unet_names)
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in unet.items()}
    if averaged:
        state |= {f"model_ema.diffusion_model{name.replace('.', '')}": unet[name] for name in unet}
        state |= {f"model.diffusion_model.{name}": torch.zeros_like(tensor) for name, tensor in unet.items()}
    if kind == "video-foley":
        own = _named(network.controlnet.state_dict(), names["state_dict_controlnet"], controlnet_names)
        state |= {f"model.diffusion_model.{name}": tensor for name, tensor in own.items()}
    if kind == "rewas":
        own = _named(network.controlnet.state_dict(), adapter_names(), energy_adapter_names)
        state |= {f"control_model.{name}": tensor for name, tensor in own.items()}
    codec = network.codec
    assert isinstance(codec, VAECodec)
    vae = [name for name in decoder if not name.startswith("vocoder.")]
    for name, tensor in _named(codec.vae.state_dict(), vae, vae_names).items():
        projection = ".attn_1." in name and name.endswith("weight") and "norm" not in name
        state[f"first_stage_model.{name}"] = tensor[:, :, None, None] if projection else tensor
    vocoder = [name.removeprefix("vocoder.") for name in decoder if name.startswith("vocoder.")]
    for name, tensor in _named(network.vocoder.state_dict(), vocoder, vocoder_names).items():
        state[f"first_stage_model.vocoder.{name}"] = tensor
    state |= {f"cond_stage_models.0.model.{name}": tensor for name, tensor in _clap(clap).items()}
    state["scale_factor"] = torch.tensor(0.9)
    torch.save({"state_dict": state}, path)
    return network.eval()


def _config(control: Literal["energy", "rms"]) -> RMS2SoundConfig:
    return SMALL.model_copy(
        update={
            "control": control,
            "scaling_factor": 0.9,
            "unet": SMALL.unet.model_copy(update={"heads": tuple(w // 32 for w in SMALL.unet.widths)}),
        }
    )


def _named(
    own: Mapping[str, torch.Tensor],
    official: Iterable[str],
    rename: Callable[[Iterable[str]], dict[str, str]],
) -> dict[str, torch.Tensor]:
    return {name: own[ours].clone() for name, ours in rename(list(official)).items()}


def _clap(size: Literal["tiny", "base"]) -> dict[str, torch.Tensor]:
    models = _fixture("laion_clap")["models"]
    shapes = {**models[size]["state_dict"], **models["state_dict_text_branch"]}
    generator = torch.Generator().manual_seed(3)
    made = {}
    for name, shape in shapes.items():
        if any(fnmatch.fnmatchcase(name, computed) for computed in COMPUTED) or not shape:
            continue
        row = torch.randn(shape[-1:], generator=generator) * 0.05
        positive = name.endswith(("running_var", "melW"))
        made[name] = (row.abs() if positive else row).expand(shape)
    return made


def _fixture(name: str) -> dict[str, dict[str, dict[str, list[int]]]]:
    found: dict[str, dict[str, dict[str, list[int]]]] = json.loads((FIXTURES / f"{name}.json").read_text())
    return found
