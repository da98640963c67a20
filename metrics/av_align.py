"""AV-Align: whether peaks of sound and peaks of motion coincide."""

from __future__ import annotations

from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Setting, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.motion import video_motion
from clapstick.metrics.onset_strength import HOP_SAMPLES, SAMPLE_RATE, onset_strength, pick_onsets
from clapstick.metrics.waveform import RESAMPLER, require_sound, resample

SMALLEST_FLOW = 0.1
PEAK_DELTA = 0.07
"""Default of librosa, where CondFoleyGen asks for 0.3."""
_CODE = "guyyariv/TempoTokens@bf0b1e3 av_align.py"


def audio_peaks(waveform: Array) -> Array:
    """Return onset times in seconds by librosa's detector with its defaults; sound at 22.05 kHz."""
    frames = pick_onsets(onset_strength(waveform), PEAK_DELTA)
    times: Array = frames * HOP_SAMPLES / SAMPLE_RATE
    return times


def video_peaks(magnitude: Array, frame_rate: float, *, smallest_flow: float = 0.0) -> Array:
    """Return the times of strict local maxima of motion that reach `smallest_flow`, in seconds.

    Parameters
    ----------
    magnitude : array, shape (frames,)
        Mean flow magnitude of each frame in pixels.
    """
    inner = magnitude[1:-1]
    peak = (magnitude[:-2] < inner) & (inner > magnitude[2:]) & (inner >= smallest_flow)
    times: Array = (np.flatnonzero(peak) + 1) / frame_rate
    return times


def peak_overlap(audio: Array, video: Array, frame_rate: float, *, one_to_one: bool) -> float:
    """Return matched peaks over all peaks, a match being nearer than one video frame.

    Parameters
    ----------
    audio, video : array, shape (peaks,)
        Times in seconds, ascending.
    one_to_one : bool
        Whether a video peak is used once (rule of 2025). Without it (2023) the score can exceed 1.

    Raises
    ------
    NotComputableError
        If there is no peak at all.
    """
    if not len(audio) and not len(video):
        raise NotComputableError(
            "neither sound nor picture has a peak, where the official code divides by zero"
        )
    free = [float(time) for time in video]
    matched = 0
    for time in audio:
        near = [peak for peak in free if peak - 1 / frame_rate < time < peak + 1 / frame_rate]
        if near:
            matched += 1
            if one_to_one:
                free.remove(near[0])
    return matched / (len(audio) + len(video) - matched)


def _statistics(clip: ClipInput, *, smallest_flow: float, one_to_one: bool) -> Statistics:
    if clip.video is None:
        raise NotComputableError("the clip has no video")
    generated = require_sound(clip.generated, "generated")
    motion = video_motion(clip.video, clip.video_start_s, len(generated) / clip.sample_rate)
    sound = audio_peaks(resample(generated, clip.sample_rate, SAMPLE_RATE))
    picture = video_peaks(motion.magnitude, motion.frame_rate, smallest_flow=smallest_flow)
    return clip_score(peak_overlap(sound, picture, motion.frame_rate, one_to_one=one_to_one))


_PARAMETERS: dict[str, Setting] = {"rate": SAMPLE_RATE, "flow": "farneback", "resampler": RESAMPLER}

METRIC = Metric(
    name="av-align",
    title="AV-Align",
    summary=(
        "Intersection over union of onsets in the generated sound and peaks of optical flow in the picture, "
        "averaged over clips. It needs no reference sound. It depends on frame rate and resolution of the "
        "video: keep both fixed."
    ),
    direction="higher",
    unit="fraction",
    low=0.0,
    high=None,
    conventions=(
        Convention(
            name="2025",
            summary="Flow peaks of at least 0.1 pixels, each matched once.",
            statistics=partial(_statistics, smallest_flow=SMALLEST_FLOW, one_to_one=True),
            combiner=MeanOfClips(),
            source=f"{_CODE}, since 2025-02-13",
            official=True,
            needs=("video",),
            parameters=_PARAMETERS | {"smallest-flow": SMALLEST_FLOW, "one-to-one": True},
        ),
        Convention(
            name="2023",
            summary="All flow peaks, each matched by any number of onsets.",
            statistics=partial(_statistics, smallest_flow=0.0, one_to_one=False),
            combiner=MeanOfClips(),
            source="guyyariv/TempoTokens@34d9502 av_align.py; naver-ai/rewas@4e09954",
            official=True,
            needs=("video",),
            parameters=_PARAMETERS | {"smallest-flow": 0.0, "one-to-one": False},
            caveat="Can exceed 1. ReWaS used this rule, on the first 5 s.",
        ),
    ),
    default="2025",
    default_reason="The rule its authors settled on, and the only one that stays below 1.",
    paper="G. Yariv et al., Diverse and Aligned Audio-to-Video Generation, AAAI 2024",
    official_code=_CODE,
    evidence=("hand-derived", "official-fixture"),
)
