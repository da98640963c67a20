"""Released stage 2 files at full size: files of their layouts, filled by rule, are loaded and make sound."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_audioldm import adapter_names

from clapstick.systems.two_stage.audioldm import energy_adapter_names, unet_names
from clapstick.systems.two_stage.energy import EnergyRegressor
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.mel import smooth_energy
from clapstick.systems.two_stage.official import load_official_rewas, load_official_rms2sound
from clapstick.systems.two_stage.rms2sound import CONFIGS, Order, RMS2Sound, render
from clapstick.systems.two_stage.sampling import Sampling

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"


def _rules() -> Any:
    spec = importlib.util.spec_from_file_location("rule_weights", FIXTURES / "rule_weights.py")
    assert spec is not None
    assert spec.loader is not None
    rules: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    return rules


def _official_file(path: Path) -> None:
    """Write a flat file with every tensor under its official name, as ``ControlNetstep300000.pth``."""
    rules = _rules()
    control, decoder, clap = (
        json.loads((FIXTURES / f"{name}.json").read_text())
        for name in ("rms_controlnet", "rms2sound_decoder_sampler", "laion_clap")
    )
    groups = (
        ("model.diffusion_model.", control["state_dict_unet"], 0.7),
        ("model.diffusion_model.", control["state_dict_controlnet"], 0.7),
        ("first_stage_model.", decoder["state_dict"], 1.0),
        ("cond_stage_models.0.model.", clap["models"]["tiny"]["state_dict"], 1.4),
        ("cond_stage_models.0.model.", clap["models"]["state_dict_text_branch"], 1.4),
    )
    state = {
        prefix + name: torch.from_numpy(rules.rule_tensor(name, shape, 0, gain))
        for prefix, shapes, gain in groups
        for name, shape in shapes.items()
    }
    torch.save({**state, "scale_factor": torch.tensor(0.92), "logvar": torch.zeros(1000)}, path)


@pytest.mark.slow
def test_ten_seconds_at_full_size(tmp_path: Path) -> None:
    _official_file(tmp_path / "ControlNetstep300000.pth")
    parts = load_official_rms2sound(tmp_path / "ControlNetstep300000.pth")
    assert parts.model.config.scaling_factor == pytest.approx(0.92)
    with torch.no_grad():
        null = parts.clap_text(torch.tensor([[0, 2]]))["embedding"][0]
        prompt = parts.clap_audio(torch.zeros(1, 480_000))["embedding"][0]
    envelope = Envelope(np.abs(np.sin(np.arange(1250) / 50)) * 0.2, 125.0)
    sampling = Sampling(solver="dpm++", steps=2)
    made = render(parts.model, Order(prompt, envelope, 10.0, 1), null, sampling=sampling)
    assert made.samples.shape == (160_000,)
    assert np.isfinite(made.samples).all()
    assert made.samples.std() > 0


def _rewas_file(path: Path) -> None:
    """Write a file as ``audioldm_m_rewas_vggsound.ckpt``: wider, and its adapter beside the U-Net."""
    rules = _rules()
    with torch.device("meta"):
        network = RMS2Sound(CONFIGS["rewas"])
    unet, decoder, clap = (
        json.loads((FIXTURES / f"{name}.json").read_text())
        for name in ("rms_controlnet", "rms2sound_decoder_sampler", "laion_clap")
    )

    def shapes(own: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> dict[str, list[int]]:
        return {official: list(own[ours].shape) for official, ours in names.items()}

    groups = (
        ("model.diffusion_model.", shapes(network.unet.state_dict(), unet_names(unet["state_dict_unet"])), 0.7),
        ("control_model.", shapes(network.controlnet.state_dict(), energy_adapter_names(adapter_names())), 0.7),
        ("first_stage_model.", decoder["state_dict"], 1.0),
        ("cond_stage_models.0.model.", clap["models"]["base"]["state_dict"], 1.4),
        ("cond_stage_models.0.model.", clap["models"]["state_dict_text_branch"], 1.4),
    )
    state = {
        prefix + name: torch.from_numpy(rules.rule_tensor(name, shape, 0, gain))
        for prefix, group, gain in groups
        for name, shape in group.items()
    }
    torch.save({"state_dict": {**state, "scale_factor": torch.tensor(0.91)}}, path)


@pytest.mark.slow
def test_one_window_of_rewas_at_full_size(tmp_path: Path) -> None:
    _rewas_file(tmp_path / "rewas.ckpt")
    parts = load_official_rewas(tmp_path / "rewas.ckpt")
    assert parts.model.config.unet == CONFIGS["rewas"].unet
    with torch.no_grad():
        null = parts.clap_text(torch.tensor([[0, 2]]))["embedding"][0]
        prompt = parts.clap_audio(torch.zeros(1, 480_000))["embedding"][0]
        energy = EnergyRegressor().eval()(torch.randn(1, 112, 768))[0].double().numpy()
    envelope = Envelope(np.exp(smooth_energy(energy) - 5.0), 100.0)
    sampling = Sampling(solver="dpm++", steps=2, guidance=3.0, guided="prompt-and-control")
    made = render(parts.model, Order(prompt, envelope, 5.0, 1), null, sampling=sampling)
    assert made.samples.shape == (80_000,)
    assert np.isfinite(made.samples).all()
    assert made.samples.std() > 0
