"""``clapstick run|plan|score|quickstart``: the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

if TYPE_CHECKING:
    from clapstick.harness.run import RunOutcome
    from clapstick.harness.settings import RunSettings
    from clapstick.protocols.archive import ErrorRecord, RunArchive, ScoreRecord
    from clapstick.systems.card import ParameterValue

ProtocolArgument = Annotated[str, typer.Argument(help="Name of a protocol, or a TOML file.")]
DataOption = Annotated[Path, typer.Option("--data", help="Folder of the data set.")]
SystemsOption = Annotated[
    str | None,
    typer.Option("--systems", help="Comma-separated names or folders; the protocol's own rows where left out."),
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder of the run archive; a stopped run goes on there.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Use the first N clips only.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes; all cores where left out.")]
EqualNOption = Annotated[
    bool, typer.Option("--equal-n", help="Score only the clips that every system has, so that all n are equal.")
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="SYSTEM.PARAMETER=VALUE, over the system's card; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("quickstart")(quickstart)
    app.command("run")(run)
    app.command("plan")(plan)
    app.command("score")(score)


def run(
    protocol: ProtocolArgument,
    data: DataOption,
    out: OutOption,
    systems: SystemsOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    device: DeviceOption = "cpu",
    changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a protocol over systems, score it and build the report; started again, it goes on where it stopped.

    Example: clapstick run folder --data my-videos --systems silence,noise,two-stage-tiny --out runs/mine

    Ends with 0 when all worked, 1 when a clip or system failed (the rest is scored), 2 on wrong usage.
    """
    settings = _settings(protocol, data, out, systems, limit, seed, workers, device, changes)
    _finish(_run(settings), as_json=as_json)


