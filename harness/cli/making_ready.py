"""Options and steps that make official code ready: for systems and metric adapters alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clapstick.harness.cli.output import note

if TYPE_CHECKING:
    from clapstick.systems.card import FoundProgram
    from clapstick.systems.runtimes.options import RuntimeOptions

MirrorOption = Annotated[
    Path | None, typer.Option(help="Clone the official code from this folder instead of the network.")
]
CodeOnlyOption = Annotated[bool, typer.Option("--code-only", help="Leave the image out.")]
BaseOption = Annotated[str | None, typer.Option(help="Build on this image instead of the Dockerfile's.")]
NetworkOption = Annotated[
    str | None, typer.Option(help="Network of the build's steps: host, where the engine has no bridge.")
]


def make_ready(
    found: FoundProgram,
    options: RuntimeOptions,
    *,
    mirror: Path | None,
    code_only: bool,
    base: str | None,
    network: str | None,
) -> None:
    """Clone the official code and, unless it alone is wanted, build the image; say where both are."""
    from clapstick.systems.building import build_image, fetch_code

    note(f"official code: {fetch_code(found, None if mirror is None else str(mirror.resolve()))}")
    if not code_only:
        note(f"image: {build_image(found, options, note, base=base, network=network)}")


def licences(code: str, weights: str) -> str:
    """Return both licences as one cell."""
    return f"{code or '-'} / {weights or '-'}"
