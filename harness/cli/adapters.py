"""``clapstick adapters``: metric adapters, what each one lacks here, and making one ready."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clapstick.harness.cli.making_ready import (
    BaseOption,
    CodeOnlyOption,
    MirrorOption,
    NetworkOption,
    licences,
    make_ready,
)
from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

NameArgument = Annotated[str, typer.Argument(help="Adapter, or folder with its card.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True,
        help="List the metric adapters, or make one ready. Example: clapstick adapters",
    )
    group.callback()(list_adapters)
    group.command("show")(show)
    group.command("build")(build)
    app.add_typer(group, name="adapters")


def list_adapters(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the metric adapters, or make one ready. Example: clapstick adapters --json"""
    if context.invoked_subcommand is not None:
        return
    from clapstick.harness.adapters import adapters

    rows = [_row(found) for found in adapters().values()]
    columns = ["name", "metrics", "runtime", "licence of code / weights", "missing here"]
    print_rows(rows, columns, as_json=as_json)


def _row(found: Any) -> dict[str, Any]:
    from clapstick.harness.adapters import adapter_options
    from clapstick.harness.weights import lacks
    from clapstick.metrics.registry import metrics

    card = found.card
    options = adapter_options(found)
    return {
        "name": card.name,
        "title": card.title,
        "metrics": ", ".join(
            f"{metric.name}:{convention.name}"
            for metric in metrics().values()
            for convention in metric.conventions
            if card.name in convention.pair_embedders
        ),
        "runtime": options.runtime or card.runtime,
        "licence_code": card.licence_code,
        "licence_weights": card.licence_weights,
        "licence of code / weights": licences(card.licence_code, card.licence_weights),
        "missing here": ", ".join(lacks(found, options)),
        "summary": card.summary,
    }


def show(name: NameArgument) -> None:
    """Print an adapter's card and what it lacks here as JSON. Example: clapstick adapters show imagebind"""
    from clapstick.harness.adapters import adapter_options, find_adapter
    from clapstick.harness.weights import lacks

    found = find_adapter(name)
    print_json(found.card.model_dump(mode="json") | {"missing here": lacks(found, adapter_options(found))})


def build(
    name: NameArgument,
    mirror: MirrorOption = None,
    code_only: CodeOnlyOption = False,
    base: BaseOption = None,
    network: NetworkOption = None,
) -> None:
    """Clone an adapter's official code at its pinned commit and build its image. Example: clapstick adapters build imagebind"""  # noqa: E501
    from clapstick.harness.adapters import adapter_options, find_adapter

    found = find_adapter(name)
    make_ready(
        found,
        adapter_options(found),
        mirror=mirror,
        code_only=code_only,
        base=base,
        network=network,
    )
    for weights in found.card.weights:
        note(f"checkpoint: `clapstick weights fetch {weights}`")
