"""Fréchet distance on log-mel statistics: a distance between sets that needs no weights. Not a published
metric.
"""

from __future__ import annotations

from clapstick.metrics import log_mel
from clapstick.metrics.base import ClipInput, Convention, Metric, Statistics
from clapstick.metrics.frechet_scores import plain_distance
from clapstick.metrics.waveform import RESAMPLER, sound_pair


def _statistics(clip: ClipInput) -> Statistics:
    reference, generated = sound_pair(clip, sample_rate=log_mel.SAMPLE_RATE)
    return {"reference": log_mel.log_mel_patches(reference), "generated": log_mel.log_mel_patches(generated)}


METRIC = Metric(
    name="fd-log-mel",
    title="FD-log-mel (unpublished)",
    summary=(
        "Fréchet distance between Gaussians fitted to mean and deviation of 64 log-mel bands over 0.96 s. It "
        "needs no weights, serves for quick checks, and is NOT a published metric: do not compare it with "
        "any FAD."
    ),
    direction="lower",
    unit="distance squared",
    low=0.0,
    high=None,
    conventions=(
        Convention(
            name="plain",
            summary="128 numbers for every 0.96 s at 16 kHz, window 25 ms, hop 10 ms, 125 to 7500 Hz.",
            statistics=_statistics,
            combiner=plain_distance(),
            source="Clapstick; the spectrum is VGGish's, without the network",
            parameters={
                "rate": log_mel.SAMPLE_RATE,
                "window": log_mel.WINDOW_SAMPLES,
                "hop": log_mel.HOP_SAMPLES,
                "bands": log_mel.BANDS,
                "patch-frames": log_mel.PATCH_FRAMES,
                "resampler": RESAMPLER,
            },
        ),
    ),
    default="plain",
    default_reason="The only one.",
    paper="none",
    official_code="",
    evidence=("hand-derived",),
    published=False,
)
