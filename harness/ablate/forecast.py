"""What a sweep will cost, before it is started: a few small points are timed and scaled to the whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clapstick.harness.ablate.execute import (
    PointTask,
    fitting,
    is_done,
    make_tasks,
    run_point,
    shortened,
    train_point,
)
from clapstick.harness.ablate.resolve import resolve
from clapstick.harness.ablate.sweep import Point, Sweep
from clapstick.harness.plan import list_clips
from clapstick.harness.settings import RunSettings
from clapstick.harness.workers import run_tasks
from clapstick.protocols.problems import ClapstickError, Problem

_EPOCHS = 2
_CLIPS = (1, 3)
"""Two runs: their difference is what clips cost, the rest is what every point costs to start."""


@dataclass(frozen=True)
class Forecast:
    """What a sweep will cost."""

    points: int
    done: int
    """Points whose results are there already."""
    hours: float
    disk_gb: float
    workers: int
    """Points side by side, as memory allows."""


@dataclass(frozen=True)
class Cost:
    """What one point costs."""

    seconds: float
    disk_bytes: float
    peak_bytes: int


def forecast(
    sweep: Sweep, points: Sequence[Point], data: Path, root: Path, workers: int, device: str = "cpu"
) -> Forecast:
    """Estimate points, hours and disk from timed probes, which are thrown away.

    The first and the last setting are probed, and one point of what no varied key reaches.

    Raises
    ------
    ClapstickError
        If a probe fails; names the point.
    """
    tasks = make_tasks(sweep, points, data, root, device)
    open_tasks = [task for task in tasks if not is_done(task) and _is_possible(task)]
    varied = [task for task in open_tasks if task.point.setting]
    constant = [task for task in open_tasks if not task.point.setting]
    seconds, disk, peak = 0.0, 0.0, 0
    probe_root = root.resolve() / "probe"
    for group in (varied, constant):
        probes = [group[0], group[-1]] if len(group) > 1 else group
        costs = [_probe(task, probe_root) for task in probes]
        for cost in costs:
            seconds += cost.seconds * len(group) / len(costs)
            disk += cost.disk_bytes * len(group) / len(costs)
            peak = max(peak, cost.peak_bytes)
    fit = min(workers, fitting(peak)) if open_tasks else workers
    done = sum(is_done(task) for task in tasks)
    return Forecast(len(tasks), done, round(seconds / fit / 3600, 3), round(disk / 1e9, 3), fit)


def _is_possible(task: PointTask) -> bool:
    try:
        resolve(task.sweep, task.point)
    except ClapstickError:
        return False
    return True


def _probe(task: PointTask, root: Path) -> Cost:
    """Measure one point in a process of its own, as it will be carried out."""
    shutil.rmtree(root, ignore_errors=True)
    try:
        small = shortened(task, root, epochs=_EPOCHS, clips=_CLIPS[0])
        ((_, outcome),) = run_tasks(_measure, [small], name_of=lambda one: one.name, workers=1)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if isinstance(outcome, Problem):
        raise ClapstickError(outcome)
    epochs = resolve(task.sweep, task.point).training.epochs
    clips = len(list_clips(RunSettings(resolve(task.sweep, task.point).protocol, task.data, (), root))[0])
    return outcome.of_whole(epochs, clips)


@dataclass(frozen=True)
class _Measured:
    epoch_s: float
    run_s: tuple[float, float]
    run_bytes: tuple[int, int]
    model_bytes: int
    peak_bytes: int

    def of_whole(self, epochs: int, clips: int) -> Cost:
        """Scale to all epochs and clips: in both runs, what is over the first is what more clips cost."""
        more = (clips - _CLIPS[0]) / (_CLIPS[1] - _CLIPS[0])
        run_s, run_bytes = (
            first + max(0.0, float(second - first)) * more for first, second in (self.run_s, self.run_bytes)
        )
        return Cost(self.epoch_s * epochs + run_s, self.model_bytes + run_bytes, self.peak_bytes)


def _measure(small: PointTask) -> _Measured:
    resolved = resolve(small.sweep, small.point)
    trained = train_point(small, resolved) if resolved.trains else None
    seconds, sizes, peak = [], [], 0
    for clips in _CLIPS:
        task = shortened(small, small.root, epochs=_EPOCHS, clips=clips)
        started = time.monotonic()
        done = run_point(task)
        seconds.append(time.monotonic() - started)
        sizes.append(_bytes_in(done.folder))
        peak = max(peak, done.peak_bytes)
    return _Measured(
        epoch_s=trained.loop_s / resolved.training.epochs if trained else 0.0,
        run_s=(seconds[0], seconds[1]),
        run_bytes=(sizes[0], sizes[1]),
        model_bytes=_bytes_in(small.model_folder(resolved)) if trained else 0,
        peak_bytes=peak,
    )


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
