"""Optical flow by RAFT, coded to 8 bits as the TSN features expect it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clapstick.systems.two_stage.bn_inception import flow_to_bytes

RAFT_SIZE = (256, 344)
"""Height and width that frames are resized to; both divisible by 8 as RAFT needs."""


def resize_for_raft(frames: Tensor) -> Tensor:
    """Resize frames for RAFT without antialiasing.

    Parameters
    ----------
    frames : Tensor of uint8, shape (n, 3, height, width)

    Returns
    -------
    Tensor of uint8, shape (n, 3, 256, 344)
    """
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    resized: Tensor = resize(frames, list(RAFT_SIZE), InterpolationMode.BILINEAR, antialias=False)
    return resized


def load_raft(path: Path) -> nn.Module:
    """Load torchvision's RAFT-large with the weights ``raft_large_C_T_SKHT_V2``."""
    from torchvision.models.optical_flow import raft_large

    network: nn.Module = raft_large(weights=None, progress=False)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


@torch.no_grad()
def raft_flow_bytes(
    network: nn.Module, previous: NDArray[np.uint8], following: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the flow from each frame to the one after it, in 8 bits.

    Parameters
    ----------
    network : Module
        As `load_raft` returns it; its device is used.
    previous, following : ndarray of uint8, shape (n, height, width, 3)

    Returns
    -------
    ndarray of uint8, shape (n, 256, 344, 2)
        x, then y; 127 is no motion.
    """
    device = next(network.parameters()).device
    pair = [
        resize_for_raft(torch.from_numpy(frames).permute(0, 3, 1, 2)).to(device).float() / 127.5 - 1.0
        for frames in (previous, following)
    ]
    flow = network(*pair)[-1]
    return np.asarray(flow_to_bytes(flow).permute(0, 2, 3, 1).cpu().numpy())


def frame_pairs(
    frames: Iterator[NDArray[np.uint8]], batch: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield batches of (frames, the frames after them), holding one batch in memory."""
    held: list[NDArray[np.uint8]] = []
    for frame in frames:
        held.append(frame)
        if len(held) == batch + 1:
            yield np.stack(held[:-1]), np.stack(held[1:])
            held = held[-1:]
    if len(held) > 1:
        yield np.stack(held[:-1]), np.stack(held[1:])
