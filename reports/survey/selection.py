"""Which clips a listening test asks about, by a named rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from clapstick.protocols.archive import RunArchive
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.reports.survey.design import QuestionRules

REFERENCE = "reference"
"""The system that stands for the ground truth in a run archive."""


def eligible_clips(archive: RunArchive, systems: Sequence[str]) -> tuple[list[Clip], dict[str, str]]:
    """Return the clips that have a video and the sound of every system, and why the others are left out.

    Parameters
    ----------
    systems : sequence of str
        Names of the systems, with ``reference`` where the ground truth is needed.
    """
    eligible = []
    left_out = {}
    for clip in archive.read_clips():
        missing = [name for name in systems if not archive.audio_wav(name, clip).is_file()]
        if missing:
            left_out[clip.id] = f"no sound of {', '.join(missing)}"
        elif not clip.video.is_file():
            left_out[clip.id] = f"the video is not at {clip.video}"
        else:
            eligible.append(clip)
    return eligible, left_out


def select_clips(
    clips: Sequence[Clip], rules: QuestionRules, duration_s: float, rng: np.random.Generator
) -> list[Clip]:
    """Choose the clips of the test.

    Raises
    ------
    ClapstickError
        If the rule cannot be met; names the cells or clips that are missing and those that there are.
    """
    allowed = [
        clip
        for clip in clips
        if (not rules.materials or clip.material in rules.materials)
        and (not rules.actions or clip.action in rules.actions)
    ]
    if rules.rule == "cells":
        return _by_cells(allowed, rules.cells, duration_s, rng)
    if rules.rule == "listed":
        return _listed(allowed, rules.clips)
    if rules.rule == "all":
        if not allowed:
            raise _too_few(0, 1)
        return list(allowed)
    return _spread(allowed, rules.count, rng)


def clip_cell(clip: Clip, duration_s: float) -> str | None:
    """Return the ``material-action`` that more than half of the events in the part shown have; None where
    none has.

    A clip without annotated events counts as its own material and action.
    """
    if clip.onsets is None:
        return f"{clip.material}-{clip.action}" if clip.material and clip.action else None
    shown = [onset for onset in clip.onsets if onset.time_s < duration_s]
    cells = Counter(f"{onset.material}-{onset.action}" for onset in shown if onset.material and onset.action)
    if not cells:
        return None
    cell, count = cells.most_common(1)[0]
    return cell if 2 * count > len(shown) else None


def _by_cells(
    clips: Sequence[Clip], cells: Sequence[str], duration_s: float, rng: np.random.Generator
) -> list[Clip]:
    at: dict[str, list[Clip]] = {}
    for clip in clips:
        cell = clip_cell(clip, duration_s)
        if cell is not None:
            at.setdefault(cell, []).append(clip)
    empty = [cell for cell in cells if cell not in at]
    if empty:
        raise fail(
            "no clip for a material-action cell",
            ", ".join(empty),
            found=f"clips for {', '.join(sorted(at)) or 'no cell'}",
            expected="a clip with video and every system's sound for each cell",
            remedy="Run more clips, or choose others: --set questions.rule=spread --set questions.count=12.",
        )
    return [at[cell][int(rng.integers(len(at[cell])))] for cell in cells]


def _listed(clips: Sequence[Clip], wanted: Sequence[str]) -> list[Clip]:
    by_id: Mapping[str, Clip] = {clip.id: clip for clip in clips}
    unknown = [clip_id for clip_id in wanted if clip_id not in by_id]
    if unknown:
        raise fail(
            "listed clip is not in the run, or lacks a video or a sound",
            ", ".join(unknown),
            expected=f"some of {', '.join(list(by_id)[:12])}",
            remedy="Mend questions.clips.",
        )
    return [by_id[clip_id] for clip_id in wanted]


def _spread(clips: Sequence[Clip], count: int, rng: np.random.Generator) -> list[Clip]:
    """Take clips one by one, each time from the least used source, material and action."""
    if len(clips) < count:
        raise _too_few(len(clips), count)
    left = [clips[index] for index in rng.permutation(len(clips))]
    taken: list[Clip] = []
    uses: Counter[tuple[str, str | None]] = Counter()
    while len(taken) < count:
        best = min(left, key=lambda clip: tuple(uses[key] for key in _spread_keys(clip)))
        left.remove(best)
        taken.append(best)
        uses.update(_spread_keys(best))
    return taken


def _spread_keys(clip: Clip) -> tuple[tuple[str, str | None], ...]:
    return (
        ("cell", f"{clip.material}-{clip.action}"),
        ("source", clip.source),
        ("material", clip.material),
        ("action", clip.action),
    )


def _too_few(found: int, count: int) -> Exception:
    return fail(
        "too few clips with video and every system's sound",
        "questions",
        found=found,
        expected=f"at least {count}",
        remedy="Run more clips, name fewer systems, or set questions.count lower.",
    )
