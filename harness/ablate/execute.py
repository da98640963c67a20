"""Carrying out a sweep: each point trains if it must and runs; points are shared between sweeps by content.

::

    RUNS/models/<content>/              a trained stage 1, and how long it took
    RUNS/points/<content>/              an ordinary run archive, with point.json
    RUNS/<sweep>/                       table, figures, page
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
from clapstick.protocols.checksums import ATTRITION, CHECKSUMS
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.readers.base import require_folder

MEMORY_SHARE = 0.8
"""Share of the free memory that points side by side may take."""
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory")
"""What torch says on the CPU and on a GPU."""
_RECORD = "point.json"
_SECONDS = "seconds.json"


@dataclass(frozen=True)
class PointTask:
    """One point and where its results go."""

    sweep: Sweep
    point: Point
    data: Path
    data_key: str
    """What `key_of_data` says of the folder."""
    root: Path
    limit: int | None = None
    device: str = "cpu"

    def folder(self, resolved: Resolved) -> Path:
        """Return the archive of this point: the same content, the same folder, whatever the sweep."""
        parts = (
            resolved.config.model_dump_json(),
            resolved.training.model_dump_json(),
            repr(resolved.trains),
            resolved.protocol.model_dump_json(),
            repr([(name, self.sweep.find(name).card.entry) for name in self.point.systems]),
            repr(sorted((name, sorted(values.items())) for name, values in resolved.parameters.items())),
            str(self.limit),
            *self._common_parts(),
        )
        return self.root / "points" / text_sha256(*parts)[:16]

    def model_folder(self, resolved: Resolved) -> Path:
        """Return the folder of the stage 1 that this point trains."""
        parts = (resolved.config.model_dump_json(), resolved.training.model_dump_json(), *self._common_parts())
        return self.root / "models" / text_sha256(*parts)[:16]

    def _common_parts(self) -> tuple[str, ...]:
        return self.data_key, str(self.point.seed), self.device, __version__

    @property
    def name(self) -> str:
        """The point, for people."""
        return f"{self.sweep.name}, {self.point.label}, seed {self.point.seed}"


def make_tasks(
    sweep: Sweep, points: Sequence[Point], data: Path, root: Path, device: str = "cpu"
) -> list[PointTask]:
    """Return one task a point; raises `ClapstickError` where the data folder is missing."""
    key = key_of_data(data)
    return [PointTask(sweep, point, data.resolve(), key, root.resolve(), device=device) for point in points]


def key_of_data(folder: Path) -> str:
    """Return a hash of the names, sizes and times of a data folder's files.

    Contents are not read, they may be terabytes: a copy counts as other data, a changed file does too.

    Raises
    ------
    ClapstickError
        If there is no such folder.
    """
    require_folder(folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (ATTRITION, CHECKSUMS)]
    listed = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    return text_sha256(*(f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in sorted(listed)))


@dataclass(frozen=True)
class PointResult:
    """A point that was carried out."""

    folder: Path
    train_s: float | None
    """Processor seconds of its training, whoever trained it; None where it uses the shipped weights."""
    run_s: float
    """Processor seconds of generating and scoring."""
    parameters: int | None
    """Weights of the stage 1 that was trained; None where it is the shipped one."""
    peak_bytes: int
    reused: bool


def run_point(task: PointTask) -> PointResult:
    """Train, run and score one point; what is in its folder already is kept.

    Raises
    ------
    ClapstickError
        If a value is impossible, memory runs out, or a system or clip of the point failed; names it.
    """
    try:
        return _run_point(task)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
            raise fail(
                "out of memory",
                task.name,
                found=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
                remedy="Leave the value out, or sweep it on a machine with more memory.",
            ) from error
        raise


def _run_point(task: PointTask) -> PointResult:
    resolved = resolve(task.sweep, task.point)
    folder = task.folder(resolved)
    record = folder / _RECORD
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
        return PointResult(**known | {"folder": folder, "reused": True})
    parameters = {name: dict(values) for name, values in resolved.parameters.items()}
    trained = train_point(task, resolved) if resolved.trains else None
    if trained:
        parameters.setdefault(task.sweep.system, {})[CHECKPOINT_PARAMETER] = str(trained.checkpoint)
    started = _processor_seconds()
    outcome = run(
        RunSettings(
            protocol=resolved.protocol,
            data=task.data,
            systems=tuple(task.sweep.find(name) for name in task.point.systems),
            out=folder,
            seed=task.point.seed,
            limit=task.limit,
            workers=0,
            device=task.device,
            parameters=parameters,
        )
    )
    failed = [error for error in outcome.failures if error.stage != "read"]
    if failed:
        raise ClapstickError(*(error.problem for error in failed))
    done = PointResult(
        folder,
        trained.processor_s if trained else None,
        round(_processor_seconds() - started, 2),
        trained.parameters if trained else None,
        _peak_bytes(),
        reused=False,
    )
    write_json(record, asdict(done) | {"folder": folder.name})
    return done


@dataclass(frozen=True)
class Trained:
    """A stage 1 that a point trained, or found trained."""

    checkpoint: Path
    parameters: int
    processor_s: float
    """Of the whole training, however often it was cut off."""
    loop_s: float
    """Wall seconds that this process spent in epochs."""


def train_point(task: PointTask, resolved: Resolved) -> Trained:
    """Train the stage 1 of a point, or find it trained.

    Raises
    ------
    ClapstickError
        If the data cannot be used, or weights of the feature extractor are missing.
    """
    from clapstick.harness.weights import find_weights
    from clapstick.systems.two_stage.extractors import extractor_weights, make_extractor
    from clapstick.systems.two_stage.features import default_cache
    from clapstick.systems.two_stage.stage_one_data import list_clips, load_examples
    from clapstick.systems.two_stage.train_video2rms import CHECKPOINT, Progress, train_video2rms
    from clapstick.systems.two_stage.video2rms import Video2RMS

    folder = task.model_folder(resolved)
    checkpoint, seconds = folder / CHECKPOINT, folder / _SECONDS
    loop_s = 0.0
    if not checkpoint.is_file():
        weights = {name: find_weights(name) for name in extractor_weights(resolved.config)}
        extractor = make_extractor(resolved.config, weights, task.device)
        clips = list_clips(task.data, "train", resolved.training.clip_s)
        examples = load_examples(clips, resolved.config, extractor, default_cache(), lambda message: None)
        before = _read_seconds(seconds) - time.process_time()

        def report(progress: Progress) -> None:
            nonlocal loop_s
            loop_s = progress.seconds
            if progress.epoch % resolved.training.validate_every == 0:
                write_json(seconds, {"processor_s": round(before + time.process_time(), 2)})

        train_video2rms(
            examples,
            resolved.config,
            resolved.training,
            folder,
            seed=task.point.seed,
            device=task.device,
            report=report,
        )
        write_json(seconds, {"processor_s": round(before + time.process_time(), 2)})
    count = sum(weight.numel() for weight in Video2RMS(resolved.config).parameters())
    return Trained(checkpoint, count, _read_seconds(seconds), loop_s)


def _read_seconds(path: Path) -> float:
    return float(json.loads(path.read_text(encoding="utf-8"))["processor_s"]) if path.is_file() else 0.0


def _processor_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_bytes() -> int:
    """Return the highest memory that this process and its children took together, from above."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + children) * 1024


