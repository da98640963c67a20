"""ReWaS's energy curve: the mean over mel bands of the log-mel spectrogram of 5.12 s.

Source: naver-ai/rewas@4e09954 audioldm/utilities/data/dataset.py (wav_feature_extraction, train_mode energy).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from clapstick.metrics.base import Array

SAMPLE_RATE = 16_000
SEGMENT_SAMPLES = 81_920
FRAMES = 512
FFT_SAMPLES = 1024
HOP_SAMPLES = 160
BANDS = 64
HIGH_HZ = 8000
PEAK = 0.5
FLOOR = 1e-5
CONTROL_POINTS = 112
SMOOTHING_WINDOW, SMOOTHING_ORDER = 9, 2


def log_mel(waveform: Array) -> Array:
    """Return the natural-log mel spectrogram of the first 5.12 s at 16 kHz; shape (512, 64).

    The mean is removed, the peak set to 0.5 (so gain has no effect), the end filled with zeros, both ends
    reflected. Silence stays silence: every value is log(1e-5).
    """
    import librosa

    segment = waveform[:SEGMENT_SAMPLES] - waveform[:SEGMENT_SAMPLES].mean()
    peak = float(np.abs(segment).max())
    if peak > 0:
        segment = segment / (peak + 1e-8) * PEAK
    segment = np.pad(segment, (0, SEGMENT_SAMPLES - len(segment)))
    padded = np.pad(segment, (FFT_SAMPLES - HOP_SAMPLES) // 2, mode="reflect")
    spectrum = np.abs(
        librosa.stft(padded, n_fft=FFT_SAMPLES, hop_length=HOP_SAMPLES, window="hann", center=False)
    )
    bands: Array = np.log(np.maximum(_filters() @ spectrum, FLOOR)).T
    return bands[:FRAMES]


def energy_curve(waveform: Array) -> Array:
    """Return the mean over mel bands; shape (512,)."""
    curve: Array = log_mel(waveform).mean(axis=1)
    return curve


def control_curve(energy: Array) -> Array:
    """Return the smoothed curve that conditions ReWaS: 512 -> 112 points, smoothed, -> 512; shape (512,)."""
    from scipy.signal import savgol_filter

    coarse = energy[np.arange(CONTROL_POINTS) * FRAMES // CONTROL_POINTS]
    smooth: Array = savgol_filter(coarse, SMOOTHING_WINDOW, SMOOTHING_ORDER)
    stretched: Array = smooth[np.arange(FRAMES) * CONTROL_POINTS // FRAMES]
    return stretched


@cache
def _filters() -> Array:
    import librosa

    filters: Array = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=FFT_SAMPLES, n_mels=BANDS, fmin=0, fmax=HIGH_HZ, dtype=np.float64
    )
    return filters
