"""Finding onsets in sound and matching them to reference onsets.

The detector and the confidences are CondFoleyGen's (XYPB/CondFoleyGen@c565db7 predict_onset.py), which
SyncFusion and ReWaS use too. Times are counted in samples of 22.05 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, NotComputableError
from clapstick.metrics.onset_strength import HOP_SAMPLES, SAMPLE_RATE, onset_strength, pick_onsets
from clapstick.metrics.waveform import derived_once

PEAK_DELTA = 0.3
TOLERANCE_S = 0.1
NMS_WINDOW_S = 0.05
CONFIDENCE_MARGIN = int(0.05 * SAMPLE_RATE)

Onsets = NDArray[np.int64]


@dataclass(frozen=True)
class Matching:
    """Which onsets found each other, as a list to rank.

    `labels` holds 1 for a reference onset (found or missed) and 0 for a false alarm, `scores` the confidence of
    each; both have shape (entries,).
    """

    labels: NDArray[np.int64]
    scores: Array
    hits: int
    references: int

    @property
    def recall(self) -> float:
        """Share of the reference onsets that were found; 0 where there are none."""
        return self.hits / self.references if self.references else 0.0


def detect_onsets(waveform: Array, *, delta: float = PEAK_DELTA) -> Onsets:
    """Return onset positions in samples, by librosa's spectral-flux detector.

    Parameters
    ----------
    waveform : array, shape (samples,)
        Sound at 22.05 kHz.
    delta : float
        Threshold over the local mean of the onset strength; 0.3 in CondFoleyGen.
    """
    return derived_once(waveform, ("onsets", delta), lambda sound: _detected(sound, delta)).copy()


def _detected(waveform: Array, delta: float) -> Onsets:
    return pick_onsets(onset_strength(waveform), delta) * HOP_SAMPLES


def loudness_profile(waveform: Array) -> Array:
    """Return absolute amplitude scaled to [0, 1] within the clip; zeros for constant amplitude."""
    return derived_once(waveform, "loudness profile", _scaled_amplitude)


def _scaled_amplitude(waveform: Array) -> Array:
    amplitude: Array = np.abs(waveform)
    lowest, highest = float(amplitude.min()), float(amplitude.max())
    if highest == lowest:
        amplitude = np.zeros_like(amplitude)
    else:
        amplitude -= lowest
        amplitude /= highest - lowest
    amplitude.flags.writeable = False
    return amplitude


def confidence(profile: Array, onset: int, *, clamped: bool) -> float:
    """Return the largest amplitude within 50 ms of an onset.

    The official slice starts before the sound for an onset in the first 50 ms and is then empty; `clamped`
    starts it at 0.

    Raises
    ------
    NotComputableError
        If the slice is empty.
    """
    start = max(0, onset - CONFIDENCE_MARGIN) if clamped else onset - CONFIDENCE_MARGIN
    window = profile[start : onset + CONFIDENCE_MARGIN]
    if not window.size:
        raise NotComputableError(
            f"an onset at {onset / SAMPLE_RATE:.3f} s lies in the first 50 ms, where the official script "
            "stops with an error; use the clean convention"
        )
    return float(window.max())


def official_nms(onsets: Sequence[int], confidences: Sequence[float], window: float) -> list[int]:
    """Return the onsets that the official suppression leaves, in time order.

    It removes from the list that it walks over, so the neighbour after each removed one is passed by: of three
    onsets 20 ms apart, the third survives.
    """
    remaining = list(onsets)
    kept = []
    for index in np.argsort(confidences)[::-1]:
        current = onsets[index]
        if current not in remaining:
            continue
        kept.append(current)
        remaining.remove(current)
        for other in remaining:
            if abs(current - other) < window:
                remaining.remove(other)
    return sorted(kept)


def greedy_nms(onsets: Sequence[int], confidences: Sequence[float], window: float) -> list[int]:
    """Return the onsets that have no more confident one within `window`, in time order."""
    kept: list[int] = []
    for index in np.argsort(-np.asarray(confidences), kind="stable"):
        if all(abs(onsets[index] - other) >= window for other in kept):
            kept.append(onsets[index])
    return sorted(kept)


def match_condfoleygen(
    reference: Onsets, generated: Onsets, waveform: Array, *, tolerance_s: float = TOLERANCE_S
) -> Matching:
    """Match onsets as CondFoleyGen's ``eval_osnets`` does, quirks included.

    Reference onsets take, in time order, the loudest unused onset nearer than the tolerance. The loop ends when
    no generated onset is left, so later reference onsets are not counted as missed; missed ones get score 0.

    Parameters
    ----------
    reference, generated : array of int, shape (onsets,)
        Positions in samples of 22.05 kHz, ascending.
    waveform : array, shape (samples,)
        The generated sound at 22.05 kHz.
    """
    profile = loudness_profile(waveform)
    found = [int(onset) for onset in generated]
    confidences = [confidence(profile, onset, clamped=False) for onset in found]
    unused = official_nms(found, confidences, NMS_WINDOW_S * SAMPLE_RATE)
    entries: list[tuple[int, float]] = []
    hits = 0
    for target in reference.tolist():
        near = [onset for onset in unused if abs(onset - target) < tolerance_s * SAMPLE_RATE]
        if not near:
            entries.append((1, 0.0))
            continue
        chosen = near[int(np.argsort([profile[onset] for onset in near])[-1])]
        hits += 1
        entries.append((1, confidence(profile, chosen, clamped=False)))
        unused.remove(chosen)
        if not unused:
            break
    entries += [(0, confidence(profile, onset, clamped=False)) for onset in unused]
    return _matching(entries, hits, len(reference))


def match_clean(
    reference: Onsets, generated: Onsets, waveform: Array, *, tolerance_s: float = TOLERANCE_S
) -> Matching:
    """Match onsets with the official detector's defects mended.

    Greedy suppression, confidences that stop at the sound's start, and a one-to-one matching in which each
    generated onset, the most confident first, takes the nearest free reference onset nearer than the tolerance.
    Every missed reference onset is counted, with score minus infinity: it is never retrieved.
    """
    profile = loudness_profile(waveform)
    found = [int(onset) for onset in generated]
    confidences = [confidence(profile, onset, clamped=True) for onset in found]
    kept = greedy_nms(found, confidences, NMS_WINDOW_S * SAMPLE_RATE)
    ranked = sorted((-confidence(profile, onset, clamped=True), onset) for onset in kept)
    free = reference.tolist()
    entries: list[tuple[int, float]] = []
    for negative, onset in ranked:
        near = [(abs(onset - target), target) for target in free]
        near = [pair for pair in near if pair[0] < tolerance_s * SAMPLE_RATE]
        if near:
            free.remove(min(near)[1])
        entries.append((1 if near else 0, -negative))
    hits = len(reference) - len(free)
    return _matching(entries + [(1, -np.inf)] * len(free), hits, len(reference))


def average_precision(matching: Matching) -> float:
    """Return the average precision of a matching: the mean of precision over the recall steps.

    Entries with score minus infinity are never retrieved. Without any reference onset it is 0, as scikit-learn
    has it. Source: scikit-learn ``average_precision_score``, equal scores taken together.
    """
    positives = int(matching.labels.sum())
    if not positives:
        return 0.0
    order = np.argsort(-matching.scores, kind="stable")
    scores, labels = matching.scores[order], matching.labels[order]
    last_of_score = np.append(scores[1:] != scores[:-1], True) & np.isfinite(scores)
    found = np.cumsum(labels)[last_of_score]
    retrieved = np.flatnonzero(last_of_score) + 1
    return float((np.diff(found, prepend=0) * found / retrieved).sum() / positives)


def _matching(entries: list[tuple[int, float]], hits: int, references: int) -> Matching:
    labels = np.array([label for label, _ in entries], dtype=np.int64)
    scores = np.array([score for _, score in entries], dtype=np.float64)
    return Matching(labels, scores, hits, references)
