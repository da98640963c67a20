"""HTS-AT: the audio tower of LAION CLAP and MS-CLAP 2023.

Chen et al., "HTS-AT: A Hierarchical Token-Semantic Audio Transformer for Sound Classification and Detection",
ICASSP 2022. Official code: LAION-AI/CLAP, src/laion_clap/clap_module/htsat.py (package laion-clap 1.1.7), and
microsoft/CLAP, msclap/models/htsat.py (package msclap 1.3.4). Tensor names are the official ones; the tables
that official files hold besides (`COMPUTED`) follow from the shape and are computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.embedders.front_end import STFT_KERNELS, LogMel, PowerSpectrogram
from clapstick.metrics.embedders.htsat_fusion import FusedPatchEmbed

COMPUTED = (f"*{STFT_KERNELS}*", "*.relative_position_index", "*.attn_mask")
_SIDE = 256
"""The spectrogram is folded into a square image of this side."""
_MEL_BINS = 64
_FOLDS = _SIDE // _MEL_BINS
_FRAMES = _SIDE * _FOLDS
_PATCH = 4
_WINDOW = 8
_CLASSES = 527


@dataclass(frozen=True)
class HtsatSize:
    """One of the published sizes."""

    width: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int] = (4, 8, 16, 32)


TINY = HtsatSize(96, (2, 2, 6, 2))
BASE = HtsatSize(128, (2, 2, 12, 2))


class Htsat(nn.Module):
    """Swin transformer on a log-mel spectrogram that is folded into a square."""

    def __init__(self, size: HtsatSize, *, sample_rate: int, hop: int, fusion: bool = False) -> None:
        super().__init__()
        self.spectrogram_extractor = PowerSpectrogram(1024, hop)
        self.logmel_extractor = LogMel(sample_rate, 1024, _MEL_BINS, 50, 14000)
        self.bn0 = nn.BatchNorm2d(_MEL_BINS)
        self.patch_embed = FusedPatchEmbed(size.width) if fusion else PatchEmbed(size.width)
        self.layers = nn.ModuleList(
            Stage(
                width=size.width << level,
                side=_SIDE // _PATCH >> level,
                depth=size.depths[level],
                heads=size.heads[level],
                merges=level < len(size.depths) - 1,
            )
            for level in range(len(size.depths))
        )
        self.features = size.width << len(size.depths) - 1
        self.norm = nn.LayerNorm(self.features)
        self.tscam_conv = nn.Conv2d(self.features, _CLASSES, (2, 3), padding=(0, 1))
        self.head = nn.Linear(_CLASSES, _CLASSES)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Map (batch, samples) to ``embedding`` (batch, features) and ``logits`` (batch, 527)."""
        return self.of_log_mel(self.logmel_extractor(self.spectrogram_extractor(waveforms)))

    def of_log_mel(self, logmel: Tensor) -> dict[str, Tensor]:
        """Map (batch, 1, frames, 64), with fusion also (batch, 4, frames, 64), to what `forward` gives."""
        image = fold(self.bn0(logmel.transpose(1, 3)).transpose(1, 3))
        tokens = self.patch_embed(image)
        for layer in self.layers:
            tokens = layer(tokens)
        maps = self.norm(tokens).transpose(1, 2).unflatten(2, (_WINDOW, _WINDOW))
        rows = _WINDOW // _FOLDS
        unfolded = maps.unflatten(2, (_FOLDS, rows)).transpose(2, 3).flatten(3)
        return {
            "embedding": unfolded.flatten(2).mean(dim=2),
            "logits": self.tscam_conv(unfolded).flatten(2).mean(dim=2),
        }


def fold(logmel: Tensor) -> Tensor:
    """Stretch (batch, n, frames, 64) to 1024 frames (bicubic) and stack its quarters: (batch, n, 256, 256)."""
    if logmel.shape[2] > _FRAMES:
        raise ValueError(f"HTS-AT takes at most {_FRAMES} frames, found {logmel.shape[2]}")
    if logmel.shape[2] < _FRAMES:
        logmel = functional.interpolate(logmel, (_FRAMES, _MEL_BINS), mode="bicubic", align_corners=True)
    quarters = torch.unflatten(logmel.transpose(2, 3), 3, (_FOLDS, _SIDE))
    return quarters.transpose(2, 3).flatten(2, 3)


