"""Per-clip statistics: computed once for each sound and convention, kept, and found again by content."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.harness.progress import progress
from clapstick.harness.provenance import file_sha256, library_versions, text_sha256
from clapstick.harness.settings import REFERENCE
from clapstick.harness.workers import run_tasks
from clapstick.metrics import base
from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import ErrorRecord, RunArchive, atomic
from clapstick.protocols.audio import read_wav
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import Problem


@dataclass(frozen=True)
class ScoreRequest:
    """One column of the leaderboard: a metric under a convention."""

    metric: str
    convention: str

    @property
    def label(self) -> str:
        """``metric@convention``, its file name in the archive."""
        return f"{self.metric}@{self.convention}"

    def resolve(self) -> tuple[Metric, Convention]:
        """Return the metric and the convention."""
        metric = metrics()[self.metric]
        return metric, metric.convention(self.convention)


@dataclass(frozen=True)
class EmbeddingFiles:
    """Where the embeddings of one clip lie: embedder name -> safetensors file with an array ``embedding``."""

    generated: Mapping[str, Path] = field(default_factory=dict)
    reference: Mapping[str, Path] = field(default_factory=dict)
    video: Mapping[str, Path] = field(default_factory=dict)
    text: Mapping[str, Path] = field(default_factory=dict)
    pair: Mapping[str, Path] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Embedder name -> why this clip lacks its output."""

    def key(self) -> str:
        """Return what identifies these embeddings: their files are named by content."""
        groups = (self.generated, self.reference, self.video, self.text, self.pair)
        files = [sorted((name, path.name) for name, path in group.items()) for group in groups]
        return repr((files, sorted(self.reasons.items())))


@dataclass(frozen=True)
class StatisticsTask:
    """One sound and the conventions that still lack its statistics."""

    root: Path
    system: str
    clip: Clip
    requests: tuple[ScoreRequest, ...]
    embeddings: EmbeddingFiles


@dataclass(frozen=True)
class ClipResult:
    """The statistics of one clip under one convention, or why there are none."""

    key: str
    statistics: Statistics | None
    reason: str | None = None


Table = dict[str, ClipResult]
"""Clip id -> result, of one system under one convention."""


def compute_statistics(
    archive: RunArchive,
    clips: Sequence[Clip],
    systems: Sequence[str],
    requests: Sequence[ScoreRequest],
    embeddings: Mapping[tuple[str, str], EmbeddingFiles],
    workers: int,
) -> tuple[dict[tuple[str, ScoreRequest], Table], list[ErrorRecord]]:
    """Return the statistics of every sound under every convention, computing only what the archive lacks.

    Parameters
    ----------
    embeddings : mapping
        (system, clip id) -> embedding files; empty for conventions that need none.

    Returns
    -------
    tables : dict
        (system, request) -> table over the clips that have standardised sound.
    errors : list
        Clips on which computing failed; they have a reason in the tables.
    """
    tables = {
        (system, request): _read_table(archive, system, request, clips)
        for system in systems
        for request in requests
    }
    tasks: list[StatisticsTask] = []
    keys: dict[tuple[str, str, ScoreRequest], str] = {}
    for system in systems:
        for clip in clips:
            files = embeddings.get((system, clip.id), EmbeddingFiles())
            base = _input_key(archive, system, clip, files)
            if base is None:
                for request in requests:
                    tables[system, request].pop(clip.id, None)
                continue
            wanted = []
            for request in requests:
                key = text_sha256(base, request.label, repr(sorted(request.resolve()[1].parameters.items())))
                keys[system, clip.id, request] = key
                known = tables[system, request].get(clip.id)
                if known is None or known.key != key:
                    wanted.append(request)
            if wanted:
                tasks.append(StatisticsTask(archive.root, system, clip, tuple(wanted), files))
    errors = _run(archive, tasks, tables, keys, clips, workers)
    return tables, errors


def _run(
    archive: RunArchive,
    tasks: Sequence[StatisticsTask],
    tables: dict[tuple[str, ScoreRequest], Table],
    keys: Mapping[tuple[str, str, ScoreRequest], str],
    clips: Sequence[Clip],
    workers: int,
) -> list[ErrorRecord]:
    errors: list[ErrorRecord] = []
    left = dict.fromkeys(dict.fromkeys(task.system for task in tasks), 0)
    for task in tasks:
        left[task.system] += 1
    with progress("score", len(tasks)) as advance:
        for task, outcome in run_tasks(
            clip_statistics, tasks, name_of=lambda task: task.clip.id, workers=workers
        ):
            advance(1)
            if isinstance(outcome, Problem):
                errors.append(
                    ErrorRecord(system=task.system, clip=task.clip.id, stage="score", problem=outcome)
                )
            for request in task.requests:
                key = keys[task.system, task.clip.id, request]
                tables[task.system, request][task.clip.id] = _result(key, outcome, request)
            left[task.system] -= 1
            if left[task.system] == 0:
                for request in dict.fromkeys(r for t in tasks if t.system == task.system for r in t.requests):
                    _write_table(archive, task.system, request, tables[task.system, request], clips)
    return errors


