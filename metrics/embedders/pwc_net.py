"""PWC-Net: optical flow, as the I3D features of FAVD take it.

Sun et al., "PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume", CVPR 2018. Official code:
sniklaus/pytorch-pwc@f613890 in amazon-science/avgen-eval-toolkit@9cf014b,
PEAVS/av_features_extraction/models/pwc. Tensor names are the official ones. The official correlation layer is a
CUDA kernel; here it is 81 shifted products in plain PyTorch, which run everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict

MODEL = "PWC-Net (Sintel)"
_REACH = 4
_SHIFTS = (2 * _REACH + 1) ** 2
_LEVELS = ("One", "Two", "Thr", "Fou", "Fiv", "Six")
_CHANNELS = (16, 32, 64, 96, 128, 196)
_WARP_SCALE = {"Two": 5.0, "Thr": 2.5, "Fou": 1.25, "Fiv": 0.625}
"""From flow in units of 20 pixels of the picture to pixels of the level: 20 / 4, 20 / 8, ..."""
_GROWTH = (128, 128, 96, 64, 32)
_FLOW_UNIT = 20.0
_MULTIPLE = 64
_PAIRS_AT_ONCE = 8


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean product over channels of each place with the 9 x 9 places around it in `second`.

    Parameters
    ----------
    first, second : tensor, shape (batch, channels, height, width)

    Returns
    -------
    tensor, shape (batch, 81, height, width)
        Channel 9 (dy + 4) + dx + 4 holds the shift (dy, dx); outside of the picture there are zeros.
    """
    height, width = first.shape[2:]
    padded = functional.pad(second, (_REACH,) * 4)
    shifts = itertools.product(range(2 * _REACH + 1), repeat=2)
    products = [
        (first * padded[:, :, down : down + height, across : across + width]).mean(dim=1)
        for down, across in shifts
    ]
    return torch.stack(products, dim=1)


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """Fetch each place of `features` from where `flow` (batch, 2, height, width; pixels) points.

    Places that are not wholly inside the picture become zeros. As in the official code the grid spans the
    centres of the outer pixels, while ``grid_sample`` at its default reads it as spanning their edges.
    """
    height, width = features.shape[2:]
    across = torch.linspace(-1.0, 1.0, width, device=flow.device).expand(height, -1)
    down = torch.linspace(-1.0, 1.0, height, device=flow.device)[:, None].expand(-1, width)
    grid_x = across + flow[:, 0] / ((width - 1.0) / 2.0)
    grid_y = down + flow[:, 1] / ((height - 1.0) / 2.0)
    covered = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
    fetched = functional.grid_sample(covered, torch.stack([grid_x, grid_y], dim=3), align_corners=False)
    return fetched[:, :-1] * (fetched[:, -1:] > 0.999)


class Extractor(nn.Module):
    """A pyramid of features: six levels, each of half the size of the one before."""

    def __init__(self) -> None:
        super().__init__()
        for level, before, channels in zip(_LEVELS, (3, *_CHANNELS), _CHANNELS, strict=False):
            self.add_module(
                f"module{level}",
                nn.Sequential(
                    *_convolution(before, channels, stride=2),
                    *_convolution(channels, channels),
                    *_convolution(channels, channels),
                ),
            )

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Map (batch, 3, height, width) to the features of each level by name."""
        pyramid = {}
        for level in _LEVELS:
            frames = self.get_submodule(f"module{level}")(frames)
            pyramid[level] = frames
        return pyramid


class Decoder(nn.Module):
    """Flow of one level, from the correlation of its features and the flow of the level below."""

    def __init__(self, level: str) -> None:
        super().__init__()
        self.scale = _WARP_SCALE.get(level)
        channels = _decoder_channels(level)
        if self.scale is not None:
            below = _decoder_channels(_LEVELS[_LEVELS.index(level) + 1]) + sum(_GROWTH)
            self.moduleUpflow = nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1)
            self.moduleUpfeat = nn.ConvTranspose2d(below, 2, 4, stride=2, padding=1)
        for name, grown in zip(_LEVELS, _GROWTH, strict=False):
            self.add_module(f"module{name}", nn.Sequential(*_convolution(channels, grown)))
            channels += grown
        self.moduleSix = nn.Sequential(nn.Conv2d(channels, 2, 3, padding=1))

    def forward(
        self, first: Tensor, second: Tensor, below: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Return flow (batch, 2, height, width) and features of the level; `below` is the pair of the next."""
        if below is None or self.scale is None:
            features = functional.leaky_relu(correlation(first, second), 0.1)
        else:
            flow, hints = self.moduleUpflow(below[0]), self.moduleUpfeat(below[1])
            volume = functional.leaky_relu(correlation(first, warp(second, flow * self.scale)), 0.1)
            features = torch.cat([volume, first, flow, hints], dim=1)
        for name in _LEVELS[: len(_GROWTH)]:
            features = torch.cat([self.get_submodule(f"module{name}")(features), features], dim=1)
        return self.moduleSix(features), features


