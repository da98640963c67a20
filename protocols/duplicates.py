"""Recordings of a data folder that hold the same sound as those behind the clips of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from clapstick.protocols.clips import Clip
from clapstick.protocols.fingerprint import Duplicate, Fingerprint, find_duplicates, fingerprint
from clapstick.protocols.media import read_audio
from clapstick.protocols.problems import ClapstickError, Problem
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.base import Listing, find_reader

Advance = Callable[[int], None]
"""Told how many more recordings are done."""


def all_recordings(folder: Path, rules: DatasetRules) -> Listing:
    """Read every recording of the folder whole, whatever the split."""
    whole = rules.model_copy(
        update={
            "split": "all",
            "clip_start_s": 0.0,
            "clip_duration_s": 0.0,
            "clip_hop_s": 0.0,
            "annotated_only": False,
            "clip_count": 0,
        }
    )
    return find_reader(rules.reader).read(folder, whole)


def duplicates_among(
    recordings: Iterable[Clip], clips: Iterable[Clip], advance: Advance = lambda steps: None
) -> tuple[list[Duplicate], list[Problem]]:
    """Find recordings behind `clips` that are there a second time, under any other name.

    Returns
    -------
    duplicates : list of Duplicate
        Names are source recordings, and the first is behind the clips.
    problems : list of Problem
        What could not be decoded; nothing is said about it.
    """
    problems: list[Problem] = []
    prints: dict[str, Fingerprint] = {}
    for recording in recordings:
        if recording.reference is not None:
            try:
                prints[recording.source] = fingerprint(read_audio(recording.reference))
            except ClapstickError as error:
                problems += error.problems
        advance(1)
    behind = {clip.source for clip in clips}
    tested = {name: print_ for name, print_ in prints.items() if name in behind}
    return find_duplicates(tested, prints), problems
