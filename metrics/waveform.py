"""Checks and conversions of waveforms that several metrics share."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.base import Array, ClipInput, NotComputableError

RESAMPLER = "soxr HQ"


def reference_of(clip: ClipInput) -> Array:
    """Return the reference sound; raise `NotComputableError` with the clip's own reason where it has none."""
    if clip.reference is None:
        raise NotComputableError(clip.reference_missing)
    return clip.reference


def require_sound(waveform: Array, name: str) -> Array:
    """Return `waveform`; raise `NotComputableError` where it is empty, not mono or not finite."""
    if waveform.ndim != 1:
        raise NotComputableError(
            f"the {name} sound has shape {waveform.shape}, expected (samples,); mix it to mono"
        )
    if not waveform.size:
        raise NotComputableError(f"the {name} sound is empty; generate the clip again")
    if not np.isfinite(waveform).all():
        raise NotComputableError(
            f"the {name} sound has {int((~np.isfinite(waveform)).sum())} NaN or infinite samples; make it again"
        )
    return waveform


def sound_pair(clip: ClipInput, *, sample_rate: int) -> tuple[Array, Array]:
    """Return reference and generated sound at `sample_rate`, checked and of equal length.

    Raises
    ------
    NotComputableError
        If there is no reference, a sound is empty or not finite, or the lengths differ.
    """
    reference = require_sound(reference_of(clip), "reference")
    generated = require_sound(clip.generated, "generated")
    if len(reference) != len(generated):
        raise NotComputableError(
            f"reference has {len(reference)} samples and generated {len(generated)}; "
            "standardise both to the protocol's length"
        )
    return (
        resample(reference, clip.sample_rate, sample_rate),
        resample(generated, clip.sample_rate, sample_rate),
    )


def resample(waveform: Array, from_rate: int, to_rate: int) -> Array:
    """Resample a mono waveform with soxr at its HQ setting (librosa's default); equal rates change nothing."""
    if from_rate == to_rate:
        return waveform
    import soxr

    resampled: Array = soxr.resample(waveform, from_rate, to_rate, quality="HQ")
    return resampled


def peak_normalised(waveform: Array, peak: float = 1.0) -> Array:
    """Scale a waveform so that its largest absolute sample is `peak`; silence stays silence."""
    largest = float(np.abs(waveform).max())
    return waveform if largest == 0.0 else waveform * (peak / largest)
