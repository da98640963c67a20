"""Generation: every system makes sound for every clip, each clip is archived as soon as it is there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clapstick.harness.progress import progress
from clapstick.harness.provenance import file_sha256, folder_key, seed_for, text_sha256
from clapstick.harness.settings import RunSettings
from clapstick.harness.workers import run_tasks
from clapstick.protocols.archive import ErrorRecord, NativeRecord, RunArchive, atomic, write_text
from clapstick.protocols.audio import Audio, require_finite, write_wav
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.media import read_audio
from clapstick.protocols.problems import Problem, fail
from clapstick.systems.base import Context, NativeOutput, Request, System
from clapstick.systems.card import FoundSystem, ParameterValue, SystemCard
from clapstick.systems.registry import build_system


@dataclass(frozen=True)
class ResolvedSystem:
    """A system as one run uses it: card, the user's parameters, verified weights."""

    found: FoundSystem
    parameters: Mapping[str, ParameterValue]
    weights: Mapping[str, Path]
    weight_hashes: Mapping[str, str]

    @property
    def card(self) -> SystemCard:
        """The system's card."""
        return self.found.card

    def fingerprint(self, clip: Clip, seed: int) -> str:
        """Return what decides the output for one clip; where it has changed, the output is made again."""
        return text_sha256(
            self.card.model_dump_json(),
            folder_key(self.found.folder),
            repr(sorted(self.parameters.items())),
            repr(sorted(self.weight_hashes.items())),
            clip.model_dump_json(exclude={"seen_by"}),
            str(seed),
        )


@dataclass(frozen=True)
class GenerationTask:
    """One system and one clip."""

    system: str
    clip: Clip
    seed: int
    fingerprint: str


def generation_tasks(
    settings: RunSettings, system: ResolvedSystem, clips: Sequence[Clip], archive: RunArchive
) -> tuple[list[GenerationTask], list[ErrorRecord]]:
    """Return what is still to be generated, and the clips that the system cannot do for a known reason."""
    tasks: list[GenerationTask] = []
    skipped: list[ErrorRecord] = []
    for clip in clips:
        name = system.card.name
        if system.card.needs_reference and clip.reference is None:
            skipped.append(
                _skip(
                    name,
                    clip,
                    f"{name} needs reference sound",
                    clip.reference_missing or "no reference",
                    "Its scores are given over the clips that have one.",
                )
            )
            continue
        if prompt_for(system.card, clip.prompt) is None:
            remedy = (
                "Its scores are given over the clips that have a prompt."
                if clip.warnings
                else f"Use a protocol whose [prompt] gives {' or '.join(system.card.prompts)}."
            )
            why = "; ".join(clip.warnings) or "no prompt"
            skipped.append(_skip(name, clip, f"{name} needs a prompt", why, remedy))
            continue
        seed = seed_for(settings.seed, name, clip.id)
        task = GenerationTask(name, clip, seed, system.fingerprint(clip, seed))
        record = archive.read_native(name, clip)
        if (
            record is None
            or record.fingerprint != task.fingerprint
            or not archive.native_wav(name, clip).is_file()
        ):
            tasks.append(task)
    return tasks, skipped


def _skip(system: str, clip: Clip, what: str, found: str, remedy: str) -> ErrorRecord:
    problem = Problem(what=what, where=clip.id, found=found, remedy=remedy)
    return ErrorRecord(system=system, clip=clip.id, stage="generate", problem=problem, skipped=True)


def generate_in_process(
    settings: RunSettings,
    systems: Sequence[ResolvedSystem],
    clips: Sequence[Clip],
    tasks: Sequence[GenerationTask],
) -> list[ErrorRecord]:
    """Run in-process systems over their tasks in worker processes; return what failed."""
    errors: list[ErrorRecord] = []
    order = sorted(tasks, key=lambda task: task.system)
    with progress("generate", len(order)) as advance:
        for task, outcome in run_tasks(
            _generate_one,
            order,
            name_of=lambda task: task.clip.id,
            workers=settings.workers,
            initializer=_start_worker,
            initargs=(settings, tuple(systems), tuple(clips)),
        ):
            advance(1)
            if isinstance(outcome, Problem):
                problem = outcome.model_copy(update={"where": f"{task.clip.id} ({outcome.where})"})
                errors.append(
                    ErrorRecord(system=task.system, clip=task.clip.id, stage="generate", problem=problem)
                )
    return errors


def archive_native(
    archive: RunArchive,
    task: GenerationTask,
    output: NativeOutput,
    seconds: float,
    peak_memory_bytes: int | None = None,
) -> NativeRecord:
    """Write one native output: sound and predictions first, then the record that makes them count."""
    audio = require_finite(output.audio, f"{task.system}, {task.clip.id}")
    path = archive.native_wav(task.system, task.clip)
    with atomic(path) as temporary:
        write_wav(temporary, audio)
    predictions_path = path.with_suffix(".safetensors")
    if output.predictions:
        from safetensors.numpy import save_file

        with atomic(predictions_path) as temporary:
            save_file(
                {name: np.asarray(array, order="C") for name, array in output.predictions.items()}, temporary
            )
    else:
        predictions_path.unlink(missing_ok=True)
    record = NativeRecord(
        system=task.system,
        clip=task.clip.id,
        seed=task.seed,
        seconds=round(seconds, 4),
        samples=audio.samples.shape[0],
        sample_rate=audio.sample_rate,
        channels=audio.samples.shape[1],
        sha256=file_sha256(path),
        warnings=output.warnings,
        fingerprint=task.fingerprint,
        peak_memory_bytes=peak_memory_bytes,
    )
    write_text(path.with_suffix(".json"), record.model_dump_json(indent=1))
    return record


