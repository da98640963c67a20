"""I3D on RGB frames and on optical flow, summed, as FAVD takes it.

Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017. Official weights:
hassony2/kinetics_i3d_pytorch; official pipeline: amazon-science/avgen-eval-toolkit@9cf014b,
PEAVS/av_features_extraction/models/i3d. ``i3d`` takes its flow from PWC-Net, as the official pipeline does;
``i3d-raft`` takes it from torchvision's RAFT and is no official number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders.base import Embeddings
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict
from clapstick.metrics.embedders.pwc_net import load_pwc_net, pwc_flow

FRAME_RATE = 25.0
STACK_FRAMES = 24
_SHORT_SIDE = 256
_CROP = 224
_FLOW_LIMIT = 20.0

Frames = NDArray[np.uint8]
Flow = NDArray[np.float32]
_MIXED = {
    "mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Channels in, and out of the four branches: 1x1; 1x1, 3x3; 1x1, 3x3; pooled 1x1."""
_POOLED_BEFORE = {
    "mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "mixed_5b": ((2, 2, 2),) * 2,
}


class Unit3d(nn.Module):
    """Convolution with TensorFlow's SAME padding, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels_in, channels_out, kernel, stride, bias=False)
        self.batch3d = nn.BatchNorm3d(channels_out)
        self._padding = _same(kernel, stride) * 3

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in, time, height, width) to (batch, out, ...)."""
        padded = functional.pad(x, self._padding) if any(self._padding) else x
        return functional.relu_(self.batch3d(self.conv3d(padded)))


class Mixed(nn.Module):
    """Inception block of four branches."""

    def __init__(self, channels_in: int, out: tuple[int, ...]) -> None:
        super().__init__()
        self.branch_0 = Unit3d(channels_in, out[0])
        self.branch_1 = nn.Sequential(Unit3d(channels_in, out[1]), Unit3d(out[1], out[2], 3))
        self.branch_2 = nn.Sequential(Unit3d(channels_in, out[3]), Unit3d(out[3], out[4], 3))
        self.branch_3 = nn.Sequential(SamePool((3, 3, 3), (1, 1, 1)), Unit3d(channels_in, out[5]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in, time, height, width) to (batch, sum of out, ...)."""
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], dim=1)


class SamePool(nn.Module):
    """Max pooling with TensorFlow's SAME padding of zeros, and ceiling."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        axes = [_same(size, step) for size, step in zip(reversed(kernel), reversed(stride), strict=True)]
        self._padding = [amount for axis in axes for amount in axis]

    def forward(self, x: Tensor) -> Tensor:
        """Pool (batch, channels, time, height, width)."""
        padded = functional.pad(x, self._padding) if any(self._padding) else x
        return functional.max_pool3d(padded, self.kernel, self.stride, ceil_mode=True)


class I3d(nn.Module):
    """I3D for `channels` 3 (RGB) or 2 (flow)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3d_1a_7x7 = Unit3d(channels, 64, 7, 2)
        self.conv3d_2b_1x1 = Unit3d(64, 64)
        self.conv3d_2c_3x3 = Unit3d(64, 192, 3)
        self.pools = nn.ModuleDict({name: SamePool(*sizes) for name, sizes in _POOLED_BEFORE.items()})
        self.first_pool = SamePool((1, 3, 3), (1, 2, 2))
        for name, (channels_in, out) in _MIXED.items():
            self.add_module(name, Mixed(channels_in, out))
        self.conv3d_0c_1x1 = nn.ModuleDict({"conv3d": nn.Conv3d(1024, 400, 1)})

    def forward(self, stacks: Tensor) -> dict[str, Tensor]:
        """Map (batch, channels, time, 224, 224) in [-1, 1] to ``features`` (batch, 1024) and ``logits``."""
        x = self.conv3d_2c_3x3(self.conv3d_2b_1x1(self.first_pool(self.conv3d_1a_7x7(stacks))))
        for name in _MIXED:
            if name in self.pools:
                x = self.pools[name](x)
            x = self.get_submodule(name)(x)
        pooled = functional.avg_pool3d(x, (2, 7, 7), (1, 1, 1))
        logits = self.conv3d_0c_1x1["conv3d"](pooled).flatten(3).squeeze(3)
        return {"features": pooled.flatten(2).mean(dim=2), "logits": logits.mean(dim=2)}


@dataclass(frozen=True)
class VideoEmbedder:
    """I3D on stacks of 24 frames without overlap: one row every 0.96 s."""

    streams: Callable[[Frames, Flow | None], Tensor]
    """Resized frames (n, h, w, 3) and flow (n - 1, 2, h, w) -> rows (stacks, 1024)."""
    frame_rate: float = FRAME_RATE

    def embed(self, frames: Frames, flow: Flow | None = None) -> Embeddings:
        """Embed RGB frames (n, height, width, 3) at 25 a second; ``embedding`` is (floor((n - 1) / 24), 1024).

        `flow` holds the optical flow between neighbours of `resize_frames` in pixels, (n - 1, 2, h, w); without
        it the embedder estimates its own.

        Raises
        ------
        NotComputableError
            If there are fewer than 25 frames.
        """
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 (n, height, width, 3), found {frames.dtype} {frames.shape}")
        if len(frames) <= STACK_FRAMES:
            raise NotComputableError(
                f"the video is too short for I3D: {len(frames)} frames at {FRAME_RATE:g} a second, "
                f"needs {STACK_FRAMES + 1}"
            )
        with torch.inference_mode():
            return {"embedding": self.streams(resize_frames(frames), flow).cpu().numpy()}


def load_i3d(weights: Mapping[str, Path], device: str) -> VideoEmbedder:
    """Load ``i3d_rgb.pt``, ``i3d_flow.pt`` and ``pwc_net_sintel.pt``: what FAVD is published with."""
    pwc_net = load_pwc_net(weights["pwc-net"], device)
    return _two_streams(weights, device, lambda frames: pwc_flow(pwc_net, frames, device))


def load_i3d_raft(weights: Mapping[str, Path], device: str) -> VideoEmbedder:
    """Load both I3D files and torchvision's RAFT; not what FAVD is published with."""
    raft = _load_raft(weights["raft-large"], device)
    return _two_streams(weights, device, lambda frames: raft_flow(raft, frames, device))


def _two_streams(
    weights: Mapping[str, Path], device: str, estimate_flow: Callable[[Frames], Flow]
) -> VideoEmbedder:
    rgb, flow_network = _load(weights["i3d-rgb"], 3, device), _load(weights["i3d-flow"], 2, device)

    def streams(frames: Frames, flow: Flow | None) -> Tensor:
        return _rgb_rows(rgb, frames, device) + _flow_rows(
            flow_network, estimate_flow(frames) if flow is None else flow, device
        )

    return VideoEmbedder(streams)


def load_i3d_rgb(weights: Mapping[str, Path], device: str) -> VideoEmbedder:
    """Load ``i3d_rgb.pt`` alone; not what FAVD is published with."""
    rgb = _load(weights["i3d-rgb"], 3, device)
    return VideoEmbedder(lambda frames, flow: _rgb_rows(rgb, frames, device))


def resize_frames(frames: Frames) -> Frames:
    """Resize (n, height, width, 3) so that the shorter side is 256 pixels (Pillow, bilinear)."""
    from PIL import Image

    height, width = frames.shape[1:3]
    if min(height, width) == _SHORT_SIDE:
        return frames
    if width < height:
        size = (_SHORT_SIDE, int(_SHORT_SIDE * height / width))
    else:
        size = (int(_SHORT_SIDE * width / height), _SHORT_SIDE)
    bilinear = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, bilinear)) for frame in frames])


