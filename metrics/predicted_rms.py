"""What a system says about loudness over time, put beside the reference's loudness curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics import rms
from clapstick.metrics.base import Array, ClipInput, NotComputableError
from clapstick.metrics.waveform import derived_once, reference_of, require_sound, resample


@dataclass(frozen=True)
class PredictedCurve:
    """A predicted RMS curve as classes and as amplitudes, each of shape (frames,)."""

    classes: NDArray[np.int64]
    amplitudes: Array


def reference_curve(clip: ClipInput) -> Array:
    """Return the low-pass filtered RMS curve of the reference at 16 kHz; shape (frames,)."""
    return _filtered_curve(require_sound(reference_of(clip), "reference"), clip.sample_rate)


def rms_logits(clip: ClipInput, frames: int) -> Array:
    """Return the predicted class scores, shape (frames, classes).

    Raises
    ------
    NotComputableError
        If the system gives none, or of another shape than the reference curve.
    """
    logits = clip.predictions.get("rms_logits")
    if logits is None:
        raise NotComputableError("the system gives no rms_logits (scores of RMS classes for every frame)")
    _require_prediction(clip, "rms_logits", frames, dimensions=2)
    return logits.astype(np.float64)


def class_edges(clip: ClipInput) -> Array:
    """Return the edges of the system's own RMS classes, and of the usual 64 where it scores none."""
    logits = clip.predictions.get("rms_logits")
    return rms.bin_edges(rms.BINS if logits is None or logits.ndim != 2 else logits.shape[1])


def predicted_curve(clip: ClipInput, edges: Array, frames: int) -> PredictedCurve:
    """Return the RMS curve that the system predicts, from ``rms_logits``, else from ``envelope``.

    Raises
    ------
    NotComputableError
        If the system predicts neither, or of another length than the reference curve.
    """
    if "rms_logits" in clip.predictions:
        classes = rms_logits(clip, frames).argmax(axis=1).astype(np.int64)
        return PredictedCurve(classes, rms.undiscretise(classes, edges))
    envelope = clip.predictions.get("envelope")
    if envelope is None:
        raise NotComputableError("the system predicts no loudness curve (rms_logits or envelope)")
    _require_prediction(clip, "envelope", frames, dimensions=1)
    amplitudes = envelope.astype(np.float64)
    return PredictedCurve(rms.discretise(amplitudes, edges), amplitudes)


def heard_curve(clip: ClipInput, edges: Array) -> PredictedCurve:
    """Return the filtered RMS curve of the generated sound itself."""
    curve = _filtered_curve(require_sound(clip.generated, "generated"), clip.sample_rate)
    return PredictedCurve(rms.discretise(curve, edges), curve)


def _filtered_curve(waveform: Array, rate: int) -> Array:
    return derived_once(
        waveform,
        ("filtered RMS", rate),
        lambda sound: rms.low_pass(rms.rms_curve(resample(sound, rate, rms.SAMPLE_RATE))),
    )


def sounding_frames(
    reference_classes: NDArray[np.int64], predicted_classes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which frames count: those where reference or prediction is above class 0; shape (frames,).

    Raises
    ------
    NotComputableError
        If no frame is left. The official evaluation leaves such a clip out of the mean.
    """
    kept: NDArray[np.bool_] = (reference_classes > 0) | (predicted_classes > 0)
    if not kept.any():
        raise NotComputableError(
            "reference and prediction are silent in every frame, which this convention leaves out"
        )
    return kept


def _require_prediction(clip: ClipInput, name: str, frames: int, *, dimensions: int) -> None:
    values = clip.predictions[name]
    if values.ndim != dimensions:
        wanted = "one number" if dimensions == 1 else "a row of class scores"
        raise NotComputableError(f"{name} has {values.ndim} dimensions; it needs {wanted} for every frame")
    if len(values) != frames:
        raise NotComputableError(_other_rate(name, len(values), frames))
    if not np.isfinite(values.astype(np.float64)).all():
        raise NotComputableError(f"{name} has NaN or infinite values; run the system again")


def _other_rate(name: str, frames: int, wanted: int) -> str:
    step_ms = 1000 * rms.HOP_SAMPLES / rms.SAMPLE_RATE
    seconds = wanted * step_ms / 1000
    return (
        f"the system's loudness curve ({name}) has {frames} values for {seconds:.4g} s, {frames / seconds:.4g} "
        f"a second; the reference's has {wanted}, one every {step_ms:g} ms: have the system give that many"
    )