class Refiner(nn.Module):
    """Dilated convolutions that correct the flow of the finest level."""

    def __init__(self) -> None:
        super().__init__()
        channels = _decoder_channels("Two") + sum(_GROWTH)
        layers: list[nn.Module] = []
        for width, dilation in ((128, 1), (128, 2), (128, 4), (96, 8), (64, 16), (32, 1)):
            layers += _convolution(channels, width, dilation=dilation)
            channels = width
        self.moduleMain = nn.Sequential(*layers, nn.Conv2d(channels, 2, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, 2, height, width)."""
        return torch.as_tensor(self.moduleMain(features))


class PwcNet(nn.Module):
    """Optical flow between pairs of frames."""

    def __init__(self) -> None:
        super().__init__()
        self.moduleExtractor = Extractor()
        for level in _LEVELS[1:]:
            self.add_module(f"module{level}", Decoder(level))
        self.moduleRefiner = Refiner()

    def forward(self, frames: Tensor) -> Tensor:
        """Map RGB frames (n, 3, height, width) in 0..255 to the flow of neighbours: (n - 1, 2, ...), pixels.

        Frames are stretched to multiples of 64 and the flow back to their size.
        """
        height, width = frames.shape[2:]
        stretched = (height + -height % _MULTIPLE, width + -width % _MULTIPLE)
        blue_first = frames.flip(1) / 255
        pyramid = self.moduleExtractor(
            functional.interpolate(blue_first, stretched, mode="bilinear", align_corners=False)
        )
        coarsest, *finer = reversed(_LEVELS[1:])
        flow, features = self._decode(pyramid, coarsest, None)
        for level in finer:
            flow, features = self._decode(pyramid, level, (flow, features))
        refined = flow + self.moduleRefiner(features)
        back = functional.interpolate(refined, (height, width), mode="bilinear", align_corners=False)
        shrunk = torch.tensor([width / stretched[1], height / stretched[0]], device=back.device)
        return _FLOW_UNIT * back * shrunk[:, None, None]

    def _decode(
        self, pyramid: dict[str, Tensor], level: str, below: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        maps = pyramid[level]
        flow, features = self.get_submodule(f"module{level}")(maps[:-1], maps[1:], below)
        return flow, features


def load_pwc_net(path: Path, device: str) -> PwcNet:
    """Load ``pwc_net_sintel.pt``; raises `WrongWeightsError` where the file is damaged or another model's."""
    network = PwcNet()
    load_strictly(network, read_state_dict(path, model=MODEL, prefix="module."), path=path, model=MODEL)
    return network.eval().requires_grad_(False).to(device)


def pwc_flow(network: PwcNet, frames: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    """Estimate the flow between neighbouring RGB frames (n, h, w, 3): (n - 1, 2, h, w) in pixels."""
    found = []
    for start in range(0, len(frames) - 1, _PAIRS_AT_ONCE):
        some = torch.from_numpy(frames[start : start + _PAIRS_AT_ONCE + 1]).to(device)
        found.append(network(some.permute(0, 3, 1, 2).float()).cpu().numpy())
    return np.concatenate(found)


def _decoder_channels(level: str) -> int:
    """Channels into a decoder: correlation, features, upsampled flow, upsampled features."""
    return _SHIFTS if level == "Six" else _SHIFTS + _CHANNELS[_LEVELS.index(level)] + 2 + 2


def _convolution(before: int, channels: int, *, stride: int = 1, dilation: int = 1) -> Sequence[nn.Module]:
    return (
        nn.Conv2d(before, channels, 3, stride=stride, padding=dilation, dilation=dilation),
        nn.LeakyReLU(0.1),
    )
