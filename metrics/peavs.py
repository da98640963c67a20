"""PEAVS: a network's estimate of how well people would find sound and picture in step."""

from __future__ import annotations

from functools import partial

from clapstick.metrics.base import ClipInput, Convention, Metric, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import pair_embedding

AUDIO_EMBEDDER = "vggish-relu"
_CODE = "amazon-science/avgen-eval-toolkit@9cf014b PEAVS"


def peavs_score(output: float) -> float:
    """Return the printed score of one network output: clamp(4 y + 1, 1, 5)."""
    return min(5.0, max(1.0, 4 * output + 1))


def _statistics(clip: ClipInput, *, embedder: str) -> Statistics:
    return clip_score(peavs_score(float(pair_embedding(clip, embedder).item())))


METRIC = Metric(
    name="peavs",
    title="PEAVS",
    summary=(
        "Predicted human opinion of synchrony, 1 to 5: a regression network on VGGish and I3D rows of 0.96 s "
        "gives y, printed as clamp(4 y + 1, 1, 5), averaged over clips."
    ),
    direction="higher",
    unit="opinion 1-5",
    low=1.0,
    high=5.0,
    conventions=(
        Convention(
            name="official",
            summary="VGGish with its last ReLU, I3D RGB and PWC-Net flow features added, one clip at a time.",
            statistics=partial(_statistics, embedder="peavs"),
            combiner=MeanOfClips(),
            source=_CODE,
            official=True,
            needs=("video",),
            embedders=(AUDIO_EMBEDDER,),
            video_embedders=("i3d",),
            pair_embedders=("peavs",),
            parameters={"batch": 1},
            caveat=(
                "Quirks of the official code are kept: rows whose first VGGish number is 0 get no position, "
                "and the picture's mean is taken over the number of sound rows. In its batches of 64 a "
                "clip with fewer picture rows than its neighbours also attends to padding; one clip at "
                "a time avoids it. Video-Foley found that PEAVS disagrees with listeners."
            ),
        ),
        Convention(
            name="raft",
            summary="The same with RAFT's flow in place of PWC-Net's.",
            statistics=partial(_statistics, embedder="peavs-raft"),
            combiner=MeanOfClips(),
            source="Clapstick",
            needs=("video",),
            embedders=(AUDIO_EMBEDDER,),
            video_embedders=("i3d-raft",),
            pair_embedders=("peavs-raft",),
            parameters={"batch": 1},
            caveat="The network was trained on PWC-Net's flow: not comparable with published values.",
        ),
    ),
    default="official",
    default_reason="What the paper's code computes, free of what batches do to it.",
    paper="L. Goncalves et al., PEAVS: Perceptual Evaluation of Audio-Visual Synchrony, 2024",
    official_code=_CODE,
    evidence=("hand-derived", "official-fixture"),
)
