"""``clapstick check``: conformance suites for what people add."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clapstick.harness.cli import EXIT_PARTIAL
from clapstick.harness.cli.output import JsonOption, print_rows


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Check what you add. Example: clapstick check system .")
    group.callback()(_group)
    group.command("system")(check_system)
    app.add_typer(group, name="check")


def _group() -> None:
    """Check what you add. Example: clapstick check system ."""


def check_system(
    path: Annotated[str, typer.Argument(help="Folder with system.toml, or the name of a system.")],
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="Change a parameter: steps=2")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="Run it in this Python instead of the runtime of its card.")
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Keep videos and the system's log here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a system for sound in ways that show its faults. Example: clapstick check system my_system --python .venv/bin/python"""  # noqa: E501
    import tempfile

    from clapstick.systems import conformance
    from clapstick.systems.registry import find_system
    from clapstick.systems.runtimes.options import read_options

    found = find_system(path)
    options = read_options(found.card.name)
    if python is not None:
        options = options.model_copy(update={"runtime": "env", "python": python})
    parameters = dict(_parameter(text) for text in parameter or [])
    with tempfile.TemporaryDirectory() as temporary:
        findings = conformance.check_system(
            found, work or Path(temporary), parameters=parameters, options=options
        )
    words = {True: "passed", False: "FAILED", None: "not told"}
    rows = [{"check": one.check, "result": words[one.passed], "detail": one.detail} for one in findings]
    print_rows(rows, ["check", "result", "detail"], as_json=as_json, title=None if as_json else found.card.name)
    if any(one.passed is False for one in findings):
        raise typer.Exit(EXIT_PARTIAL)


def _parameter(text: str) -> tuple[str, str | int | float | bool]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not of the form name=value")
    try:
        decoded = json.loads(value)
    except ValueError:
        return name, value
    return name, decoded if isinstance(decoded, str | int | float | bool) else value
