"""PaSST: audio tagger with 527 classes, a vision transformer on mel patches.

Koutini et al., "Efficient Training of Audio Transformers with Patchout", Interspeech 2022. Official code:
kkoutini/passt_hear21@5f1cce6, package hear21passt 0.0.26, models/passt.py and models/preprocess.py, model
``passt_s_swa_p16_128_ap476``. Tensor names are the official ones. The official class prints, builds its mel
bank anew in every pass and uses a form of ``torch.stft`` that PyTorch gives up; the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.embedders.base import AudioEmbedder, one_file, require_samples
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict
from clapstick.metrics.embedders.front_end import MINUS_1_DB, Waveform, resample_hann, resample_soxr
from clapstick.metrics.embedders.htsat import Mlp
from clapstick.metrics.waveform import peak_normalised

SAMPLE_RATE = 32000
WINDOW_SAMPLES = 10 * SAMPLE_RATE
_MODEL = "PaSST passt_s_swa_p16_128_ap476"
_WIDTH = 768
_HEADS = 12
_DEPTH = 12
_CLASSES = 527
_PATCH, _STRIDE = 16, 10
_GRID = (12, 99)
"""Patches across 128 mel bands and along 10 s."""
_MEL_BANDS = 128
_FFT, _WINDOW, _HOP = 1024, 800, 320
_HIGH_HZ = 15000.0
_SHORTEST_SEGMENT = int(0.15 * SAMPLE_RATE)
_UNPADDED_SAMPLES = int(0.15 * WINDOW_SAMPLES)


class LogMelFrames(nn.Module):
    """Log-mel spectrogram as PaSST takes it: pre-emphasis, Kaldi's mel bank, shifted and scaled."""

    window: Tensor
    mel_bank: Tensor

    def __init__(self) -> None:
        from torchaudio.compliance.kaldi import get_mel_banks

        super().__init__()
        bank, _ = get_mel_banks(_MEL_BANDS, _FFT, SAMPLE_RATE, 0.0, _HIGH_HZ, 100.0, -500.0, 1.0)
        self.register_buffer("window", torch.hann_window(_WINDOW, periodic=False), persistent=False)
        self.register_buffer("mel_bank", functional.pad(bank, (0, 1)), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) at 32 kHz to (batch, 1, 128, frames)."""
        emphasised = waveforms[:, 1:] - 0.97 * waveforms[:, :-1]
        spectrum = torch.stft(
            emphasised, _FFT, _HOP, _WINDOW, window=self.window, center=True, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        return (((self.mel_bank @ power) + 0.00001).log()[:, None] + 4.5) / 5


class Block(nn.Module):
    """Self-attention and a two-layer network, each on normalised tokens and added to them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_WIDTH, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(_WIDTH, 3 * _WIDTH), "proj": nn.Linear(_WIDTH, _WIDTH)})
        self.norm2 = nn.LayerNorm(_WIDTH, eps=1e-6)
        self.mlp = Mlp(_WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Keep the shape (batch, tokens, 768)."""
        split = self.attn["qkv"](self.norm1(tokens)).unflatten(2, (3, _HEADS, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.attn["proj"](mixed.transpose(1, 2).flatten(2))
        return torch.as_tensor(tokens + self.mlp(self.norm2(tokens)))


class Passt(nn.Module):
    """PaSST-S with a class token and a distillation token, whose mean is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = LogMelFrames()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, _WIDTH, _PATCH, stride=_STRIDE)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, _WIDTH))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, _WIDTH, _GRID[0], 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, _WIDTH, 1, _GRID[1]))
        self.blocks = nn.Sequential(*(Block() for _ in range(_DEPTH)))
        self.norm = nn.LayerNorm(_WIDTH, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, _CLASSES))

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Map (batch, samples), at most 10 s, to ``embedding`` (batch, 768) and ``logits`` (batch, 527)."""
        patches = self.patch_embed["proj"](self.frames(waveforms))
        patches = patches + self.time_new_pos_embed[..., : patches.shape[3]] + self.freq_new_pos_embed
        ends = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        tokens = torch.cat([ends.expand(len(patches), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        embedding = self.norm(self.blocks(tokens))[:, :2].mean(dim=1)
        return {"embedding": embedding, "logits": self.head(embedding)}

    def segments(self, rows: Tensor) -> dict[str, Tensor]:
        """Run rows of `unpadded_segments`, each at its own length."""
        outputs = [self(row[1 : 1 + int(row[0])][None]) for row in rows]
        return {name: torch.cat([one[name] for one in outputs]) for name in ("embedding", "logits")}


def load_passt(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``passt-s-f128-p16-s10-ap.476-swa.pt`` with av-benchmark's ears: one window of 10 s."""
    return _load(weights, device, av_benchmark_window)


