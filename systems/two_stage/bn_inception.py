"""BN-Inception as temporal segment networks use it: 1024 numbers for an RGB frame or a two-channel flow field.

Layer names are those of the Caffe model, so ``bn_inception-9f5701afb96c8044.pth`` loads by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clapstick.protocols.problems import fail

Modality = Literal["rgb", "flow"]

FEATURE_DIM = 1024
INPUT_SIZE = 224
FLOW_BOUND = 20.0
"""Pixels of flow that map to the ends of the 8-bit range."""
_BGR_MEAN = (104.0, 117.0, 128.0)
_FLOW_MEAN = 128.0

# Block -> output channels of (1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pooled projection).
# No 1x1 branch and no projection: the block halves the picture and passes a max pool through.
_BLOCKS: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}


class BNInception(nn.Module):
    """BN-Inception up to its global pool.

    Parameters
    ----------
    channels : int
        Input channels: 3 for RGB, 2 for flow.

    Notes
    -----
    Source: jnwnlee/video-foley@0afd45a, tsn/bninception; all pools round their size up as Caffe does.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self._add("conv1_7x7_s2", channels, 64, kernel_size=7, stride=2, padding=3)
        self._add("conv2_3x3_reduce", 64, 64, kernel_size=1)
        self._add("conv2_3x3", 64, 192, kernel_size=3, padding=1)
        width = 192
        for block, (one, three_in, three, double_in, double, pooled) in _BLOCKS.items():
            name = f"inception_{block}"
            stride = 1 if one else 2
            if one:
                self._add(f"{name}_1x1", width, one, kernel_size=1)
            self._add(f"{name}_3x3_reduce", width, three_in, kernel_size=1)
            self._add(f"{name}_3x3", three_in, three, kernel_size=3, stride=stride, padding=1)
            self._add(f"{name}_double_3x3_reduce", width, double_in, kernel_size=1)
            self._add(f"{name}_double_3x3_1", double_in, double, kernel_size=3, padding=1)
            self._add(f"{name}_double_3x3_2", double, double, kernel_size=3, stride=stride, padding=1)
            if one:
                self._add(f"{name}_pool_proj", width, pooled, kernel_size=1)
            width = one + three + double + (pooled or width)

    def forward(self, images: Tensor) -> Tensor:
        """Return features.

        Parameters
        ----------
        images : Tensor, shape (n, channels, 224, 224)
            As `preprocess` makes them.

        Returns
        -------
        Tensor, shape (n, 1024)
        """
        x = _halve(self._unit("conv1_7x7_s2", images))
        x = _halve(self._unit("conv2_3x3", self._unit("conv2_3x3_reduce", x)))
        for block in _BLOCKS:
            x = self._inception(block, x)
        return x.mean(dim=(2, 3))

    def _add(
        self, name: str, inputs: int, outputs: int, *, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        self.add_module(name, nn.Conv2d(inputs, outputs, kernel_size, stride, padding))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _unit(self, name: str, x: Tensor) -> Tensor:
        normalised: Tensor = self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x))
        return torch.relu(normalised)

    def _inception(self, block: str, x: Tensor) -> Tensor:
        name = f"inception_{block}"
        halves = not _BLOCKS[block][0]
        three = self._unit(f"{name}_3x3", self._unit(f"{name}_3x3_reduce", x))
        double = self._unit(f"{name}_double_3x3_1", self._unit(f"{name}_double_3x3_reduce", x))
        double = self._unit(f"{name}_double_3x3_2", double)
        if halves:
            return torch.cat([three, double, _halve(x)], dim=1)
        if block == "5b":
            pooled = nn.functional.max_pool2d(x, 3, stride=1, padding=1, ceil_mode=True)
        else:
            pooled = nn.functional.avg_pool2d(x, 3, stride=1, padding=1, ceil_mode=True)
        return torch.cat(
            [self._unit(f"{name}_1x1", x), three, double, self._unit(f"{name}_pool_proj", pooled)], dim=1
        )


def preprocess(images: NDArray[np.uint8], modality: Modality) -> Tensor:
    """Turn 8-bit pictures into network input.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width, 3) or (n, height, width, 2)
        RGB frames, or flow coded by `flow_to_bytes` (x, then y).
    modality : "rgb" or "flow"

    Returns
    -------
    Tensor of float32, shape (n, channels, 224, 224)
        Resized without keeping the aspect ratio; RGB turned to BGR; means subtracted, no division.
    """
    from PIL import Image

    size = (INPUT_SIZE, INPUT_SIZE)
    if modality == "rgb":
        resized = np.stack(
            [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in images]
        )
        values = resized[..., ::-1].astype(np.float32) - np.asarray(_BGR_MEAN, dtype=np.float32)
    else:
        planes = [
            [
                np.asarray(Image.fromarray(image[..., axis]).resize(size, Image.Resampling.BILINEAR))
                for axis in range(2)
            ]
            for image in images
        ]
        values = np.moveaxis(np.asarray(planes), 1, -1).astype(np.float32) - np.float32(_FLOW_MEAN)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1)))


def flow_to_bytes(flow: Tensor) -> Tensor:
    """Code optical flow as 8-bit values, truncating as the official script does (no motion becomes 127).

    Parameters
    ----------
    flow : Tensor
        Displacement in pixels a frame, any shape.

    Returns
    -------
    Tensor of uint8, same shape
    """
    return ((flow.clamp(-FLOW_BOUND, FLOW_BOUND) + FLOW_BOUND) * (255.0 / (2 * FLOW_BOUND))).to(torch.uint8)


def flow_network(rgb: BNInception) -> BNInception:
    """Return the two-channel network made of an RGB one: its first kernels averaged over colour, twice."""
    state = dict(rgb.state_dict())
    kernel = state["conv1_7x7_s2.weight"].mean(dim=1, keepdim=True)
    state["conv1_7x7_s2.weight"] = kernel.expand(-1, 2, -1, -1).contiguous()
    network = BNInception(channels=2)
    network.load_state_dict(state)
    return network.eval()


def load_bn_inception(path: Path) -> BNInception:
    """Load the ImageNet weights ``bn_inception-9f5701afb96c8044.pth``.

    Raises
    ------
    ClapstickError
        If the file does not hold this network's tensors; names the first that is missing.
    """
    network = BNInception()
    tensors: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    state = {}
    for name, own in network.state_dict().items():
        if name not in tensors and not name.endswith("num_batches_tracked"):
            raise fail(
                "checkpoint lacks a BN-Inception tensor",
                path,
                found=f"{len(tensors)} tensors without {name}",
                expected="bn_inception-9f5701afb96c8044.pth",
                remedy="Download the file again.",
            )
        state[name] = tensors[name].reshape(own.shape) if name in tensors else own
    network.load_state_dict(state)
    return network.eval()


def _halve(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
