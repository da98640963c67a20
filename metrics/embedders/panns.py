"""PANNs: Wavegram-Logmel-CNN14 and CNN14.

Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition", TASLP 2020.
Official code: qiuqiangkong/audioset_tagging_cnn@d2f4b8c, pytorch/models.py, and the copy that FAD-P is computed
with, DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/panns/models.py. Tensor names are the official
ones. Batch normalisation is folded into the convolutions once the weights are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from clapstick.metrics.embedders.base import AudioEmbedder, one_file, require_samples
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict
from clapstick.metrics.embedders.front_end import (
    STFT_KERNELS,
    LogMel,
    PowerSpectrogram,
    Waveform,
    require_mel_bank,
    resample_hann,
    resample_kaiser_best,
    through_pcm16,
)
from clapstick.metrics.embedders.winograd import channels_last, quickest

_SHORTEST_FRAMES = 32
"""Five poolings by two leave one frame of these."""


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with ReLU, then pooling."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor, pool: tuple[int, int]) -> Tensor:
        """Map (batch, in, time, mel) to (batch, out, time / pool[0], mel / pool[1])."""
        x = functional.relu_(self.bn1(self.conv1(x)))
        x = functional.relu_(self.bn2(self.conv2(x)))
        return x if pool == (1, 1) else functional.avg_pool2d(x, pool)


class WaveBlock(nn.Module):
    """Two 1-D convolutions with ReLU, the second dilated, then max pooling by 4."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels_in, channels_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv1d(channels_out, channels_out, 3, padding=2, dilation=2, bias=False)
        self.bn1 = nn.BatchNorm1d(channels_out)
        self.bn2 = nn.BatchNorm1d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in, samples) to (batch, out, samples / 4)."""
        x = functional.relu_(self.bn1(self.conv1(x)))
        x = functional.relu_(self.bn2(self.conv2(x)))
        return functional.max_pool1d(x, 4)


class Cnn14(nn.Module):
    """CNN14 on 64 mel bands."""

    def __init__(
        self, sample_rate: int, window: int, hop: int, high_hz: float, *, stem_channels: int = 64
    ) -> None:
        super().__init__()
        self.spectrogram_extractor = PowerSpectrogram(window, hop)
        self.logmel_extractor = LogMel(sample_rate, window, 64, 50, high_hz)
        self.bn0 = nn.BatchNorm2d(64)
        self.conv_block1 = ConvBlock(1, 64)
        self.conv_block2 = ConvBlock(stem_channels, 128)
        self.conv_block3 = ConvBlock(128, 256)
        self.conv_block4 = ConvBlock(256, 512)
        self.conv_block5 = ConvBlock(512, 1024)
        self.conv_block6 = ConvBlock(1024, 2048)
        self.fc1 = nn.Linear(2048, 2048)
        self.fc_audioset = nn.Linear(2048, 527)

    def stem(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, 64, frames / 2, 32)."""
        x = self.logmel_extractor(self.spectrogram_extractor(waveforms))
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        x = self.conv_block1(x.contiguous(memory_format=torch.channels_last), (2, 2))
        return torch.as_tensor(x)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Map (batch, samples) to ``embedding`` (batch, 2048), after ReLU, and ``logits`` (batch, 527)."""
        at_once = 1 if waveforms.device.type == "cpu" else len(waveforms)
        x = torch.cat([self._early(group) for group in torch.split(waveforms, at_once)])
        x = self.conv_block6(self.conv_block5(x, (2, 2)), (1, 1)).mean(dim=3)
        embedding = functional.relu_(self.fc1(x.amax(dim=2) + x.mean(dim=2)))
        return {"embedding": embedding, "logits": self.fc_audioset(embedding)}

    def _early(self, waveforms: Tensor) -> Tensor:
        # Large images and small kernels up to here: one clip fills the CPU's cache. After that the kernels
        # are larger than the images, and many clips share the reading of them.
        x = self.stem(waveforms)
        for block in (self.conv_block2, self.conv_block3, self.conv_block4):
            x = block(x, (2, 2))
        return x


class WavegramLogmelCnn14(Cnn14):
    """CNN14 on a log-mel spectrogram beside a learned one (wavegram), at 32 kHz."""

    def __init__(self) -> None:
        super().__init__(32000, 1024, 320, 14000, stem_channels=128)
        self.pre_conv0 = nn.Conv1d(1, 64, 11, stride=5, padding=5, bias=False)
        self.pre_bn0 = nn.BatchNorm1d(64)
        self.pre_block1 = WaveBlock(64, 64)
        self.pre_block2 = WaveBlock(64, 128)
        self.pre_block3 = WaveBlock(128, 128)
        self.pre_block4 = ConvBlock(4, 64)

    def stem(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, 128, frames / 2, 32); the longer branch loses its last frame."""
        wave = functional.relu_(self.pre_bn0(self.pre_conv0(waveforms[:, None])))
        wave = self.pre_block3(self.pre_block2(self.pre_block1(wave)))
        wave = wave.reshape(len(wave), 4, 32, -1).transpose(2, 3)
        wave = self.pre_block4(wave.contiguous(memory_format=torch.channels_last), (2, 1))
        logmel = super().stem(waveforms)
        frames = min(logmel.shape[2], wave.shape[2])
        return torch.cat([logmel[:, :, :frames], wave[:, :, :frames]], dim=1)


