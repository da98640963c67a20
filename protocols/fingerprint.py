"""Audio fingerprints: find the same recording twice, also after gain, noise, re-encoding or a shift in time.

Landmarks are pairs of spectral peaks (two frequencies and the frames between them), after Wang, An
Industrial-Strength Audio Search Algorithm, ISMIR 2003. Two sounds are near duplicates where many landmarks
agree at one time offset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio

SAMPLE_RATE = 8000
FRAME = 512
HOP = 64
PEAKS_A_SECOND = 30
FLOOR = 0.01
"""Peaks more than 40 dB below the strongest are left alone: there, noise decides."""
PEAK_REACH = (15, 21)
"""Bins and frames in which a peak must be the highest."""
FAN_OUT = 8
"""Later peaks that each peak is paired with."""
REACH_FRAMES = 126
REACH_BINS = 63
SHARE = 0.1
"""Landmarks of the shorter sound that must agree at one offset."""
LEAST = 20
COMMON = 200
"""A landmark in more sounds than this tells nothing and is passed over."""


@dataclass(frozen=True)
class Fingerprint:
    """Landmarks of one sound, with a digest of its exact samples."""

    landmarks: NDArray[np.int64]
    """Packed frequency, frequency and distance, shape (landmarks,)."""
    frames: NDArray[np.int64]
    """Frame of each landmark's first peak, shape (landmarks,)."""
    digest: str
    """SHA-256 of rate and 16-bit samples: equal for exact copies, whatever their container."""


@dataclass(frozen=True)
class Duplicate:
    """Two sounds that hold the same recording."""

    first: str
    second: str
    kind: Literal["exact", "near"]
    share: float
    """Landmarks of the shorter one that agree, 0 to 1."""
    offset_s: float
    """Seconds of the second at which the first one starts; negative where it starts before."""


def fingerprint(audio: Audio) -> Fingerprint:
    """Take the landmarks of a sound.

    Silence has none; two silent sounds are duplicates only where their samples are equal.
    """
    import soxr

    mono = audio.mono
    resampled = (
        mono if audio.sample_rate == SAMPLE_RATE else soxr.resample(mono, audio.sample_rate, SAMPLE_RATE)
    )
    bins, frames = _peaks(np.asarray(resampled, dtype=np.float32))
    landmarks, firsts = _pairs(bins, frames)
    whole = np.round(audio.samples * 32767).astype("<i4").tobytes()
    return Fingerprint(landmarks, firsts, sha256(f"{audio.sample_rate} ".encode() + whole).hexdigest())


def find_duplicates(
    first: Mapping[str, Fingerprint], second: Mapping[str, Fingerprint], *, share: float = SHARE
) -> list[Duplicate]:
    """Find pairs of one sound of each set that hold the same recording, the strongest first.

    A name in both sets is not compared with itself, and each pair is named once.

    Parameters
    ----------
    first, second : mapping of name to Fingerprint
        For instance the test clips and the training recordings.
    share : float
        Least share of the shorter sound's landmarks that must agree at one time offset.
    """
    index = _index(second)
    exact = defaultdict(list)
    for name, print_ in second.items():
        exact[print_.digest].append(name)
    found: dict[frozenset[str], Duplicate] = {}
    for name, print_ in first.items():
        for other in exact[print_.digest]:
            if other != name:
                found.setdefault(frozenset((name, other)), Duplicate(name, other, "exact", 1.0, 0.0))
        for other, (hits, offset) in _matches(print_, index).items():
            least = min(len(print_.landmarks), len(second[other].landmarks))
            if other != name and hits >= LEAST and hits >= share * least:
                near = Duplicate(name, other, "near", hits / least, offset * HOP / SAMPLE_RATE)
                found.setdefault(frozenset((name, other)), near)
    return sorted(found.values(), key=lambda pair: (pair.kind != "exact", -pair.share, pair.first, pair.second))


def _peaks(samples: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return bin and frame of the strongest local maxima of the log spectrogram, in order of frame."""
    from scipy.ndimage import maximum_filter
    from scipy.signal import stft

    none = np.zeros(0, dtype=np.int64)
    if len(samples) < FRAME or not np.any(samples):
        return none, none
    emphasised = np.diff(samples, prepend=samples[:1])  # or a rumble would take all the peaks
    spectrum = np.abs(stft(emphasised, nperseg=FRAME, noverlap=FRAME - HOP, boundary=None, padded=False)[2])
    level = np.log(np.maximum(spectrum, spectrum.max() * FLOOR))
    is_peak = (level == maximum_filter(level, size=PEAK_REACH)) & (level > level.min() + 1e-9)
    bins, frames = np.nonzero(is_peak)
    wanted = max(1, round(PEAKS_A_SECOND * len(samples) / SAMPLE_RATE))
    strongest = np.argsort(-level[bins, frames], kind="stable")[:wanted]
    order = np.lexsort((bins[strongest], frames[strongest]))
    return bins[strongest][order].astype(np.int64), frames[strongest][order].astype(np.int64)


def _pairs(bins: NDArray[np.int64], frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    packed: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    firsts: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for step in range(1, FAN_OUT + 1):
        distance = frames[step:] - frames[:-step]
        near = (distance > 0) & (distance <= REACH_FRAMES) & (np.abs(bins[step:] - bins[:-step]) <= REACH_BINS)
        packed.append(_pack(bins[:-step], bins[step:], distance)[near])
        firsts.append(frames[:-step][near])
    return np.concatenate(packed), np.concatenate(firsts)


def _pack(
    first: NDArray[np.int64], second: NDArray[np.int64], distance: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Make one number of a landmark, coarse enough to stay the same when frames fall elsewhere on the sound."""
    return ((first // 2) << 20) | ((second // 2) << 8) | (distance // 4)


def _index(prints: Mapping[str, Fingerprint]) -> dict[int, list[tuple[str, int]]]:
    index: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, print_ in prints.items():
        for landmark, frame in zip(print_.landmarks.tolist(), print_.frames.tolist(), strict=True):
            index[landmark].append((name, frame))
    return {landmark: places for landmark, places in index.items() if len(places) <= COMMON}


def _matches(print_: Fingerprint, index: Mapping[int, list[tuple[str, int]]]) -> dict[str, tuple[int, int]]:
    """Return, for each sound that shares landmarks, the most that agree at one offset, and that offset."""
    votes: dict[tuple[str, int], int] = defaultdict(int)
    for landmark, frame in zip(print_.landmarks.tolist(), print_.frames.tolist(), strict=True):
        for name, place in index.get(landmark, ()):
            votes[name, place - frame] += 1
    best: dict[str, tuple[int, int]] = {}
    for (name, offset), hits in votes.items():
        # A shift by a fraction of a hop splits the votes between neighbouring offsets.
        both = hits + votes.get((name, offset + 1), 0)
        if both > best.get(name, (0, 0))[0]:
            best[name] = (both, offset)
    return best
