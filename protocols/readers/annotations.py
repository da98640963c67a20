"""Annotated onsets: lines of ``time material action reaction``, and what they say of a clip."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from clapstick.protocols.clips import Onset
from clapstick.protocols.problems import Problem, unknown_name

MATERIALS = (
    "carpet", "ceramic", "cloth", "dirt", "drywall", "glass", "grass", "gravel", "leaf", "metal", "paper",
    "plastic", "plastic-bag", "rock", "tile", "water", "wood",
)  # fmt: skip
ACTIONS = ("hit", "scratch")
REACTIONS = ("deform", "rigid-motion", "scatter", "splash", "static")
NOT_SAID = "None"


def read_times(path: Path) -> tuple[tuple[Onset, ...] | None, list[Problem]]:
    """Read a times file: onsets in time order, and every line that is wrong.

    A line whose time cannot be read makes the whole file unusable (None): what it leaves out would be scored as
    a false alarm. A word that is not a known label leaves that label out and keeps the onset.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [_file_problem(path, "annotations cannot be read", str(error))]
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return None, [_file_problem(path, "annotation file is empty", f"{len(text)} characters")]
    onsets: list[Onset] = []
    problems: list[Problem] = []
    usable = True
    for number, words in lines:
        onset, found = parse_onset(f"{path}:{number}", words)
        problems += found
        if onset is None:
            usable = False
        else:
            onsets.append(onset)
    return (tuple(sorted(onsets, key=lambda onset: onset.time_s)) if usable else None), problems


def parse_onset(where: str, words: list[str]) -> tuple[Onset | None, list[Problem]]:
    """Read one annotation line; None where its time cannot be told, with every problem of the line."""
    if len(words) != 4:
        return None, [
            Problem(
                what="annotation line does not parse",
                where=where,
                found=" ".join(words),
                expected="time material action reaction",
                remedy="Mend the line.",
            )
        ]
    time_s = parse_time(words[0])
    if time_s is None:
        return None, [
            Problem(
                what="annotation time is not a time",
                where=where,
                found=words[0],
                expected="seconds from the start",
                remedy="Mend the line.",
            )
        ]
    material, material_problem = _label(where, "material", words[1], MATERIALS)
    action, action_problem = _label(where, "action", words[2], ACTIONS)
    reaction, reaction_problem = _label(where, "reaction", words[3], REACTIONS)
    onset = Onset(time_s=time_s, material=material, action=action, reaction=reaction)
    return onset, [*material_problem, *action_problem, *reaction_problem]


def parse_time(text: str) -> float | None:
    """Read seconds; None where the text is not a finite number of 0 or more."""
    try:
        time_s = float(text)
    except ValueError:
        return None
    return time_s if isfinite(time_s) and time_s >= 0 else None


def onsets_within(
    onsets: tuple[Onset, ...] | None, start_s: float, duration_s: float
) -> tuple[Onset, ...] | None:
    """Return the onsets in [start, start + duration), with times from the start; None stays None."""
    if onsets is None:
        return None
    return tuple(
        onset.model_copy(update={"time_s": round(onset.time_s - start_s, 6)})
        for onset in onsets
        if start_s <= onset.time_s < start_s + duration_s
    )


def label_class(labels: Iterable[str | None]) -> str:
    """Return the one label that is said, ``multiple`` where several are, ``None`` where none is."""
    said = {label for label in labels if label is not None}
    if not said:
        return NOT_SAID
    return said.pop() if len(said) == 1 else "multiple"


def _label(where: str, kind: str, word: str, known: tuple[str, ...]) -> tuple[str | None, list[Problem]]:
    if word == NOT_SAID:
        return None, []
    if word in known:
        return word, []
    error = unknown_name(f"unknown {kind}", word, [*known, NOT_SAID], where=where, otherwise="Mend the line.")
    return None, [*error.problems]


def _file_problem(path: Path, what: str, found: str) -> Problem:
    return Problem(
        what=what,
        where=str(path),
        found=found,
        expected="lines of time material action reaction",
        remedy="Onset metrics and text prompts are not computed for this recording.",
    )
