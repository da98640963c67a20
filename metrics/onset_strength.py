"""Spectral-flux onset strength, as ``librosa.onset.onset_strength`` with its defaults, in a fraction of the
time.

The spectrum is taken in single precision and the sparse mel filters are built once; librosa builds them for
every file and multiplies them in full. Values agree to about 1e-7 of the strongest onset.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array

SAMPLE_RATE = 22_050
HOP_SAMPLES = 512
FFT_SAMPLES = 2048
SMALLEST_POWER = 1e-10
DYNAMIC_RANGE_DB = 80.0


def onset_strength(waveform: Array) -> Array:
    """Return how much louder, in dB, the mel bands become from frame to frame, averaged over bands.

    Parameters
    ----------
    waveform : array, shape (samples,)
        Sound at 22.05 kHz.

    Returns
    -------
    array, shape (1 + samples // 512,)
        Delayed by two frames, half a window, so that an onset lies where it is heard.
    """
    from scipy.fft import rfft

    single = np.pad(waveform.astype(np.float32), FFT_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(single, FFT_SAMPLES)[::HOP_SAMPLES]
    spectrum = rfft(frames.T * _window()[:, None], axis=0)
    power = spectrum.real**2 + spectrum.imag**2
    decibels = 10 * np.log10(np.maximum(_mel_filters() @ power, SMALLEST_POWER))
    decibels = np.maximum(decibels, decibels.max() - DYNAMIC_RANGE_DB)
    rise = np.maximum(0.0, np.diff(decibels, axis=1)).mean(axis=0, dtype=np.float64)
    delayed: Array = np.pad(rise, (1 + FFT_SAMPLES // (2 * HOP_SAMPLES), 0))[: len(frames)]
    return delayed


@cache
def _window() -> NDArray[np.float32]:
    turn = 2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
    return window


@cache
def _mel_filters() -> Any:
    """Return librosa's mel filters as a sparse matrix, shape (128, 1025)."""
    import librosa
    from scipy.sparse import csr_matrix

    return csr_matrix(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FFT_SAMPLES))
