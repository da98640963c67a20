"""Correlation of loudness curves: timing without level."""

from __future__ import annotations

import numpy as np

from clapstick.metrics import rms
from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.waveform import RESAMPLER, sound_pair

CONSTANT_BELOW = 1e-9
"""A curve that moves less than this around its mean is constant but for rounding."""


def envelope_correlation(reference: Array, generated: Array) -> float:
    """Return Pearson's correlation of two loudness curves.

    Parameters
    ----------
    reference, generated : array, shape (frames,)

    Raises
    ------
    NotComputableError
        If one of them is constant: no correlation is defined.
    """
    reference, generated = reference - reference.mean(), generated - generated.mean()
    for curve, name in ((reference, "reference"), (generated, "generated")):
        if np.abs(curve).max() < CONSTANT_BELOW:
            raise NotComputableError(
                f"the loudness of the {name} sound is constant, so nothing correlates with it"
            )
    cosine = float(reference @ generated / (np.linalg.norm(reference) * np.linalg.norm(generated)))
    return min(1.0, max(-1.0, cosine))


def _statistics(clip: ClipInput) -> Statistics:
    reference, generated = sound_pair(clip, sample_rate=rms.SAMPLE_RATE)
    return clip_score(envelope_correlation(rms.rms_curve(reference), rms.rms_curve(generated)))


METRIC = Metric(
    name="envelope-correlation",
    title="Envelope correlation",
    summary=(
        "Pearson's correlation of the RMS curves of reference and generated sound, averaged over clips: "
        "whether loudness rises and falls together, whatever the gain. No paper of this field reports it."
    ),
    direction="higher",
    unit="",
    low=-1.0,
    high=1.0,
    conventions=(
        Convention(
            name="rms",
            summary=(
                "RMS at 16 kHz, frame 512, hop 128, reflected ends, no filter; undefined for constant loudness."
            ),
            statistics=_statistics,
            combiner=MeanOfClips(),
            source="Clapstick; the curve is that of E-L1",
            parameters={
                "rate": rms.SAMPLE_RATE,
                "frame": rms.FRAME_SAMPLES,
                "hop": rms.HOP_SAMPLES,
                "resampler": RESAMPLER,
            },
        ),
    ),
    default="rms",
    default_reason="The only one.",
    paper="none in this field",
    official_code="",
    evidence=("hand-derived", "library"),
    published=False,
)
