"""Inception score: how sure and how varied an audio tagger finds the generated set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from clapstick.metrics.base import ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.class_posteriors import inception_scores
from clapstick.metrics.combiners import ScoreOfSet, stacked
from clapstick.metrics.embeddings import embedding_of

PANNS = "panns-cnn14-16k-logits"
PASST = "passt-logits"
SPLITS = 10
SHUFFLE_SEED = 2020
_CODE = "hkchengrex/av-benchmark@050a5cd av_bench/metrics/isc.py"


def _statistics(clip: ClipInput, *, embedder: str) -> Statistics:
    reasons = clip.embedding_reasons
    return {"generated": embedding_of(clip.generated_embeddings, embedder, "generated sound", reasons)}


def _one_split(statistics: Sequence[Statistics]) -> float:
    return float(inception_scores(stacked(statistics, "generated"), 1)[0])


def _ten_splits(statistics: Sequence[Statistics]) -> float:
    logits = stacked(statistics, "generated")
    if len(logits) < SPLITS:
        raise NotComputableError(
            f"{len(logits)} posteriors cannot fill {SPLITS} splits; score more clips or use one split"
        )
    shuffled = logits[np.random.RandomState(SHUFFLE_SEED).permutation(len(logits))]
    return float(inception_scores(shuffled, SPLITS).mean())


def _convention(name: str, embedder: str, tagger: str, splits: int) -> Convention:
    ten = splits == SPLITS
    return Convention(
        name=name,
        summary=(
            f"Softmax posteriors of {tagger}, "
            + ("shuffled with RandomState(2020), mean over 10 splits." if ten else "the whole set at once.")
        ),
        statistics=partial(_statistics, embedder=embedder),
        combiner=ScoreOfSet(_ten_splits if ten else _one_split, low=1.0, stable_score=_one_split),
        source=_CODE if ten else "Clapstick; the official formula with splits = 1",
        official=ten,
        needs=(),
        embedders=(embedder,),
        parameters={"splits": splits, "draw-seed": SHUFFLE_SEED} if ten else {"splits": splits},
        caveat="Grows with the number of clips in a split; compare equal numbers only.",
    )


METRIC = Metric(
    name="is",
    title="IS",
    summary=(
        "Inception score: exp of the mean divergence of each generated clip's class posterior from the set's "
        "mean. High when single clips are clear-cut and the set is varied. It never looks at the reference."
    ),
    direction="higher",
    unit="",
    low=1.0,
    high=527.0,
    conventions=(
        _convention("panns", PANNS, "PANNs Cnn14 16 kHz", SPLITS),
        _convention("panns-whole", PANNS, "PANNs Cnn14 16 kHz", 1),
        _convention("passt", PASST, "PaSST", SPLITS),
    ),
    default="panns",
    default_reason="What audioldm_eval and av-benchmark print.",
    paper="T. Salimans et al., Improved Techniques for Training GANs, NeurIPS 2016",
    official_code=_CODE,
    evidence=("hand-derived", "official-fixture"),
)
