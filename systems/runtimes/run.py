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

from clapstick.protocols.archive import write_text
from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.systems.base import NativeOutput
from clapstick.systems.card import ParameterValue, SystemCard
from clapstick.systems.lengths import join_windows, native_samples
from clapstick.systems.registry import FoundSystem
from clapstick.systems.runner_protocol import JOB_NAME, Done, Failed, Job, JobClip
from clapstick.systems.runtimes import apptainer, docker, env
from clapstick.systems.runtimes.collect import as_problem, read_output, remove
from clapstick.systems.runtimes.files import read_folder, sounds_folder
from clapstick.systems.runtimes.log import last_lines
from clapstick.systems.runtimes.options import RuntimeOptions, read_options
from clapstick.systems.runtimes.place import Inside, Place
from clapstick.systems.runtimes.results import FailedClip, Generated
from clapstick.systems.runtimes.staging import StagedClip, stage_clips
from clapstick.systems.runtimes.supervise import Ending, Process, supervise

_MOST_FALLS_IN_A_ROW = 5

_STARTS: dict[str, tuple[Callable[[Place], Process], Callable[[Place], Inside]]] = {
    "env": (env.start, env.inside),
    "docker": (docker.start, docker.inside),
    "apptainer": (apptainer.start, apptainer.inside),
}


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
    if runtime not in _STARTS:
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


class SystemRun:
    """A system's job: which passes are open, what came of the others."""

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
        self.found, self.options, self.runtime = found, options, runtime
        self.job_dir, self.parameters, self.on_result = job_dir, parameters, on_result
        self.clip_of = {one.id: stage for stage in staged for one in stage.passes}
        self.open: dict[str, JobClip] = {one.id: one for stage in staged for one in stage.passes}
        self.done: dict[str, tuple[Done, Audio, tuple[str, ...]]] = {}
        self.failed: list[FailedClip] = []

    def until_all_are_answered(self) -> None:
        falls = start_number = 0
        while self.open:
            before = len(self.open)
            ending = self._start_once(start_number)
            start_number += 1
            for complaint in ending.complaints:
                self._fail(None, "system answered what it was not asked", complaint)
            if not self.open:
                return
            falls = 0 if len(self.open) < before else falls + 1
            if not ending.was_ready:
                self._fail_open("system did not start", ending)
            elif ending.cause == "ended" and ending.exit_code == 0:
                self._fail_open("system ended without an answer for the clip", ending)
            elif falls >= _MOST_FALLS_IN_A_ROW:
                self._fail_open(f"given up after {falls} falls in a row", ending)
            else:
                blamed = self.clip_of[next(iter(self.open))]
                self._fail_clip(blamed, "system fell on the clip", self._describe(ending))

    def _start_once(self, number: int) -> Ending:
        output = self.job_dir / f"output{number}"
        output.mkdir(parents=True)
        place = Place(self.found, self.options, self.job_dir / "job", output, self.job_dir / "log.txt")
        start, look_inside = _STARTS[self.runtime]
        seen = look_inside(place)
        job = Job(
            system=self.found.card.name,
            sample_rate=self.found.card.sample_rate,
            device="cuda" if self.options.gpus else "cpu",
            parameters=self.parameters,
            repository=seen.repository,
            weights=seen.weights,
            clips=tuple(self.open.values()),
        )
        write_text(place.job / JOB_NAME, job.model_dump_json(indent=1))
        try:
            process = start(place)
            return supervise(
                process, output, list(self.open), self.options, lambda line: self._take(line, output)
            )
        finally:
            remove(output)

    def _take(self, line: Done | Failed, output: Path) -> None:
        one = self.open.pop(line.clip)
        stage = self.clip_of[line.clip]
        if isinstance(line, Failed):
            problem = as_problem(stage.clip.id, line.error, line.traceback)
            self._drop(stage)
            self.failed.append(FailedClip(stage.clip, problem))
            return
        path = output / f"{line.clip}.wav"
        try:
            audio, warnings = read_output(path, line, one.duration_s)
            warnings += _against_card(self.found.card, one, audio)
        except ClapstickError as error:
            problem = error.problems[0]
            self._fail_clip(stage, problem.what, str(problem))
            return
        finally:
            remove(path)
        self.done[line.clip] = (line, audio, line.warnings + warnings)
        if all(one.id in self.done for one in stage.passes):
            self._hand_over(stage)

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

    def _fail_open(self, what: str, ending: Ending) -> None:
        found = self._describe(ending)
        while self.open:
            self._fail_clip(self.clip_of[next(iter(self.open))], what, found)

    def _fail_clip(self, stage: StagedClip, what: str, found: str) -> None:
        self._drop(stage)
        self._fail(stage.clip, what, found)

    def _drop(self, stage: StagedClip) -> None:
        for one in stage.passes:
            self.open.pop(one.id, None)
            self.done.pop(one.id, None)

    def _fail(self, clip: Clip | None, what: str, found: str) -> None:
        where = self.found.card.name if clip is None else clip.id
        remedy = f"See {self.job_dir / 'log.txt'}."
        self.failed.append(FailedClip(clip, Problem(what=what, where=where, found=found, remedy=remedy)))

    def _describe(self, ending: Ending) -> str:
        how = {
            "ended": f"exit code {ending.exit_code}",
            "start timeout": f"models were not loaded within {ending.detail}",
            "clip timeout": f"no answer within {ending.detail}",
            "output limit": f"its output folder held {ending.detail}",
            "memory limit": ending.detail,
            "protocol": ending.detail,
        }[ending.cause]
        said = last_lines(self.job_dir / "log.txt")
        return f"{how}; its log ends: {said}" if said else how


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