class PatchEmbed(nn.Module):
    """4 x 4 patches of the image as tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, _PATCH, stride=_PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        """Map (batch, 1, 256, 256) to (batch, 4096, width)."""
        return torch.as_tensor(self.norm(self.proj(image).flatten(2).transpose(1, 2)))


class Stage(nn.Module):
    """Swin blocks at one resolution, then merging of 2 x 2 tokens where there is a next one."""

    def __init__(self, *, width: int, side: int, depth: int, heads: int, merges: bool) -> None:
        super().__init__()
        shifts = [0 if side <= _WINDOW or index % 2 == 0 else _WINDOW // 2 for index in range(depth)]
        self.blocks = nn.ModuleList(SwinBlock(width, side, heads, shift) for shift in shifts)
        self.downsample = PatchMerging(width, side) if merges else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, side², width) to (batch, (side / 2)², 2 width), or keep the shape in the last stage."""
        for block in self.blocks:
            tokens = block(tokens)
        return tokens if self.downsample is None else torch.as_tensor(self.downsample(tokens))


class PatchMerging(nn.Module):
    """Four neighbouring tokens become one of twice the width."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, side², width) to (batch, (side / 2)², 2 width)."""
        grid = torch.unflatten(tokens, 1, (self.side // 2, 2, self.side // 2, 2))
        return torch.as_tensor(
            self.reduction(self.norm(grid.permute(0, 1, 3, 4, 2, 5).flatten(3).flatten(1, 2)))
        )


class SwinBlock(nn.Module):
    """Attention inside 8 x 8 windows, shifted in every second block, and a two-layer network."""

    def __init__(self, width: int, side: int, heads: int, shift: int) -> None:
        super().__init__()
        self.side = side
        self.shift = shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, _shift_mask(side, shift) if shift else None)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Keep the shape (batch, side², width)."""
        grid = self.norm1(tokens).unflatten(1, (self.side, self.side))
        if self.shift:
            grid = grid.roll((-self.shift, -self.shift), (1, 2))
        windows = _to_windows(grid)
        grid = self.attn(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        grid = _from_windows(grid, self.side)
        if self.shift:
            grid = grid.roll((self.shift, self.shift), (1, 2))
        tokens = tokens + grid.flatten(1, 2)
        return torch.as_tensor(tokens + self.mlp(self.norm2(tokens)))


class Mlp(nn.Module):
    """Two linear layers with GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Keep the shape."""
        return torch.as_tensor(self.fc2(functional.gelu(self.fc1(tokens))))


class WindowAttention(nn.Module):
    """Self-attention with a learned bias for every relative position in the window."""

    index: Tensor
    mask: Tensor | None

    def __init__(self, width: int, heads: int, mask: Tensor | None) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * _WINDOW - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.register_buffer("index", _relative_positions(), persistent=False)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Keep the shape (batch x windows, 64, width); windows of one image follow one another."""
        query, key, value = self.qkv(windows).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)[None]
        if self.mask is not None:
            bias = (bias + self.mask[:, None]).repeat(len(windows) // len(self.mask), 1, 1, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return torch.as_tensor(self.proj(mixed.transpose(1, 2).flatten(2)))


def _to_windows(grid: Tensor) -> Tensor:
    """Map (batch, side, side, width) to (batch, windows, 64, width)."""
    count = grid.shape[1] // _WINDOW
    split = torch.unflatten(torch.unflatten(grid, 2, (count, _WINDOW)), 1, (count, _WINDOW))
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _from_windows(windows: Tensor, side: int) -> Tensor:
    """Undo `_to_windows`."""
    count = side // _WINDOW
    split = torch.unflatten(torch.unflatten(windows, 1, (count, count)), 3, (_WINDOW, _WINDOW))
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _relative_positions() -> Tensor:
    """Return for each pair of places in a window the row of the bias table: (64, 64)."""
    places = torch.cartesian_prod(torch.arange(_WINDOW), torch.arange(_WINDOW))
    apart = places[:, None] - places[None] + _WINDOW - 1
    return apart[..., 0] * (2 * _WINDOW - 1) + apart[..., 1]


def _shift_mask(side: int, shift: int) -> Tensor:
    """Return -100 where two places of a rolled window were not neighbours before: (windows, 64, 64)."""
    band = torch.zeros(side)
    band[-_WINDOW:] = 1
    band[-shift:] = 2
    regions = _to_windows((band[:, None] * 3 + band)[None, :, :, None])[0, ..., 0]
    return torch.where(regions[:, :, None] == regions[:, None], 0.0, -100.0)
