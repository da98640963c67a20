"""HTS-AT with feature fusion: sounds longer than 10 s as a shrunk whole and three pieces, for LAION CLAP.

Wu et al., "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
Augmentation", ICASSP 2023. Official code: LAION-AI/CLAP, package laion-clap 1.1.7, feature_fusion.py (AFF) and
htsat.py of clap_module, and training/data.py (``get_audio_features``). The package takes each of the three
pieces from a random place in its third of the sound; here it is the middle one: a sound has one embedding.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.embedders.front_end import Waveform

SAMPLE_RATE = 48000
_WINDOW_SAMPLES = 10 * SAMPLE_RATE
_HOP = 480
_CHUNK_FRAMES = _WINDOW_SAMPLES // _HOP + 1
_MEL_BINS = 64
_PATCH = 4
_PIECES = 3


class AttentionalFusion(nn.Module):
    """Weighs two maps against each other, by what is at each place and by the mean over all places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local_att = nn.Sequential(*_bottleneck(channels))
        self.global_att = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_bottleneck(channels))

    def forward(self, whole: Tensor, pieces: Tensor) -> Tensor:
        """Map two tensors (batch, channels, height, width) to one."""
        both = whole + pieces
        weight = torch.sigmoid(self.local_att(both) + self.global_att(both))
        return 2 * whole * weight + 2 * pieces * (1 - weight)


class FusedPatchEmbed(nn.Module):
    """Patches of the image as tokens; three more images, where there are, come in with wider patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, _PATCH, stride=_PATCH)
        wide = (_PATCH, _PIECES * _PATCH)
        self.mel_conv2d = nn.Conv2d(1, width, wide, stride=wide)
        self.fusion_model = AttentionalFusion(width)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 1 or 4, 256, 256) to (batch, 4096, width)."""
        maps = self.proj(images[:, :1])
        if images.shape[1] > 1:
            pieces = self.mel_conv2d(images[:, 1:].flatten(0, 1)[:, None])
            side_by_side = pieces.unflatten(0, (len(images), _PIECES)).permute(0, 2, 3, 1, 4).flatten(3)
            maps = self.fusion_model(
                maps, functional.pad(side_by_side, (0, maps.shape[3] - side_by_side.shape[3]))
            )
        return torch.as_tensor(self.norm(maps.flatten(2).transpose(1, 2)))


def fusion_spectrograms(waveform: Waveform) -> NDArray[np.float32]:
    """Return the log-mel spectrograms that the network takes of one sound at 48 kHz, in decibels.

    Up to 10 s, repeated while it fits whole and then filled with zeros: shape (1, 1, 1001, 64). Longer: the
    whole shrunk to 1001 frames (bilinear, antialiased as in torchvision since 0.17), and the middle piece of
    1001 frames of each third of all places: shape (1, 4, 1001, 64).
    """
    if len(waveform) < _WINDOW_SAMPLES:
        copies = np.tile(waveform, _WINDOW_SAMPLES // len(waveform))
        waveform = np.pad(copies, (0, _WINDOW_SAMPLES - len(copies)))
    mel = _log_mel(torch.from_numpy(waveform))
    if len(mel) == _CHUNK_FRAMES:
        return np.asarray(mel[None, None].numpy())
    shrunk = functional.interpolate(
        mel[None, None], (_CHUNK_FRAMES, _MEL_BINS), mode="bilinear", align_corners=False, antialias=True
    )
    starts = piece_starts(len(mel) - _CHUNK_FRAMES + 1)
    pieces = [mel[start : start + _CHUNK_FRAMES] for start in starts]
    return np.asarray(torch.stack([shrunk[0, 0], *pieces])[None].numpy())


def piece_starts(places: int) -> list[int]:
    """Return the middle of each third of `places`, and 0 for a third without any."""
    thirds = np.array_split(np.arange(places), _PIECES)
    return [int(third[len(third) // 2]) if len(third) else 0 for third in thirds]


def _log_mel(waveform: Tensor) -> Tensor:
    """Map (samples,) to (frames, 64): HTK mel bands of equal height, unlike HTS-AT without fusion."""
    power = torch.stft(
        waveform,
        1024,
        _HOP,
        window=torch.hann_window(1024),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    mel = power.abs().square().T @ _mel_bank()
    return 10.0 * torch.log10(torch.clamp(mel, min=1e-10))


@cache
def _mel_bank() -> Tensor:
    from torchaudio.functional import melscale_fbanks

    bank: Tensor = melscale_fbanks(513, 50.0, 14000.0, _MEL_BINS, SAMPLE_RATE)
    return bank


def _bottleneck(channels: int) -> list[nn.Module]:
    inside = channels // 4
    return [
        nn.Conv2d(channels, inside, 1),
        nn.BatchNorm2d(inside),
        nn.ReLU(),
        nn.Conv2d(inside, channels, 1),
        nn.BatchNorm2d(channels),
    ]
