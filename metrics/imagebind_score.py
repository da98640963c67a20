"""ImageBind score: how close sound and picture are in one embedding space."""

from __future__ import annotations

from clapstick.metrics.base import ClipInput, Convention, Metric, Statistics
from clapstick.metrics.clap_score import cosine
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import embedding_of

ADAPTER = "imagebind"
_CODE = "facebookresearch/ImageBind@53680b0"


def _statistics(clip: ClipInput) -> Statistics:
    video = embedding_of(clip.video_embeddings, ADAPTER, "video").mean(axis=0)
    sound = embedding_of(clip.generated_embeddings, ADAPTER, "generated sound").mean(axis=0)
    return clip_score(cosine(video, sound))


METRIC = Metric(
    name="imagebind-score",
    title="ImageBind",
    summary=(
        "Cosine similarity between the ImageBind embeddings of picture and generated sound, averaged over "
        "clips, as a fraction (MultiFoley prints per cent). The network runs in its official code, out of "
        "process."
    ),
    direction="higher",
    unit="",
    low=-1.0,
    high=1.0,
    conventions=(
        Convention(
            name="official",
            summary="imagebind_huge, 1024-d, mean over the picture's and the sound's crops before the cosine.",
            statistics=_statistics,
            combiner=MeanOfClips(),
            source=_CODE,
            official=True,
            needs=("video",),
            embedders=(ADAPTER,),
            video_embedders=(ADAPTER,),
            caveat=(
                "Adapter only; code and weights are CC BY-NC 4.0. The two common ways to cut the picture "
                "into clips (five 2 s clips, or all pairs of a 0.5 fps stream) differ: record which one made "
                "the embeddings."
            ),
        ),
    ),
    default="official",
    default_reason="The only one.",
    paper="R. Girdhar et al., ImageBind, CVPR 2023",
    official_code=_CODE,
    evidence=("hand-derived",),
)
