"""What networks hear: resampling, 16-bit round trips, windows and log-mel spectrograms."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clapstick.metrics.embedders.checkpoint import WrongWeightsError, fetch_again

Waveform = NDArray[np.float32]

STFT_KERNELS = "spectrogram_extractor.stft."
"""DFT kernels that official checkpoints hold; they are computed, never learned."""
INT16_PEAK = 32767
MINUS_1_DB = 10 ** (-1 / 20)
_KAISER_BEST = {
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}


def resample_kaiser_best(waveform: Waveform, sample_rate: int, target_rate: int) -> Waveform:
    """Resample shape (samples,) with a wide Kaiser-windowed sinc.

    Source: DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/fad.py, ``load_audio``.
    """
    if sample_rate == target_rate:
        return waveform
    from torchaudio.functional import resample

    resampled = resample(torch.from_numpy(waveform)[None], sample_rate, target_rate, **_KAISER_BEST)
    return np.asarray(resampled[0].numpy())


def resample_hann(
    waveform: Waveform, sample_rate: int, target_rate: int, *, width: int = 6, rolloff: float = 0.99
) -> Waveform:
    """Resample shape (samples,) with a Hann-windowed sinc: torchaudio's default filter.

    With `width` 24 and `rolloff` 0.945 it is julius's, up to what is assumed before and after the sound.
    """
    if sample_rate == target_rate:
        return waveform
    from torchaudio.functional import resample

    given = torch.from_numpy(waveform)[None]
    resampled = resample(given, sample_rate, target_rate, lowpass_filter_width=width, rolloff=rolloff)
    return np.asarray(resampled[0].numpy())


def resample_soxr(waveform: Waveform, sample_rate: int, target_rate: int) -> Waveform:
    """Resample shape (samples,) with soxr's high quality, librosa's default."""
    if sample_rate == target_rate:
        return waveform
    import soxr

    return np.asarray(soxr.resample(waveform, sample_rate, target_rate, quality="HQ"), dtype=np.float32)


def resample_resampy(waveform: Waveform, sample_rate: int, target_rate: int) -> Waveform:
    """Resample shape (samples,) with resampy's default filter, as the VGGish port does."""
    if sample_rate == target_rate:
        return waveform
    import resampy

    return np.asarray(resampy.resample(waveform, sample_rate, target_rate), dtype=np.float32)


def through_pcm16(waveform: Waveform) -> Waveform:
    """Return what a 16-bit wav file gives back: libsndfile rounds to 32 bits, clips, and keeps the upper 16.

    The rounding noise matters: for material without high frequencies it is all that a log-mel spectrogram sees
    there (3 % of a PANNs embedding). What is on the 16-bit grid already stays as it is.
    """
    in_32_bits = np.rint(waveform.astype(np.float64) * 2.0**31)
    written = np.clip(np.floor(in_32_bits / 2.0**16), -INT16_PEAK - 1, INT16_PEAK)
    return np.asarray(written / (INT16_PEAK + 1), dtype=np.float32)


def truncate_to_int16(waveform: Waveform) -> Waveform:
    """Quantise as laion_clap does: clip to ±1, times 32767, cut towards zero, divided by 32767.

    Source: LAION-AI/CLAP, src/laion_clap/training/data.py, ``float32_to_int16`` and ``int16_to_float32``.
    """
    clipped = np.clip(waveform, np.float32(-1.0), np.float32(1.0))
    whole = (clipped * np.float32(INT16_PEAK)).astype(np.int16)
    return np.asarray((whole / np.float32(INT16_PEAK)).astype(np.float32))


def padded_windows(waveform: Waveform, window: int, hop: int) -> NDArray[np.float32]:
    """Cut shape (samples,) into windows that start every `hop` samples, the last ones padded with zeros.

    Returns shape (ceil(samples / hop), window): a window starts wherever there is at least one sample left.

    Source: DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/model_loader.py, CLAP classes.
    """
    starts = range(0, len(waveform), hop)
    windows = np.zeros((len(starts), window), dtype=np.float32)
    for row, start in zip(windows, starts, strict=True):
        piece = waveform[start : start + window]
        row[: len(piece)] = piece
    return windows


class PowerSpectrogram(nn.Module):
    """Squared magnitude of a centred, reflect-padded, Hann-windowed STFT.

    The same numbers as torchlibrosa's ``Spectrogram``, by FFT in place of two convolutions with DFT kernels.
    """

    window: Tensor

    def __init__(self, window_samples: int, hop_samples: int) -> None:
        super().__init__()
        self.window_samples = window_samples
        self.hop_samples = hop_samples
        window = torch.hann_window(window_samples, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window.to(torch.float32), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, 1, frames, window_samples // 2 + 1)."""
        spectrum = torch.stft(
            waveforms,
            n_fft=self.window_samples,
            hop_length=self.hop_samples,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        power = torch.view_as_real(spectrum).square().sum(dim=-1)
        return power.transpose(1, 2).unsqueeze(1)


class LogMel(nn.Module):
    """Decibels of a Slaney mel spectrogram, as torchlibrosa's ``LogmelFilterBank`` with ``amin=1e-10``."""

    melW: Tensor  # noqa: N815 - the official tensor name

    def __init__(
        self, sample_rate: int, window_samples: int, mel_bins: int, low_hz: float, high_hz: float
    ) -> None:
        super().__init__()
        self.expected = slaney_mel(sample_rate, window_samples, mel_bins, low_hz, high_hz)
        self.register_buffer("melW", self.expected.clone())

    def forward(self, power: Tensor) -> Tensor:
        """Map (batch, 1, frames, bins) to (batch, 1, frames, mel_bins)."""
        return 10.0 * torch.log10(torch.clamp(power @ self.melW, min=1e-10))


@lru_cache(maxsize=8)
def slaney_mel(sample_rate: int, window: int, mel_bins: int, low_hz: float, high_hz: float) -> Tensor:
    """Return librosa's mel filter bank, shape (window // 2 + 1, mel_bins)."""
    import librosa

    bank = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=mel_bins, fmin=low_hz, fmax=high_hz)
    return torch.from_numpy(np.ascontiguousarray(bank.T, dtype=np.float32))


def require_mel_bank(logmel: LogMel, *, path: Path, model: str) -> None:
    """Raise `WrongWeightsError` where a checkpoint was trained on another mel filter bank."""
    difference = float((logmel.melW.cpu() - logmel.expected).abs().max())
    if difference > 1e-4 * float(logmel.expected.max()):
        raise WrongWeightsError(
            f"{path} is not a checkpoint of {model}: its mel filter bank differs by {difference:.3g} "
            "from the one that the model hears through (a checkpoint for another sample rate?). "
            f"{fetch_again(path)}"
        )
