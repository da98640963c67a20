"""KLD: how far an audio tagger's opinion of the generated sound is from that of its reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.class_posteriors import EPSILON, divergence, sigmoid_divergence
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import embedding_pair

PANNS = "panns-cnn14-16k-logits"
PANNS_UNPADDED = "panns-cnn14-16k-unpadded-logits"
PASST = "passt-logits"
PASST_SEGMENTS = "passt-segments-logits"
PASST_WINDOWS = "passt-windows-logits"
Divergence = Callable[[Array, Array], Array]


def _statistics(
    clip: ClipInput, *, embedder: str, measure: Divergence, average_logits: bool = False
) -> Statistics:
    reference, generated = (np.asarray(rows, dtype=np.float64) for rows in embedding_pair(clip, embedder))
    if average_logits:
        reference, generated = reference.mean(axis=0, keepdims=True), generated.mean(axis=0, keepdims=True)
    if reference.shape != generated.shape:
        raise NotComputableError(
            f"reference logits have shape {reference.shape} and generated {generated.shape}; "
            "tag sounds of equal length"
        )
    return clip_score(float(measure(reference, generated).mean()))


def _reversed(reference: Array, generated: Array) -> Array:
    return divergence(generated, reference, epsilon=EPSILON)


def _convention(
    name: str,
    summary: str,
    embedder: str,
    measure: Divergence,
    source: str,
    *,
    epsilon: float = 0.0,
    direction: str = "reference-generated",
    average_logits: bool = False,
    caveat: str = "",
) -> Convention:
    return Convention(
        name=name,
        summary=summary,
        statistics=partial(_statistics, embedder=embedder, measure=measure, average_logits=average_logits),
        combiner=MeanOfClips(),
        source=source,
        official=True,
        embedders=(embedder,),
        parameters={"epsilon": epsilon, "kl-direction": direction, "average-logits": average_logits},
        caveat=caveat,
    )


_with_epsilon = partial(divergence, epsilon=EPSILON)
_AV_BENCHMARK = "hkchengrex/av-benchmark@050a5cd av_bench/metrics/kl.py"
_AUDIOLDM = "haoheliu/audioldm_eval@8dc07ee audioldm_eval/metrics/kl.py"
_SOFTMAX_OF_MULTILABEL = "A softmax of logits that were trained for independent labels."

METRIC = Metric(
    name="kld",
    title="KLD",
    summary=(
        "Kullback-Leibler divergence between the class posteriors of reference and generated sound, in nats, "
        "averaged over clips. Also printed as MKL."
    ),
    direction="lower",
    unit="nats",
    low=None,
    high=None,
    conventions=(
        _convention(
            "panns",
            "KL(reference || generated), PANNs Cnn14 16 kHz, softmax, in log space; short sounds not padded.",
            PANNS_UNPADDED,
            divergence,
            _AV_BENCHMARK,
            caveat=_SOFTMAX_OF_MULTILABEL,
        ),
        _convention(
            "panns-epsilon",
            "KL(reference || generated), PANNs Cnn14 16 kHz, softmax, 1e-6 added to the generated probability; "
            "sounds padded to 2 s.",
            PANNS,
            _with_epsilon,
            _AUDIOLDM,
            epsilon=EPSILON,
            caveat="The 1e-6 caps the divergence where the generated posterior saturates.",
        ),
        _convention(
            "panns-sigmoid",
            "Sum of p log(p / q) over sigmoid probabilities, PANNs Cnn14 16 kHz, 1e-6 added to q.",
            PANNS,
            partial(sigmoid_divergence, epsilon=EPSILON),
            f"{_AUDIOLDM} (kl_sigmoid)",
            epsilon=EPSILON,
            caveat="Lacks the (1 - p) terms: it is no divergence and may be negative.",
        ),
        _convention(
            "passt",
            "KL(reference || generated), PaSST, softmax, in log space, sounds padded or cut to 10 s.",
            PASST,
            divergence,
            _AV_BENCHMARK,
            caveat=_SOFTMAX_OF_MULTILABEL,
        ),
        _convention(
            "passt-segments",
            "KL(reference || generated), PaSST, softmax of each segment of 10 s, 1e-6; segments are pairs of "
            "their own, the last one is not padded.",
            PASST_SEGMENTS,
            _with_epsilon,
            "ilpoviertola/eval_generative_v2a_models@4410865 (kld_pq), after audiocraft",
            epsilon=EPSILON,
        ),
        _convention(
            "passt-reversed",
            "KL(generated || reference), PaSST, sounds at a peak of -1 dB, logits of windows of 10 s every 5 s "
            "averaged before the softmax, 1e-6.",
            PASST_WINDOWS,
            _reversed,
            "Stability-AI/stable-audio-metrics@fd55536",
            epsilon=EPSILON,
            direction="generated-reference",
            average_logits=True,
            caveat="The reverse of what the other codes compute.",
        ),
    ),
    default="panns",
    default_reason="Log space has no floor and the PANNs tagger needs no segmenting; av-benchmark reports it.",
    paper="V. Iashin and E. Rahtu, SpecVQGAN, BMVC 2021; H. Liu et al., AudioLDM, ICML 2023",
    official_code=_AV_BENCHMARK,
    evidence=("hand-derived", "official-fixture"),
)
