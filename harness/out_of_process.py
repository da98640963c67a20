"""Generation by systems outside this process: each clip is archived as soon as it comes out."""

from __future__ import annotations

from collections.abc import Sequence

from clapstick.harness.generate import GenerationTask, ResolvedSystem, archive_native, as_seen_by, check_output
from clapstick.harness.progress import progress
from clapstick.harness.settings import RunSettings
from clapstick.protocols.archive import ErrorRecord, RunArchive
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.runtimes.results import Generated
from clapstick.systems.runtimes.run import run_out_of_process


def generate_out_of_process(
    settings: RunSettings, system: ResolvedSystem, tasks: Sequence[GenerationTask], archive: RunArchive
) -> list[ErrorRecord]:
    """Run one system over its tasks; return what failed. A system that cannot be started fails as a whole."""
    name = system.card.name
    by_id = {task.clip.id: task for task in tasks}
    errors: list[ErrorRecord] = []

    with progress(f"generate {name}", len(tasks)) as advance:

        def archive_clip(generated: Generated) -> None:
            advance(1)
            task = by_id[generated.clip.id]
            try:
                check_output(system.card, task.clip, generated.output)
                archive_native(archive, task, generated.output, generated.seconds, generated.peak_memory_bytes)
            except ClapstickError as error:
                errors.append(_failed(name, task.clip, error))

        try:
            failures = run_out_of_process(
                system.found,
                [as_seen_by(system.card, task.clip) for task in tasks],
                settings.out / "jobs" / name,
                parameters=system.parameters,
                seed_of=lambda clip: by_id[clip.id].seed,
                on_result=archive_clip,
            )
        except ClapstickError as error:
            return [*errors, _failed(name, None, error)]
    errors += [
        ErrorRecord(
            system=name,
            clip=failure.clip.id if failure.clip else None,
            stage="generate",
            problem=failure.problem,
        )
        for failure in failures
    ]
    return errors


def _failed(system: str, clip: Clip | None, error: ClapstickError) -> ErrorRecord:
    return ErrorRecord(
        system=system, clip=clip.id if clip else None, stage="generate", problem=error.problems[0]
    )