def prepare_for_inference(network: Cnn14, device: str) -> Cnn14:
    """Fold batch normalisation into the convolutions and choose the fastest kernels of the device."""
    for name, block in network.named_children():
        if isinstance(block, ConvBlock | WaveBlock):
            tile = (4, 2) if name == "conv_block6" else (4, 4)
            for number in ("1", "2"):
                convolution = fuse_conv_bn_eval(getattr(block, f"conv{number}"), getattr(block, f"bn{number}"))
                if device == "cpu" and isinstance(convolution, nn.Conv2d):
                    convolution = quickest(convolution, tile)
                setattr(block, f"conv{number}", convolution)
                setattr(block, f"bn{number}", nn.Identity())
    return channels_last(network, device)


def load_wavegram(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``Wavegram_Logmel_Cnn14_mAP=0.439.pth``; outputs ``embedding`` and ``logits``."""
    return _load(WavegramLogmelCnn14(), weights, device, "PANNs Wavegram-Logmel-CNN14", _fadtk_windows)


def load_cnn14_32k(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``Cnn14_mAP=0.431.pth`` (32 kHz); outputs ``embedding`` and ``logits``."""
    network = Cnn14(32000, 1024, 320, 14000)
    return _load(network, weights, device, "PANNs CNN14 at 32 kHz", _fadtk_windows)


def load_cnn14_16k(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``Cnn14_16k_mAP=0.438.pth``; outputs ``embedding`` and ``logits``."""
    network = Cnn14(16000, 512, 160, 8000)
    return _load(network, weights, device, "PANNs CNN14 at 16 kHz", _audioldm_eval_windows)


def load_cnn14_16k_unpadded(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load the same file with av-benchmark's ears: short sounds are not padded."""
    network = Cnn14(16000, 512, 160, 8000)
    return _load(network, weights, device, "PANNs CNN14 at 16 kHz", _av_benchmark_windows)


def _fadtk_windows(waveform: Waveform, sample_rate: int) -> Waveform:
    """Whole clip at 32 kHz through a 16-bit file, as fadtk does: (1, samples)."""
    waveform = through_pcm16(resample_kaiser_best(waveform, sample_rate, 32000))
    require_samples(waveform, _SHORTEST_FRAMES * 320, 32000, "PANNs")
    return waveform[None]


def _audioldm_eval_windows(waveform: Waveform, sample_rate: int) -> Waveform:
    """Whole clip at 16 kHz without its mean, padded to 2 s, as haoheliu/audioldm_eval@8dc07ee does."""
    waveform = _centred_16k(waveform, sample_rate)
    return np.pad(waveform, (0, max(0, 2 * 16000 - len(waveform))))[None]


def _av_benchmark_windows(waveform: Waveform, sample_rate: int) -> Waveform:
    """Whole clip at 16 kHz without its mean, as hkchengrex/av-benchmark@050a5cd does."""
    waveform = _centred_16k(waveform, sample_rate)
    require_samples(waveform, _SHORTEST_FRAMES * 160, 16000, "PANNs")
    return waveform[None]


def _centred_16k(waveform: Waveform, sample_rate: int) -> Waveform:
    return resample_hann(waveform - waveform.mean(dtype=np.float64).astype(np.float32), sample_rate, 16000)


def _load(
    network: Cnn14,
    weights: Mapping[str, Path],
    device: str,
    model: str,
    windows: Callable[[Waveform, int], Waveform],
) -> AudioEmbedder:
    path = one_file(weights)
    tensors = read_state_dict(path, model=model, key="model", drop=[f"*{STFT_KERNELS}*"])
    load_strictly(network, tensors, path=path, model=model)
    require_mel_bank(network.logmel_extractor, path=path, model=model)
    network = prepare_for_inference(network.eval().requires_grad_(False), device)
    return AudioEmbedder(windows=windows, forward=network, device=device, batch_rows=8)
