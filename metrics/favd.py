"""FAVD: Fréchet distance of picture and sound embeddings side by side."""

from __future__ import annotations

from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.embeddings import embedding_of, embedding_pair
from clapstick.metrics.frechet_scores import plain_distance

AUDIO_EMBEDDER = "vggish-relu"
VIDEO_EMBEDDER = "i3d"
RAFT_EMBEDDER = "i3d-raft"
_CODE = "amazon-science/avgen-eval-toolkit@9cf014b FAVD/compute_FAVD.py"


def side_by_side(video: Array, audio: Array) -> Array:
    """Put video and audio embeddings of one clip side by side, cut to the shorter of the two.

    Parameters
    ----------
    video : array, shape (video frames, video dimension)
    audio : array, shape (audio frames, audio dimension)
        Both have one row every 0.96 s.

    Returns
    -------
    array, shape (frames, video dimension + audio dimension)
    """
    frames = min(len(video), len(audio))
    if not frames:
        raise NotComputableError("the clip has no whole window of 0.96 s of picture and sound")
    return np.concatenate([video[:frames], audio[:frames]], axis=1)


def _statistics(clip: ClipInput, *, video_embedder: str) -> Statistics:
    reference, generated = embedding_pair(clip, AUDIO_EMBEDDER)
    video = embedding_of(clip.video_embeddings, video_embedder, "video", clip.embedding_reasons)
    return {
        "reference": side_by_side(video, reference).astype(np.float32),
        "generated": side_by_side(video, generated).astype(np.float32),
    }


def _convention(
    name: str, summary: str, video_embedder: str, flow: str, *, source: str, official: bool, caveat: str
) -> Convention:
    return Convention(
        name=name,
        summary=summary,
        statistics=partial(_statistics, video_embedder=video_embedder),
        combiner=plain_distance(),
        source=source,
        official=official,
        needs=("reference", "video"),
        embedders=(AUDIO_EMBEDDER,),
        video_embedders=(video_embedder,),
        parameters={"dtype": "float32", "window-s": 0.96, "flow": flow},
        caveat=caveat,
    )


_ROWS = (
    "Rows pair by position, so a shifted start misaligns them silently. Frames at 25 a second come from the "
    "file itself; the released script encodes it anew first."
)

METRIC = Metric(
    name="favd",
    title="FAVD",
    summary=(
        "Fréchet distance between Gaussians fitted to picture and sound embeddings side by side (I3D RGB + "
        "flow 1024-d, VGGish 128-d, every 0.96 s): the picture with its own sound against the picture with "
        "the generated sound."
    ),
    direction="lower",
    unit="distance squared",
    low=0.0,
    high=None,
    conventions=(
        _convention(
            "official",
            (
                "I3D RGB and flow features added, flow by PWC-Net, VGGish with its last ReLU, rows cut to the "
                "shorter stream, stacked over clips; neither part is scaled."
            ),
            VIDEO_EMBEDDER,
            "PWC-Net (Sintel)",
            source=_CODE,
            official=True,
            caveat=(
                "With fewer rows than 1152 the official function fails or depends on the SciPy version; the "
                f"value here is exact. {_ROWS}"
            ),
        ),
        _convention(
            "raft",
            "As official, with the flow estimated by torchvision's RAFT (large, C_T_SKHT_V2).",
            RAFT_EMBEDDER,
            "RAFT (torchvision large, C_T_SKHT_V2)",
            source="Clapstick; v-iashin/video_features, where the pipeline comes from, knows only RAFT today",
            official=False,
            caveat=f"Another estimator, other weights: not comparable with any published FAVD. {_ROWS}",
        ),
    ),
    default="official",
    default_reason="What Video-Foley and FOL-AI cite: the released pipeline, whose flow is PWC-Net's.",
    paper="L. Goncalves et al., PEAVS, 2024; J. Lee et al., Video-Foley, 2024, section 4.3",
    official_code=_CODE,
    evidence=("hand-derived", "library", "official-fixture"),
)
