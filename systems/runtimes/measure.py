"""Runs a metric adapter: an official network in its own environment, over sounds and their pictures.

::

    failed = measure_out_of_process(
        found,                       # card and folder of the adapter
        pairs,                       # `Pair`: a sound and the clip whose picture it goes with
        job_dir,                     # folder of this adapter in the run; only ``log.txt`` stays in it
        dimension=21, rows=2,        # the shape that its card promises
        parameters=parameters,
        on_result=keep,              # called with (pair, rows) as each one comes
        options=options,             # from the user's systems file
    )                                # -> list[FailedPair]

Everything about starts, limits and falls is that of systems (`job`). Sounds of one clip come one after another
and name the same video file, so that a runner can keep what it made of the picture.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.clips import Clip
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.systems.card import FoundProgram, ParameterValue
from clapstick.systems.runner_protocol import Done, Failed, JobClip, JobPrompt, Measured
from clapstick.systems.runtimes.collect import as_problem, remove
from clapstick.systems.runtimes.job import STARTS, JobRun
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.staging import write_silent_video

Rows = NDArray[np.float32]
Staged = dict[str, tuple["Pair", JobClip]]
"""Item id -> pair and item."""


@dataclass(frozen=True)
class Pair:
    """One sound and the clip whose picture it goes with."""

    system: str
    clip: Clip
    sound: Path
    """wav file of the clip's length."""


@dataclass(frozen=True)
class FailedPair:
    """A pair that the adapter has no numbers for, or, where `pair` is None, what it did besides."""

    pair: Pair | None
    problem: Problem


def measure_out_of_process(
    found: FoundProgram,
    pairs: Sequence[Pair],
    job_dir: Path,
    *,
    dimension: int,
    rows: int | None,
    parameters: Mapping[str, ParameterValue],
    on_result: Callable[[Pair, Rows], None],
    options: RuntimeOptions,
) -> list[FailedPair]:
    """Run an adapter over pairs; see the module's description.

    Raises
    ------
    ClapstickError
        If it cannot be started at all for want of a Python, an engine or an image.
    """
    runtime = options.runtime or found.card.runtime
    if runtime not in STARTS:
        raise fail(
            "metric adapters run outside this process",
            found.card.name,
            found=runtime,
            expected=", ".join(STARTS),
            remedy="Change its runtime.",
        )
    remove(job_dir)
    job = job_dir / "job"
    staged, unreadable = stage_pairs(pairs, job)
    run = MeasureRun(found, options, runtime, job_dir, dict(parameters), staged, (rows, dimension), on_result)
    run.failed.extend(unreadable)
    try:
        run.until_all_are_answered()
    finally:
        remove(job)
    return run.failed


def stage_pairs(pairs: Iterable[Pair], job_dir: Path) -> tuple[Staged, list[FailedPair]]:
    """Put the picture of each clip and every sound into ``job_dir/inputs``.

    The picture is a silent copy at its own frame rate, cut to the clip and not visibly changed.

    Returns
    -------
    staged : dict
        Item id -> pair and item, the sounds of one clip one after another.
    failed : list of FailedPair
        Pairs whose video cannot be read.
    """
    inputs = job_dir / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    of_clip: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_clip.setdefault(pair.clip.id, []).append(pair)
    staged: Staged = {}
    failed: list[FailedPair] = []
    for number, together in enumerate(of_clip.values()):
        video = f"inputs/c{number:06d}.mp4"
        try:
            fps = _write_picture(together[0].clip, job_dir / video)
        except ClapstickError as error:
            failed += [FailedPair(pair, error.problems[0]) for pair in together]
            continue
        for index, pair in enumerate(together):
            name = f"c{number:06d}s{index}"
            _link(pair.sound, inputs / f"{name}.wav")
            staged[name] = (
                pair,
                JobClip(
                    id=name,
                    video=video,
                    sound=f"inputs/{name}.wav",
                    duration_s=pair.clip.duration_s,
                    fps=fps,
                    prompt=JobPrompt(),
                    seed=0,
                ),
            )
    return staged, failed


class MeasureRun(JobRun):
    """An adapter's job: its items are pairs."""

    called = "metric adapter"

    def __init__(
        self,
        found: FoundProgram,
        options: RuntimeOptions,
        runtime: str,
        job_dir: Path,
        parameters: dict[str, ParameterValue],
        staged: Staged,
        shape: tuple[int | None, int],
        on_result: Callable[[Pair, Rows], None],
    ) -> None:
        items = [item for _, item in staged.values()]
        super().__init__(found, options, runtime, job_dir, parameters, items)
        self.pair_of = {name: pair for name, (pair, _) in staged.items()}
        self.shape, self.on_result = shape, on_result
        self.failed: list[FailedPair] = []

    def take(self, line: Done | Measured | Failed, output: Path) -> None:
        """Check the rows of one pair and hand them over."""
        pair = self.pair_of[line.clip]
        if isinstance(line, Failed):
            self.open.pop(line.clip)
            problem = as_problem(pair.clip.id, line.error, line.traceback, self.called)
            self.failed.append(FailedPair(pair, problem))
        elif isinstance(line, Done):
            self.fail_item(line.clip, "metric adapter answered with sound in place of numbers", line.kind)
        elif wrong := _wrong_shape(line.rows, *self.shape):
            self.fail_item(line.clip, "metric adapter's rows have another shape than its card states", wrong)
        else:
            self.open.pop(line.clip)
            self.on_result(pair, np.asarray(line.rows, dtype=np.float32))

    def fail_item(self, item: str, what: str, found: str) -> None:
        """Give up one pair."""
        self.open.pop(item)
        self._fail(self.pair_of[item], what, found)

    def complain(self, what: str, found: str) -> None:
        """Note what the adapter did besides."""
        self._fail(None, what, found)

    def _fail(self, pair: Pair | None, what: str, found: str) -> None:
        where = self.found.card.name if pair is None else pair.clip.id
        problem = Problem(what=what, where=where, found=found, remedy=f"See {self.log}.")
        self.failed.append(FailedPair(pair, problem))


def _write_picture(clip: Clip, target: Path) -> float:
    fps = probe(clip.video).fps or 25.0
    times = clip.start_s + np.arange(max(1, round(clip.duration_s * fps))) / fps
    write_silent_video(clip.video, times, fps, target)
    return fps


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the two folders lie on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _wrong_shape(found: list[list[float]], rows: int | None, dimension: int) -> str | None:
    """Return what is wrong with the shape; None where it is as promised."""
    lengths = sorted({len(row) for row in found})
    if lengths == [dimension] and rows in (None, len(found)):
        return None
    expected = f"{rows or 'some'} rows of {dimension}"
    return f"{len(found)} rows of {' or '.join(map(str, lengths)) or 'nothing'}, expected {expected}"
