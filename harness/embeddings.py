"""The embedding stage: which networks a run's metrics need, and where the embeddings of each clip lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.harness.adapter_rows import adapter_rows
from clapstick.harness.adapters import FoundAdapter, adapter_options, find_adapter, require_adapter
from clapstick.harness.embedding_cache import (
    ClipEmbedding,
    EmbeddingCache,
    embed_clips,
    key_of,
    key_parts,
    picture_content,
)
from clapstick.harness.progress import progress
from clapstick.harness.settings import REFERENCE
from clapstick.harness.statistics import EmbeddingFiles, ScoreRequest
from clapstick.harness.weights import find_weights, weights_sha256
from clapstick.metrics.base import Convention, NotComputableError
from clapstick.metrics.embedders.base import Kind, PairEmbedder
from clapstick.metrics.embedders.registry import embedder, embedders, load_embedder
from clapstick.protocols.archive import ErrorRecord, RunArchive
from clapstick.protocols.clips import Clip
from clapstick.protocols.media import frames_at, shown_size
from clapstick.protocols.problems import ClapstickError

_SOUNDS_A_STEP = 64


@dataclass(frozen=True)
class Embedded:
    """What the embedding stage found."""

    files: Mapping[tuple[str, str], EmbeddingFiles] = field(default_factory=dict)
    """(system, clip id) -> embedding files."""
    weights: Mapping[ScoreRequest, Mapping[str, str]] = field(default_factory=dict)
    """Score -> checkpoint -> SHA-256, for every checkpoint behind it."""
    reasons: Mapping[ScoreRequest, str] = field(default_factory=dict)
    """Scores that cannot be computed, with the reason."""
    errors: Sequence[ErrorRecord] = ()
    """Clips that a metric adapter failed on."""


@dataclass(frozen=True)
class _Needed:
    """One embedder that some score of the run needs, with its checkpoints."""

    kind: Kind
    name: str
    weights: Mapping[str, Path]
    adapter: FoundAdapter | None = None
    """Where the network runs, if not in this process."""


_OfClips = dict[tuple[str, str], ClipEmbedding]
"""(system, clip id) -> what one embedder made of it; the system is empty for what belongs to all of them."""
_Found = dict[tuple[Kind, str], _OfClips]


def missing_embedders(requests: Sequence[ScoreRequest]) -> dict[ScoreRequest, str]:
    """Return the scores whose embedders cannot be loaded here, with the reason and the remedy."""
    return _look_up(requests)[1]


def embed_run(
    archive: RunArchive,
    clips: Sequence[Clip],
    systems: Sequence[str],
    requests: Sequence[ScoreRequest],
    device: str,
) -> Embedded:
    """Embed every sound, video and text that some score needs, from the cache where it was embedded before."""
    needed, reasons = _look_up(requests)
    if not needed:
        return Embedded(reasons=reasons)
    cache = EmbeddingCache()
    found: _Found = {}
    errors: list[ErrorRecord] = []
    for one in sorted(needed, key=lambda one: one.kind == "pair"):  # pairs are made of what the others give
        try:
            if one.kind == "audio":
                found["audio", one.name] = _embed_sounds(archive, clips, systems, one, cache, device)
            elif one.kind == "video":
                found["video", one.name] = _embed_videos(clips, one, cache, device)
            elif one.kind == "text":
                found["text", one.name] = _embed_texts(clips, one, cache, device)
            elif one.adapter is not None:
                found["pair", one.name], failed = adapter_rows(archive, clips, systems, one.adapter, cache)
                errors += failed
            else:
                found["pair", one.name] = _embed_pairs(clips, systems, one, found, cache, device)
        except (NotComputableError, ClapstickError) as error:
            reasons |= {request: str(error) for request in requests if (one.kind, one.name) in _names(request)}
    files = {(system, clip.id): _files_of(found, system, clip.id) for system in systems for clip in clips}
    hashes = {(one.kind, one.name): {name: weights_sha256(name) for name in one.weights} for one in needed}
    weights = {
        request: dict(item for embedder_of in _names(request) for item in hashes[embedder_of].items())
        for request in requests
        if request not in reasons
    }
    return Embedded(files, weights, reasons, errors)


def _names(request: ScoreRequest) -> list[tuple[Kind, str]]:
    convention: Convention = request.resolve()[1]
    audio: list[tuple[Kind, str]] = [("audio", name) for name in convention.embedders]
    video: list[tuple[Kind, str]] = [("video", name) for name in convention.video_embedders]
    text: list[tuple[Kind, str]] = [("text", name) for name in convention.text_embedders]
    pair: list[tuple[Kind, str]] = [("pair", name) for name in convention.pair_embedders]
    return audio + video + text + pair


def _look_up(requests: Sequence[ScoreRequest]) -> tuple[list[_Needed], dict[ScoreRequest, str]]:
    """Return the embedders whose checkpoints are here, and the scores that lack one."""
    needed: dict[tuple[Kind, str], _Needed] = {}
    reasons: dict[ScoreRequest, str] = {}
    for request in requests:
        try:
            of_request = [_need(kind, name) for kind, name in _names(request)]
        except (NotComputableError, ClapstickError) as error:
            reasons[request] = str(error)
            continue
        needed |= {(one.kind, one.name): one for one in of_request}
    return list(needed.values()), reasons


def _need(kind: Kind, name: str) -> _Needed:
    """Look up one embedder; raise where it or its checkpoints are not here."""
    if kind != "pair" or name in embedders("pair"):
        return _Needed(kind, name, {weight: find_weights(weight) for weight in embedder(name, kind).weights})
    found = find_adapter(name)
    require_adapter(found, adapter_options(found))
    return _Needed(kind, name, {weight: find_weights(weight) for weight in found.card.weights}, found)


def _embed_sounds(
    archive: RunArchive,
    clips: Sequence[Clip],
    systems: Sequence[str],
    one: _Needed,
    cache: EmbeddingCache,
    device: str,
) -> _OfClips:
    sounds = [
        (system, clip.id, path)
        for system in dict.fromkeys((*systems, REFERENCE))
        for clip in clips
        if (path := archive.audio_wav(system, clip)).is_file()
    ]
    found: _OfClips = {}
    with progress(f"embed {one.name}", len(sounds)) as advance:
        for start in range(0, len(sounds), _SOUNDS_A_STEP):
            step = sounds[start : start + _SOUNDS_A_STEP]
            made = embed_clips([path for _, _, path in step], one.name, one.weights, cache=cache, device=device)
            found |= zip([(system, clip) for system, clip, _ in step], made, strict=True)
            advance(len(step))
    return found


def _embed_videos(clips: Sequence[Clip], one: _Needed, cache: EmbeddingCache, device: str) -> _OfClips:
    """Embed the picture of each clip; keyed under the empty system, as it belongs to all of them."""
    card = embedder(one.name, "video")
    network = None
    found: _OfClips = {}
    with progress(f"embed {one.name}", len(clips)) as advance:
        for clip in clips:
            parts = key_parts(picture_content(clip).encode(), card, one.weights, device)
            path = cache.find(key_of(parts))
            reason = None
            if path is None:
                network = network or load_embedder(one.name, one.weights, device, "video")
                try:
                    frames = _frames(clip, float(network.frame_rate))
                    path = cache.put(parts, network.embed(frames)[card.output])
                except (NotComputableError, ClapstickError) as error:
                    reason = str(error)
            found["", clip.id] = ClipEmbedding(path, reason)
            advance(1)
    return found


def _frames(clip: Clip, frame_rate: float) -> NDArray[np.uint8]:
    """Read a clip's frames with the short side at 256, resized by Pillow as video embedders take them."""
    from clapstick.metrics.embedders.i3d import resize_frames

    times_s = clip.start_s + np.arange(round(clip.duration_s * frame_rate)) / frame_rate
    height, width = shown_size(clip.video)
    frames = frames_at(clip.video, times_s, height=height, width=width)
    return np.concatenate([resize_frames(frame[None]) for frame in frames])


