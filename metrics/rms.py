"""The RMS curve of a sound and its discretisation into mu-law bins.

Source: jnwnlee/video-foley@0afd45a data_utils.py (class RMS); the curve is Video-Foley's temporal condition
(J. Lee et al., Video-Foley: Two-Stage Video-To-Sound Generation via Temporal Event Condition, section 3.1).
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import gcd, log1p

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, NotComputableError
from clapstick.metrics.waveform import derived_once

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 512
HOP_SAMPLES = 128
BINS = 64
RMS_MIN = 0.01
"""-40 dB: what lies below is class 0, silence."""


def rms_curve(waveform: Array, *, frame_samples: int = FRAME_SAMPLES, hop_samples: int = HOP_SAMPLES) -> Array:
    """Return the root mean square of every frame, the sound reflected by (frame - hop) / 2 at both ends.

    Parameters
    ----------
    waveform : array, shape (samples,)
        Amplitudes in [-1, 1].

    Returns
    -------
    array, shape (samples / hop_samples,)
        1250 values for 10 s at 16 kHz.

    Raises
    ------
    NotComputableError
        If the sound is too short to be reflected.
    """
    margin = (frame_samples - hop_samples) // 2
    if len(waveform) <= margin:
        raise NotComputableError(
            f"the sound has {len(waveform)} samples, an RMS curve needs more than {margin}; use a longer clip"
        )
    return derived_once(
        waveform,
        ("RMS", frame_samples, hop_samples),
        lambda sound: _reflected(sound, frame_samples, hop_samples),
    )


def _reflected(waveform: Array, frame_samples: int, hop_samples: int) -> Array:
    padded = np.pad(waveform, (frame_samples - hop_samples) // 2, mode="reflect")
    curve = frame_rms(padded, frame_samples, hop_samples)
    curve.flags.writeable = False
    return curve


def centred_rms_curve(
    waveform: Array, *, frame_samples: int = FRAME_SAMPLES, hop_samples: int = HOP_SAMPLES
) -> Array:
    """Return the RMS curve with frames centred on multiples of the hop and zeros outside (librosa's
    default).
    """
    return frame_rms(np.pad(waveform, frame_samples // 2), frame_samples, hop_samples)


def frame_rms(padded: Array, frame_samples: int, hop_samples: int) -> Array:
    """Return the RMS of every whole frame of a signal; shape (1 + (samples - frame) // hop,).

    Sums of squares are taken once over blocks that divide both frame and hop, not once a frame.
    """
    block = gcd(frame_samples, hop_samples)
    blocks = padded[: len(padded) // block * block].reshape(-1, block)
    energy = np.einsum("ij,ij->i", blocks, blocks)
    windows = np.lib.stride_tricks.sliding_window_view(energy, frame_samples // block)
    rms: Array = np.sqrt(windows[:: hop_samples // block].sum(axis=1) / frame_samples)
    return rms


def low_pass(curve: Array) -> Array:
    """Smooth an RMS curve with Video-Foley's zero-phase filter.

    Elliptic low-pass of order 4, 0.01 dB ripple, 120 dB stop band, cut-off 0.125 of Nyquist, run forwards and
    backwards with Gustafsson's end conditions: those under which the order of the two runs makes no difference.
    The result is not clipped: it can dip below 0. The numbers are those of SciPy's ``filtfilt(method="gust")``;
    what depends on the length alone is computed once here, not in every call.

    Parameters
    ----------
    curve : array, shape (frames,)

    Source: F. Gustafsson, Determining the initial states in forward-backward filtering, IEEE Transactions on
    Signal Processing 44(4), 1996.
    """
    curve = np.asarray(curve, dtype=np.float64)
    states, solution = _end_conditions(len(curve))
    forwards_first = _run(_run(curve)[::-1])[::-1]
    backwards_first = _run(_run(curve[::-1])[::-1])
    smoothed: Array = forwards_first + states @ (solution @ (backwards_first - forwards_first))
    return smoothed


def _run(curve: Array) -> Array:
    """Filter shape (frames,) or (frames, curves) once, from rest."""
    from scipy.signal import lfilter

    filtered: Array = lfilter(*_low_pass_coefficients(), curve, axis=0)
    return filtered


@lru_cache(maxsize=16)
def _end_conditions(frames: int) -> tuple[Array, Array]:
    """Return what the filter's states at both ends add to a curve, and the least-squares solution for them.

    Shapes (frames, 8) and (8, frames).
    """
    from scipy.signal import lfilter

    numerator, denominator = _low_pass_coefficients()
    order = len(denominator) - 1
    # Column k: what the filter still gives when its k-th state starts at 1 and nothing comes in.
    left = np.stack(
        [lfilter(numerator, denominator, np.zeros(frames), zi=state)[0] for state in np.eye(order)], axis=1
    )
    through = _run(left[::-1])
    states = np.concatenate([through[::-1], left[::-1]], axis=1)
    unequal = np.concatenate([through[::-1] - left, left[::-1] - through], axis=1)
    return states, np.linalg.pinv(unequal)


@cache
def _low_pass_coefficients() -> tuple[Array, Array]:
    from scipy.signal import ellip

    numerator, denominator = ellip(4, 0.01, 120, 0.125)
    return numerator, denominator


def mu_law(rms: Array, mu: float = BINS - 1) -> Array:
    """Compress amplitudes in [0, 1] to [0, 1]: log(1 + mu r) / log(1 + mu)."""
    compressed: Array = np.log1p(mu * rms) / log1p(mu)
    return compressed


def inverse_mu_law(compressed: Array, mu: float = BINS - 1) -> Array:
    """Undo `mu_law`."""
    rms: Array = np.expm1(compressed * log1p(mu)) / mu
    return rms


def bin_edges(bins: int = BINS, rms_min: float = RMS_MIN) -> Array:
    """Return the edges of the RMS classes: evenly spaced in mu-law space from `rms_min` to 1; shape (bins,)."""
    mu = bins - 1
    lowest = float(mu_law(np.array(rms_min), mu))
    return inverse_mu_law(np.linspace(lowest, 1.0, bins), mu)


def discretise(rms: Array, edges: Array) -> NDArray[np.int64]:
    """Return the class of each RMS value: the number of edges at or below it.

    Class 0 is everything below the first edge, negative values included. Values of 1 and more get the class
    ``len(edges)``, which a network with ``len(edges)`` outputs cannot predict.
    """
    return np.searchsorted(edges, np.maximum(rms, 0.0), side="right").astype(np.int64)


def undiscretise(classes: NDArray[np.int64], edges: Array) -> Array:
    """Return the amplitude that stands for each class: the upper edge of its interval, and 0 for class 0.

    Raises
    ------
    NotComputableError
        If a class is outside the table.
    """
    if classes.size and (classes.min() < 0 or classes.max() >= len(edges)):
        raise NotComputableError(
            f"RMS class {int(classes.max())} has no amplitude, classes go from 0 to {len(edges) - 1}; "
            "an RMS of 1.0 or more lies above all classes"
        )
    amplitudes = edges.copy()
    amplitudes[0] = 0.0
    return amplitudes[classes]
