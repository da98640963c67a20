"""Training sounds with swells and ramps that no hit has, so that stage 2 follows what a hand may draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.rms import HOP_SAMPLES, SAMPLE_RATE
from clapstick.systems.envelope_shaper.shaping import shape_to_envelope, sounding_texture

_LEVELS = (0.02, 0.4)
"""Range of an envelope's highest RMS amplitude, drawn evenly in decibels."""
_KNOTS_PER_S = (0.15, 1.5)
_SILENT_SHARE = 0.25


def draw_envelope(rng: np.random.Generator, values: int, rate: float) -> NDArray[np.float64]:
    """Draw a piecewise linear envelope; about a quarter of its corners are silent.

    Parameters
    ----------
    rng : numpy.random.Generator
    values : int
        Length.
    rate : float
        Values a second.

    Returns
    -------
    ndarray of float64, shape (values,)
        RMS amplitudes from 0 to 0.4.
    """
    duration_s = values / rate
    corners = 2 + rng.poisson(duration_s * rng.uniform(*_KNOTS_PER_S))
    times_s = np.concatenate(([0.0], np.sort(rng.uniform(0, duration_s, corners - 2)), [duration_s]))
    heights = np.where(rng.random(corners) < _SILENT_SHARE, 0.0, rng.uniform(0, 1, corners))
    curve = np.interp((np.arange(values) + 0.5) / rate, times_s, heights)
    highest = np.exp(rng.uniform(*np.log(_LEVELS)))
    return np.asarray(curve * (highest / max(curve.max(), 1e-9)))


def with_drawn_envelope(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Give the timbre of a sound's loud parts an envelope that is drawn.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        Mono at 16 kHz.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (samples,)

    Raises
    ------
    ValueError
        If the sound is silent throughout.
    """
    envelope = draw_envelope(rng, samples.size // HOP_SAMPLES, SAMPLE_RATE / HOP_SAMPLES)
    texture = sounding_texture(samples.astype(np.float64), samples.size, SAMPLE_RATE)
    return shape_to_envelope(texture, envelope).astype(np.float32)
