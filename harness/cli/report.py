"""``clapstick report``: pages from run archives."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clapstick.harness.cli.output import JsonOption, print_json


class Codec(StrEnum):
    """How sounds are kept in a report."""

    flac = "flac"
    opus = "opus"


RunsArgument = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run archives.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder (of a site, where several runs are named) or file; RUN/report."),
]
SingleOption = Annotated[bool, typer.Option("--single-file", help="One HTML file below 20 MB.")]
ClipOption = Annotated[
    list[str] | None, typer.Option("--clip", help="Clip that goes into the single file; may be repeated.")
]
SiteOption = Annotated[bool, typer.Option("--site", help="A site with index and feed, also for one run.")]
CodecOption = Annotated[Codec, typer.Option("--codec", help="flac is lossless, opus a quarter of the size.")]
AddressOption = Annotated[str, typer.Option("--address", help="Where the site will be, for its feed.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Threads that make media; all cores.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    runs: RunsArgument,
    out: OutOption = None,
    single_file: SingleOption = False,
    clip: ClipOption = None,
    site: SiteOption = False,
    codec: CodecOption = Codec.flac,
    address: AddressOption = "",
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the page of a run, a site of several, or one file to send. Prints the page's path.

    Example: clapstick report runs/mine
    Example: clapstick report runs/a runs/b --out site
    Example: clapstick report runs/mine --single-file --clip test-0003 -o mine.html
    """
    page = _build(runs, out, single_file, clip, site, codec, address, workers)
    if as_json:
        print_json({"report": str(page)})
    else:
        typer.echo(str(page))


def _build(
    runs: list[Path],
    out: Path | None,
    single_file: bool,
    clips: list[str] | None,
    site: bool,
    codec: Codec,
    address: str,
    workers: int | None,
) -> Path:
    from clapstick.protocols.archive import RunArchive, require_writable
    from clapstick.protocols.problems import fail
    from clapstick.reports import build_report

    if single_file:
        if len(runs) > 1:
            raise fail("one file holds one run", "--single-file", found=f"{len(runs)} runs", remedy="Name one.")
        from clapstick.reports.single_file import build_single_file

        page = out or runs[0] / "report.html"
        RunArchive(runs[0]).read_run()
        require_writable(page)
        return build_single_file(runs[0], page, clips=clips, workers=workers or 1)
    if len(runs) > 1 or site:
        if out is None:
            raise fail("a site needs a folder", "clapstick report", remedy="Add --out SITE.")
        from clapstick.reports.site import build_site

        require_writable(out, folder=True)
        return build_site(runs, out, codec=codec.value, workers=workers, address=address)
    archive = RunArchive(runs[0])
    archive.read_run()
    require_writable(out or archive.report, folder=True)
    return build_report(runs[0], out, codec=codec.value, workers=workers)
