"""PWC-Net: its correlation and warping by hand and by loop, the whole network against the official class."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.metrics.embedders.checkpoint import WrongWeightsError
from clapstick.metrics.embedders.pwc_net import PwcNet, correlation, load_pwc_net, pwc_flow, warp

OFFICIAL = json.loads(Path(__file__).with_name("pwc_net.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def checkpoint(rules: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the official names, shapes and prefix."""
    tensors = {name: torch.zeros(shape) for name, shape in OFFICIAL["state_dict"].items()}
    rules.fill(tensors)
    path = tmp_path_factory.mktemp("pwc") / "pwc_net_sintel.pt"
    torch.save({f"module.{name}": value for name, value in tensors.items()}, path)
    return path


def test_correlation_is_the_mean_product_with_each_of_81_neighbours() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 2, 3, 6, 7)).astype(np.float32)
    expected = np.zeros((2, 81, 6, 7))
    for clip, down, across, y, x in np.ndindex(2, 9, 9, 6, 7):
        row, column = y + down - 4, x + across - 4
        if 0 <= row < 6 and 0 <= column < 7:
            product = first[clip, :, y, x] * second[clip, :, row, column]
            expected[clip, 9 * down + across, y, x] = product.mean()
    found = correlation(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_warping_by_nothing_keeps_the_centre_and_loses_the_edge() -> None:
    # Five places: the official grid puts place x at 5 x / 4 - 1/2, so 0..4 become -0.5, 0.75, 2, 3.25, 4.5; the
    # first and last lie partly outside and are zeroed. On the ramp 0..4 that reads 0, 0.75, 2, 3.25, 0.
    ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    still = warp(ramp, torch.zeros(1, 2, 5, 5))[0, 0]
    for row in (1, 2, 3):
        assert still[row].tolist() == pytest.approx([0, 0.75, 2, 3.25, 0])
    assert still[[0, 4]].abs().sum() == 0
    # A flow of one place to the right moves the grid by 2 / (5 - 1) of its half: 5 / 4 places.
    moved = warp(ramp, torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 5, 5))[0, 0]
    assert moved[2].tolist() == pytest.approx([0.75, 2, 3.25, 0, 0])


@pytest.mark.parametrize("case", OFFICIAL["cases"], ids=["multiple of 64 high", "stretched both ways"])
def test_flow_equals_the_official_class(case: dict[str, Any], rules: ModuleType, checkpoint: Path) -> None:
    flow = pwc_flow(load_pwc_net(checkpoint, "cpu"), rules.frames(*case["frames"]), "cpu")
    assert list(flow.shape) == case["shape"]
    found = flow.reshape(-1)[case["idx"]]
    difference = np.linalg.norm(found - case["val"]) / np.linalg.norm(case["val"])
    assert difference < OFFICIAL["tolerance"]
    assert np.linalg.norm(flow) == pytest.approx(case["l2"], rel=OFFICIAL["tolerance"])


def test_pairs_do_not_depend_on_their_neighbours(rules: ModuleType, checkpoint: Path) -> None:
    network = load_pwc_net(checkpoint, "cpu")
    frames = rules.frames(11, 64, 64, 3)
    together = pwc_flow(network, frames, "cpu")
    assert together.shape == (10, 2, 64, 64)
    alone = np.concatenate([pwc_flow(network, frames[i : i + 2], "cpu") for i in (0, 7, 8, 9)])
    np.testing.assert_allclose(together[[0, 7, 8, 9]], alone, rtol=0, atol=1e-3 * np.abs(alone).max())


def test_names_are_the_official_ones() -> None:
    assert {name: list(value.shape) for name, value in PwcNet().state_dict().items()} == OFFICIAL["state_dict"]


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pwc_net_sintel.pt"
    torch.save({"features.0.weight": torch.zeros(64, 1, 3, 3)}, path)
    with pytest.raises(WrongWeightsError, match=r"not a checkpoint of PWC-Net.*seems to be for VGGish"):
        load_pwc_net(path, "cpu")
