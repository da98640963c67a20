"""Text prompts for the tiny system: what each material sounds like on average, as a spectrum."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.archive import atomic

_FFT = 512
_SOUNDING_SHARE = 0.1
OVERALL = "overall"
"""Name of the spectrum of all materials together."""

Spectrum = NDArray[np.float32]


def learn_timbres(sounds: Iterable[tuple[str, NDArray[np.float64]]]) -> dict[str, Spectrum]:
    """Return the mean amplitude spectrum of the sounding parts of every material.

    Parameters
    ----------
    sounds : iterable of (material, samples)
        Mono at 16 kHz.

    Returns
    -------
    dict
        Material, and `OVERALL`, -> amplitudes of 257 bins from 0 to 8 kHz with a mean square of 1.
    """
    totals: dict[str, NDArray[np.float64]] = {}
    for material, samples in sounds:
        frames = np.lib.stride_tricks.sliding_window_view(samples, _FFT)[:: _FFT // 2]
        level = np.sqrt((frames**2).mean(axis=1))
        loud = frames[level > _SOUNDING_SHARE * level.max()] if level.max() > 0 else frames[:0]
        if not len(loud):
            continue
        spectra = np.abs(np.fft.rfft(loud * np.hanning(_FFT), axis=1)) ** 2
        shape = (spectra / spectra.mean(axis=1, keepdims=True)).mean(axis=0)
        for name in (material, OVERALL):
            totals[name] = totals.get(name, np.zeros(shape.size)) + shape
    return {name: np.sqrt(total / total.mean()).astype(np.float32) for name, total in sorted(totals.items())}


def save_timbres(path: Path, timbres: Mapping[str, Spectrum]) -> None:
    """Write the table as safetensors."""
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        save_file(dict(timbres), temporary)


def load_timbres(path: Path) -> dict[str, Spectrum]:
    """Read the table."""
    from safetensors.numpy import load_file

    loaded: dict[str, Spectrum] = load_file(path)
    return loaded


def named_in(text: str, timbres: Mapping[str, Spectrum]) -> list[str]:
    """Return the materials that a text prompt names, in the order of the table.

    Whole words count: the "wooden stick" of the published sentences is not wood.
    """
    words = set(re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower()))
    return [name for name in timbres if name in words and name != OVERALL]


def timbre_noise(spectrum: Spectrum, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise with a spectrum, shape (length,), RMS about 0.1."""
    noise = np.fft.rfft(rng.standard_normal(length))
    at = np.linspace(0, spectrum.size - 1, noise.size)
    shaped = np.fft.irfft(noise * np.interp(at, np.arange(spectrum.size), spectrum), length)
    return np.asarray(0.1 * shaped / max(1e-12, float(np.sqrt((shaped**2).mean()))))
