"""Embeddings cached by content: a file's name is the hash of everything that the numbers in it depend on.

::

    CACHE/embeddings/<start of key>/<key>.safetensors    array ``embedding``; the header holds the key's parts

The key is made of the sound's bytes, the embedder with its front end, the hashes of its weights, and the
versions of the libraries that compute it. A changed sound has another key, so an old embedding can never stand
for it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clapstick.harness.provenance import versions_of
from clapstick.harness.weights import file_sha256
from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders.base import EmbedderCard
from clapstick.metrics.embedders.registry import embedder, embedders, load_embedder
from clapstick.protocols.archive import atomic
from clapstick.protocols.audio import Audio, require_finite
from clapstick.protocols.cache import cache_dir, writable
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError, fail

if TYPE_CHECKING:
    from clapstick.metrics.embedders.base import AudioEmbedder

_LIBRARIES = (
    "librosa",
    "numpy",
    "pillow",
    "resampy",
    "soundfile",
    "soxr",
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
)
_SUFFIX = ".safetensors"
_HEADER = "clapstick"


@dataclass(frozen=True)
class ClipEmbedding:
    """Where the embedding of one sound lies, or why there is none."""

    path: Path | None
    reason: str | None = None

    def read(self) -> NDArray[np.float32]:
        """Read the embedding (rows, dimension); raise `NotComputableError` where there is none."""
        from safetensors.numpy import load_file

        if self.path is None:
            raise NotComputableError(self.reason or "there is no embedding")
        return np.asarray(load_file(self.path)["embedding"])


@dataclass(frozen=True)
class CacheEntry:
    """One cached embedding."""

    key: str
    path: Path
    size_bytes: int


class EmbeddingCache:
    """A folder of embeddings, shared between metrics, runs and processes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir() / "embeddings"

    def path(self, key: str) -> Path:
        """Return where the embedding of a key lies or would lie."""
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def find(self, key: str) -> Path | None:
        """Return the file of a key; None where it is not cached, or damaged (then it is removed)."""
        from safetensors import SafetensorError, safe_open

        path = self.path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as opened:
                whole = "embedding" in opened.keys()  # noqa: SIM118 - no dict
        except SafetensorError:
            whole = False
        if not whole:
            path.unlink(missing_ok=True)
        return path if whole else None

    def put(self, parts: Mapping[str, Any], embedding: NDArray[np.float32]) -> Path:
        """Store an embedding under the hash of `parts`; safe against other processes."""
        from filelock import FileLock
        from safetensors.numpy import save_file

        path = self.path(key_of(parts))
        header = {_HEADER: json.dumps(parts, sort_keys=True)}
        with writable(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.parent / ".lock"), atomic(path) as temporary:
                save_file({"embedding": np.ascontiguousarray(embedding)}, temporary, metadata=header)
        return path

    def entries(self) -> Iterator[CacheEntry]:
        """Go through everything that is cached, in order of key."""
        for path in sorted(self.folder.glob(f"??/*{_SUFFIX}")):
            yield CacheEntry(path.stem, path, path.stat().st_size)

    def parts(self, key: str) -> dict[str, Any]:
        """Return what a key was made of; the start of a key is enough where only one begins so.

        Raises
        ------
        ClapstickError
            If no embedding or more than one has such a key.
        """
        from safetensors import safe_open

        found = [entry for entry in self.entries() if entry.key.startswith(key)]
        if len(found) != 1 or not key:
            raise fail(
                "no embedding is cached under that key" if not found else "the start of the key is not enough",
                key,
                found=f"{len(found)} that begin so",
                expected="one",
                remedy="`clapstick cache show --json` lists the keys.",
            )
        with safe_open(found[0].path, framework="np") as opened:
            return {"key": found[0].key, **json.loads(opened.metadata()[_HEADER])}

    def clear(self, name: str | None = None) -> tuple[int, int]:
        """Remove all embeddings, or those of one embedder; return how many and how many bytes."""
        files = size = 0
        for entry in self.entries():
            if name is None or self.parts(entry.key)["embedder"] == name:
                entry.path.unlink(missing_ok=True)
                files, size = files + 1, size + entry.size_bytes
        return files, size


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the parts as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def key_parts(content: bytes, card: EmbedderCard, weights: Mapping[str, Path], device: str) -> dict[str, Any]:
    """Return everything that an embedding depends on."""
    return {
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "embedder": card.name,
        "kind": card.kind,
        "output": card.output,
        "front_end": dict(card.front_end),
        "weights": {name: file_sha256(weights[name]) for name in card.weights if name in weights},
        "device": device.split(":")[0],
        "libraries": library_versions(),
    }


