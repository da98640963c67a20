"""The curve that stage 1 learns, and the classes that stand for its values."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.rms import bin_edges, discretise, inverse_mu_law, low_pass, rms_curve, undiscretise
from clapstick.systems.two_stage.video2rms import Codec, Video2RMSConfig

_MOVING_AVERAGE = 15
_LIBROSA_MU = 127.0


def target_curve(samples: NDArray[np.float64], config: Video2RMSConfig) -> NDArray[np.float64]:
    """Return the RMS curve of a sound, smoothed as the configuration says.

    Parameters
    ----------
    samples : ndarray of float64, shape (samples,)
        Mono at the configuration's sample rate.

    Returns
    -------
    ndarray of float64, shape (samples // rms_hop_samples,)
        The elliptic filter can make it dip below 0.
    """
    curve = rms_curve(samples, frame_samples=config.rms_window_samples, hop_samples=config.rms_hop_samples)
    if config.smoothing == "elliptic":
        return low_pass(curve)
    if config.smoothing == "moving-average-15":
        return moving_average(curve, _MOVING_AVERAGE)
    return curve


def moving_average(curve: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Average over an odd number of frames, the curve mirrored at its ends."""
    margin = width // 2
    padded = np.pad(curve, margin, mode="reflect" if curve.size > margin else "edge")
    return np.convolve(padded, np.full(width, 1.0 / width), mode="valid")


def encode(curve: NDArray[np.float64], config: Video2RMSConfig) -> NDArray[np.int64]:
    """Return the class of each RMS value, shape as `curve`; what lies above full scale is the last class."""
    classes = discretise(curve, _edges(config.codec, config.classes))
    return np.minimum(classes, config.classes - 1)


def decode(classes: NDArray[np.int64], config: Video2RMSConfig) -> NDArray[np.float64]:
    """Return the amplitude that stands for each class; 0 for class 0.

    The upper edge of the bin as the released code has it, for librosa's mu-law the middle of the bin.
    """
    if config.codec == "librosa-mu-law":
        return _from_librosa(np.asarray(classes) * 2.0)
    return undiscretise(np.asarray(classes, dtype=np.int64), _edges(config.codec, config.classes))


@cache
def _edges(codec: Codec, classes: int) -> NDArray[np.float64]:
    """Return the upper edges of all classes, shape (classes,)."""
    if codec == "floored-mu-law":
        return bin_edges(classes)
    if codec == "mu-law":
        mu = classes - 1
        return np.asarray(inverse_mu_law(np.arange(1, classes + 1) / classes, mu))
    return _from_librosa(np.arange(classes) * 2.0 + 1.0)


def _from_librosa(half_steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expand positions in librosa's mu-law space, where class k lies from 2k - 1 to 2k + 1.

    ``librosa.mu_compress`` quantises [-1, 1], so mu must be 127 for amplitudes from 0 to 1 to fill 64 classes.
    """
    return np.asarray(inverse_mu_law(half_steps / _LIBROSA_MU, _LIBROSA_MU))
