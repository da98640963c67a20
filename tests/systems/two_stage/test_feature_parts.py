"""Stage 1 told appearance, motion or both: the other part of a feature row cannot matter."""

from __future__ import annotations

import pytest
import torch

from clapstick.systems.two_stage.block_motion import BLOCKS, DIM
from clapstick.systems.two_stage.video2rms import CONFIGS, RGB_DIMS, Video2RMS

TINY = CONFIGS["tiny"]


def test_parts_of_a_row() -> None:
    assert RGB_DIMS["block-motion"] == BLOCKS
    assert TINY.feature_dim == DIM
    columns = {
        (name, inputs): config.model_copy(update={"inputs": inputs}).input_columns
        for name, config in CONFIGS.items()
        for inputs in ("rgb-and-flow", "rgb", "flow")
    }
    assert columns["tiny", "rgb-and-flow"] == slice(0, 448)
    assert columns["tiny", "rgb"] == slice(0, 88)
    assert columns["tiny", "flow"] == slice(88, 448)
    assert columns["video-foley", "rgb"] == slice(0, 1024)
    assert columns["video-foley", "flow"] == slice(1024, 2048)
    assert columns["fol-ai", "flow"] == slice(512, 1024)


@pytest.mark.parametrize(("inputs", "width"), [("rgb", 88), ("flow", 360), ("rgb-and-flow", 448)])
def test_the_network_is_told_its_part_alone(inputs: str, width: int) -> None:
    torch.manual_seed(0)
    network = Video2RMS(TINY.model_copy(update={"inputs": inputs})).eval()
    assert network.state_dict()["encoder.convolutions.0.0.conv.weight"].shape == (96, width, 5)
    rows = torch.randn(1, TINY.window_frames, TINY.feature_dim)
    other = rows.clone()
    outside = torch.ones(TINY.feature_dim, dtype=torch.bool)
    outside[network.config.input_columns] = False
    other[..., outside] += 5.0
    changed = rows.clone()
    changed[..., ~outside] += 5.0
    with torch.no_grad():
        told = network(rows).rms
        assert torch.equal(network(other).rms, told)
        assert not torch.allclose(network(changed).rms, told)
