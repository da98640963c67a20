"""Data on stdout, as a table for people or JSON for programs; everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

_WIDTH_OF_FILES = 240
"""Columns of a table that goes into a file or pipe."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, title: str | None = None
) -> None:
    """Print rows: all of their keys as JSON, or the named columns as a table."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", header_style="bold", show_edge=False)
    for row in rows:
        table.add_row(*(Text("" if row.get(name) is None else str(row[name])) for name in columns))
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
    console.print(table)


def note(message: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(message + "\n")
