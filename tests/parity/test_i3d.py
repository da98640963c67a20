"""I3D: preprocessing, RGB and flow features, and their sum."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders import i3d
from clapstick.metrics.embedders.pwc_net import PwcNet, pwc_flow
from clapstick.metrics.embedders.registry import load_embedder

FORM = "i3d"
TOLERANCE = 5e-5
FLOW = re.compile(
    r"default_rng\(\[(\d+),\s*(\d+),\s*k\]\)\.standard_normal\(\((\d+),2,(\d+),(\d+)\)\)\*([\d.]+)"
)


@pytest.fixture(scope="module")
def paths(fixture: Any, checkpoints: Any) -> dict[str, Path]:
    return {
        f"i3d-{name}": Path(checkpoints.write(f"i3d_{name}.pt", facts["state_dict"], fixture.facts["fill"]))
        for name, facts in fixture.facts["models"].items()
    }


@pytest.fixture(scope="module")
def networks(paths: dict[str, Path]) -> dict[str, i3d.I3d]:
    return {
        name: i3d._load(paths[f"i3d-{name}"], channels, "cpu") for name, channels in (("rgb", 3), ("flow", 2))
    }


def _frames(recipe: str, rules: ModuleType) -> np.ndarray:
    match = re.match(r"frames\((\d+),\s*(\d+),\s*(\d+),\s*(\d+)\)", recipe)
    assert match, recipe
    return np.asarray(rules.frames(*(int(number) for number in match.groups())))


def _flow(recipe: str, height: int, width: int) -> np.ndarray:
    """Make the stacks that the recipe describes: coarse normal noise, blown up and cropped."""
    match = FLOW.search(recipe)
    assert match, recipe
    first, second, frames, rows, columns = (int(number) for number in match.groups()[:5])
    numbered = re.search(r"for stack k in ([\d,]+):", recipe)
    assert numbered, recipe
    stacks = []
    for stack in map(int, numbered[1].split(",")):
        low = np.random.default_rng([first, second, stack]).standard_normal((frames, 2, rows, columns))
        low *= float(match[6])
        blown = np.repeat(np.repeat(low, -(-height // rows), axis=2), -(-width // columns), axis=3)
        stacks.append(blown[:, :, :height, :width].astype(np.float32))
    return np.concatenate(stacks)


def test_embedding_is_the_sum_of_both_streams(
    fixture: Any, rules: ModuleType, paths: dict[str, Path], networks: dict[str, i3d.I3d]
) -> None:
    frames = _frames(fixture.facts["inputs"]["rgb"], rules)
    resized = i3d.resize_frames(frames)
    flow = _flow(fixture.facts["inputs"]["flow"], *resized.shape[1:3])
    assert _atol(fixture, "rgb.stack0_input", i3d.rgb_stack(resized[:24])) < 1e-6
    assert _atol(fixture, "flow.stack0_input", i3d.flow_stack(flow[:24])) < 1e-6
    rgb_rows = load_embedder("i3d-rgb", paths, kind="video").embed(frames)["embedding"]
    with torch.inference_mode():
        flow_rows = i3d._flow_rows(networks["flow"], flow, "cpu")
    assert rules.compare(fixture.arrays, "rgb.features", rgb_rows) < TOLERANCE
    assert rules.compare(fixture.arrays, "flow.features", flow_rows) < TOLERANCE
    assert len(rgb_rows) == len(fixture.arrays["rgb.frames_used_first_last"]) == (len(frames) - 1) // 24
    found = rgb_rows + flow_rows.numpy()
    assert rules.compare(fixture.arrays, "favd_video_embedding_rgb_plus_flow", found) < TOLERANCE


def test_short_video_is_refused_and_flow_needs_its_own_weights(
    paths: dict[str, Path], rules: ModuleType
) -> None:
    frames = _frames("frames(24,32,32,0)", rules)
    with pytest.raises(NotComputableError, match="24 frames at 25 a second, needs 25"):
        load_embedder("i3d-rgb", paths, kind="video").embed(frames)
    with pytest.raises(
        NotComputableError, match="i3d needs the weights pwc-net: `clapstick weights fetch pwc-net`"
    ):
        load_embedder("i3d", paths, kind="video")


@pytest.mark.slow
def test_without_given_flow_it_is_pwc_nets(rules: ModuleType, paths: dict[str, Path], tmp_path: Path) -> None:
    network = PwcNet()
    rules.fill(network)
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, tmp_path / "pwc.pt")
    both = load_embedder("i3d", {**paths, "pwc-net": tmp_path / "pwc.pt"}, kind="video")
    frames = _frames("frames(25,256,256,0)", rules)
    flow = pwc_flow(network.eval().requires_grad_(False), frames, "cpu")
    np.testing.assert_array_equal(both.embed(frames)["embedding"], both.embed(frames, flow)["embedding"])


def _atol(fixture: Any, key: str, ours: torch.Tensor) -> float:
    assert tuple(ours.shape) == tuple(fixture.arrays[f"{key}.shape"])
    found = ours.reshape(-1).numpy()[fixture.arrays[f"{key}.idx"]]
    return float(np.abs(found - fixture.arrays[f"{key}.val"]).max())


def test_whole_clip_features_and_logits(fixture: Any, rules: ModuleType, networks: dict[str, i3d.I3d]) -> None:
    names = [name for name in fixture.facts["inputs"] if f"{name}.logits" in fixture.arrays]
    assert names
    for name in names:
        with torch.inference_mode():
            outputs = networks["rgb"](i3d.rgb_stack(_frames(fixture.facts["inputs"][name], rules)))
        assert rules.compare(fixture.arrays, f"{name}.features", outputs["features"]) < TOLERANCE
        assert rules.compare(fixture.arrays, f"{name}.logits", outputs["logits"]) < TOLERANCE
