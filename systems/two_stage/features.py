"""Feature rows of a clip: one row a video frame, streamed in batches and cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.archive import atomic
from clapstick.protocols.cache import cache_dir
from clapstick.protocols.problems import fail

LONGEST_S = 600.0
"""Clips of more than ten minutes are refused."""

Rows = NDArray[np.float32]


class Extractor(Protocol):
    """Makes feature rows of one kind."""

    @property
    def key(self) -> str:
        """Names kind, version and weights: rows of different keys are not the same."""

    def rows(self, video: Path, start_s: float, frames: int, fps: float) -> Iterator[Rows]:
        """Yield batches of rows, `frames` rows in all."""


@dataclass(frozen=True)
class FeatureCache:
    """Folder that keeps feature rows under the hash of what they were made from; None keeps nothing."""

    folder: Path | None


def default_cache() -> FeatureCache:
    """Return the cache in the user's cache directory."""
    return FeatureCache(cache_dir() / "features")


def extract(
    extractor: Extractor,
    video: Path,
    *,
    start_s: float,
    duration_s: float,
    fps: float,
    cache_in: FeatureCache,
) -> Rows:
    """Return the feature rows of a stretch of video.

    Parameters
    ----------
    extractor : Extractor
    video : Path
    start_s, duration_s : float
        Stretch in seconds.
    fps : float
        Rows a second.
    cache_in : FeatureCache

    Returns
    -------
    ndarray of float32, shape (round(duration_s * fps), dim)

    Raises
    ------
    ClapstickError
        If the clip is longer than ten minutes or the video cannot be decoded.
    """
    refuse_long(duration_s, video)
    frames = max(1, round(duration_s * fps))
    if cache_in.folder is None:
        return np.concatenate(list(extractor.rows(video, start_s, frames, fps)))
    asked = f"{_content_hash(video)} {extractor.key} {start_s!r} {frames} {fps!r}"
    path = cache_in.folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.npy"
    if path.is_file():
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    rows = np.concatenate(list(extractor.rows(video, start_s, frames, fps)))
    with atomic(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, rows, allow_pickle=False)
    return rows


def refuse_long(duration_s: float, where: object) -> None:
    """Raise `ClapstickError` where a clip lasts more than ten minutes."""
    if duration_s > LONGEST_S:
        raise fail(
            "clip is too long",
            where,
            found=f"{duration_s:.1f} s",
            expected=f"{LONGEST_S:g} s at most",
            remedy="Cut the video into parts.",
        )


def _content_hash(path: Path) -> str:
    status = path.stat()
    return _hash_once(path, status.st_mtime_ns, status.st_size)


@cache
def _hash_once(path: Path, changed_ns: int, size: int) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
