"""Cutting recordings into clips, the same way for every data set."""

from __future__ import annotations

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
