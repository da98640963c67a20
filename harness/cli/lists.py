"""``clapstick datasets``: the data set readers there are."""

from __future__ import annotations

import typer

from clapstick.harness.cli.output import JsonOption, print_rows


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("datasets")(datasets)


def datasets(as_json: JsonOption = False) -> None:
    """List the data set readers. Example: clapstick datasets --json"""
    from clapstick.protocols.readers.base import readers

    rows = [
        {
            "name": reader.name,
            "title": reader.title,
            "splits": ", ".join(reader.splits),
            "layout": reader.layout,
            "summary": reader.summary,
            "source": reader.source,
        }
        for reader in readers().values()
    ]
    print_rows(rows, ["name", "title", "splits", "layout"], as_json=as_json)
