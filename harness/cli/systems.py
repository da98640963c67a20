"""``clapstick systems``: what systems there are, and making one ready."""

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


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True, help="List the systems, or make one ready. Example: clapstick systems"
    )
    group.callback()(list_systems)
    group.command("build")(build)
    group.command("show")(show)
    app.add_typer(group, name="systems")


def list_systems(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the systems, or make one ready. Example: clapstick systems --json"""
    if context.invoked_subcommand is not None:
        return
    from clapstick.systems.registry import built_in_systems

    rows = [_row(found) for found in built_in_systems().values()]
    columns = ["name", "runtime", "prompts", "native", "licence of code / weights", "missing here"]
    print_rows(rows, columns, as_json=as_json)


def _row(found: Any) -> dict[str, Any]:
    from clapstick.harness.weights import lacks
    from clapstick.systems.runtimes.options import read_options

    card = found.card
    options = read_options(card.name)
    rate = "follows reference" if card.sample_rate is None else f"{card.sample_rate} Hz"
    return {
        "name": card.name,
        "title": card.title,
        "role": card.role,
        "runtime": options.runtime or card.runtime,
        "prompts": ", ".join(card.prompts),
        "sample_rate": card.sample_rate,
        "native_length": card.native_length,
        "native": f"{rate}; {card.native_length}" if card.native_length else rate,
        "licence_code": card.licence_code,
        "licence_weights": card.licence_weights,
        "licence of code / weights": licences(card.licence_code, card.licence_weights),
        "missing here": ", ".join(lacks(found, options)),
        "summary": card.summary,
    }


def show(
    name: Annotated[str, typer.Argument(help="System, or folder with system.toml.")],
) -> None:
    """Print a system's whole card as JSON. Example: clapstick systems show diff-foley"""
    from clapstick.systems.registry import find_system

    print_json(find_system(name).card.model_dump(mode="json"))


def build(
    name: Annotated[str, typer.Argument(help="System to make ready.")],
    mirror: MirrorOption = None,
    code_only: CodeOnlyOption = False,
    base: BaseOption = None,
    network: NetworkOption = None,
) -> None:
    """Clone a system's official code at its pinned commit and build its image. Example: clapstick systems build diff-foley"""  # noqa: E501
    from clapstick.systems.registry import find_system
    from clapstick.systems.runtimes.options import read_options

    found = find_system(name)
    make_ready(
        found,
        read_options(found.card.name),
        mirror=mirror,
        code_only=code_only,
        base=base,
        network=network,
    )
    for checkpoint in found.card.checkpoints:
        note(f"checkpoint to fetch yourself: {checkpoint.path} from {checkpoint.source}")
