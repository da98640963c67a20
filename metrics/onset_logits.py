"""Scoring a network's frame-wise onset scores against annotated onsets, as Video-Foley does.

Source: jnwnlee/video-foley@0afd45a criterion.py (OnsetPostProcess, OnsetLoss).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array
from clapstick.metrics.onsets import Matching, official_nms

FRAME_RATE = 30
THRESHOLD = 0.5
MARGIN_FRAMES = int(0.05 * FRAME_RATE)
"""Frames of the confidence window before an onset, and the suppression radius: 1, which suppresses nothing."""
TOLERANCE_FRAMES = int(0.1 * FRAME_RATE)
"""A hit is nearer than this: 2 frames are one, 3 frames (0.1 s) are not."""


def onset_frames(onsets_s: Array, frames: int) -> NDArray[np.int64]:
    """Return the frame numbers of annotated onsets at 30 frames a second, each once, those inside the clip."""
    numbers = np.unique((np.asarray(onsets_s) * FRAME_RATE).astype(np.int64))
    return numbers[(numbers >= 0) & (numbers < frames)]


def match_videofoley(reference_frames: NDArray[np.int64], onset_logits: Array) -> Matching:
    """Match thresholded onset scores to annotated onsets, quirks included.

    The threshold 0.5 is applied to the raw scores, before a sigmoid that is only taken where some score leaves
    [0, 1]. The confidence of frame i is the larger one of frames i - 1 and i; the last frame is never looked
    at. A missed reference onset keeps the network's confidence at its frame. The loop ends when no prediction
    is left, so later reference onsets are not counted as missed.

    Parameters
    ----------
    reference_frames : array of int, shape (onsets,)
        Annotated onsets as frame numbers at 30 frames a second, ascending.
    onset_logits : array, shape (frames,)
    """
    scores = np.asarray(onset_logits, dtype=np.float64)
    predicted = np.flatnonzero(scores > THRESHOLD)
    confidences = _confidences(scores)
    unused = official_nms(predicted.tolist(), confidences[predicted].tolist(), MARGIN_FRAMES)
    entries: list[tuple[int, float]] = []
    hits = 0
    for target in reference_frames.tolist():
        near = [frame for frame in unused if abs(frame - target) < TOLERANCE_FRAMES]
        if not near:
            entries.append((1, float(confidences[target])))
            continue
        chosen = near[int(np.argsort([confidences[frame] for frame in near])[-1])]
        hits += 1
        entries.append((1, float(confidences[chosen])))
        unused.remove(chosen)
        if not unused:
            break
    entries += [(0, float(confidences[frame])) for frame in unused]
    labels = np.array([label for label, _ in entries], dtype=np.int64)
    return Matching(labels, np.array([score for _, score in entries]), hits, len(reference_frames))


def accuracy(matching: Matching) -> float:
    """Return the share of entries that are on the right side of 0.5; there are no true negatives among them."""
    return float(((matching.scores >= THRESHOLD) == (matching.labels == 1)).mean())


def _confidences(scores: Array) -> Array:
    if scores.max() > 1 or scores.min() < 0:
        from scipy.special import expit

        scores = expit(scores)
    last = len(scores) - 1
    windows = (
        scores[max(0, frame - MARGIN_FRAMES) : min(last, frame + MARGIN_FRAMES)] for frame in range(len(scores))
    )
    return np.array([float(window.max()) for window in windows])