def _result(
    key: str, outcome: Mapping[ScoreRequest, Statistics | str] | Problem, request: ScoreRequest
) -> ClipResult:
    if isinstance(outcome, Problem):
        return ClipResult("", None, f"scoring failed: {outcome.what}")  # no key: it is tried again
    found = outcome[request]
    return ClipResult(key, None, found) if isinstance(found, str) else ClipResult(key, found)


def clip_statistics(task: StatisticsTask) -> dict[ScoreRequest, Statistics | str]:
    """Compute the statistics of one sound under several conventions; a reason where one is not defined."""
    clip_input = load_input(RunArchive(task.root), task.system, task.clip, task.embeddings)
    results: dict[ScoreRequest, Statistics | str] = {}
    for request in task.requests:
        convention = request.resolve()[1]
        try:
            with warnings.catch_warnings():
                # librosa warns of every clip shorter than its window; the statistics show what follows.
                warnings.filterwarnings("ignore", category=UserWarning, module="librosa")
                found = convention.statistics(clip_input)
            results[request] = {name: np.asarray(array) for name, array in found.items()}
        except NotComputableError as error:
            results[request] = str(error)
    return results


def load_input(archive: RunArchive, system: str, clip: Clip, embeddings: EmbeddingFiles) -> ClipInput:
    """Gather what metrics see of one sound of a run."""
    sound = read_wav(archive.audio_wav(system, clip))
    reference_path = archive.audio_wav(REFERENCE, clip)
    reference = read_wav(reference_path).mono.astype(np.float64) if reference_path.is_file() else None
    predictions_path = archive.native_wav(system, clip).with_suffix(".safetensors")
    return ClipInput(
        clip=clip.id,
        generated=sound.mono.astype(np.float64),
        sample_rate=sound.sample_rate,
        reference=reference,
        reference_missing=clip.reference_missing or "the reference sound could not be read",
        onsets_s=None
        if clip.onsets is None
        else np.array([onset.time_s for onset in clip.onsets], dtype=np.float64),
        video=clip.video,
        video_start_s=clip.start_s,
        text=clip.prompt.text,
        predictions=_load_arrays(predictions_path) if predictions_path.is_file() else {},
        generated_embeddings=_load_embeddings(embeddings.generated),
        reference_embeddings=_load_embeddings(embeddings.reference),
        video_embeddings=_load_embeddings(embeddings.video),
        text_embeddings=_load_embeddings(embeddings.text),
        pair_embeddings=_load_embeddings(embeddings.pair),
        embedding_reasons=embeddings.reasons,
    )


def _load_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _load_embeddings(files: Mapping[str, Path]) -> dict[str, Array]:
    return {name: np.asarray(_load_arrays(path)["embedding"], dtype=np.float64) for name, path in files.items()}


def _input_key(archive: RunArchive, system: str, clip: Clip, embeddings: EmbeddingFiles) -> str | None:
    """Return what the statistics of one sound depend on; None where there is no standardised sound."""
    sound = archive.read_standard(system, clip)
    if sound is None:
        return None
    native = archive.read_native(system, clip)
    reference = archive.read_standard(REFERENCE, clip)
    return text_sha256(
        sound.sha256,
        sound.fingerprint,
        native.fingerprint if native else "",
        reference.sha256 if reference else "",
        clip.model_dump_json(),
        embeddings.key(),
        metrics_source_key(),
    )


@cache
def metrics_source_key() -> str:
    """Return what identifies the code that computes statistics: a changed metric never returns an old score."""
    folder = Path(base.__file__).parent
    files = sorted(path for path in folder.glob("*.py"))
    versions = {
        name: version for name, version in library_versions().items() if name in ("numpy", "scipy", "librosa")
    }
    return text_sha256(*(file_sha256(path) for path in files), repr(sorted(versions.items())))


def _table_path(archive: RunArchive, system: str, request: ScoreRequest) -> Path:
    return archive.root / "statistics" / system / f"{request.label}.safetensors"


def _read_table(archive: RunArchive, system: str, request: ScoreRequest, clips: Sequence[Clip]) -> Table:
    path = _table_path(archive, system, request)
    if not path.is_file():
        return {}
    from safetensors import safe_open

    by_stem = {clip.file_stem: clip.id for clip in clips}
    table: Table = {}
    with safe_open(path, framework="numpy") as file:
        arrays: dict[str, dict[str, NDArray[np.generic]]] = {}
        for full_name in file.keys():  # noqa: SIM118 - not a mapping
            stem, _, name = full_name.rpartition("/")
            arrays.setdefault(stem, {})[name] = file.get_tensor(full_name)
        for stem, (key, reason) in json.loads(file.metadata()["clips"]).items():
            if stem in by_stem:
                table[by_stem[stem]] = ClipResult(key, None if reason else arrays.get(stem, {}), reason)
    return table


def _write_table(
    archive: RunArchive, system: str, request: ScoreRequest, table: Table, clips: Sequence[Clip]
) -> None:
    from safetensors.numpy import save_file

    known = [(clip.file_stem, table[clip.id]) for clip in clips if clip.id in table]
    arrays = {
        f"{stem}/{name}": np.asarray(array, order="C")
        for stem, result in known
        if result.statistics is not None
        for name, array in result.statistics.items()
    }
    metadata = {"clips": json.dumps({stem: (result.key, result.reason) for stem, result in known})}
    with atomic(_table_path(archive, system, request)) as temporary:
        save_file(arrays, temporary, metadata)
