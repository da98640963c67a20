"""The embedding stage: which networks a run's metrics need, and where the embeddings of each clip lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clapstick.harness.statistics import EmbeddingFiles, ScoreRequest
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.clips import Clip


@dataclass(frozen=True)
class Embedded:
    """What the embedding stage found."""

    files: Mapping[tuple[str, str], EmbeddingFiles] = field(default_factory=dict)
    """(system, clip id) -> embedding files."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Embedder -> SHA-256 of its checkpoint."""
    reasons: Mapping[ScoreRequest, str] = field(default_factory=dict)
    """Scores that cannot be computed, with the reason."""


def embedders_of(request: ScoreRequest) -> tuple[str, ...]:
    """Return the embedders that one score needs."""
    _, convention = request.resolve()
    return (*convention.embedders, *convention.video_embedders, *convention.text_embedders)


def missing_embedders(requests: Sequence[ScoreRequest]) -> dict[ScoreRequest, str]:
    """Return the scores whose embedders cannot be loaded here, with the reason and the remedy."""
    return {
        request: "needs " + ", ".join(embedders_of(request)) for request in requests if embedders_of(request)
    }


def embed_run(
    archive: RunArchive,
    clips: Sequence[Clip],
    systems: Sequence[str],
    requests: Sequence[ScoreRequest],
    device: str,
) -> Embedded:
    """Embed every sound that some score needs, from the cache where it was embedded before."""
    return Embedded(reasons=missing_embedders(requests))
