"""The sound of one video: modal hits, scratches that follow the stick's speed, background noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.synthetic.materials import Material
from clapstick.protocols.synthetic.settings import SAMPLE_RATE
from clapstick.protocols.synthetic.strokes import Stroke, slide_speed

Samples = NDArray[np.float64]

_LN_60_DB = np.log(1000.0)


def render_sound(
    strokes: Sequence[Stroke],
    materials: Sequence[Material],
    sizes: Sequence[float],
    samples: int,
    rng: np.random.Generator,
) -> Samples:
    """Return the sound of a video's strokes.

    The peak of a hit and the level of a scratch are proportional to the stick's speed.

    Parameters
    ----------
    strokes : sequence of Stroke
        Air strokes make no sound.
    materials, sizes : sequences, one item an object
        What the objects are, and how large: an object of size 2 sounds an octave lower.
    samples : int
        Length of the result at `SAMPLE_RATE`.
    rng : numpy.random.Generator
        For noise and the detuning of modes.

    Returns
    -------
    ndarray of float64, shape (samples,)
    """
    bodies = [_body(material, size, rng) for material, size in zip(materials, sizes, strict=True)]
    sound = _background(rng, samples)
    for stroke in strokes:
        material = materials[stroke.target]
        if stroke.action == "hit":
            event = _hit(stroke, material, bodies[stroke.target], rng)
        elif stroke.action == "scratch":
            event = _scratch(stroke, material, rng)
        else:
            continue
        first = round(stroke.time_s * SAMPLE_RATE)
        last = min(samples, first + event.size)
        sound[first:last] += event[: last - first]
    return sound


def _body(material: Material, size: float, rng: np.random.Generator) -> Samples:
    """Ring of the object after a blow, with a peak of 1."""
    modes = np.array(material.modes_hz) / size * rng.uniform(0.97, 1.03, len(material.modes_hz))
    gains = rng.uniform(0.6, 1.0, modes.size) / np.arange(1, modes.size + 1)
    times = np.arange(round(1.2 * material.decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    ring = np.zeros_like(times)
    for mode_hz, gain in zip(modes, gains, strict=True):
        decay_s = material.decay_s * np.sqrt(modes[0] / mode_hz)
        ring += gain * np.exp(-_LN_60_DB * times / decay_s) * np.sin(2 * np.pi * mode_hz * times)
    return np.asarray(ring / np.abs(ring).max())


def _hit(stroke: Stroke, material: Material, body: Samples, rng: np.random.Generator) -> Samples:
    contact = np.arange(round(1.2 * material.click_decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    click = _noise(rng, contact.size, material.click_band_hz, material.grain)
    click *= np.exp(-_LN_60_DB * contact / material.click_decay_s)
    click /= np.abs(click).max()
    event = np.zeros(max(body.size, click.size))
    event[: body.size] += (1 - material.click) * body
    event[: click.size] += material.click * click
    return np.asarray(material.level * stroke.speed * event / np.abs(event).max())


def _scratch(stroke: Stroke, material: Material, rng: np.random.Generator) -> Samples:
    since_s = np.arange(round(stroke.swing_s * SAMPLE_RATE)) / SAMPLE_RATE
    noise = _noise(rng, since_s.size, material.scratch_band_hz, material.grain)
    return np.asarray(material.scratch_level * slide_speed(stroke, since_s) * noise)


def _noise(rng: np.random.Generator, samples: int, band_hz: tuple[float, float], grain: float) -> Samples:
    """Band-limited noise with an RMS of 1, in crackles as `grain` goes to 1; peaks beyond 4 are cut."""
    white = rng.normal(0.0, 1.0, samples)
    if grain > 0:
        white = white * (1 - grain) + white * grain * 4.0 * (rng.random(samples) < 0.05)
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    low, high = band_hz
    spectrum *= 1 / np.sqrt(1 + (low / np.maximum(hz, 1.0)) ** 6) / np.sqrt(1 + (hz / high) ** 6)
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(np.clip(noise / np.sqrt(np.mean(noise**2)), -4.0, 4.0))


def _background(rng: np.random.Generator, samples: int) -> Samples:
    """Pink noise of a quiet room, 68 to 54 dB below full scale."""
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, samples))
    hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 40.0)), samples)
    level = 10 ** (rng.uniform(-68.0, -54.0) / 20)
    return np.asarray(noise * level / np.sqrt(np.mean(noise**2)))
