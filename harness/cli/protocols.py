"""``clapstick protocols``: the comparisons there are, and each of them explained."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from clapstick.harness.cli.output import JsonOption, print_json, print_rows


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("protocols")(protocols)


def protocols(
    name: Annotated[
        str | None, typer.Argument(help="Protocol name or TOML file; all are listed without.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the protocols, or explain one. Example: clapstick protocols video-foley-table2"""
    from clapstick.protocols.explain import explain
    from clapstick.protocols.protocol import built_in_protocols, find_protocol, read_protocol

    if name is None:
        rows = [
            {
                "name": protocol.name,
                "title": protocol.title,
                "paper": protocol.paper,
                "table": protocol.table,
                "reader": protocol.dataset.reader,
                "split": protocol.dataset.split,
                "metrics": list(protocol.metrics),
                "summary": protocol.summary,
            }
            for protocol in map(read_protocol, built_in_protocols().values())
        ]
        print_rows(rows, ["name", "title", "reader", "split"], as_json=as_json)
        return
    protocol = find_protocol(name)
    if as_json:
        print_json(protocol.model_dump(mode="json"))
    else:
        sys.stdout.write(explain(protocol))
