"""Giving a sound another RMS envelope by a gain that changes over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.rms import FRAME_SAMPLES, HOP_SAMPLES, rms_curve

Samples = NDArray[np.float64]

_ROUNDS = 12
_LARGEST_GAIN = 1000.0
"""60 dB: what is quieter than this below the asked envelope stays quieter, so that no silence becomes hiss."""
_SOUNDING_SHARE = 0.1
_FADE_S = 0.01


def shape_to_envelope(
    audio: Samples,
    envelope: NDArray[np.float64],
    hop_samples: int = HOP_SAMPLES,
    window_samples: int = FRAME_SAMPLES,
) -> Samples:
    """Scale a mono sound so that its RMS envelope follows the one that is asked for.

    The gain is `frame_gains`, interpolated between the middles of the frames.

    Parameters
    ----------
    audio : ndarray of float64, shape (samples,)
        More than ``(window_samples - hop_samples) / 2`` samples.
    envelope : ndarray of float64, shape (samples // hop_samples,)
        RMS amplitude of each frame as `clapstick.metrics.rms.rms_curve` counts them; below 0 is taken as 0.
    hop_samples, window_samples : int
        Frame step and length.

    Returns
    -------
    ndarray of float64, shape (samples,)

    Raises
    ------
    ValueError
        If the envelope has another number of frames than the sound, or is not finite.
    """
    gains = frame_gains(audio, envelope, hop_samples, window_samples)
    return apply_gains(audio, gains, hop_samples)


def frame_gains(
    audio: Samples, envelope: NDArray[np.float64], hop_samples: int, window_samples: int
) -> NDArray[np.float64]:
    """Find the gain of each frame that brings the RMS envelope of a sound to the one that is asked for.

    Frames overlap, so one division is not enough: the gains are corrected by what is still missing, in a fixed
    number of rounds. The best round counts.

    Returns
    -------
    ndarray of float64, shape (frames,)
        Between 0 and 1000. A frame of digital silence keeps a gain of 1.
    """
    wanted = np.maximum(np.asarray(envelope, dtype=np.float64), 0.0)
    heard = rms_curve(audio, frame_samples=window_samples, hop_samples=hop_samples)
    if wanted.shape != heard.shape or not np.isfinite(wanted).all():
        raise ValueError(
            f"envelope of shape {wanted.shape} does not fit a sound of {audio.size} samples: "
            f"expected {heard.size} finite values, one for each {hop_samples} samples"
        )
    sounding = heard > 0
    gains = np.ones_like(heard)
    gains[sounding] = np.minimum(wanted[sounding] / heard[sounding], _LARGEST_GAIN)
    best, least = gains, np.inf
    for _ in range(_ROUNDS):
        reached = rms_curve(
            apply_gains(audio, gains, hop_samples), frame_samples=window_samples, hop_samples=hop_samples
        )
        error = float(np.abs(reached - wanted).mean())
        if error < least:
            best, least = gains, error
        missing = np.divide(wanted, reached, out=np.ones_like(wanted), where=reached > 0)
        gains = np.minimum(gains * np.sqrt(np.minimum(missing, 4.0)), _LARGEST_GAIN)
    return best


def apply_gains(samples: Samples, gains: NDArray[np.float64], hop_samples: float) -> Samples:
    """Multiply a sound with gains that belong to the middles of hops, interpolated in between.

    Parameters
    ----------
    samples : ndarray of float64, shape (samples,) or (samples, channels)
    gains : ndarray of float64, shape (frames,)
    hop_samples : float
        Samples from one gain to the next, at the rate of `samples`; need not be whole.
    """
    middles = (np.arange(gains.size) + 0.5) * hop_samples
    curve = np.interp(np.arange(samples.shape[0]), middles, gains)
    return np.asarray(samples * (curve if samples.ndim == 1 else curve[:, None]))


def sounding_texture(audio: Samples, length: int, sample_rate: int) -> Samples:
    """Join the parts of a sound that are not silent, again and again up to a length: its timbre without gaps.

    A part counts where its RMS is within 20 dB of the loudest; joints are faded over 10 ms.

    Parameters
    ----------
    audio : ndarray of float64, shape (samples,)
    length : int
        Samples that are wanted.
    sample_rate : int
        Hz.

    Returns
    -------
    ndarray of float64, shape (length,)

    Raises
    ------
    ValueError
        If the sound is silent throughout.
    """
    fade = max(1, round(_FADE_S * sample_rate))
    blocks = -(-audio.size // fade)
    padded = np.pad(audio, (0, blocks * fade - audio.size)).reshape(blocks, fade)
    loudness = np.sqrt((padded**2).mean(axis=1))
    if not loudness.size or loudness.max() == 0:
        raise ValueError("the sound is silent throughout, it has no timbre to take")
    edges = np.diff(np.concatenate(([0], loudness > _SOUNDING_SHARE * loudness.max(), [0])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    parts = [
        audio[max(0, start - 1) * fade : (end + 1) * fade] for start, end in zip(starts, ends, strict=True)
    ]
    return _loop(parts, length, fade)


def _loop(parts: list[Samples], length: int, fade: int) -> Samples:
    texture = np.zeros(length + fade)
    position = 0
    while position < length:
        for part in parts:
            overlap = min(fade, part.size // 2)
            window = np.ones(part.size)
            window[:overlap] = np.linspace(0, 1, overlap, endpoint=False)
            window[part.size - overlap :] = np.linspace(1, 0, overlap, endpoint=False)
            stop = min(texture.size, position + part.size)
            texture[position:stop] += (part * window)[: stop - position]
            position += max(1, part.size - overlap)
            if position >= length:
                break
    return texture[:length]
