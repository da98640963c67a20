"""Carrying out a sweep: each point trains if it must and runs; points are shared between sweeps by content.

::

    RUNS/data-features/...              cached by the two-stage system itself
    RUNS/models/<content>/              a trained stage 1
    RUNS/points/<content>/              an ordinary run archive, with point.json
    RUNS/<sweep>/                       table, figures, page
"""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clapstick import __version__
from clapstick.harness.ablate.resolve import CHECKPOINT_PARAMETER, Resolved, resolve
from clapstick.harness.ablate.sweep import Point, Sweep
from clapstick.harness.progress import progress
from clapstick.harness.provenance import text_sha256
from clapstick.harness.run import run
from clapstick.harness.settings import RunSettings
from clapstick.harness.workers import run_tasks
from clapstick.protocols.archive import write_json
from clapstick.protocols.problems import ClapstickError, Problem
from clapstick.systems.registry import find_system

MEMORY_SHARE = 0.8
"""Share of the free memory that points side by side may take."""


@dataclass(frozen=True)
class PointTask:
    """One point and where its results go."""

    sweep: Sweep
    point: Point
    data: Path
    root: Path
    limit: int | None = None
    device: str = "cpu"

    def folder(self, resolved: Resolved) -> Path:
        """Return the archive of this point: the same content, the same folder, whatever the sweep."""
        rows = (self.sweep.system, *self.sweep.controls)
        parts = (
            resolved.config.model_dump_json(),
            resolved.training.model_dump_json(),
            repr(resolved.trains),
            resolved.protocol.name,
            resolved.protocol.prompt.model_dump_json(),
            repr(rows),
            str(self.data),
            repr(sorted((name, sorted(values.items())) for name, values in resolved.parameters.items())),
            str(self.limit),
            str(self.point.seed),
            __version__,
        )
        return self.root / "points" / text_sha256(*parts)[:16]

    def model_folder(self, resolved: Resolved) -> Path:
        """Return the folder of the stage 1 that this point trains."""
        parts = (
            resolved.config.model_dump_json(),
            resolved.training.model_dump_json(),
            str(self.data),
            str(self.point.seed),
            __version__,
        )
        return self.root / "models" / text_sha256(*parts)[:16]


@dataclass(frozen=True)
class PointResult:
    """A point that was carried out."""

    folder: Path
    seconds: float
    parameters: int | None
    """Weights of the stage 1 that was used; None where it is the shipped one."""
    peak_bytes: int
    reused: bool


def run_point(task: PointTask) -> PointResult:
    """Train, run and score one point; what is in its folder already is kept.

    Raises
    ------
    ClapstickError
        If a value is impossible, or a system or clip of the point failed; names it.
    """
    resolved = resolve(task.sweep, task.point)
    folder = task.folder(resolved)
    record = folder / "point.json"
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
        return replace(PointResult(**known | {"folder": folder}), reused=True)
    started = time.monotonic()
    parameters = {name: dict(values) for name, values in resolved.parameters.items()}
    weights = None
    if resolved.trains:
        checkpoint, weights = _train(task, resolved)
        parameters.setdefault(task.sweep.system, {})[CHECKPOINT_PARAMETER] = str(checkpoint)
    systems = tuple(find_system(name) for name in (task.sweep.system, *task.sweep.controls))
    outcome = run(
        RunSettings(
            protocol=resolved.protocol,
            data=task.data,
            systems=systems,
            out=folder,
            seed=task.point.seed,
            limit=task.limit,
            workers=1,
            device=task.device,
            parameters=parameters,
        )
    )
    failed = [error for error in outcome.failures if error.stage != "read"]
    if failed:
        raise ClapstickError(*(error.problem for error in failed))
    done = PointResult(folder, round(time.monotonic() - started, 2), weights, _peak_bytes(), reused=False)
    write_json(record, {**done.__dict__, "folder": folder.name})
    return done


def _train(task: PointTask, resolved: Resolved) -> tuple[Path, int]:
    from clapstick.systems.two_stage.extractors import make_extractor
    from clapstick.systems.two_stage.features import default_cache
    from clapstick.systems.two_stage.stage_one_data import list_clips, load_examples
    from clapstick.systems.two_stage.train_video2rms import CHECKPOINT, train_video2rms
    from clapstick.systems.two_stage.video2rms import Video2RMS

    folder = task.model_folder(resolved)
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        extractor = make_extractor(resolved.config, {}, task.device)
        clips = list_clips(task.data, "train", resolved.training.clip_s)
        examples = load_examples(clips, resolved.config, extractor, default_cache(), lambda message: None)
        train_video2rms(
            examples, resolved.config, resolved.training, folder, seed=task.point.seed, device=task.device
        )
    count = sum(weight.numel() for weight in Video2RMS(resolved.config).parameters())
    return checkpoint, count