def load_reference(clip: Clip) -> Audio:
    """Decode the reference sound of a clip; raise `ClapstickError` with the reason where it has none."""
    if clip.reference is None:
        raise fail(
            "no reference sound",
            clip.id,
            found=clip.reference_missing or "none",
            remedy="What needs a reference is not computed for this clip.",
        )
    return read_audio(clip.reference, clip.reference_start_s, clip.duration_s)


def as_seen_by(card: SystemCard, clip: Clip) -> Clip:
    """Return the clip with the one prompt the system takes, and without what a fair system must not know."""
    prompted = clip.model_copy(update={"prompt": prompt_for(card, clip.prompt) or Prompt()})
    if card.sees_reference:
        return prompted
    return prompted.model_copy(
        update={
            "reference": None,
            "onsets": None,
            "material": None,
            "action": None,
            "reference_missing": "not handed to this system",
        }
    )


def prompt_for(card: SystemCard, prompt: Prompt) -> Prompt | None:
    """Return the first kind of prompt that the system takes and the clip has; None where there is none."""
    for kind in card.prompts:
        if kind == "none":
            return Prompt()
        if kind == "text" and prompt.text is not None:
            return Prompt(kind="text", policy=prompt.policy, text=prompt.text)
        if kind == "audio" and prompt.path is not None:
            return prompt.model_copy(update={"kind": "audio", "text": None, "video": None})
        if kind == "audio-visual" and prompt.path is not None and prompt.video is not None:
            return prompt.model_copy(update={"kind": "audio-visual", "text": None})
    return None


@dataclass
class _Worker:
    """What one worker process keeps between tasks."""

    settings: RunSettings
    systems: dict[str, ResolvedSystem]
    clips: tuple[Clip, ...]
    built: dict[str, System]


_worker: _Worker | None = None


def _start_worker(settings: RunSettings, systems: tuple[ResolvedSystem, ...], clips: tuple[Clip, ...]) -> None:
    global _worker
    _worker = _Worker(settings, {system.card.name: system for system in systems}, clips, {})


def _generate_one(task: GenerationTask) -> NativeRecord:
    if _worker is None:
        raise RuntimeError("worker was not started")
    system = _worker.systems[task.system]
    if task.system not in _worker.built:
        _worker.built.clear()  # tasks come sorted by system: one at a time is enough memory
        _worker.built[task.system] = build(system, _worker.clips, _worker.settings.device)
    request = make_request(system.card, task.clip)
    started = time.perf_counter()
    output = _worker.built[task.system].generate(request, np.random.default_rng(task.seed))
    seconds = time.perf_counter() - started
    check_output(system.card, task.clip, output)
    return archive_native(RunArchive(_worker.settings.out), task, output, seconds)


def build(system: ResolvedSystem, clips: Sequence[Clip], device: str) -> System:
    """Build an in-process system for a run over these clips."""
    visible = tuple(as_seen_by(system.card, clip) for clip in clips)
    context = Context(visible, load_reference, system.parameters, system.weights, device)
    return build_system(system.found, context)


def make_request(card: SystemCard, clip: Clip) -> Request:
    """Gather what one system is given for one clip."""
    reference = load_reference(clip) if card.sees_reference and clip.reference is not None else None
    seen = as_seen_by(card, clip)
    prompt = seen.prompt
    prompt_audio = read_audio(prompt.path, prompt.start_s, prompt.duration_s) if prompt.path else None
    return Request(seen, reference, prompt_audio)


def check_output(card: SystemCard, clip: Clip, output: NativeOutput) -> None:
    """Raise `ClapstickError` where a system broke its own contract."""
    if not isinstance(output, NativeOutput):
        raise fail(
            "system returned something else than a NativeOutput",
            f"{card.name}, {clip.id}",
            found=type(output).__name__,
            remedy="Return NativeOutput(Audio(samples, rate)).",
        )
    if card.sample_rate is not None and output.audio.sample_rate != card.sample_rate:
        raise fail(
            "system emitted another rate than its card states",
            f"{card.name}, {clip.id}",
            found=f"{output.audio.sample_rate} Hz",
            expected=f"{card.sample_rate} Hz",
            remedy="Correct the system or its card.",
        )
    if card.channels is not None and output.audio.samples.shape[1] != card.channels:
        raise fail(
            "system emitted another number of channels than its card states",
            f"{card.name}, {clip.id}",
            found=output.audio.samples.shape[1],
            expected=card.channels,
            remedy="Correct the system or its card.",
        )
    if output.audio.samples.shape[0] == 0:
        raise fail(
            "system emitted no sample",
            f"{card.name}, {clip.id}",
            found="0 samples",
            expected=f"about {clip.duration_s} s",
            remedy="Correct the system.",
        )
