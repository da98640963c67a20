"""``clapstick data``: making and checking data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clapstick.harness.cli import EXIT_PARTIAL
from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

if TYPE_CHECKING:
    from clapstick.protocols.problems import Problem
    from clapstick.protocols.protocol import Protocol

ClipsOption = Annotated[
    str | None,
    typer.Option("--protocol", help="Protocol that says which clips; the data set's first where left out."),
]

app = typer.Typer(help="Make and check data sets.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the group."""
    root.add_typer(app, name="data")


@app.command()
def synth(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; the user's cache where it is left out.")
    ] = None,
    videos: Annotated[int | None, typer.Option(min=1, help="Videos of both splits, a sixth for test.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds a video.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same samples.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all processors by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make synthetic-hits, videos of a drumstick. Example: clapstick data synth --out hits --videos 12"""
    from clapstick.protocols.synthetic.make import make_synthetic_hits, synthetic_hits_folder
    from clapstick.protocols.synthetic.settings import SPLITS, settings_of_size

    settings = settings_of_size(videos, duration, seed)
    if out is None:
        folder = synthetic_hits_folder(settings, workers)
    else:
        folder = make_synthetic_hits(settings, out, workers)
    rows = [{"split": split, "videos": settings.videos(split), "folder": str(folder)} for split in SPLITS]
    if as_json:
        print_json({"folder": str(folder), "settings": settings.model_dump(), "splits": rows})
    else:
        print_rows(rows, ["split", "videos", "folder"], as_json=False)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="Reader of the data set; see `clapstick datasets`.")],
    folder: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    protocol: ClipsOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder to fill; FOLDER/prepared where left out.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="ffmpeg processes at a time.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cut a data set into checked clip files. Example: clapstick data prepare greatest-hits vis-data"""
    from contextlib import ExitStack

    from clapstick.harness.progress import progress
    from clapstick.protocols.prepare import prepare as prepare_clips

    chosen = _protocol_of(protocol, dataset)
    target = out or folder / "prepared"
    with ExitStack() as stack:
        advance: list[Callable[[int], None]] = []
        done = prepare_clips(
            folder,
            chosen,
            target,
            workers=workers,
            begin=lambda total: advance.append(stack.enter_context(progress("Clips", total))),
            advance=lambda steps: advance[0](steps),
        )
    summary = {
        "folder": str(target),
        "clips": done.clips,
        "made": done.made,
        "kept": done.kept,
        "faults": len(done.findings),
        "problems": len(done.problems),
    }
    rows = [{"clip": clip, "fault": fault, "found": found} for clip, fault, found in done.findings]
    _tell(summary, rows, list(done.problems), as_json)


@app.command()
def verify(
    dataset: Annotated[str, typer.Argument(help="Reader of the data set; see `clapstick datasets`.")],
    folder: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    protocol: ClipsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is missing or broken; lint clips. Example: clapstick data verify greatest-hits vis-data"""
    from contextlib import ExitStack
    from datetime import date

    from clapstick.harness.progress import progress
    from clapstick.protocols.checksums import log_attrition
    from clapstick.protocols.verify import verify as verify_folder

    chosen = _protocol_of(protocol, dataset)
    with ExitStack() as stack:
        advance: list[Callable[[int], None]] = []
        done = verify_folder(
            folder,
            chosen,
            begin=lambda total: advance.append(stack.enter_context(progress("Clips", total))),
            advance=lambda steps: advance[0](steps),
        )
    if done.attrition is not None:
        log_attrition(folder, done.attrition, date.today().isoformat())
    summary = {
        "folder": str(folder),
        "clips": done.clips,
        "faults": len(done.findings),
        "problems": len(done.problems),
        "subset": done.subset,
    }
    rows = [{"clip": clip, "fault": fault, "found": found} for clip, fault, found in done.findings]
    _tell(summary, rows, list(done.problems), as_json)


@app.command()
def checksums(folder: Annotated[Path, typer.Argument(help="Folder with video or sound files.")]) -> None:
    """Write the folder's manifest of hashes, checksums.csv. Example: clapstick data checksums maps"""
    from clapstick.protocols.checksums import CHECKSUMS, write_checksums

    records = write_checksums(folder)
    note(f"{len(records)} files in {folder / CHECKSUMS}")


def _protocol_of(name: str | None, dataset: str) -> Protocol:
    """Return the named protocol, or the first that a data set has; both must fit together."""
    from clapstick.protocols.problems import fail
    from clapstick.protocols.protocol import built_in_protocols, find_protocol
    from clapstick.protocols.readers.base import find_reader

    reader = find_reader(dataset)
    if name is None:
        known = (find_protocol(one) for one in built_in_protocols())
        chosen = next((one for one in known if one.dataset.reader == reader.name), None)
        if chosen is None:
            raise fail("no protocol is about this data set", dataset, remedy="Name one with --protocol.")
        note(f"protocol: {chosen.name}")
        return chosen
    chosen = find_protocol(name)
    if chosen.dataset.reader != reader.name:
        raise fail(
            "protocol is about another data set",
            name,
            found=chosen.dataset.reader,
            expected=dataset,
            remedy="Choose one with --protocol; `clapstick protocols` lists them.",
        )
    return chosen


def _tell(
    summary: dict[str, Any], findings: list[dict[str, str]], problems: list[Problem], as_json: bool
) -> None:
    """Print the outcome, faults of clips and the complete list of problems; exit with 1 where there is one."""
    if as_json:
        print_json(summary | {"findings": findings, "problem_list": [one.model_dump() for one in problems]})
    else:
        print_rows([summary], list(summary), as_json=False)
        if findings:
            print_rows(findings, ["clip", "fault", "found"], as_json=False, title="Faults of clips")
    for problem in problems:
        note(f"clapstick: {problem}")
    if problems:
        raise typer.Exit(EXIT_PARTIAL)
