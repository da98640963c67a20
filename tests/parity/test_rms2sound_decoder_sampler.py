"""AudioLDM's mel VAE, HiFi-GAN and guided DDIM, against jakeoneijk/RMS_ControlNet_Inference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.systems.two_stage.audioldm import (
    as_shaped,
    make_vae,
    make_vocoder,
    rename,
    vae_names,
    vocoder_names,
)
from clapstick.systems.two_stage.sampling import Branch, Sampling, guide, make_scheduler

FORM = "rms2sound_decoder_sampler"
TOLERANCE = 5e-5


def _normal(recipe: str) -> torch.Tensor:
    match = re.search(r"default_rng\(\[([\d,\s]+)\]\)\.standard_normal\(\(([\d,\s]+)\)\)", recipe)
    assert match, recipe
    seed, shape = ([int(number) for number in group.split(",")] for group in match.groups())
    values = np.random.default_rng(seed).standard_normal(shape)
    affine = re.search(r"\*([\d.]+)-([\d.]+)", recipe)
    if affine:
        values = values * float(affine[1]) - float(affine[2])
    return torch.from_numpy(values.astype(np.float32))


def _ruled(fixture: Any, part: str, shapes: Mapping[str, Any], rules: ModuleType) -> dict[str, torch.Tensor]:
    """Fill tensors as the fixture says of a part, ``gain 1.4, prefix ''``; names hold the prefix already."""
    fill = fixture.facts["fill"]
    gain = re.match(r"gain ([\d.]+),", fill[part])
    assert gain, fill[part]
    return {
        name: torch.from_numpy(rules.rule_tensor(name, shape, fill["seed"], float(gain[1])))
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def vae(fixture: Any, rules: ModuleType) -> Any:
    shapes = {name: shape for name, shape in fixture.facts["state_dict"].items() if "vocoder." not in name}
    tensors = rename(_ruled(fixture, "vae", shapes, rules), vae_names(shapes))
    network = make_vae(scaling_factor=1.0)
    network.load_state_dict(as_shaped(tensors, network.state_dict()))
    return network.eval()


def test_vae(fixture: Any, rules: ModuleType, vae: Any) -> None:
    inputs = fixture.facts["inputs"]
    with torch.no_grad():
        decoded = vae.decode(_normal(inputs["z"])).sample
        posterior = vae.encode(_normal(inputs["mel for encoder"])).latent_dist
    assert rules.compare(fixture.arrays, "vae.decoded_mel", decoded) < TOLERANCE
    assert rules.compare(fixture.arrays, "vae.encoder_mean", posterior.mean) < TOLERANCE
    assert rules.compare(fixture.arrays, "vae.encoder_logvar", posterior.logvar) < TOLERANCE


def test_vocoder(fixture: Any, rules: ModuleType) -> None:
    shapes = {name: shape for name, shape in fixture.facts["state_dict"].items() if "vocoder." in name}
    ruled = _ruled(fixture, "vocoder", shapes, rules)
    official = {name.removeprefix("vocoder."): tensor for name, tensor in ruled.items()}
    network = make_vocoder()
    kept = {name: network.state_dict()[name] for name in ("mean", "scale")}
    network.load_state_dict({**rename(official, vocoder_names(official)), **kept})
    mel = _normal(fixture.facts["inputs"]["mel for vocoder"]).transpose(1, 2)
    with torch.no_grad():
        wave = network.eval()(mel)
    assert rules.compare(fixture.arrays, "vocoder.wave", wave[:, None]) < TOLERANCE


def _toy(recipe: str) -> Any:
    numbers = re.search(r"k=([\d.]+) cond / ([\d.]+) uncond, b=([\d.]+)", recipe)
    assert numbers, recipe
    prompted_k, null_k, control_b = (float(number) for number in numbers.groups())

    def predict(sample: torch.Tensor, timestep: torch.Tensor, branches: Sequence[Branch]) -> torch.Tensor:
        told = [
            sample * (prompted_k if branch.prompted else null_k) + (control_b if branch.controlled else 0.0)
            for branch in branches
        ]
        return torch.tanh(torch.cat(told) + float(timestep) / 1000)

    return predict


@pytest.mark.parametrize(("mode", "guided"), [("WOCFG", "prompt"), ("CFG", "prompt-and-control")])
def test_guided_ddim_steps(fixture: Any, rules: ModuleType, mode: str, guided: Any) -> None:
    recipe = fixture.facts["inputs"]["ddim"]
    facts = re.match(r"(\d+) steps, eta ([\d.]+), guidance ([\d.]+);", recipe)
    noise_seed = re.search(r"noise i=default_rng\(\[([\d,]+),i\]\)", recipe)
    visited = re.search(r"visited indices ([\d,]+)", recipe)
    assert facts
    assert noise_seed
    assert visited
    sampling = Sampling(steps=int(facts[1]), eta=float(facts[2]), guidance=float(facts[3]), guided=guided)
    scheduler = make_scheduler(sampling, "epsilon")
    assert scheduler.timesteps.flip(0).tolist() == fixture.arrays["ddim.timesteps"].tolist()
    np.testing.assert_allclose(scheduler.alphas_cumprod, fixture.arrays["alphas_cumprod"], rtol=0, atol=1e-6)
    predict = _toy(recipe)
    sample = _normal(recipe)
    for number, index in enumerate(int(text) for text in visited[1].split(",")):
        seed = [*(int(text) for text in noise_seed[1].split(",")), number]
        noise = np.random.default_rng(seed).standard_normal(tuple(sample.shape)).astype(np.float32)
        timestep = scheduler.timesteps[sampling.steps - 1 - index]
        step = scheduler.step(
            guide(predict, sample, timestep, sampling),
            timestep,
            sample,
            eta=sampling.eta,
            variance_noise=torch.from_numpy(noise),
        )
        for name, value in (("x_prev", step.prev_sample), ("pred_x0", step.pred_original_sample)):
            key = f"ddim.{mode}.step{number}.{name}"
            wanted = fixture.arrays[f"{key}.val"]
            found = value.numpy().reshape(-1)[fixture.arrays[f"{key}.idx"]]
            scale = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=1e-5)
        sample = step.prev_sample
