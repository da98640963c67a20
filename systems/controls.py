"""What the control systems share: the reference they are handed, and RMS classes as predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.rms import (
    BINS,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    SAMPLE_RATE,
    bin_edges,
    discretise,
    low_pass,
    rms_curve,
    undiscretise,
)
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Request


def reference_of(request: Request) -> Audio:
    """Return the reference sound of the request's clip.

    Raises
    ------
    ClapstickError
        If the clip has none.
    """
    if request.reference is None:
        raise fail(
            "no reference sound",
            request.clip.id,
            found=request.clip.reference_missing or "none",
            expected="a clip with sound",
            remedy="This control system is left out for the clip.",
        )
    return request.reference


def samples_of(request: Request, sample_rate: int = SAMPLE_RATE) -> int:
    """Return how many samples the request's clip lasts."""
    return round(request.clip.duration_s * sample_rate)


def frames_of(request: Request) -> int:
    """Return how many RMS frames the request's clip lasts at 16 kHz.

    Raises
    ------
    ClapstickError
        If it is shorter than a frame.
    """
    samples = samples_of(request)
    if samples < FRAME_SAMPLES:
        raise fail(
            "clip is too short for an RMS curve",
            request.clip.id,
            found=f"{request.clip.duration_s:.4f} s",
            expected=f"{FRAME_SAMPLES / SAMPLE_RATE} s at least",
            remedy="Leave the clip out, or use longer clips.",
        )
    return samples // HOP_SAMPLES


def mono_16k(audio: Audio, samples: int) -> NDArray[np.float64]:
    """Mix to mono, resample to 16 kHz and cut or pad with silence to `samples`; shape (samples,).

    The values are those of standardised audio at 16 kHz, which is stored as float32.
    """
    import soxr

    mono = audio.samples.astype(np.float64).mean(axis=1)
    if audio.sample_rate != SAMPLE_RATE:
        mono = soxr.resample(mono, audio.sample_rate, SAMPLE_RATE, quality="HQ")
    stored = mono[:samples].astype(np.float32).astype(np.float64)
    return np.pad(stored, (0, max(0, samples - stored.size)))


def reference_envelope(mono: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the curve that Video2RMS is trained to find: the RMS curve, low-pass filtered, never negative.

    Parameters
    ----------
    mono : ndarray of float64, shape (samples,)
        At 16 kHz.

    Returns
    -------
    ndarray of float64, shape (samples // 128,)
    """
    return np.maximum(low_pass(rms_curve(mono)), 0.0)


def classes_of(envelope: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """Return the mu-law classes of an envelope, 0 to ``bins - 1``; what lies above full scale is the last."""
    return np.minimum(discretise(envelope, bin_edges(bins)), bins - 1)


def predictions_of(classes: NDArray[np.int64], bins: int = BINS) -> dict[str, NDArray[np.generic]]:
    """Return predictions without doubt: ``rms_logits`` that fall away from the class, and ``envelope``."""
    logits = -np.abs(np.arange(bins)[None, :] - classes[:, None])
    return {"rms_logits": logits.astype(np.float32), "envelope": undiscretise(classes, bin_edges(bins))}
