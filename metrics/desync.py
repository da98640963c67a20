"""DeSync: the offset between sound and picture that Synchformer finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.class_posteriors import log_softmax
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import embedding_of

ADAPTER = "synchformer"
GRID_S = np.linspace(-2.0, 2.0, 21)
"""Offsets of the 21 classes in seconds."""
_CODE = "hkchengrex/av-benchmark@050a5cd; v-iashin/Synchformer@b66668a"

Offset = Callable[[Array], float]


def likeliest_offset(logits: Array) -> float:
    """Return the mean absolute offset of the likeliest class; `logits` has shape (windows, 21)."""
    return float(np.abs(GRID_S[logits.argmax(axis=1)]).mean())


def expected_offset(logits: Array) -> float:
    """Return the mean absolute offset weighted by the class probabilities."""
    return float((np.exp(log_softmax(logits)) @ np.abs(GRID_S)).mean())


def _statistics(clip: ClipInput, *, offset: Offset, windows: int) -> Statistics:
    logits = embedding_of(clip.generated_embeddings, ADAPTER, "generated sound").astype(np.float64)
    if logits.shape[1] != len(GRID_S) or len(logits) < windows:
        raise NotComputableError(
            f"{ADAPTER} gives logits of shape {logits.shape}, expected at least ({windows}, {len(GRID_S)})"
        )
    return clip_score(offset(logits[:windows]))


def _convention(name: str, summary: str, offset: Offset, windows: int, source: str) -> Convention:
    return Convention(
        name=name,
        summary=summary,
        statistics=partial(_statistics, offset=offset, windows=windows),
        combiner=MeanOfClips(),
        source=source,
        official=name != "expected",
        needs=("video",),
        embedders=(ADAPTER,),
        parameters={"windows": windows, "classes": len(GRID_S)},
        caveat=(
            "Adapter only: the network runs in its official code. Chance is 1.0476 s, always answering 0 "
            "gives 0."
        ),
    )


METRIC = Metric(
    name="desync",
    title="DeSync",
    summary=(
        "Mean absolute offset between sound and picture that Synchformer finds, 21 classes from -2 to 2 s. "
        "The network runs in its official code, out of process, and hands over logits of shape (windows, 21) "
        "a clip."
    ),
    direction="lower",
    unit="s",
    low=0.0,
    high=2.0,
    conventions=(
        _convention(
            "two-windows",
            "Likeliest class of the first and of the last 4.8 s, averaged.",
            likeliest_offset,
            2,
            "hkchengrex/av-benchmark@050a5cd (DeSync)",
        ),
        _convention(
            "first-window",
            "Likeliest class of one window from the start (5 s cropped).",
            likeliest_offset,
            1,
            "ilpoviertola/eval_generative_v2a_models@4410865 (InSync), which MultiFoley cites",
        ),
        _convention(
            "expected",
            "Offset weighted by the class probabilities, first and last window.",
            expected_offset,
            2,
            "MultiFoley's text says weighted offset; no code computes it",
        ),
    ),
    default="two-windows",
    default_reason="What av-benchmark computes and most papers since MMAudio report.",
    paper="V. Iashin et al., Synchformer, ICASSP 2024; H. K. Cheng et al., MMAudio, CVPR 2025",
    official_code=_CODE,
    evidence=("hand-derived",),
)
