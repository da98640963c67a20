"""``clapstick metrics``: what metrics there are, and the card of each."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from clapstick.harness.cli.output import JsonOption, print_json, print_rows


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metrics")(metrics)


def metrics(
    name: Annotated[str | None, typer.Argument(help="Metric to explain; all are listed without.")] = None,
    as_json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/metrics.md on standard output.")
    ] = False,
) -> None:
    """List the metrics, or print the card of one. Example: clapstick metrics e-l1"""
    from clapstick.harness.metric_cards import card, card_text, metrics_page, names, scale
    from clapstick.metrics.registry import metrics as known_metrics

    known = known_metrics()
    if name is not None:
        metric = known.get(name) or _unknown(name, list(known))
        if as_json:
            print_json(card(metric))
        else:
            sys.stdout.write(metrics_page([metric]) if markdown else card_text(metric))
        return
    if markdown:
        sys.stdout.write(metrics_page(known.values()))
        return
    rows = [card(metric) for metric in known.values()]
    if as_json:
        print_json(rows)
        return
    table = [
        {"name": row["name"], "title": row["title"], "scale": scale(row), "conventions": ", ".join(names(row))}
        for row in rows
    ]
    print_rows(table, ["name", "title", "scale", "conventions"], as_json=False)


def _unknown(name: str, known: list[str]) -> NoReturn:
    from clapstick.protocols.problems import unknown_name

    raise unknown_name("unknown metric", name, known, otherwise="List them with `clapstick metrics`.")
