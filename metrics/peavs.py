"""PEAVS: a network's estimate of how well people would find sound and picture in step."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.base import ClipInput, Convention, Metric, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import embedding_of

ADAPTER = "peavs"
_CODE = "amazon-science/avgen-eval-toolkit@9cf014b PEAVS"


def peavs_score(output: float) -> float:
    """Return the printed score of one network output: clamp(4 y + 1, 1, 5)."""
    return min(5.0, max(1.0, 4 * output + 1))


def _statistics(clip: ClipInput) -> Statistics:
    output = embedding_of(clip.generated_embeddings, ADAPTER, "generated sound")
    return clip_score(peavs_score(float(np.mean(output))))


METRIC = Metric(
    name="peavs",
    title="PEAVS",
    summary=(
        "Predicted human opinion of synchrony, 1 to 5. The network runs in its official code, out of "
        "process; Clapstick scales its output y to clamp(4 y + 1, 1, 5) and averages over clips."
    ),
    direction="higher",
    unit="opinion 1-5",
    low=1.0,
    high=5.0,
    conventions=(
        Convention(
            name="official",
            summary="One raw output a clip under the name peavs, of the network fed one clip at a time.",
            statistics=_statistics,
            combiner=MeanOfClips(),
            source=_CODE,
            official=True,
            needs=("video",),
            embedders=(ADAPTER,),
            parameters={"batch": 1},
            caveat=(
                "Adapter only: no network of it ships here. Batches change its value (padding is told from a "
                "zero in the first feature), and Video-Foley found that it disagrees with listeners."
            ),
        ),
    ),
    default="official",
    default_reason="The only one.",
    paper="L. Goncalves et al., PEAVS: Perceptual Evaluation of Audio-Visual Synchrony, 2024",
    official_code=_CODE,
    evidence=("hand-derived",),
)
