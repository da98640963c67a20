"""AudioLDM's U-Net with its RMS-ControlNet, against jakeoneijk/RMS_ControlNet_Inference."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.systems.two_stage.audioldm import UNetShape, controlnet_names, make_unet, unet_names
from clapstick.systems.two_stage.mel import rms_for_mel
from clapstick.systems.two_stage.rms_controlnet import RMSControlNet, RMSHint, controlled_unet

FORM = "rms_controlnet"
TOLERANCE = 1e-4


def _normal(recipe: str) -> np.ndarray:
    match = re.search(r"default_rng\(\[([\d,\s]+)\]\)\.standard_normal\(\(?([\d,\s]+)\)?\)", recipe)
    assert match, recipe
    seed, shape = ([int(number) for number in group.split(",") if number.strip()] for group in match.groups())
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture(scope="module")
def networks(fixture: Any, rules: ModuleType) -> tuple[Any, RMSControlNet]:
    """U-Net and ControlNet whose every tensor is made by the rule from its official name."""
    torch.manual_seed(0)
    unet = make_unet(UNetShape())
    control = RMSControlNet(unet, RMSHint(8))
    fill = fixture.facts["fill"]
    for network, names, key in (
        (unet, unet_names, "state_dict_unet"),
        (control, controlnet_names, "state_dict_controlnet"),
    ):
        shapes = fixture.facts[key]
        renamed = names(shapes)
        tensors = {
            renamed[name]: torch.from_numpy(rules.rule_tensor(name, shape, fill["seed"], fill["gain"]))
            for name, shape in shapes.items()
        }
        network.load_state_dict(tensors)
    return unet.eval(), control.eval()


def test_every_official_tensor_has_a_place(fixture: Any) -> None:
    for key, names in (("state_dict_unet", unet_names), ("state_dict_controlnet", controlnet_names)):
        official = fixture.facts[key]
        assert official
        assert len(set(names(official).values())) == len(official)


def test_rms_curve(fixture: Any, rules: ModuleType) -> None:
    match = re.match(r"waveform\(([\d.]+),\s*(\d+),\s*(\d+)\)", fixture.facts["inputs"]["rms"])
    assert match
    samples = rules.waveform(float(match[1]), int(match[2]), int(match[3]))
    curve = rms_for_mel(samples.astype(np.float64))
    np.testing.assert_allclose(curve[None], fixture.arrays["rms_curve"], rtol=0, atol=1e-6)


def test_noise_prediction(fixture: Any, rules: ModuleType, networks: tuple[Any, RMSControlNet]) -> None:
    unet, controlnet = networks
    inputs = fixture.facts["inputs"]
    sample = torch.from_numpy(_normal(inputs["z_t"]).astype(np.float32))
    clap = _normal(inputs["clap"])
    prompt = torch.from_numpy((clap / np.linalg.norm(clap)).astype(np.float32))[None]
    curve = torch.from_numpy(fixture.arrays["rms_curve"].astype(np.float32)).reshape(1, 1, -1, 1)
    timestep = torch.tensor([int(inputs["t"])])
    with torch.no_grad():
        control = controlnet(sample, timestep, curve, prompt)
        with_control = controlled_unet(unet, sample, timestep, prompt, control)
        without = controlled_unet(unet, sample, timestep, prompt, None)
        silent = torch.zeros_like(prompt)
        null = controlled_unet(unet, sample, timestep, silent, controlnet(sample, timestep, curve, silent))
        hint = controlnet.hint(curve)
    arrays = fixture.arrays
    assert rules.compare(arrays, "control.projected_rms", hint) < TOLERANCE
    for index, residual in enumerate([*control.down, control.mid]):
        assert rules.compare(arrays, f"control.out{index:02d}", residual) < TOLERANCE
    for key, value in (
        ("eps_with_control", with_control),
        ("eps_without_control", without),
        ("eps_with_control_zero_y", null),
    ):
        stored = arrays[key].shape if key in arrays else arrays[f"{key}.shape"]
        assert rules.compare(arrays, key, value.reshape(tuple(stored))) < TOLERANCE
