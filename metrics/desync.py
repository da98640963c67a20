"""DeSync: the offset between sound and picture that Synchformer finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.class_posteriors import log_softmax
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import pair_embedding

TWO_WINDOWS = "synchformer-av-benchmark"
"""Adapter: logits of the first and of the last 4.8 s, as av-benchmark makes them."""
ONE_WINDOW = "synchformer"
"""Adapter: logits of one window within the first 5 s, as Synchformer's own example and V-AURA make them."""
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


def _statistics(clip: ClipInput, *, adapter: str, offset: Offset, windows: int) -> Statistics:
    logits = pair_embedding(clip, adapter).astype(np.float64)
    if logits.shape != (windows, len(GRID_S)):
        raise NotComputableError(
            f"{adapter} gives logits of shape {logits.shape}, expected ({windows}, {len(GRID_S)})"
        )
    return clip_score(offset(logits))


def _convention(
    name: str, summary: str, adapter: str, offset: Offset, windows: int, source: str, caveat: str
) -> Convention:
    return Convention(
        name=name,
        summary=summary,
        statistics=partial(_statistics, adapter=adapter, offset=offset, windows=windows),
        combiner=MeanOfClips(),
        source=source,
        official=name != "expected",
        needs=("video",),
        pair_embedders=(adapter,),
        parameters={"windows": windows, "classes": len(GRID_S)},
        caveat=f"Chance is 1.0476 s, always answering 0 gives 0. {caveat}",
    )


_SHORT_CLIPS = "Clips under 4.8 s have no value."

METRIC = Metric(
    name="desync",
    title="DeSync",
    summary=(
        "Mean absolute offset between sound and picture that Synchformer finds, 21 classes from -2 to 2 s. "
        "The network runs in its official code through a metric adapter."
    ),
    direction="lower",
    unit="s",
    low=0.0,
    high=2.0,
    conventions=(
        _convention(
            "two-windows",
            "Likeliest class of the first and of the last 4.8 s, averaged.",
            TWO_WINDOWS,
            likeliest_offset,
            2,
            "hkchengrex/av-benchmark@050a5cd (DeSync)",
            _SHORT_CLIPS,
        ),
        _convention(
            "first-window",
            "Likeliest class of 4.8 s in the middle of the first 5 s; shorter clips are repeated.",
            ONE_WINDOW,
            likeliest_offset,
            1,
            "ilpoviertola/eval_generative_v2a_models@4410865 (InSync), which MultiFoley cites",
            "On a GPU the official code computes in half precision.",
        ),
        _convention(
            "expected",
            "Offset weighted by the class probabilities, first and last 4.8 s.",
            TWO_WINDOWS,
            expected_offset,
            2,
            "MultiFoley's text says weighted offset; no code computes it",
            _SHORT_CLIPS,
        ),
    ),
    default="two-windows",
    default_reason="What av-benchmark computes and most papers since MMAudio report.",
    paper="V. Iashin et al., Synchformer, ICASSP 2024; H. K. Cheng et al., MMAudio, CVPR 2025",
    official_code=_CODE,
    evidence=("hand-derived",),
)
