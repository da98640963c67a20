"""The standardisation stage: native output becomes standardised audio, with a record of what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clapstick.harness.progress import progress
from clapstick.harness.provenance import file_sha256, text_sha256
from clapstick.harness.standardise import standardise
from clapstick.harness.workers import run_tasks
from clapstick.protocols.archive import (
    ErrorRecord,
    NativeRecord,
    RunArchive,
    StandardRecord,
    atomic,
    write_text,
)
from clapstick.protocols.audio import read_wav, write_wav
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import Problem
from clapstick.protocols.protocol import AudioRules


@dataclass(frozen=True)
class StandardTask:
    """One native output and what is wanted of it."""

    root: Path
    system: str
    clip: Clip
    rules: AudioRules
    native: NativeRecord
    fingerprint: str


def standardise_run(
    archive: RunArchive, rules: AudioRules, systems: Sequence[str], clips: Sequence[Clip], workers: int
) -> list[ErrorRecord]:
    """Standardise whatever native output has no standardised audio yet; return what failed."""
    tasks = [
        task
        for system in systems
        for clip in clips
        if (task := _task(archive, rules, system, clip)) is not None
    ]
    errors: list[ErrorRecord] = []
    with progress("standardise", len(tasks)) as advance:
        for task, outcome in run_tasks(
            standardise_one, tasks, name_of=lambda task: task.clip.id, workers=workers
        ):
            advance(1)
            if isinstance(outcome, Problem):
                problem = outcome.model_copy(update={"where": f"{task.clip.id} ({outcome.where})"})
                errors.append(
                    ErrorRecord(system=task.system, clip=task.clip.id, stage="standardise", problem=problem)
                )
    return errors


def standardise_one(task: StandardTask) -> StandardRecord:
    """Standardise one native output: sound first, then the record that makes it count."""
    archive = RunArchive(task.root)
    native = read_wav(archive.native_wav(task.system, task.clip))
    done = standardise(native, task.rules, task.clip.duration_s)
    path = archive.audio_wav(task.system, task.clip)
    with atomic(path) as temporary:
        write_wav(temporary, done.audio)
    record = StandardRecord(
        system=task.system,
        clip=task.clip.id,
        native_sha256=task.native.sha256,
        sha256=file_sha256(path),
        resampled_from=done.resampled_from,
        mixed_from_channels=done.mixed_from_channels,
        padded_samples=done.padded_samples,
        cut_samples=done.cut_samples,
        gain_db=done.gain_db,
        clipped_samples=done.clipped_samples,
        fingerprint=task.fingerprint,
    )
    write_text(path.with_suffix(".json"), record.model_dump_json(indent=1))
    return record


def _task(archive: RunArchive, rules: AudioRules, system: str, clip: Clip) -> StandardTask | None:
    native = archive.read_native(system, clip)
    if native is None:
        return None
    fingerprint = text_sha256(native.sha256, rules.model_dump_json(), repr(clip.duration_s))
    done = archive.read_standard(system, clip)
    if done is not None and done.fingerprint == fingerprint and archive.audio_wav(system, clip).is_file():
        return None
    return StandardTask(archive.root, system, clip, rules, native, fingerprint)