def _peak_bytes() -> int:
    """Return the highest memory that this process and its children took together, from above."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + children) * 1024


def run_points(
    sweep: Sweep, points: Sequence[Point], data: Path, root: Path, workers: int, device: str = "cpu"
) -> dict[Point, PointResult | Problem]:
    """Carry out points side by side; a point that fails is named and the others go on.

    The first point runs alone: its memory says how many fit side by side.
    """
    tasks = [PointTask(sweep, point, data.resolve(), root.resolve(), device=device) for point in points]
    outcomes: dict[Point, PointResult | Problem] = {}
    with progress(f"sweep {sweep.name}", len(tasks)) as advance:
        side_by_side = 1
        for group in (tasks[:1], tasks[1:]):
            for task, outcome in run_tasks(run_point, group, name_of=_name, workers=side_by_side):
                advance(1)
                outcomes[points[tasks.index(task)]] = outcome
                if isinstance(outcome, PointResult):
                    side_by_side = min(workers, fitting(outcome.peak_bytes))
    return outcomes


def _name(task: PointTask) -> str:
    return f"{task.sweep.name}, {task.point.label}, seed {task.point.seed}"


def fitting(peak_bytes: int) -> int:
    """Return how many points of this size fit into the memory that is free, one at least."""
    from clapstick.harness.memory import available_bytes

    return max(1, int(MEMORY_SHARE * available_bytes() / max(1, peak_bytes)))


@dataclass(frozen=True)
class Forecast:
    """What a sweep will cost, from one timed probe."""

    points: int
    done: int
    hours: float
    disk_gb: float
    workers: int


def forecast(sweep: Sweep, points: Sequence[Point], data: Path, root: Path, workers: int) -> Forecast:
    """Estimate points, hours and disk: one short training and one small run are timed, then thrown away."""
    tasks = [PointTask(sweep, point, data.resolve(), root.resolve()) for point in points]
    open_tasks = [task for task in tasks if not _is_done(task)]
    if not open_tasks:
        return Forecast(len(tasks), len(tasks), 0.0, 0.0, workers)
    probe_root = root / "probe"
    try:
        cost = _probe(open_tasks[0], probe_root)
    finally:
        shutil.rmtree(probe_root, ignore_errors=True)
    fit = min(workers, fitting(cost.peak_bytes))
    seconds = cost.seconds * len(open_tasks) / fit
    return Forecast(
        len(tasks),
        len(tasks) - len(open_tasks),
        round(seconds / 3600, 3),
        round(cost.disk_bytes * len(open_tasks) / 1e9, 3),
        fit,
    )


def _is_done(task: PointTask) -> bool:
    try:
        return (task.folder(resolve(task.sweep, task.point)) / "point.json").is_file()
    except ClapstickError:
        return False


@dataclass(frozen=True)
class _Cost:
    seconds: float
    disk_bytes: float
    peak_bytes: int


_PROBE_EPOCHS = 2
_PROBE_CLIPS = 2


def _probe(task: PointTask, root: Path) -> _Cost:
    """Time two epochs and two clips, and scale both to the whole."""
    from clapstick.harness.plan import list_clips

    resolved = resolve(task.sweep, task.point)
    epochs = resolved.training.epochs
    point = task.point
    if resolved.trains:
        point = point.with_value("train.epochs", min(_PROBE_EPOCHS, epochs))
    small = replace(task, root=root, limit=_PROBE_CLIPS, point=point)
    small_resolved = resolve(small.sweep, small.point)
    started = time.monotonic()
    if resolved.trains:
        _train(small, small_resolved)
    training_s = (time.monotonic() - started) * epochs / min(_PROBE_EPOCHS, epochs)
    done = run_point(small)
    settings = RunSettings(resolved.protocol, task.data, (), root)
    clips = len(list_clips(settings)[0])
    size = sum(path.stat().st_size for path in done.folder.rglob("*") if path.is_file())
    share = clips / min(_PROBE_CLIPS, clips)
    return _Cost(training_s + done.seconds * share, size * share, done.peak_bytes)
