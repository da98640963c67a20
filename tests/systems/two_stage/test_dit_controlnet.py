"""The Stable Audio ControlNet in a size that runs in seconds, against diffusers' own forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from clapstick.systems.two_stage.dit_controlnet import (
    DiTControlNet,
    DiTInput,
    DiTShape,
    controlled_dit,
    make_dit,
    rotary_for,
    stereo_envelope,
    v_objective,
)

TINY = DiTShape(
    latent_channels=8,
    layers=5,
    heads=2,
    kv_heads=1,
    head_dim=16,
    cross_dim=16,
    global_dim=16,
    time_dim=16,
    control_layers=2,
)


@pytest.fixture(scope="module")
def dit() -> Any:
    torch.manual_seed(1)
    return make_dit(TINY).eval().requires_grad_(False)


def _inputs() -> DiTInput:
    generator = torch.Generator().manual_seed(2)
    return DiTInput(
        sample=torch.randn(2, 8, 12, generator=generator),
        timestep=torch.tensor([0.3, 0.7]),
        cross=torch.randn(2, 4, 16, generator=generator),
        global_states=torch.randn(2, 1, 16, generator=generator),
        rotary=rotary_for(TINY, 12),
    )


def _library(dit: Any, told: DiTInput) -> torch.Tensor:
    made: torch.Tensor = dit(
        told.sample,
        told.timestep,
        encoder_hidden_states=told.cross,
        global_hidden_states=told.global_states,
        rotary_embedding=told.rotary,
        return_dict=False,
    )[0]
    return made


def test_without_control_it_is_the_library(dit: Any) -> None:
    told = _inputs()
    torch.testing.assert_close(controlled_dit(dit, told), _library(dit, told), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("residual_at", ["output", "input"])
def test_a_fresh_controlnet_changes_nothing_and_learns(dit: Any, residual_at: Any) -> None:
    told = _inputs()
    controlnet = DiTControlNet(dit, TINY.model_copy(update={"residual_at": residual_at}))
    controlnet.requires_grad_(True)
    control = torch.ones(2, 8, 12)
    made = controlled_dit(dit, told, controlnet=controlnet, control=control)
    torch.testing.assert_close(made, _library(dit, told), rtol=1e-5, atol=1e-6)
    made.square().mean().backward()
    assert all(float(zero.weight.grad.abs().sum()) > 0 for zero in controlnet.zero_out)
    assert all(weight.grad is None for weight in dit.parameters())


def test_the_two_places_of_the_residual_differ(dit: Any) -> None:
    told = _inputs()
    made = []
    for place in ("output", "input"):
        controlnet = DiTControlNet(dit, TINY.model_copy(update={"residual_at": place}))
        for zero in controlnet.zero_out:
            torch.nn.init.eye_(zero.weight)
        made.append(controlled_dit(dit, told, controlnet=controlnet, control=told.sample))
    assert not torch.allclose(made[0], made[1], atol=1e-3)


def test_full_size_counts() -> None:
    with torch.device("meta"):
        dit = make_dit(DiTShape())
        four, five = (DiTControlNet(dit, DiTShape(control_layers=layers)) for layers in (4, 5))
    assert sum(weight.numel() for weight in dit.parameters()) == 1_056_939_136
    counts = [sum(weight.numel() for weight in control.parameters()) / 1e6 for control in (four, five)]
    assert counts == pytest.approx([192.9, 238.9], abs=0.1)


def test_stereo_envelope_fills_whole_latent_frames() -> None:
    # 10 s are 441,000 samples, 215.3 latent frames: 216 frames of 2048.
    envelope = stereo_envelope(np.full(1250, 0.25), 125.0, 441_000)
    assert envelope.shape == (2, 216 * 2048)
    np.testing.assert_allclose(envelope, 0.25)


def test_v_objective_at_its_ends() -> None:
    sample, noise = torch.ones(2, 1, 1), torch.full((2, 1, 1), 5.0)
    noisy, target = v_objective(sample, noise, torch.tensor([0.0, 1.0]))
    # At 0 the latent is clean and the target is the noise; at 1 it is noise and the target minus the latent.
    torch.testing.assert_close(noisy.flatten(), torch.tensor([1.0, 5.0]))
    torch.testing.assert_close(target.flatten(), torch.tensor([5.0, -1.0]))