def rgb_stack(frames: Frames) -> Tensor:
    """Map resized frames (24, h, w, 3) to (1, 3, 24, 224, 224) in [-1, 1]."""
    pixels = torch.from_numpy(_crop(frames, axis=1)).permute(3, 0, 1, 2).float()
    return (2 * pixels / 255 - 1)[None]


def flow_stack(flow: Flow) -> Tensor:
    """Map flow in pixels (24, 2, h, w) to (1, 2, 24, 224, 224) in [-1, 1], through 256 levels."""
    clamped = torch.from_numpy(_crop(flow, axis=2)).clamp(-_FLOW_LIMIT, _FLOW_LIMIT)
    levels = (128 + 255 / (2 * _FLOW_LIMIT) * clamped).round()
    return (2 * levels / 255 - 1).transpose(0, 1)[None]


def raft_flow(raft: nn.Module, frames: Frames, device: str) -> Flow:
    """Estimate the flow between neighbouring frames (n, h, w, 3): (n - 1, 2, h, w) in pixels."""
    height, width = frames.shape[1:3]
    padding = (0, -width % 8, 0, -height % 8)
    found = []
    for first, second in itertools.pairwise(frames):
        pair = torch.from_numpy(np.stack([first, second])).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
        padded = functional.pad(pair, padding, mode="replicate")
        flow = raft(padded[:1], padded[1:])[-1]
        found.append(flow[0, :, :height, :width].cpu().numpy())
    return np.stack(found)


def _rgb_rows(network: I3d, frames: Frames, device: str) -> Tensor:
    return _rows(network, frames[: len(frames) - 1], rgb_stack, device)


def _flow_rows(network: I3d, flow: Flow, device: str) -> Tensor:
    return _rows(network, flow, flow_stack, device)


def _rows(network: I3d, images: NDArray[np.generic], stack: Callable[..., Tensor], device: str) -> Tensor:
    starts = range(0, len(images) - STACK_FRAMES + 1, STACK_FRAMES)
    stacks = (stack(images[start : start + STACK_FRAMES]) for start in starts)
    return torch.cat([network(one.to(device))["features"] for one in stacks])


def _crop(images: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
    top, left = ((size - _CROP) // 2 for size in images.shape[axis : axis + 2])
    rows, columns = slice(top, top + _CROP), slice(left, left + _CROP)
    return np.ascontiguousarray(images[:, rows, columns] if axis == 1 else images[:, :, rows, columns])


def _load(path: Path, channels: int, device: str) -> I3d:
    model = f"I3D ({'RGB' if channels == 3 else 'flow'})"
    network = I3d(channels)
    load_strictly(network, read_state_dict(path, model=model), path=path, model=model)
    return network.eval().requires_grad_(False).to(device)


def _load_raft(path: Path, device: str) -> nn.Module:
    from torchvision.models.optical_flow import raft_large

    network: nn.Module = raft_large(weights=None)
    load_strictly(network, read_state_dict(path, model="RAFT large"), path=path, model="RAFT large")
    return network.eval().requires_grad_(False).to(device)


def _same(kernel: int, stride: int) -> tuple[int, int]:
    amount = max(kernel - stride, 0)
    return amount // 2, amount - amount // 2