def picture_content(clip: Clip) -> str:
    """Return what identifies a clip's picture: the video's bytes and the stretch of it."""
    return f"{file_sha256(clip.video)} {clip.start_s!r} {clip.duration_s!r}"


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute embeddings, and Clapstick's."""
    return versions_of(("clapstick", *_LIBRARIES))


def embed_clips(
    paths: Sequence[Path],
    name: str,
    weights: Mapping[str, Path],
    *,
    cache: EmbeddingCache,
    batch_size: int = 8,
    device: str = "cpu",
) -> list[ClipEmbedding]:
    """Embed sound files, `batch_size` at a time, from the cache where they were embedded before.

    The network is loaded only when something is missing; other embedders of the same network are cached by the
    same pass. Not more than `batch_size` sounds are in memory at once.

    Parameters
    ----------
    paths
        Sound files of any lengths and rates; channels are averaged.
    name
        An audio embedder.
    weights
        Weight name -> local file, as `clapstick.harness.weights.find_weights` gives them.
    cache
        Where embeddings lie.
    batch_size
        Sounds that are held and embedded together.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    list
        One `ClipEmbedding` for each path, in order; a sound that cannot be embedded has a reason.

    Raises
    ------
    NotComputableError
        If the embedder is unknown, or its weights are missing or wrong.
    """
    card = embedder(name)
    siblings = [other for other in embedders("audio").values() if other.network == card.network]
    network: AudioEmbedder | None = None
    found: list[ClipEmbedding] = []
    for start in range(0, len(paths), batch_size):
        wanted: list[str | ClipEmbedding] = []
        missing: dict[str, tuple[dict[str, Any], bytes, Path]] = {}
        for path in paths[start : start + batch_size]:
            try:
                content = path.read_bytes()
            except OSError as error:
                wanted.append(ClipEmbedding(None, f"{path} cannot be read: {error.strerror or error}"))
                continue
            parts = key_parts(content, card, weights, device)
            key = key_of(parts)
            cached = cache.find(key)
            wanted.append(ClipEmbedding(cached) if cached else key)
            if cached is None:
                missing[key] = (parts, content, path)
        if missing and network is None:
            network = load_embedder(name, weights, device)
        made = _embed_missing(missing, network, card, siblings, cache) if network is not None else {}
        found.extend(made[entry] if isinstance(entry, str) else entry for entry in wanted)
    return found


def _embed_missing(
    missing: Mapping[str, tuple[dict[str, Any], bytes, Path]],
    network: AudioEmbedder,
    card: EmbedderCard,
    siblings: Sequence[EmbedderCard],
    cache: EmbeddingCache,
) -> dict[str, ClipEmbedding]:
    made: dict[str, ClipEmbedding] = {}
    prepared: dict[str, NDArray[np.float32]] = {}
    for key, (_, content, path) in missing.items():
        try:
            audio = _decode(content, path)
            prepared[key] = network.prepare(audio.mono, sample_rate=audio.sample_rate)
        except (NotComputableError, ClapstickError) as error:
            made[key] = ClipEmbedding(None, str(error))
    for key, outputs in zip(prepared, network.embed_prepared(list(prepared.values())), strict=True):
        parts = missing[key][0]
        made[key] = ClipEmbedding(cache.put(parts, outputs[card.output]))
        for other in siblings:
            if other.name != card.name and other.front_end == card.front_end:
                cache.put({**parts, "embedder": other.name, "output": other.output}, outputs[other.output])
    return made


def _decode(content: bytes, path: Path) -> Audio:
    import soundfile

    try:
        samples, sample_rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise fail("cannot be read as sound", path, found=error, expected="wav, flac or ogg") from error
    return require_finite(Audio(samples, int(sample_rate)), path)
