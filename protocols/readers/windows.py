"""Cutting recordings into clips, the same way for every data set."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.protocols.protocol import DatasetRules

TOLERANCE_S = 0.05
"""A clip may reach this far past the end of its recording: less than two frames at 30 fps."""


def windows(recording_s: float, rules: DatasetRules) -> list[tuple[int, float, float]]:
    """Return (index, start_s, duration_s) of each clip of a recording; a tail shorter than a clip is left out.

    Clip k starts at ``clip_start_s + k * clip_hop_s``. A hop of 0 gives one clip, a clip duration of 0 all that
    follows the start.

    Parameters
    ----------
    recording_s : float
        Length of the recording in seconds.
    rules : DatasetRules
        Start, duration and hop of the clips.
    """
    if rules.clip_duration_s == 0:
        rest_s = recording_s - rules.clip_start_s
        return [(0, rules.clip_start_s, rest_s)] if rest_s > 0 else []
    room_s = recording_s + TOLERANCE_S - rules.clip_start_s - rules.clip_duration_s
    if room_s < 0:
        return []
    count = 1 if rules.clip_hop_s == 0 else int(room_s // rules.clip_hop_s) + 1
    return [(k, rules.clip_start_s + k * rules.clip_hop_s, rules.clip_duration_s) for k in range(count)]


def require_windows(recording_s: float, rules: DatasetRules, where: object) -> list[tuple[int, float, float]]:
    """Return the `windows` of a recording; raise `ClapstickError` where it is too short for one."""
    cut = windows(recording_s, rules)
    if cut:
        return cut
    needed_s = rules.clip_start_s + rules.clip_duration_s
    raise fail(
        "recording is shorter than a clip" if recording_s else "recording has no length",
        where,
        found=f"{recording_s:.3f} s",
        expected=f"{needed_s:g} s" if rules.clip_duration_s else f"more than {needed_s:g} s",
        remedy="It gives no clip.",
    )


def choose(clips: Sequence[Clip], rules: DatasetRules) -> tuple[Clip, ...]:
    """Return the clips that the rules keep, in their order."""
    kept = [clip for clip in clips if clip.onsets or not rules.annotated_only]
    return choose_count(kept, rules)


def choose_count(kept: Sequence[Clip], rules: DatasetRules) -> tuple[Clip, ...]:
    """Return the clips that the rules' count keeps, in their order, annotated or not.

    A count of n keeps the n clips with the smallest SHA-256 of their id: the same ones on every machine, and a
    larger count keeps all of a smaller one.
    """
    if not rules.clip_count or len(kept) <= rules.clip_count:
        return tuple(kept)
    drawn = sorted(kept, key=lambda clip: sha256(clip.id.encode("utf-8", "surrogatepass")).digest())
    names = {clip.id for clip in drawn[: rules.clip_count]}
    return tuple(clip for clip in kept if clip.id in names)
