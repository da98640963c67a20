"""KAD: kernel audio distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from clapstick.metrics.base import Array, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.combiners import ScoreOfSet, stacked
from clapstick.metrics.embeddings import set_statistics
from clapstick.metrics.kernel import kernel_distance, median_distance

EMBEDDER = "panns-wavegram-logmel"
_CODE = "YoonjinXD/kadtk@8bda71d kadtk/kad.py"


def _score(statistics: Sequence[Statistics], *, bandwidth_from: str) -> float:
    reference, generated = stacked(statistics, "reference"), stacked(statistics, "generated")
    bandwidth = _bandwidth(reference if bandwidth_from == "reference" else generated)
    return kernel_distance(reference, generated, bandwidth)


def _bandwidth(rows: Array) -> float:
    if len(rows) < 2:
        raise NotComputableError(f"a set has {len(rows)} frames, a kernel distance needs at least 2")
    bandwidth = median_distance(rows)
    if bandwidth == 0.0:
        raise NotComputableError("at least half of the embeddings are equal: the kernel has no bandwidth")
    return bandwidth


def _combiner(bandwidth_from: str) -> ScoreOfSet:
    score: Callable[[Sequence[Statistics]], float] = partial(_score, bandwidth_from=bandwidth_from)
    return ScoreOfSet(score, low=None)


METRIC = Metric(
    name="kad",
    title="KAD",
    summary=(
        "100 times the unbiased squared maximum mean discrepancy between the embeddings of the reference and "
        "the generated set, Gaussian kernel. Unlike FAD it assumes no Gaussian and has no bias in n; it may "
        "be negative."
    ),
    direction="lower",
    unit="squared MMD x 100",
    low=None,
    high=None,
    conventions=(
        Convention(
            name="reference-bandwidth",
            summary="PANNs Wavegram-Logmel; bandwidth = lower median of distances within the reference set.",
            statistics=partial(set_statistics, embedder=EMBEDDER),
            combiner=_combiner("reference"),
            source="Y. Chung et al., KAD, 2025, and the README of kadtk",
            embedders=(EMBEDDER,),
            parameters={"kernel": "gaussian", "bandwidth": "reference"},
        ),
        Convention(
            name="generated-bandwidth",
            summary="PANNs Wavegram-Logmel; bandwidth = lower median of distances within the generated set.",
            statistics=partial(set_statistics, embedder=EMBEDDER),
            combiner=_combiner("generated"),
            source=f"{_CODE} (both releases on PyPI)",
            official=True,
            embedders=(EMBEDDER,),
            parameters={"kernel": "gaussian", "bandwidth": "generated"},
            caveat="Every system is measured with its own bandwidth, so systems do not compare strictly.",
        ),
    ),
    default="reference-bandwidth",
    default_reason="What the paper and the README say; the released code takes the other set by mistake.",
    paper="Y. Chung et al., KAD: No More FAD, ICML 2025",
    official_code=_CODE,
    evidence=("hand-derived", "library", "official-fixture"),
)