def run_points(
    sweep: Sweep, points: Sequence[Point], data: Path, root: Path, workers: int, device: str = "cpu"
) -> dict[Point, PointResult | Problem]:
    """Carry out points side by side; a point that fails is named and the others go on.

    The first point that works runs alone: its memory says how many fit side by side.

    Raises
    ------
    ClapstickError
        If the data folder is missing.
    """
    tasks = make_tasks(sweep, points, data, root, device)
    outcomes: dict[Point, PointResult | Problem] = {}
    with progress(f"sweep {sweep.name}", len(tasks)) as advance:
        side_by_side = 0
        while len(outcomes) < len(tasks):
            group = tasks[len(outcomes) :] if side_by_side else tasks[len(outcomes) : len(outcomes) + 1]
            for task, outcome in run_tasks(
                run_point, group, name_of=lambda task: task.name, workers=max(1, side_by_side)
            ):
                advance(1)
                outcomes[task.point] = outcome
                if isinstance(outcome, PointResult):
                    side_by_side = side_by_side or min(workers, fitting(outcome.peak_bytes))
    return {point: outcomes[point] for point in points}


def fitting(peak_bytes: int) -> int:
    """Return how many points of this size fit into the memory that is free, one at least."""
    from clapstick.harness.memory import available_bytes

    return max(1, int(MEMORY_SHARE * available_bytes() / max(1, peak_bytes)))


def is_done(task: PointTask) -> bool:
    """Return whether a point's results are there already."""
    try:
        return (task.folder(resolve(task.sweep, task.point)) / _RECORD).is_file()
    except ClapstickError:
        return False


def shortened(task: PointTask, root: Path, *, epochs: int, clips: int) -> PointTask:
    """Return a small version of a point that trains briefly, for a probe."""
    point = task.point
    resolved = resolve(task.sweep, point)
    if resolved.trains:
        point = point.with_value("train.epochs", min(epochs, resolved.training.epochs))
    return replace(task, root=root, limit=clips, point=point)
