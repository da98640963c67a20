"""FD-PANNs: Fréchet distance of Cnn14 embeddings, as audio generation papers report it."""

from __future__ import annotations

from functools import partial

from clapstick.metrics.base import Convention, Metric
from clapstick.metrics.embeddings import set_statistics
from clapstick.metrics.frechet_scores import plain_distance

EMBEDDER = "panns-cnn14-16k"
UNPADDED_EMBEDDER = "panns-cnn14-16k-unpadded"
_CODE = "haoheliu/audioldm_eval@8dc07ee audioldm_eval/metrics/fid.py"
_CAVEAT = "Resampling of the sound alone moves it by tens; with few clips the bias is large (2048-d)."


def _convention(name: str, embedder: str, short: str, source: str) -> Convention:
    return Convention(
        name=name,
        summary=(
            "Cnn14_16k_mAP=0.438, embedding after fc1 and ReLU; one vector a clip, one Gaussian a set; sounds "
            f"shorter than 2 s {short}."
        ),
        statistics=partial(set_statistics, embedder=embedder),
        combiner=plain_distance(),
        source=source,
        official=True,
        embedders=(embedder,),
        parameters={"dtype": "float32", "short-sounds": short},
        caveat=_CAVEAT,
    )


METRIC = Metric(
    name="fd-panns",
    title="FD-PANNs",
    summary=(
        "Fréchet distance between Gaussians fitted to PANNs Cnn14 embeddings (16 kHz, one vector of 2048 a "
        "clip) of the reference and the generated set."
    ),
    direction="lower",
    unit="distance squared",
    low=0.0,
    high=None,
    conventions=(
        _convention("plain", EMBEDDER, "are padded with zeros", _CODE),
        _convention(
            "av-benchmark",
            UNPADDED_EMBEDDER,
            "stay as they are",
            "hkchengrex/av-benchmark@050a5cd av_bench/metrics/fad.py",
        ),
    ),
    default="plain",
    default_reason="audioldm_eval introduced it; for sounds of 2 s and more the two agree.",
    paper="H. Liu et al., AudioLDM, ICML 2023; Q. Kong et al., PANNs, TASLP 2020",
    official_code=_CODE,
    evidence=("hand-derived", "library", "official-fixture"),
)
