"""BN-Inception RGB and flow features and the flow coding, against jnwnlee/video-foley."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.systems.two_stage.bn_inception import (
    BNInception,
    Modality,
    flow_network,
    flow_to_bytes,
    preprocess,
)
from clapstick.systems.two_stage.flow import resize_for_raft

FORM = "bn_inception"
TOLERANCE = 5e-5


def _frames(recipe: str, rules: ModuleType) -> np.ndarray:
    match = re.fullmatch(r"frames\((\d+),\s*(\d+),\s*(\d+),\s*(\d+)\)(\[\.\.\.,\s*:2\])?.*", recipe)
    assert match, recipe
    frames = rules.frames(*(int(number) for number in match.groups()[:4]))
    return frames[..., :2] if match.group(5) else frames


@pytest.fixture(scope="module")
def rgb_network(fixture: Any, rules: ModuleType) -> BNInception:
    fill = fixture.facts["fill"]
    network = BNInception().eval()
    rules.fill(network, seed=fill["seed"], gain=fill["gain"])
    return network


def test_tensor_names_and_shapes(fixture: Any, rgb_network: BNInception) -> None:
    for modality, network in (("RGB", rgb_network), ("Flow", flow_network(rgb_network))):
        own = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
        assert own == fixture.facts["models"][modality]["state_dict"]


@pytest.mark.parametrize(("name", "modality"), [("RGB", "rgb"), ("Flow", "flow")])
def test_features(
    fixture: Any, rules: ModuleType, rgb_network: BNInception, name: str, modality: Modality
) -> None:
    network = rgb_network if modality == "rgb" else flow_network(rgb_network)
    images = preprocess(_frames(fixture.facts["inputs"][modality], rules), modality)
    assert rules.compare(fixture.arrays, f"{name}.preprocessed", images) == 0.0
    with torch.no_grad():
        features = network(images)
    # The official script squeezes, which drops the axis of a single image.
    features = features.reshape(fixture.arrays[f"{name}.feature"].shape)
    assert rules.compare(fixture.arrays, f"{name}.feature", features) < TOLERANCE


def test_flow_coding_truncates(fixture: Any) -> None:
    coded = flow_to_bytes(torch.from_numpy(fixture.arrays["raft.flow_in"]))
    assert np.array_equal(coded.numpy(), fixture.arrays["raft.flow_uint8_bound20"])


def test_frames_for_raft(fixture: Any, rules: ModuleType) -> None:
    frames = _frames(fixture.facts["inputs"]["rgb"], rules)
    resized = resize_for_raft(torch.from_numpy(frames).permute(0, 3, 1, 2))
    for match in fixture.matches(r"(raft\.frames_resized_\w+)\.val"):
        wanted = fixture.arrays[match[0]].astype(int)
        found = resized.numpy().reshape(-1)[fixture.arrays[f"{match[1]}.idx"]].astype(int)
        assert tuple(resized.shape) == tuple(fixture.arrays[f"{match[1]}.shape"])
        assert np.abs(found - wanted).max() <= 1
