"""ImageBind score: how close sound and picture are in one embedding space."""

from __future__ import annotations

from functools import partial

from clapstick.metrics.base import ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.clap_score import cosine
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import pair_embedding

_CODE = "facebookresearch/ImageBind@53680b0"
_LICENCE = "Code and weights are CC BY-NC 4.0."


def _statistics(clip: ClipInput, *, adapter: str) -> Statistics:
    rows = pair_embedding(clip, adapter)
    if len(rows) != 2:
        raise NotComputableError(f"{adapter} gives {len(rows)} rows, expected picture and sound")
    return clip_score(cosine(rows[0], rows[1]))


METRIC = Metric(
    name="imagebind-score",
    title="ImageBind",
    summary=(
        "Cosine similarity between the ImageBind embeddings of picture and generated sound, averaged over "
        "clips, as a fraction (MultiFoley prints per cent). The network runs in its official code through a "
        "metric adapter."
    ),
    direction="higher",
    unit="",
    low=-1.0,
    high=1.0,
    conventions=(
        Convention(
            name="official",
            summary=(
                "imagebind_huge, 1024-d; picture: five clips of 2 s, two frames each, three crops; sound: "
                "three clips of 2 s; each modality's unit vectors are averaged before the cosine."
            ),
            statistics=partial(_statistics, adapter="imagebind"),
            combiner=MeanOfClips(),
            source=f"{_CODE} imagebind/data.py; ilpoviertola/eval_generative_v2a_models@4410865",
            official=True,
            needs=("video",),
            pair_embedders=("imagebind",),
            caveat=_LICENCE,
        ),
        Convention(
            name="av-benchmark",
            summary="The same network; picture: all pairs of neighbours of a 0.5 fps stream, three crops each.",
            statistics=partial(_statistics, adapter="imagebind-av-benchmark"),
            combiner=MeanOfClips(),
            source="hkchengrex/av-benchmark@050a5cd (IB-Score)",
            official=True,
            needs=("video",),
            pair_embedders=("imagebind-av-benchmark",),
            caveat=f"{_LICENCE} Clips under 4 s have no value: their stream has no pair.",
        ),
    ),
    default="official",
    default_reason="ImageBind's own loader, which V-AURA's evaluator and, it seems, MultiFoley use.",
    paper="R. Girdhar et al., ImageBind, CVPR 2023",
    official_code=_CODE,
    evidence=("hand-derived",),
)
