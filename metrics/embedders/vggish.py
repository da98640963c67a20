"""VGGish.

Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017.
Official weights and code: harritaylor/torchvggish@f3f9096, whose tensor names are used here. PCA and 8-bit
quantisation are left out, as every Fréchet distance on VGGish does; `postprocess` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clapstick.metrics.embedders.base import AudioEmbedder, one_file, require_samples
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict
from clapstick.metrics.embedders.front_end import (
    Waveform,
    resample_kaiser_best,
    resample_resampy,
    through_pcm16,
)
from clapstick.metrics.embedders.winograd import channels_last, quickest

SAMPLE_RATE = 16000
_WINDOW = 400
_HOP = 160
_FFT = 512
_PATCH_FRAMES = 96
_LOG_OFFSET = 0.01


class VGGish(nn.Module):
    """Six convolutions and three fully connected layers on (96 frames, 64 mel bands)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(1, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
            nn.MaxPool2d(2),
            *_convolution(128, 256),
            *_convolution(256, 256),
            nn.MaxPool2d(2),
            *_convolution(256, 512),
            *_convolution(512, 512),
            nn.MaxPool2d(2),
        )
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 4 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 128),
        )

    def forward(self, examples: Tensor) -> dict[str, Tensor]:
        """Map (batch, 1, 96, 64) to ``embedding`` and, with the port's last ReLU, ``relu``: (batch, 128)."""
        maps = self.features(examples.contiguous(memory_format=torch.channels_last))
        embedding = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return {"embedding": embedding, "relu": embedding.relu()}


def log_mel_examples(waveform: Waveform) -> NDArray[np.float32]:
    """Cut sound at 16 kHz into log-mel patches of 0.96 s without overlap; an incomplete last one is dropped.

    Frames of 25 ms every 10 ms, periodic Hann window, magnitude spectrum of 512 points, 64 HTK mel bands from
    125 to 7500 Hz, log(x + 0.01), computed in float64.

    Returns shape (patches, 1, 96, 64).

    Source: harritaylor/torchvggish@f3f9096, torchvggish/vggish_input.py and mel_features.py.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _WINDOW)[::_HOP]
    patches = len(frames) // _PATCH_FRAMES
    spectrum = np.abs(np.fft.rfft(frames[: patches * _PATCH_FRAMES] * _hann(), _FFT))
    logmel = np.log(spectrum @ _mel_bank() + _LOG_OFFSET)
    return np.asarray(logmel.reshape(patches, 1, _PATCH_FRAMES, -1), dtype=np.float32)


def postprocess(embeddings: Tensor, eigenvectors: Tensor, means: Tensor) -> Tensor:
    """Whiten (rows, 128) after the last ReLU and quantise to 0..255, as AudioSet's features are.

    Source: harritaylor/torchvggish@f3f9096, torchvggish/vggish.py, ``Postprocessor``.
    """
    whitened = (embeddings - means.reshape(1, -1)) @ eigenvectors.T
    return torch.round((whitened.clamp(-2.0, 2.0) + 2.0) * (255.0 / 4.0))


def load_vggish(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load VGGish as fadtk hears it: resampled to 16 kHz (Kaiser), through a 16-bit file, at least 1 s long."""
    return AudioEmbedder(_fadtk_windows, _load(weights, device), device, batch_rows=40)


def load_vggish_favd(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load VGGish as FAVD hears it: through a 16-bit file, then resampled to 16 kHz by resampy."""
    return AudioEmbedder(_favd_windows, _load(weights, device), device, batch_rows=40)


def _load(weights: Mapping[str, Path], device: str) -> VGGish:
    path = one_file(weights)
    network = VGGish()
    tensors = read_state_dict(path, model="VGGish", drop=["pproc.*"])
    load_strictly(network, tensors, path=path, model="VGGish")
    network = network.eval().requires_grad_(False)
    if device == "cpu":
        for index, layer in enumerate(network.features):
            if isinstance(layer, nn.Conv2d):
                network.features[index] = quickest(layer)
    return channels_last(network, device)


def _fadtk_windows(waveform: Waveform, sample_rate: int) -> NDArray[np.float32]:
    heard = through_pcm16(resample_kaiser_best(waveform, sample_rate, SAMPLE_RATE))
    return log_mel_examples(np.pad(heard, (0, max(0, SAMPLE_RATE - len(heard)))))


def _favd_windows(waveform: Waveform, sample_rate: int) -> NDArray[np.float32]:
    heard = resample_resampy(through_pcm16(waveform), sample_rate, SAMPLE_RATE)
    require_samples(heard, (_PATCH_FRAMES - 1) * _HOP + _WINDOW, SAMPLE_RATE, "VGGish")
    return log_mel_examples(heard)


def _convolution(channels_in: int, channels_out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(inplace=True)


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi / _WINDOW * np.arange(_WINDOW)))


@lru_cache(maxsize=1)
def _mel_bank() -> NDArray[np.float64]:
    """Triangles that are linear in mel, zero at 0 Hz: shape (257, 64)."""

    def mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0))

    bins = mel(np.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(125.0), mel(7500.0), 64 + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank[0] = 0.0
    return np.asarray(bank)
