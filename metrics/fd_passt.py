"""FD-PaSST: Fréchet distance of PaSST features, as av-benchmark reports it."""

from __future__ import annotations

from functools import partial

from clapstick.metrics.base import Convention, Metric
from clapstick.metrics.embeddings import set_statistics
from clapstick.metrics.frechet_scores import plain_distance

EMBEDDER = "passt"
_CODE = "hkchengrex/av-benchmark@050a5cd av_bench/evaluate.py and av_bench/metrics/fad.py"

METRIC = Metric(
    name="fd-passt",
    title="FD-PaSST",
    summary=(
        "Fréchet distance between Gaussians fitted to PaSST features (32 kHz, one vector of 768 a clip) of the "
        "reference and the generated set."
    ),
    direction="lower",
    unit="distance squared",
    low=0.0,
    high=None,
    conventions=(
        Convention(
            name="plain",
            summary=(
                "PaSST passt_s_swa_p16_128_ap476, mean of its two tokens; sounds padded or cut to 10 s, one "
                "vector a clip, one Gaussian a set."
            ),
            statistics=partial(set_statistics, embedder=EMBEDDER),
            combiner=plain_distance(),
            source=_CODE,
            official=True,
            embedders=(EMBEDDER,),
            parameters={"dtype": "float32"},
            caveat="A clip shorter than 10 s is heard with silence behind it.",
        ),
    ),
    default="plain",
    default_reason="The only one.",
    paper="H. K. Cheng et al., MMAudio, CVPR 2025; K. Koutini et al., PaSST, Interspeech 2022",
    official_code=_CODE,
    evidence=("hand-derived", "library", "official-fixture"),
)
