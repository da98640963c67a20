"""Checks and conversions of waveforms that several metrics share."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, ClipInput, NotComputableError

RESAMPLER = "soxr HQ"
MOVIEPY_READER = "ffmpeg to 44.1 kHz s16, every second sample"
_MOVIEPY_RATE = 44_100
_SAMPLES_AT_ONCE = 16_384

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


def as_moviepy_reads(waveform: Array, from_rate: int) -> Array:
    """Return a mono waveform at 22.05 kHz as moviepy's ``to_soundarray(fps=22050)`` reads it from a video.

    moviepy lets FFmpeg resample to 44.1 kHz stereo in 16 bits (mono by 0.707) and takes every second sample
    without a filter, so what a sound has above 11 kHz folds back. A waveform at 22.05 kHz counts as read.

    Parameters
    ----------
    waveform : array, shape (samples,)
        Full scale 1.0.
    from_rate : int
        Hz.

    Returns
    -------
    array, shape (samples at 22.05 kHz,)

    Raises
    ------
    NotComputableError
        If the sound is shorter than FFmpeg's filter, some 20 samples.

    Notes
    -----
    Source: moviepy 1.0.3 and 2.2.1, audio/io/readers.py; resampled by FFmpeg's libswresample here as there.
    """
    if from_rate == _MOVIEPY_RATE // 2:
        return waveform
    return derived_once(waveform, ("moviepy", from_rate), lambda sound: _moviepy_read(sound, from_rate))


def _moviepy_read(waveform: Array, from_rate: int) -> Array:
    import av

    single = waveform.astype(np.float32)[np.newaxis]
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=_MOVIEPY_RATE)
    pieces = []
    for start in range(0, waveform.size, _SAMPLES_AT_ONCE):
        some = single[:, start : start + _SAMPLES_AT_ONCE]
        frame = av.AudioFrame.from_ndarray(some, format="fltp", layout="mono")
        frame.sample_rate = from_rate
        pieces += [piece.to_ndarray()[0, ::2] for piece in resampler.resample(frame)]
    pieces += [piece.to_ndarray()[0, ::2] for piece in resampler.resample(None)]
    if not pieces:
        raise NotComputableError(
            f"FFmpeg resamples {waveform.size} samples at {from_rate} Hz to nothing; use the clean convention "
            "or a longer clip"
        )
    read: Array = np.concatenate(pieces)[::2] / 2**15
    read.flags.writeable = False
    return read


def peak_normalised(waveform: NDArray[_Float], peak: float = 1.0) -> NDArray[_Float]:
    """Scale a waveform so that its largest absolute sample is `peak`; silence stays silence."""
    largest = float(np.abs(waveform).max())
    return waveform if largest == 0.0 else waveform * waveform.dtype.type(peak / largest)