def plan(
    protocol: ProtocolArgument,
    data: DataOption,
    out: OutOption,
    systems: SystemsOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    device: DeviceOption = "cpu",
    changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `run` with the same arguments would do, what is there already and what is missing.

    Example: clapstick plan folder --data my-videos --systems two-stage-tiny --out runs/mine
    """
    from clapstick.harness.embeddings import missing_embedders
    from clapstick.harness.plan import make_plan

    made = make_plan(_settings(protocol, data, out, systems, limit, seed, workers, device, changes))
    unavailable = missing_embedders(made.requests)
    if as_json:
        print_json(
            {
                "protocol": made.settings.protocol.name,
                "clips": [clip.id for clip in made.clips],
                "clips_listed": made.clips_listed,
                "problems": [problem.model_dump() for problem in made.problems],
                "systems": made.rows(),
                "scores": [
                    {"metric": r.metric, "convention": r.convention, "missing": unavailable.get(r)}
                    for r in made.requests
                ],
            }
        )
        return
    columns = ["system", "role", "runtime", "clips", "cached", "to generate", "skipped", "missing"]
    print_rows(made.rows(), columns, as_json=False)
    print_rows(
        [{"score": request.label, "missing": unavailable.get(request)} for request in made.requests],
        ["score", "missing"],
        as_json=False,
    )
    for problem in made.problems:
        note(f"clapstick: {problem}")


def score(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run archive.")],
    workers: WorkersOption = None,
    device: DeviceOption = "cpu",
    equal_n: EqualNOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a run archive again: only what has changed is computed.

    Example: clapstick score runs/mine --json
    """
    from clapstick.harness.run import score_again

    outcome = score_again(run_folder, workers or _cores(), device, equal_n=equal_n)
    _finish(outcome, as_json=as_json, report=False)


def quickstart(
    out: OutOption = Path("runs/quickstart"),
    workers: WorkersOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run the embedded benchmark: synthetic videos, controls, the small two-stage system, an HTML report.

    Nothing is downloaded and no GPU is needed. Example: clapstick quickstart
    """
    from clapstick.protocols.synthetic import default_data

    count = workers or _cores()
    data = default_data(workers=count)
    settings = _settings("synthetic-hits", data, out, None, None, seed, count, "cpu", None)
    _finish(_run(settings), as_json=as_json)


def _settings(
    protocol: str,
    data: Path,
    out: Path,
    systems: str | None,
    limit: int | None,
    seed: int,
    workers: int | None,
    device: str,
    changes: Sequence[str] | None,
) -> RunSettings:
    from clapstick.harness.devices import check_device
    from clapstick.harness.settings import RunSettings
    from clapstick.protocols.problems import fail
    from clapstick.protocols.protocol import find_protocol
    from clapstick.systems.registry import find_system

    check_device(device)
    if systems is not None and not systems.strip(" ,"):
        raise fail(
            "names no system", "--systems", found=repr(systems), remedy="Name some, or leave the option out."
        )
    resolved = find_protocol(protocol)
    names = [name.strip() for name in systems.split(",") if name.strip()] if systems else resolved.systems
    return RunSettings(
        protocol=resolved,
        data=data.resolve(),
        systems=tuple(find_system(name) for name in dict.fromkeys(names)),
        out=out.resolve(),
        seed=seed,
        limit=limit,
        workers=1 if device.startswith("cuda") else workers or _cores(),
        device=device,
        parameters=_parse_changes(changes or []),
    )


def _parse_changes(changes: Sequence[str]) -> dict[str, dict[str, ParameterValue]]:
    """Parse ``system.parameter=value``; the value is read as TOML, and as text where it is none."""
    from clapstick.protocols.problems import fail
    from clapstick.protocols.values import value_of

    parsed: dict[str, dict[str, ParameterValue]] = {}
    for change in changes:
        left, equals, right = change.partition("=")
        system, dot, parameter = left.partition(".")
        if not (equals and dot and system and parameter):
            raise fail(
                "cannot be read",
                "--set",
                found=change,
                expected="SYSTEM.PARAMETER=VALUE",
                remedy="Example: --set two-stage-tiny.guidance=3.5",
            )
        parsed.setdefault(system, {})[parameter] = value_of(right)
    return parsed


def _cores() -> int:
    from clapstick.harness.workers import default_workers

    return default_workers()


def _run(settings: RunSettings) -> RunOutcome:
    from clapstick.harness.run import run as run_protocol

    return run_protocol(settings)


def _finish(outcome: RunOutcome, *, as_json: bool, report: bool = True) -> None:
    """Build the report, print the leaderboard and its path, and end with the run's exit code."""
    from clapstick.harness.cli import EXIT_PARTIAL

    page = None
    if report:
        from clapstick.reports import build_report

        page = build_report(outcome.archive.root)
    records = outcome.archive.read_summary()
    _print_leaderboard(outcome.archive, records, page, as_json=as_json)
    scored = any(record.value is not None for record in records)
    if not scored:
        note("clapstick: nothing could be scored; the reasons are above and in the report")
    for line in failure_lines(outcome.failures):
        note(f"clapstick: {line}")
    if outcome.failures:
        note(
            f"clapstick: {len(outcome.failures)} failures are listed in {outcome.archive.root / 'errors.jsonl'}"
        )
    if outcome.failures or not scored:
        raise typer.Exit(EXIT_PARTIAL)


def failure_lines(failures: Sequence[ErrorRecord]) -> list[str]:
    """Return a line for every problem of the data, and one for every kind of failure of a system."""
    groups: dict[tuple[str, str], list[ErrorRecord]] = {}
    for error in failures:
        kind = error.problem.what if error.system else str(error.problem)
        groups.setdefault((error.system or "data", kind), []).append(error)
    return [
        f"{system}: {errors[0].problem}" + (f" (and {len(errors) - 1} more like it)" if len(errors) > 1 else "")
        for (system, _), errors in groups.items()
    ]


def _print_leaderboard(
    archive: RunArchive, records: Sequence[ScoreRecord], page: Path | None, *, as_json: bool
) -> None:
    """Print the scores of a run, as JSON the whole summary."""
    from clapstick.harness.leaderboard import leaderboard_rows

    if as_json:
        document: dict[str, Any] = {"scores": [record.model_dump() for record in records]}
        print_json(document | {"run": str(archive.root), "report": None if page is None else str(page)})
        return
    rows, columns, notes = leaderboard_rows(records)
    print_rows(rows, columns, as_json=False)
    for line in notes:
        note(f"– {line}")
    if page is not None:
        typer.echo(str(page))
