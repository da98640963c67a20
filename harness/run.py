"""One run, one direction: plan, generate, standardise, score. Started again, it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clapstick.harness.generate import generate_in_process
from clapstick.harness.out_of_process import generate_out_of_process
from clapstick.harness.plan import Plan, SystemPlan, make_plan
from clapstick.harness.provenance import file_sha256, git_revision, library_versions, machine
from clapstick.harness.score import score_run
from clapstick.harness.settings import RunSettings
from clapstick.harness.standards import standardise_run
from clapstick.harness.workers import as_storage_error
from clapstick.protocols.archive import ErrorRecord, RunArchive, RunRecord, write_text
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError, Problem, fail


@dataclass(frozen=True)
class RunOutcome:
    """A finished run."""

    archive: RunArchive
    errors: tuple[ErrorRecord, ...]

    @property
    def failures(self) -> tuple[ErrorRecord, ...]:
        """What went wrong, without the clips that merely lack what a system needs."""
        return tuple(error for error in self.errors if not error.skipped)


def run(settings: RunSettings) -> RunOutcome:
    """Carry out a run: whatever its archive holds already is kept, everything else is made.

    Raises
    ------
    ClapstickError
        If the settings contradict the archive, nothing can be written, or another process uses the archive.
    """
    from filelock import FileLock, Timeout

    plan = make_plan(settings)
    archive = RunArchive(settings.out)
    try:
        archive.root.mkdir(parents=True, exist_ok=True)
        with FileLock(archive.root / ".lock", timeout=0):
            return _run_locked(plan, archive)
    except Timeout as error:
        raise fail(
            "another process works on this run", archive.root, remedy="Wait for it, or name another --out."
        ) from error
    except OSError as error:
        raise as_storage_error(error) from error


def score_again(folder: Path, workers: int, device: str, *, equal_n: bool = False) -> RunOutcome:
    """Score a run archive again, after standardising whatever has changed; nothing is generated.

    With `equal_n` every score is of the clips that all systems with that score have.

    Raises
    ------
    ClapstickError
        If the folder is no run archive, or nothing can be written.
    """
    archive = RunArchive(folder)
    record = archive.read_run()
    before = [error for error in archive.read_errors() if error.stage in ("read", "generate")]
    try:
        errors = standardise_run(
            archive, record.protocol.audio, list(record.systems), archive.read_clips(), workers
        )
        errors += score_run(archive, workers, device, equal_n=equal_n)
        archive.write_errors([*before, *errors])
    except OSError as error:
        raise as_storage_error(error) from error
    return RunOutcome(archive, (*before, *errors))


def _run_locked(plan: Plan, archive: RunArchive) -> RunOutcome:
    settings = plan.settings
    record = _open_archive(plan, archive)
    errors = [ErrorRecord(system=None, clip=None, stage="read", problem=problem) for problem in plan.problems]
    try:
        for system_plan in plan.systems:
            errors += system_plan.skipped
            errors += _missing(system_plan)
        errors += _generate(plan, archive)
        systems = [system_plan.system.card.name for system_plan in plan.systems]
        errors += standardise_run(archive, settings.protocol.audio, systems, plan.clips, settings.workers)
        errors += score_run(archive, settings.workers, settings.device)
    finally:
        archive.write_errors(errors)
    finished = record.model_copy(update={"finished": _now()})
    write_text(archive.root / "run.json", finished.model_dump_json(indent=1))
    return RunOutcome(archive, tuple(errors))


def _generate(plan: Plan, archive: RunArchive) -> list[ErrorRecord]:
    ready = [system_plan for system_plan in plan.systems if not system_plan.missing and system_plan.tasks]
    inside = [system_plan for system_plan in ready if system_plan.system.card.runtime == "python"]
    errors = generate_in_process(
        plan.settings,
        [system_plan.system for system_plan in inside],
        plan.clips,
        [task for system_plan in inside for task in system_plan.tasks],
    )
    for system_plan in ready:
        if system_plan.system.card.runtime != "python":
            errors += generate_out_of_process(plan.settings, system_plan.system, system_plan.tasks, archive)
    return errors


def _missing(system_plan: SystemPlan) -> list[ErrorRecord]:
    name = system_plan.system.card.name
    return [
        ErrorRecord(system=name, clip=None, stage="generate", problem=problem)
        for problem in system_plan.missing
    ]


def _open_archive(plan: Plan, archive: RunArchive) -> RunRecord:
    """Write run.json and clips.parquet, after checking that they continue what is there."""
    settings = plan.settings
    systems = {
        system_plan.system.card.name: {
            **system_plan.system.card.model_dump(mode="json"),
            "parameters": dict(system_plan.system.parameters),
            "weights_sha256": dict(system_plan.system.weight_hashes),
        }
        for system_plan in plan.systems
    }
    started = _now()
    if (archive.root / "run.json").is_file():
        before = archive.read_run()
        _require_same(before, settings, archive)
        systems = {**before.systems, **systems}
        started = before.started
    record = RunRecord(
        protocol=settings.protocol,
        data=str(settings.data),
        systems=systems,
        seed=settings.seed,
        limit=settings.limit,
        clips_listed=plan.clips_listed,
        subset=plan.subset,
        libraries=library_versions(),
        machine=machine(),
        git_revision=git_revision(),
        started=started,
    )
    write_text(archive.root / "run.json", record.model_dump_json(indent=1))
    archive.write_clips(plan.clips, _hashes(plan.clips))
    return record


def _require_same(before: RunRecord, settings: RunSettings, archive: RunArchive) -> None:
    problems = [
        Problem(
            what=f"this run has another {name}",
            where=str(archive.root),
            found=str(now),
            expected=str(then),
            remedy="Name another --out, or delete the folder.",
        )
        for name, then, now in (
            ("protocol", before.protocol.name, settings.protocol.name),
            ("seed", before.seed, settings.seed),
            ("data folder", before.data, str(settings.data)),
        )
        if then != now
    ]
    if not problems and before.protocol != settings.protocol:
        changed = [
            name
            for name in type(before.protocol).model_fields
            if getattr(before.protocol, name) != getattr(settings.protocol, name)
        ]
        # Other metrics or other statistics need no other sound: the archive is scored anew.
        if set(changed) - {"metrics", "statistics", "systems", "summary", "open_questions", "sources", "title"}:
            problems.append(
                Problem(
                    what="the protocol file has changed since",
                    where=str(archive.root),
                    found=", ".join(changed),
                    remedy="Name another --out, or delete the folder.",
                )
            )
    if problems:
        raise ClapstickError(*problems)


def _hashes(clips: Sequence[Clip]) -> dict[str, list[str | None]]:
    known: dict[Path, str] = {}

    def sha256(path: Path | None) -> str | None:
        if path is None:
            return None
        if path not in known:
            known[path] = file_sha256(path)
        return known[path]

    return {
        "video_sha256": [sha256(clip.video) for clip in clips],
        "reference_sha256": [sha256(clip.reference) for clip in clips],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
