"""AudioLDM's log-mel spectrogram, the RMS curve on its frames, and ReWaS's energy curve."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clapstick.metrics.rms import low_pass, rms_curve

SAMPLE_RATE = 16_000
FFT = 1024
HOP = 160
BINS = 64
FLOOR = 1e-5
FRAMES_PER_LATENT = 4
_MARGIN = (FFT - HOP) // 2


def log_mel(samples: Tensor) -> Tensor:
    """Return AudioLDM's log-mel.

    Magnitude (not power) through 64 Slaney filters up to 8 kHz, floor 1e-5, natural logarithm; the sound is
    reflected by 432 samples at both ends, so that there is one frame a hop.

    Parameters
    ----------
    samples : Tensor of float32, shape (batch, samples)
        Mono at 16 kHz.

    Returns
    -------
    Tensor, shape (batch, samples // 160, 64)

    Notes
    -----
    Source: haoheliu/AudioLDM-training-finetuning, audioldm_train/utilities/data/dataset.py.
    """
    padded = torch.nn.functional.pad(samples[:, None], (_MARGIN, _MARGIN), mode="reflect")[:, 0]
    window = torch.hann_window(FFT, device=samples.device)
    spectrum = torch.stft(padded, FFT, HOP, FFT, window, center=False, return_complex=True).abs()
    filters = mel_filters().to(samples.device)
    return torch.log((filters @ spectrum).clamp_min(FLOOR)).transpose(1, 2)


@cache
def mel_filters() -> Tensor:
    """Return the mel filters, shape (64, 513)."""
    import librosa

    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FFT, n_mels=BINS, fmin=0, fmax=SAMPLE_RATE / 2)
    return torch.from_numpy(filters.astype(np.float32))


def rms_for_mel(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the low-pass filtered RMS curve on the frames of `log_mel`.

    Source: jakeoneijk/RMS_ControlNet_Inference@aa200a6, Util/RMS.py. The filter is the one of stage 1, which at
    100 frames a second cuts at 6.25 Hz.
    """
    return low_pass(rms_curve(samples, frame_samples=FFT, hop_samples=HOP))


def to_mel_frames(envelope: NDArray[np.float64], frames: int, envelope_rate: float) -> NDArray[np.float64]:
    """Bring an envelope to one value a mel frame, by the nearest earlier value; zeros follow its end.

    Parameters
    ----------
    envelope : ndarray of float64, shape (n,)
    frames : int
        Mel frames that are wanted.
    envelope_rate : float
        Values a second.

    Notes
    -----
    Source: jnwnlee/video-foley@0afd45a, util.py, interpolate_rms_for_rms2sound: 1250 values become 1000, and
    24 zeros are put after them.
    """
    sounding = min(frames, math.floor(envelope.size / envelope_rate * SAMPLE_RATE / HOP + 1e-6))
    return np.pad(held_at(envelope, sounding, envelope_rate), (0, frames - sounding))


def held_at(envelope: NDArray[np.float64], frames: int, envelope_rate: float) -> NDArray[np.float64]:
    """Bring an envelope to one value a mel frame, by the nearest earlier value; its last value is held."""
    at = np.floor(np.arange(frames) * (envelope_rate * HOP / SAMPLE_RATE) + 1e-9).astype(int)
    return np.asarray(envelope[np.minimum(at, envelope.size - 1)])


ENERGY_FRAMES = 512


def smooth_energy(points: NDArray[np.float64], frames: int = ENERGY_FRAMES) -> NDArray[np.float64]:
    """Smooth an energy curve with Savitzky-Golay (window 9, order 2) and bring it to `frames` values.

    Source: naver-ai/rewas@4e09954; what `EnergyRegressor` predicts at 112 points becomes 512 values.
    """
    from scipy.signal import savgol_filter

    return _nearest(np.asarray(savgol_filter(points, 9, 2), dtype=np.float64), frames)


def _nearest(curve: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.asarray(curve[np.floor(np.arange(size) * (curve.size / size)).astype(int)])
