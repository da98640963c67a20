"""Checks and conversions of waveforms that several metrics share."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, ClipInput, NotComputableError

RESAMPLER = "soxr HQ"

_Derived = TypeVar("_Derived")
_Float = TypeVar("_Float", np.float32, np.float64)
_DERIVED: dict[int, tuple[weakref.ref[Array], dict[object, object]]] = {}
"""What was derived from a read-only waveform, by its identity, for as long as the waveform lives."""


def derived_once(waveform: Array, name: object, derive: Callable[[Array], _Derived]) -> _Derived:
    """Return ``derive(waveform)``, computed once for a read-only waveform and anew for one that may change.

    `name` must say everything that `derive` depends on besides the waveform.
    """
    if waveform.flags.writeable:
        return derive(waveform)
    key = id(waveform)
    if key not in _DERIVED:
        _DERIVED[key] = (weakref.ref(waveform, lambda _: _DERIVED.pop(key, None)), {})
    known = _DERIVED[key][1]
    if name not in known:
        known[name] = derive(waveform)
    return known[name]  # type: ignore[return-value]


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
    if not derived_once(waveform, "finite", lambda sound: bool(np.isfinite(sound).all())):
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
    return derived_once(
        waveform, ("resample", from_rate, to_rate), lambda sound: _resampled(sound, from_rate, to_rate)
    )


def _resampled(waveform: Array, from_rate: int, to_rate: int) -> Array:
    import soxr

    resampled: Array = soxr.resample(waveform, from_rate, to_rate, quality="HQ")
    resampled.flags.writeable = False
    return resampled


def peak_normalised(waveform: NDArray[_Float], peak: float = 1.0) -> NDArray[_Float]:
    """Scale a waveform so that its largest absolute sample is `peak`; silence stays silence."""
    largest = float(np.abs(waveform).max())
    return waveform if largest == 0.0 else waveform * waveform.dtype.type(peak / largest)
