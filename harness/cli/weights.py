"""``clapstick weights``: checkpoint files, fetched only when asked."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

NameArgument = Annotated[str, typer.Argument(help="Name of the weights, as `list` shows it.")]
NamesArgument = Annotated[list[str], typer.Argument(help="Names of weights, as `list` shows them.")]
SomeNamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Names of weights; all that are here if none.")
]
UrlOption = Annotated[
    str | None, typer.Option(help="A mirror to fetch from; the hash is checked all the same.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Checkpoint files: list, fetch, verify.", no_args_is_help=True)
    group.command("list")(list_weights)
    group.command("fetch")(fetch)
    group.command("verify")(verify)
    group.command("where")(where)
    app.add_typer(group, name="weights")


def list_weights(as_json: JsonOption = False) -> None:
    """List the known weights and which are here. Example: clapstick weights list --json"""
    from clapstick.harness.weights import known_weights, local_path, read_record

    rows: list[dict[str, Any]] = []
    for known in known_weights().values():
        path = local_path(known)
        record = read_record(path) if path.is_file() else None
        rows.append(
            known.model_dump(mode="json")
            | {
                "here": "yes" if path.is_file() else "no",
                "path": str(path),
                "needed by": ", ".join(known.needed_by),
                "size_bytes": record.size_bytes if record else known.size_bytes,
                "sha256": record.sha256 if record else known.sha256,
            }
        )
    if as_json:
        print_json([{key: value for key, value in row.items() if key != "needed by"} for row in rows])
        return
    print_rows(rows, ["name", "here", "needed by", "licence"], as_json=False)


def fetch(names: NamesArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Fetch weights; a download that broke off goes on. Example: clapstick weights fetch vggish"""
    from clapstick.harness.weights import local_path, weight_file
    from clapstick.harness.weights_fetch import fetch_weights

    if url is not None and len(names) > 1:
        raise typer.BadParameter("--url goes with one name")
    rows = []
    for known in [weight_file(name) for name in names]:
        note(f"{known.name}: {known.title}, {known.licence}")
        record = fetch_weights(known.name, url=url, progress=_Progress(known.name))
        rows.append({"name": known.name, "path": str(local_path(known)), **record.model_dump(mode="json")})
    print_rows(rows, ["name", "size_bytes", "sha256", "path"], as_json=as_json)


def verify(names: SomeNamesArgument = None, as_json: JsonOption = False) -> None:
    """Read weights whole and compare their hashes. Example: clapstick weights verify vggish"""
    from clapstick.harness.weights import known_weights, local_path, verify_weights, weight_file
    from clapstick.protocols.problems import ClapstickError, Problem

    chosen = [weight_file(name) for name in names] if names else list(known_weights().values())
    here = chosen if names else [known for known in chosen if local_path(known).is_file()]
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for known in here:
        try:
            record = verify_weights(known.name)
        except ClapstickError as error:
            problems.extend(error.problems)
            rows.append({"name": known.name, "state": str(error), "sha256": None, "checked against": None})
            continue
        stated = ", ".join(
            key for key in ("sha256", "md5", "sha256_prefix", "size_bytes") if getattr(known, key) is not None
        )
        rows.append(
            {
                "name": known.name,
                "state": "whole",
                "sha256": record.sha256,
                "checked against": stated or "its first record",
            }
        )
    print_rows(rows, ["name", "state", "checked against", "sha256"], as_json=as_json)
    if not rows:
        note("No weights are here; `clapstick weights fetch NAME` gets some.")
    if problems:
        raise ClapstickError(*problems)


def where(name: NameArgument, as_json: JsonOption = False) -> None:
    """Print where a file lies or belongs. Example: clapstick weights where vggish"""
    from clapstick.harness.weights import local_path, weight_file

    known = weight_file(name)
    path = local_path(known)
    if as_json:
        print_json({"name": name, "path": str(path), "here": path.is_file(), "url": known.url})
        return
    sys.stdout.write(f"{path}\n")
    if not path.is_file():
        how = f"`clapstick weights fetch {name}`" if known.url else f"`{known.made_by}` makes it"
        note(f"It is not there yet: {how}.")


class _Progress:
    """Prints a line on standard error at every tenth of a file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tenth = -1

    def __call__(self, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else done // (100 << 20)
        if tenth != self._tenth:
            self._tenth = tenth
            of = f" of {total / 1e6:.1f}" if total else ""
            note(f"{self._name}: {done / 1e6:.1f}{of} MB")