def _embed_texts(clips: Sequence[Clip], one: _Needed, cache: EmbeddingCache, device: str) -> _OfClips:
    card = embedder(one.name, "text")
    network = None
    found: _OfClips = {}
    for clip in clips:
        if clip.prompt.text is None:
            continue
        parts = key_parts(clip.prompt.text.encode(), card, one.weights, device)
        path = cache.find(key_of(parts))
        if path is None:
            network = network or load_embedder(one.name, one.weights, device, "text")
            path = cache.put(parts, network.embed([clip.prompt.text])[0][card.output])
        found["", clip.id] = ClipEmbedding(path)
    return found


def _embed_pairs(
    clips: Sequence[Clip],
    systems: Sequence[str],
    one: _Needed,
    found: _Found,
    cache: EmbeddingCache,
    device: str,
) -> _OfClips:
    """Run a network over what an audio and a video embedder made of each clip."""
    card = embedder(one.name, "pair")
    if card.takes is None:
        raise NotComputableError(f"the card of {one.name} does not say which embeddings it takes")
    sounds, pictures = found.get(("audio", card.takes[0]), {}), found.get(("video", card.takes[1]), {})
    network: PairEmbedder | None = None
    made: _OfClips = {}
    for system, clip in ((system, clip) for system in systems for clip in clips):
        sound, picture = sounds.get((system, clip.id)), pictures.get(("", clip.id))
        if sound is None or picture is None:
            continue
        if sound.path is None or picture.path is None:
            made[system, clip.id] = ClipEmbedding(None, sound.reason or picture.reason)
            continue
        parts = key_parts(f"{sound.path.stem} {picture.path.stem}".encode(), card, one.weights, device)
        path = cache.find(key_of(parts))
        reason = None
        if path is None:
            network = network or load_embedder(one.name, one.weights, device, "pair")
            try:
                path = cache.put(parts, network.embed(sound.read(), picture.read())[card.output])
            except NotComputableError as error:
                reason = str(error)
        made[system, clip.id] = ClipEmbedding(path, reason)
    return made


def _files_of(found: _Found, system: str, clip: str) -> EmbeddingFiles:
    reasons: dict[str, str] = {}

    def of(kind: Kind, key: tuple[str, str]) -> dict[str, Path]:
        files = {}
        for (known, name), made in found.items():
            if known == kind and key in made:
                one = made[key]
                if one.path is not None:
                    files[name] = one.path
                elif one.reason is not None:
                    reasons.setdefault(name, one.reason)
        return files

    return EmbeddingFiles(
        generated=of("audio", (system, clip)),
        reference=of("audio", (REFERENCE, clip)),
        video=of("video", ("", clip)),
        text=of("text", ("", clip)),
        pair=of("pair", (system, clip)),
        reasons=reasons,
    )
