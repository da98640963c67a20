"""acc@1, acc@5 and acc@10: whether the predicted loudness class is the reference's."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics import rms
from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Setting, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.predicted_rms import (
    PredictedCurve,
    class_edges,
    heard_curve,
    predicted_curve,
    reference_curve,
    rms_logits,
    sounding_frames,
)
from clapstick.metrics.waveform import RESAMPLER

TOLERANCE_OF_K = {1: 0, 5: 2, 10: 5}
"""Bins either side that stand for acc@k: a window of about k bins around the reference class."""


def top_k_hits(reference_classes: NDArray[np.int64], logits: Array, k: int) -> Array:
    """Return 1 for each frame whose reference class is among the k highest scores, else 0; shape (frames,).

    Equal scores are ranked as scikit-learn's ``top_k_accuracy_score`` does, the higher class first; for k = 1
    as argmax does, the lower class first. The difference matters: a network that ends in a ReLU has many zeros.

    Parameters
    ----------
    reference_classes : array, shape (frames,)
    logits : array, shape (frames, classes)

    Raises
    ------
    NotComputableError
        If a reference class has no score, as happens at an RMS of 1.0 and more.
    """
    own = _own_scores(reference_classes, logits)
    if k == 1:
        return _as_numbers(logits.argmax(axis=1) == reference_classes)
    higher_class = np.arange(logits.shape[1]) > reference_classes[:, None]
    ahead = (logits > own) | ((logits == own) & higher_class)
    return _as_numbers(ahead.sum(axis=1) < k)


def expected_top_k_hits(reference_classes: NDArray[np.int64], logits: Array, k: int) -> Array:
    """Return the probability that the reference class is among the k highest, equal scores in random order."""
    own = _own_scores(reference_classes, logits)
    ahead = (logits > own).sum(axis=1)
    tied = (logits == own).sum(axis=1)
    probability: Array = np.clip((k - ahead) / tied, 0.0, 1.0)
    return probability


def tolerance_hits(
    reference_classes: NDArray[np.int64], generated_classes: NDArray[np.int64], bins: int
) -> Array:
    """Return 1 for each frame whose class is within `bins` of the reference's, else 0; shape (frames,)."""
    return _as_numbers(np.abs(reference_classes - generated_classes) <= bins)


def _as_numbers(hits: NDArray[np.bool_]) -> Array:
    numbers: Array = hits.astype(np.float64)
    return numbers


def _own_scores(reference_classes: NDArray[np.int64], logits: Array) -> Array:
    classes = logits.shape[1]
    if reference_classes.max() >= classes:
        raise NotComputableError(
            f"the reference reaches RMS class {int(reference_classes.max())} but the system scores {classes} "
            "classes; its RMS is 1.0 or more, lower the level of the reference or use the tolerance "
            "convention"
        )
    own: Array = np.take_along_axis(logits, reference_classes[:, None], axis=1)
    return own


def _top_k(clip: ClipInput, *, k: int, fair: bool = False) -> Statistics:
    reference = reference_curve(clip)
    logits = rms_logits(clip, len(reference))
    classes = rms.discretise(reference, class_edges(clip))
    kept = sounding_frames(classes, logits.argmax(axis=1).astype(np.int64))
    hits = expected_top_k_hits if fair else top_k_hits
    return clip_score(float(hits(classes[kept], logits[kept], k).mean()))


def _tolerance(clip: ClipInput, *, bins: int) -> Statistics:
    reference = reference_curve(clip)
    edges = class_edges(clip)
    classes = rms.discretise(reference, edges)
    generated = _predicted_or_heard(clip, edges, len(reference))
    kept = sounding_frames(classes, generated.classes)
    return clip_score(float(tolerance_hits(classes[kept], generated.classes[kept], bins).mean()))


def _predicted_or_heard(clip: ClipInput, edges: Array, frames: int) -> PredictedCurve:
    if clip.predictions.keys() & {"rms_logits", "envelope"}:
        return predicted_curve(clip, edges, frames)
    heard = heard_curve(clip, edges)
    if len(heard.classes) != frames:
        raise NotComputableError(
            f"the generated sound has {len(heard.classes)} RMS frames and the reference {frames}; "
            "standardise both to the protocol's length"
        )
    return heard


_PARAMETERS: dict[str, Setting] = {
    "rate": rms.SAMPLE_RATE,
    "frame": rms.FRAME_SAMPLES,
    "hop": rms.HOP_SAMPLES,
    "bins": rms.BINS,
    "rms-min": rms.RMS_MIN,
    "resampler": RESAMPLER,
}
_CODE = "jnwnlee/video-foley@0afd45a criterion.py"


def _conventions(k: int) -> tuple[Convention, ...]:
    bins = TOLERANCE_OF_K[k]
    return (
        Convention(
            name="topk",
            summary=(
                "The reference class has the highest score of the system's RMS classes."
                if k == 1
                else f"The reference class is among the {k} highest scores of the system's RMS classes."
            ),
            statistics=partial(_top_k, k=k),
            combiner=MeanOfClips(),
            source=f"{_CODE} (RMSLoss) in its first release, 2024-12-05; table 1 of Video-Foley",
            official=True,
            needs=("reference", "rms-logits"),
            parameters=_PARAMETERS | {"k": k, "ties": "low" if k == 1 else "high"},
            caveat=(
                "Networks that end in a ReLU give many equal scores; ties go to the "
                + ("lowest class, as argmax does." if k == 1 else "highest class, as scikit-learn does.")
            ),
        ),
        Convention(
            name="topk-fair",
            summary="As topk, with equal scores ranked in random order (the expected value, no dice).",
            statistics=partial(_top_k, k=k, fair=True),
            combiner=MeanOfClips(),
            source="Clapstick; mends the arbitrary ranking of equal scores in topk",
            needs=("reference", "rms-logits"),
            parameters=_PARAMETERS | {"k": k, "ties": "expected"},
        ),
        Convention(
            name="tolerance",
            summary=(
                f"The most likely class is within {bins} bins of the reference's. Without predicted "
                "classes or a predicted envelope it is the class of the generated sound's filtered RMS."
            ),
            statistics=partial(_tolerance, bins=bins),
            combiner=MeanOfClips(),
            source=f"{_CODE} (tolerant_accuracy), the default since 2024-12-28 (ACC+-2, +-5)",
            official=True,
            parameters=_PARAMETERS | {"tolerance-bins": bins},
        ),
    )


def _metric(k: int) -> Metric:
    return Metric(
        name=f"acc-at-{k}",
        title=f"acc@{k}",
        summary=(
            "Share of 8 ms frames whose predicted loudness class fits the reference's: 64 classes of RMS, "
            "evenly spaced in mu-law space from 0.01 to 1, and class 0 for silence. Frames where both are "
            "silent are left out; clips are averaged."
        ),
        direction="higher",
        unit="fraction",
        low=0.0,
        high=1.0,
        conventions=_conventions(k),
        default="topk",
        default_reason=(
            "The published random-choice row (0.0154, 0.0769, 0.154) is k/65, which only top-k gives; the "
            "later code counts classes within a tolerance instead."
        ),
        paper="J. Lee et al., Video-Foley, 2024, section 4 and table 1",
        official_code=_CODE,
        evidence=("hand-derived", "library", "official-fixture"),
    )


METRICS = tuple(_metric(k) for k in TOLERANCE_OF_K)
