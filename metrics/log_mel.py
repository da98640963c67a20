"""Log-mel spectra without a network."""

from __future__ import annotations

from functools import cache

import numpy as np

from clapstick.metrics.base import Array, NotComputableError

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SAMPLES = 512
BANDS = 64
LOW_HZ, HIGH_HZ = 125.0, 7500.0
PATCH_FRAMES = 96
FLOOR = 0.01


def log_mel(waveform: Array) -> Array:
    """Return the log-mel spectrogram of a sound at 16 kHz; shape (frames, 64).

    Periodic Hann window of 25 ms, hop 10 ms, magnitudes, 64 HTK mel bands from 125 to 7500 Hz, log(x + 0.01).

    Raises
    ------
    NotComputableError
        If the sound is shorter than one window.
    """
    if len(waveform) < WINDOW_SAMPLES:
        raise NotComputableError(
            f"the sound has {len(waveform)} samples, a spectrum needs {WINDOW_SAMPLES}; use a longer clip"
        )
    frames = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW_SAMPLES)[::HOP_SAMPLES]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    magnitudes = np.abs(np.fft.rfft(frames * window, FFT_SAMPLES, axis=1))
    bands: Array = np.log(magnitudes @ _mel_filters() + FLOOR)
    return bands


def log_mel_patches(waveform: Array) -> Array:
    """Return mean and standard deviation over time of every 0.96 s of log-mel; shape (patches, 128).

    A tail of less than 0.96 s is dropped; a shorter sound is one patch.
    """
    bands = log_mel(waveform)
    patches = max(1, len(bands) // PATCH_FRAMES)
    length = min(PATCH_FRAMES, len(bands))
    cut = bands[: patches * length].reshape(patches, length, BANDS)
    return np.concatenate([cut.mean(axis=1), cut.std(axis=1)], axis=1)


@cache
def _mel_filters() -> Array:
    """Return triangular filters on the HTK mel scale; shape (257, 64)."""
    edges = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    bins = _mel(np.linspace(0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters: Array = np.maximum(0.0, np.minimum(rising, falling))
    return filters


def _mel(hertz: Array | float) -> Array:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))
