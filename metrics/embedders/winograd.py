"""3 x 3 convolutions with up to 4 times fewer multiplications, for CPUs.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(2, 3) and F(4, 3), nested
over the two axes. Each of the three steps is one matrix product, so the work is done by the BLAS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class _Transform:
    """Computes `len(output)` neighbouring results of a 3-tap filter from `len(source)` inputs."""

    source: Matrix
    kernel: Matrix
    output: Matrix


_TRANSFORMS = {
    2: _Transform(
        source=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        kernel=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
        output=((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
    4: _Transform(
        source=(
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        kernel=(
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
        output=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    ),
}
_CACHED_FLOATS = 2**21
"""Patches are made in groups of this many numbers, so that they stay in the CPU's cache."""
_WORTHWHILE_CHANNELS = 128
"""With fewer channels the two transforms cost more than they save."""


def quickest(convolution: nn.Conv2d, tile: tuple[int, int] = (4, 4)) -> nn.Module:
    """Return a module that computes `convolution` in the way that is faster on a CPU."""
    worthwhile = convolution.in_channels >= _WORTHWHILE_CHANNELS
    return WinogradConv2d(convolution, tile) if worthwhile else convolution


def channels_last(network: Network, device: str) -> Network:
    """Move a network to a device with its kernels in the layout that convolutions are fastest in."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


class WinogradConv2d(nn.Module):
    """A 3 x 3 convolution with padding 1; channels-last in memory. For inference on a CPU.

    `tile` is how many results are made at once down and across, 2 or 4 each: 4 saves more, 2 fits small images.
    """

    kernels: Tensor
    gather: Tensor
    scatter: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, tile: tuple[int, int] = (4, 4)) -> None:
        super().__init__()
        if convolution.kernel_size != (3, 3) or convolution.padding != (1, 1) or convolution.stride != (1, 1):
            raise ValueError("needs a 3 x 3 convolution with stride 1 and padding 1")
        self.tile = tile
        self.patch = (tile[0] + 2, tile[1] + 2)
        down, across = _TRANSFORMS[tile[0]], _TRANSFORMS[tile[1]]
        weight = convolution.weight.detach().double().permute(2, 3, 1, 0)
        spread = _both_axes(down.kernel, across.kernel) @ weight.reshape(9, -1)
        self.register_buffer("kernels", spread.reshape(-1, *weight.shape[2:]).float(), persistent=False)
        self.register_buffer("gather", _both_axes(down.source, across.source).float(), persistent=False)
        self.register_buffer("scatter", _both_axes(down.output, across.output).float(), persistent=False)
        bias = torch.zeros(convolution.out_channels) if convolution.bias is None else convolution.bias.detach()
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, height, width)."""
        images = x.permute(0, 2, 3, 1)
        rows, columns = self._tiles(images)
        fitting = max(1, _CACHED_FLOATS // (len(self.kernels) * rows * columns * images.shape[3]))
        done = [self._convolve(group) for group in torch.split(images, fitting)]
        return (done[0] if len(done) == 1 else torch.cat(done)).permute(0, 3, 1, 2)

    def _tiles(self, images: Tensor) -> tuple[int, int]:
        return -(-images.shape[1] // self.tile[0]), -(-images.shape[2] // self.tile[1])

    def _convolve(self, images: Tensor) -> Tensor:
        batch, height, width, channels = images.shape
        rows, columns = self._tiles(images)
        high, wide = rows * self.tile[0], columns * self.tile[1]
        padded = functional.pad(images, (0, 0, 1, wide + 1 - width, 1, high + 1 - height))
        patches = padded.unfold(1, self.patch[0], self.tile[0]).unfold(2, self.patch[1], self.tile[1])
        patches = patches.permute(4, 5, 0, 1, 2, 3).reshape(len(self.kernels), -1)
        spread = (self.gather @ patches).view(len(self.kernels), -1, channels)
        tiles = self.scatter @ torch.bmm(spread, self.kernels).view(len(self.kernels), -1)
        tiles = tiles.view(*self.tile, batch, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
        return tiles.reshape(batch, high, wide, -1)[:, :height, :width] + self.bias


def _both_axes(down: Matrix, across: Matrix) -> Tensor:
    return torch.kron(torch.tensor(down, dtype=torch.float64), torch.tensor(across, dtype=torch.float64))