def load_passt_windows(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load the same file with stable-audio-metrics' ears: windows of 10 s every 5 s."""
    return _load(weights, device, stable_audio_windows)


def load_passt_segments(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load the same file with audiocraft's ears: segments of 10 s, the last one shorter and not padded."""
    network = _network(weights, device)
    return AudioEmbedder(unpadded_segments, network.segments, device, batch_rows=4)


def av_benchmark_window(waveform: Waveform, sample_rate: int) -> Waveform:
    """Remove the mean, resample to 32 kHz, pad or cut to 10 s: (1, 320000).

    Source: hkchengrex/av-benchmark@050a5cd, av_bench/data/audio_dataset.py and av_bench/extract.py.
    """
    centred = waveform - waveform.mean(dtype=np.float64).astype(np.float32)
    heard = resample_hann(centred, sample_rate, SAMPLE_RATE)[:WINDOW_SAMPLES]
    return np.pad(heard, (0, WINDOW_SAMPLES - len(heard)))[None]


def stable_audio_windows(waveform: Waveform, sample_rate: int) -> Waveform:
    """Resample to 32 kHz, scale to a peak of -1 dB, cut windows of 10 s every 5 s, zeros at the end.

    Returns shape (windows, 320000); a sound of 1.5 s or less stays as it is, (1, samples).

    Source: Stability-AI/stable-audio-metrics@fd55536, src/passt_kld.py.
    """
    heard = resample_soxr(waveform, sample_rate, SAMPLE_RATE)
    require_samples(heard, _SHORTEST_SEGMENT, SAMPLE_RATE, "PaSST")
    scaled = peak_normalised(heard, MINUS_1_DB)
    if len(scaled) <= _UNPADDED_SAMPLES:
        return scaled[None]
    hop = WINDOW_SAMPLES // 2
    starts = range(0, max(hop, len(scaled) - hop), hop)
    pieces = [scaled[start : start + WINDOW_SAMPLES] for start in starts]
    return np.stack([np.pad(piece, (0, WINDOW_SAMPLES - len(piece))) for piece in pieces])


def unpadded_segments(waveform: Waveform, sample_rate: int) -> Waveform:
    """Resample to 32 kHz and cut segments of 10 s; a last one of 0.15 s or less is left out.

    Returns shape (segments, 1 + longest): the length of each, and its samples with zeros behind them that the
    network does not see.

    Source: ilpoviertola/eval_generative_v2a_models@4410865, metrics/kld.py, after audiocraft's metrics/kld.py.
    """
    heard = resample_hann(waveform, sample_rate, SAMPLE_RATE, width=24, rolloff=0.945)
    require_samples(heard, _SHORTEST_SEGMENT + 1, SAMPLE_RATE, "PaSST")
    pieces = [heard[start : start + WINDOW_SAMPLES] for start in range(0, len(heard), WINDOW_SAMPLES)]
    kept = [piece for piece in pieces if len(piece) > _SHORTEST_SEGMENT]
    rows = np.zeros((len(kept), 1 + len(kept[0])), dtype=np.float32)
    for row, piece in zip(rows, kept, strict=True):
        row[0] = len(piece)
        row[1 : 1 + len(piece)] = piece
    return rows


def _load(
    weights: Mapping[str, Path], device: str, windows: Callable[[Waveform, int], Waveform]
) -> AudioEmbedder:
    return AudioEmbedder(windows, _network(weights, device), device, batch_rows=4)


def _network(weights: Mapping[str, Path], device: str) -> Passt:
    path = one_file(weights)
    network = Passt()
    load_strictly(network, read_state_dict(path, model=_MODEL, drop=["head_dist.*"]), path=path, model=_MODEL)
    return network.eval().requires_grad_(False).to(device)
