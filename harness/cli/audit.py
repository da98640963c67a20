"""``clapstick audit``: which test clips were trained on, and by whom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clapstick.harness.cli import EXIT_PARTIAL
from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

if TYPE_CHECKING:
    from clapstick.protocols.audit import Audit
    from clapstick.protocols.fingerprint import Duplicate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(
    protocol: Annotated[str, typer.Argument(help="Protocol name or TOML file.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data folder: audits its clips and looks for duplicate recordings in it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count the clips that systems were trained on. Example: clapstick audit video-foley-table2"""
    from clapstick.harness.progress import progress
    from clapstick.protocols.audit import audit as audit_clips
    from clapstick.protocols.audit import list_membership
    from clapstick.protocols.duplicates import all_recordings, duplicates_among
    from clapstick.protocols.listed_clips import listed_clips
    from clapstick.protocols.protocol import find_protocol
    from clapstick.protocols.readers.base import find_reader
    from clapstick.systems.registry import built_in_systems

    chosen = find_protocol(protocol)
    rules = chosen.dataset
    duplicates: list[Duplicate] | None = None
    problems = []
    if data is None:
        clips = listed_clips(rules)
    else:
        listing = find_reader(rules.reader).read(data, rules)
        clips = listing.clips
        recordings = all_recordings(data, rules)
        with progress("Fingerprints", len(recordings.clips)) as advance:
            duplicates, undecoded = duplicates_among(recordings.clips, clips, advance)
        problems = list(dict.fromkeys((*listing.problems, *recordings.problems, *undecoded)))
    cards = [found.card for found in built_in_systems().values() if found.card.role == "system"]
    result = audit_clips(clips, {card.name: card.trained_on for card in cards})
    membership = list_membership(clips)
    if as_json:
        print_json(_document(chosen.name, result, membership.to_dict("records"), duplicates, problems))
    else:
        _print(result, membership.to_dict("records"), duplicates)
    for problem in problems:
        note(f"clapstick: {problem}")
    if problems:
        raise typer.Exit(EXIT_PARTIAL)


def _document(
    name: str, result: Audit, membership: list[Any], duplicates: list[Duplicate] | None, problems: list[Any]
) -> dict[str, Any]:
    return {
        "protocol": name,
        "systems": [
            {
                "system": system.system,
                "lists": system.lists,
                "clips": system.clips,
                "videos": system.videos,
                "clips_seen": len(system.seen_clips),
                "videos_seen": len(system.seen_videos),
                "seen_clips": system.seen_clips,
            }
            for system in result.systems
        ],
        "without_lists": result.without_lists,
        "common_split": {"clips": result.unseen_by_all, "videos": result.unseen_videos},
        "lists": membership,
        "explanation": result.explanation,
        "duplicates": None if duplicates is None else [vars(pair) for pair in duplicates],
        "problems": [problem.model_dump() for problem in problems],
    }


def _print(result: Audit, membership: list[Any], duplicates: list[Duplicate] | None) -> None:
    rows = [
        {
            "system": system.system,
            "trained on": ", ".join(system.lists),
            "clips seen": f"{len(system.seen_clips)} of {system.clips}",
            "videos seen": f"{len(system.seen_videos)} of {system.videos}",
            "share": f"{system.share:.0%}",
        }
        for system in result.systems
    ]
    print_rows(
        rows,
        ["system", "trained on", "clips seen", "videos seen", "share"],
        as_json=False,
        title="Clips that systems were trained on",
    )
    print_rows(
        membership, ["split_of", "split", "clips", "videos"], as_json=False, title="Clips in published lists"
    )
    sys.stdout.write(f"{result.explanation}\n")
    if result.without_lists:
        sys.stdout.write(
            f"No list of this data set is published for {', '.join(result.without_lists)}: "
            "whether they saw these clips cannot be told.\n"
        )
    _print_duplicates(duplicates)


def _print_duplicates(duplicates: list[Duplicate] | None) -> None:
    if duplicates is None:
        sys.stdout.write("No data was given, so no sound was compared: --data looks for duplicates.\n")
    elif not duplicates:
        sys.stdout.write("No recording behind the clips lies in the folder a second time.\n")
    else:
        rows = [
            vars(pair) | {"share": f"{pair.share:.0%}", "offset_s": f"{pair.offset_s:+.2f}"}
            for pair in duplicates
        ]
        columns = ["first", "second", "kind", "share", "offset_s"]
        print_rows(rows, columns, as_json=False, title="Same sound twice")
