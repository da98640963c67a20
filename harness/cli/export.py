"""``clapstick export``: a run's scores in the formats that others read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run archive.")]
FormatOption = Annotated[
    str,
    typer.Option("--format", "-f", help="csv, json, parquet, markdown, latex, bibtex or model-index."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write; standard output where left out.")
]
ClipsOption = Annotated[bool, typer.Option("--clips", help="One row a clip (csv, json, parquet).")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(run: RunArgument, wanted: FormatOption, out: OutOption = None, clips: ClipsOption = False) -> None:
    """Write a run's scores in a format. Example: clapstick export runs/mine --format latex -o table.tex"""
    from clapstick.protocols.archive import atomic, require_writable
    from clapstick.protocols.problems import fail
    from clapstick.reports.exports import export_run

    if out is not None:
        require_writable(out)
    content = export_run(run, wanted, clips=clips)
    if out is not None:
        with atomic(out) as temporary:
            temporary.write_bytes(content)
    elif wanted == "parquet" and sys.stdout.isatty():
        raise fail("Parquet is not for terminals", "--format parquet", remedy="Name a file: -o scores.parquet")
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
