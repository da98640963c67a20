"""Looking a data folder over without changing it: what is missing, what is broken, what is odd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clapstick.protocols.checksums import Attrition, compare, read_checksums, subset_name
from clapstick.protocols.lint import lint_clip
from clapstick.protocols.problems import ClapstickError, Problem
from clapstick.protocols.protocol import Protocol
from clapstick.protocols.readers.base import find_reader

Begin = Callable[[int], None]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Verification:
    """Everything that is to be said of a data folder."""

    clips: int
    findings: tuple[tuple[str, str, str], ...]
    """Clip, fault, what was found."""
    problems: tuple[Problem, ...]
    attrition: Attrition | None
    """The folder against its manifest of hashes; None where it has none."""
    subset: str
    """Name of the surviving subset; empty where the data set has no manifest."""


def verify(
    folder: Path,
    protocol: Protocol,
    *,
    begin: Begin = lambda total: None,
    advance: Advance = lambda steps: None,
) -> Verification:
    """Read a data folder as a protocol would, lint every clip, and hold it against its manifest of hashes.

    Raises
    ------
    ClapstickError
        If the folder cannot be read at all.
    """
    reader = find_reader(protocol.dataset.reader)
    listing = reader.read(folder, protocol.dataset)
    problems = list(listing.problems)
    findings: list[tuple[str, str, str]] = []
    begin(len(listing.clips))
    for clip in listing.clips:
        try:
            findings += [(clip.id, finding.fault, finding.found) for finding in lint_clip(clip)]
        except ClapstickError as error:
            problems += error.problems
        advance(1)
    attrition, subset = None, listing.subset
    if read_checksums(folder) is not None:
        attrition = compare(folder)
        subset = subset_name(reader.name, attrition.present, attrition.listed)
        problems += _attrition_problems(folder, attrition)
    return Verification(len(listing.clips), tuple(findings), tuple(dict.fromkeys(problems)), attrition, subset)


def _attrition_problems(folder: Path, attrition: Attrition) -> list[Problem]:
    gone = [(record, "is missing") for record in attrition.missing]
    gone += [(record, "has other content") for record in attrition.changed]
    return [
        Problem(
            what=f"file of the manifest {how}",
            where=str(folder / record.name),
            expected=f"{record.bytes} bytes, SHA-256 {record.sha256[:12]}",
            remedy="Fetch it again; scores belong to the surviving subset until then.",
        )
        for record, how in gone
    ]
