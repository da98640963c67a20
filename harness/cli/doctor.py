"""``clapstick doctor``: what this machine has and lacks."""

from __future__ import annotations

import typer

from clapstick.harness.cli.output import JsonOption, print_rows


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Look at machine, GPU, container engines, weights and data; name the command that mends what is missing.

    Ends with 3 where something is missing that every run needs. Example: clapstick doctor --json
    """
    from clapstick.harness.cli import EXIT_ENVIRONMENT
    from clapstick.harness.doctor import examine

    checks = examine()
    print_rows([check.row() for check in checks], ["name", "state", "found", "remedy"], as_json=as_json)
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(EXIT_ENVIRONMENT)
