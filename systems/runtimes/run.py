"""Runs a system outside this process over clips. The harness calls `run_out_of_process` and nothing else here.

::

    failed = run_out_of_process(
        found,                       # FoundSystem whose card's runtime is docker, apptainer, env or files
        clips,                       # the clips that are still missing: a restart asks only for these
        job_dir,                     # folder of this system in the run; only ``log.txt`` stays in it
        parameters=parameters,       # the card's parameters with the user's changes
        seed_of=lambda clip: ...,    # 0 or more; reduced modulo 2**31
        on_result=archive,           # called with a `Generated` as soon as a clip is whole
        options=read_options(name),  # from the user's systems file
    )                                # -> list[FailedClip]

An exception of `on_result` ends the system and comes through. A system that hangs, crashes or breaks a limit
costs the clip that it was busy with; it is started again for the clips behind that one. A clip with several
windows is handed over when all are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.systems.base import NativeOutput
from clapstick.systems.card import FoundSystem, ParameterValue, SystemCard
from clapstick.systems.lengths import join_windows, native_samples
from clapstick.systems.runner_protocol import Done, Failed, JobClip, Measured
from clapstick.systems.runtimes.collect import as_problem, read_output, remove
from clapstick.systems.runtimes.files import read_folder, sounds_folder
from clapstick.systems.runtimes.job import STARTS, JobRun
from clapstick.systems.runtimes.options import RuntimeOptions, read_options
from clapstick.systems.runtimes.results import FailedClip, Generated
from clapstick.systems.runtimes.staging import StagedClip, stage_clips


def run_out_of_process(
    found: FoundSystem,
    clips: Sequence[Clip],
    job_dir: Path,
    *,
    parameters: Mapping[str, ParameterValue],
    seed_of: Callable[[Clip], int],
    on_result: Callable[[Generated], None],
    options: RuntimeOptions | None = None,
) -> list[FailedClip]:
    """Run a system over clips; see the module's description.

    Raises
    ------
    ClapstickError
        If the system cannot be started at all for want of a Python, an engine, an image or a folder.
    """
    card = found.card
    options = options or read_options(card.name)
    runtime = options.runtime or card.runtime
    if runtime == "files":
        return read_folder(card, sounds_folder(found, options), clips, on_result)
    if runtime not in STARTS:
        raise fail(
            "system does not run outside this process",
            card.name,
            found=runtime,
            expected="docker, apptainer, env or files",
            remedy="Change its runtime.",
        )
    remove(job_dir)
    job = job_dir / "job"
    staged, unreadable = stage_clips(card, clips, job, seed_of)
    run = SystemRun(found, options, runtime, job_dir, dict(parameters), staged, on_result)
    run.failed.extend(FailedClip(clip, problem) for clip, problem in unreadable)
    try:
        run.until_all_are_answered()
    finally:
        remove(job)
    return run.failed


class SystemRun(JobRun):
    """A system's job: its items are the passes over windows of clips."""

    def __init__(
        self,
        found: FoundSystem,
        options: RuntimeOptions,
        runtime: str,
        job_dir: Path,
        parameters: dict[str, ParameterValue],
        staged: Sequence[StagedClip],
        on_result: Callable[[Generated], None],
    ) -> None:
        items = [one for stage in staged for one in stage.passes]
        super().__init__(found, options, runtime, job_dir, parameters, items, found.card.sample_rate)
        self.card, self.on_result = found.card, on_result
        self.clip_of = {one.id: stage for stage in staged for one in stage.passes}
        self.done: dict[str, tuple[Done, Audio, tuple[str, ...]]] = {}
        self.failed: list[FailedClip] = []

    def take(self, line: Done | Measured | Failed, output: Path) -> None:
        """Read the sound of one pass; hand the clip over when all of its passes are there."""
        one = self.open.pop(line.clip)
        stage = self.clip_of[line.clip]
        if isinstance(line, Failed):
            problem = as_problem(stage.clip.id, line.error, line.traceback)
            self._drop(stage)
            self.failed.append(FailedClip(stage.clip, problem))
            return
        if isinstance(line, Measured):
            self._fail_clip(stage, "system answered with numbers in place of sound", line.kind)
            return
        path = output / f"{line.clip}.wav"
        try:
            audio, warnings = read_output(path, line, one.duration_s)
            warnings += _against_card(self.card, one, audio)
        except ClapstickError as error:
            problem = error.problems[0]
            self._fail_clip(stage, problem.what, str(problem))
            return
        finally:
            remove(path)
        self.done[line.clip] = (line, audio, line.warnings + warnings)
        if all(one.id in self.done for one in stage.passes):
            self._hand_over(stage)

    def fail_item(self, item: str, what: str, found: str) -> None:
        """Give up the clip of one pass."""
        self._fail_clip(self.clip_of[item], what, found)

    def complain(self, what: str, found: str) -> None:
        """Note what the system did besides."""
        self._fail(None, what, found)

    def _hand_over(self, stage: StagedClip) -> None:
        passes = [self.done.pop(one.id) for one in stage.passes]
        rates = {(audio.sample_rate, audio.samples.shape[1]) for _, audio, _ in passes}
        if len(rates) > 1:
            self._fail_clip(stage, "windows of one clip differ in rate or channels", str(sorted(rates)))
            return
        joined, padded = join_windows(stage.windows, [audio.samples for _, audio, _ in passes])
        warnings = [warning for _, _, some in passes for warning in some]
        if padded:
            warnings.append(f"{padded} samples of silence stand for sound that windows did not cover")
        memory = [line.peak_memory_bytes for line, _, _ in passes if line.peak_memory_bytes is not None]
        predictions = {
            name if len(passes) == 1 else f"{name}_window{index}": np.asarray(values, dtype=np.float32)
            for index, (line, _, _) in enumerate(passes)
            for name, values in line.predictions.items()
        }
        output = NativeOutput(
            Audio(joined, passes[0][1].sample_rate), tuple(dict.fromkeys(warnings)), predictions
        )
        self.on_result(
            Generated(
                clip=stage.clip,
                output=output,
                seconds=sum(line.seconds for line, _, _ in passes),
                peak_memory_bytes=max(memory, default=None),
                native_samples=tuple(audio.samples.shape[0] for _, audio, _ in passes),
            )
        )

    def _fail_clip(self, stage: StagedClip, what: str, found: str) -> None:
        self._drop(stage)
        self._fail(stage.clip, what, found)

    def _drop(self, stage: StagedClip) -> None:
        for one in stage.passes:
            self.open.pop(one.id, None)
            self.done.pop(one.id, None)

    def _fail(self, clip: Clip | None, what: str, found: str) -> None:
        where = self.found.card.name if clip is None else clip.id
        remedy = f"See {self.log}."
        self.failed.append(FailedClip(clip, Problem(what=what, where=where, found=found, remedy=remedy)))


def _against_card(card: SystemCard, one: JobClip, audio: Audio) -> tuple[str, ...]:
    if card.sample_rate is not None and audio.sample_rate != card.sample_rate:
        raise fail(
            "system emitted another rate than its card states",
            one.id,
            found=f"{audio.sample_rate} Hz",
            expected=f"{card.sample_rate} Hz",
            remedy="Correct the runner or the card.",
        )
    if card.length is None:
        return ()
    expected = native_samples(card.length, audio.sample_rate, one.duration_s)
    if audio.samples.shape[0] == expected:
        return ()
    return (f"emitted {audio.samples.shape[0]} native samples, the card states {expected}",)
