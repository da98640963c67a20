"""Taking a clip's embeddings, and the Fréchet conventions that every FAD shares."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, NotComputableError, Setting, Statistics
from clapstick.metrics.frechet import SIZES, SMALLEST_SIZE
from clapstick.metrics.frechet_scores import extrapolated_distance, plain_distance

FADTK_FORK = "DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db fadtk/fad.py"
FADTK = "microsoft/fadtk@ec74b1f fadtk/fad.py"


def embedding_of(
    embeddings: Mapping[str, Array], embedder: str, whose: str, reasons: Mapping[str, str] | None = None
) -> Array:
    """Return one clip's embeddings, shape (frames, dimension).

    Raises
    ------
    NotComputableError
        If there are none (for the reason in `reasons`, where it is known), no frame, or a value is not finite.
    """
    rows = embeddings.get(embedder)
    if rows is None:
        if reasons and embedder in reasons:
            raise NotComputableError(reasons[embedder])
        raise NotComputableError(
            f"no {embedder} embedding of the {whose}; `clapstick weights list` says which files it needs, "
            "`clapstick weights fetch` gets them"
        )
    rows = np.asarray(rows)
    if rows.ndim != 2 or not len(rows):
        raise NotComputableError(f"the {embedder} embedding of the {whose} has shape {rows.shape}: no frame")
    if not np.isfinite(rows).all():
        raise NotComputableError(f"the {embedder} embedding of the {whose} has NaN or infinite values")
    return rows


def pair_embedding(clip: ClipInput, embedder: str) -> Array:
    """Return what a network makes of the generated sound together with the picture, shape (rows, dimension)."""
    return embedding_of(clip.pair_embeddings, embedder, "sound with its picture", clip.embedding_reasons)


def embedding_pair(clip: ClipInput, embedder: str) -> tuple[Array, Array]:
    """Return the embeddings of reference and generated sound, each of shape (frames, dimension)."""
    if clip.reference is None and not clip.reference_embeddings:
        raise NotComputableError(clip.reference_missing)
    return (
        embedding_of(clip.reference_embeddings, embedder, "reference", clip.embedding_reasons),
        embedding_of(clip.generated_embeddings, embedder, "generated sound", clip.embedding_reasons),
    )


def set_statistics(clip: ClipInput, *, embedder: str, dtype: str = "float32") -> Statistics:
    """Return both embeddings as the statistics of a score of sets."""
    reference, generated = embedding_pair(clip, embedder)
    return {"reference": reference.astype(dtype), "generated": generated.astype(dtype)}


def frechet_conventions(
    embedder: str, what: str, *, prefix: str = "", seed: int = 0, official: str = FADTK_FORK
) -> tuple[Convention, ...]:
    """Return the plain distance and both extrapolations over one embedder's output.

    Parameters
    ----------
    what : str
        The embedding in words, for the summaries.
    prefix : str
        Put before the convention names where a metric has several embedders.
    """
    inf: dict[str, Setting] = {"sizes": SIZES, "smallest": SMALLEST_SIZE, "draw-seed": seed}
    return (
        Convention(
            name=f"{prefix}plain",
            summary=f"{what}; frames of all clips stacked, one Gaussian a set, float32.",
            statistics=partial(set_statistics, embedder=embedder),
            combiner=plain_distance(),
            source=f"{official} (score)",
            embedders=(embedder,),
            parameters={"dtype": "float32"},
        ),
        Convention(
            name=f"{prefix}inf-bootstrap",
            summary=(
                f"FAD-inf of {what}: 25 bootstrap samples of 500 to all frames, intercept of a line in 1/n; "
                "float16 embeddings and mean as in the toolkit's cache, draws from a fixed seed."
            ),
            statistics=partial(set_statistics, embedder=embedder, dtype="float16"),
            combiner=extrapolated_distance("bootstrap", seed, half_precision_mean=True),
            source=f"{official} (score_inf)",
            official=True,
            embedders=(embedder,),
            parameters=inf | {"draw": "bootstrap", "dtype": "float16"},
            caveat=(
                "Drawing with replacement from the pool that it extrapolates from returns about the plain "
                "distance, not the distance at infinite size. The official draw is unseeded. With fewer than "
                "500 frames the sizes exceed the pool."
            ),
        ),
        Convention(
            name=f"{prefix}inf-no-replacement",
            summary=f"FAD-inf of {what}, the subsets drawn without replacement; needs more than 500 frames.",
            statistics=partial(set_statistics, embedder=embedder),
            combiner=extrapolated_distance("no-replacement", seed),
            source="Clapstick; M. Chong and D. Forsyth, Effectively Unbiased FID, CVPR 2020",
            embedders=(embedder,),
            parameters=inf | {"draw": "no-replacement", "dtype": "float32"},
        ),
    )
