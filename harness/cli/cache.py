"""``clapstick cache``: the embeddings kept between runs."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

KeyArgument = Annotated[str, typer.Argument(help="Key of an embedding, or enough of its start.")]
EmbedderOption = Annotated[str | None, typer.Option(help="Only the embeddings of this embedder.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Cached embeddings: show, clear, explain.", no_args_is_help=True)
    group.command("show")(show)
    group.command("clear")(clear)
    group.command("explain")(explain)
    app.add_typer(group, name="cache")


def show(as_json: JsonOption = False) -> None:
    """Show what is cached, by embedder; keys with --json. Example: clapstick cache show"""
    from clapstick.harness.embedding_cache import EmbeddingCache

    cache = EmbeddingCache()
    groups: dict[str, list[Any]] = defaultdict(list)
    for entry in cache.entries():
        groups[str(cache.parts(entry.key)["embedder"])].append(entry)
    rows: list[dict[str, Any]] = [
        {
            "embedder": name,
            "embeddings": len(entries),
            "size_bytes": sum(entry.size_bytes for entry in entries),
            "keys": [entry.key for entry in entries],
        }
        for name, entries in sorted(groups.items())
    ]
    if as_json:
        print_json({"folder": str(cache.folder), "embedders": rows})
        return
    note(f"Embeddings in {cache.folder}")
    print_rows(rows, ["embedder", "embeddings", "size_bytes"], as_json=False)


def clear(embedder: EmbedderOption = None, as_json: JsonOption = False) -> None:
    """Remove cached embeddings; they are made again when needed. Example: clapstick cache clear"""
    from clapstick.harness.embedding_cache import EmbeddingCache

    files, size = EmbeddingCache().clear(embedder)
    if as_json:
        print_json({"removed": files, "size_bytes": size})
        return
    note(f"Removed {files} embeddings, {size / 1e6:.1f} MB.")


def explain(key: KeyArgument, as_json: JsonOption = False) -> None:
    """Say what an embedding was made of. Example: clapstick cache explain 3fa2"""
    from clapstick.harness.embedding_cache import EmbeddingCache

    parts = EmbeddingCache().parts(key)
    if as_json:
        print_json(parts)
        return
    rows = [{"part": name, "value": value} for name, value in parts.items()]
    print_rows(rows, ["part", "value"], as_json=False)
