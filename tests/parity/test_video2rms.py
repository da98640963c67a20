"""Video2RMS logits under rule weights, plain, with onset head and continuous, against jnwnlee/video-foley."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.systems.two_stage.video2rms import CONFIGS, Video2RMS

FORM = "video2rms"
TOLERANCE = 5e-5
VARIANTS = {"plain": {}, "onset": {"onset_head": True}, "continuous": {"classes": 0}}


def _features(recipe: str) -> torch.Tensor:
    match = re.search(r"default_rng\(\[([\d,\s]+)\]\)\.standard_normal\(\(([\d,\s]+)\)\)", recipe)
    scale = re.search(r"\*\s*([\d.]+)\)?$", recipe)
    assert match, recipe
    assert scale, recipe
    seed, shape = ([int(number) for number in group.split(",")] for group in match.groups())
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(np.abs(noise * np.float32(scale.group(1))))


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits(fixture: Any, rules: ModuleType, variant: str) -> None:
    network = Video2RMS(CONFIGS["video-foley"].model_copy(update=VARIANTS[variant])).eval()
    own = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert own == fixture.facts["models"][variant]["state_dict"]
    rules.fill(network, seed=fixture.facts["fill"]["seed"], gain=fixture.facts["fill"]["gain"])
    with torch.no_grad():
        output = network(_features(fixture.facts["inputs"]["features"]))
    assert rules.compare(fixture.arrays, f"{variant}.rms_logits", output.rms) < TOLERANCE
    if variant == "onset":
        assert rules.compare(fixture.arrays, "onset.onset_logits", output.onsets) < TOLERANCE
    if variant != "continuous":
        clear = fixture.arrays[f"{variant}.top1_minus_top2"] > 1e-4
        classes = output.rms.argmax(dim=1).numpy()
        assert np.array_equal(classes[clear], fixture.arrays[f"{variant}.argmax"][clear])
