"""Length protocols: which stretches of a clip a system is run on, and which native samples end up where.

Almost no system emits the length that was asked for. Two rules describe all of them:

``fixed``
    Every pass emits the same number of samples. A longer clip is split into windows from its start; the last
    window is moved left until it ends with the clip, and only what the windows before it do not cover is used.
    A shorter clip is looped until it fills the pass.
``free``
    The length follows the request, rounded up to a block. A clip beyond `FreeLength.longest_s` is split the
    same way.

One window is kept as emitted: cutting or padding it to the clip is the protocol's business. Several windows are
each cut to what they cover (or padded with zeros up to the next one) and joined.

Source: the windows of Video-Foley (appendix G) and exact sample counts of the official decoders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

_SAME_S = 1e-6


class FixedLength(BaseModel):
    """A system whose every pass emits the same number of samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["fixed"]
    covers_s: float = Field(gt=0)
    """Seconds of the clip that one pass answers for."""
    shown_s: float = Field(gt=0)
    """Seconds of video that one pass is shown; at least `covers_s`."""
    native_samples: int = Field(gt=0)
    """Samples that one pass emits, at the native rate."""


class FreeLength(BaseModel):
    """A system that emits as many whole blocks as the request needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["free"]
    block_samples: int = Field(gt=0)
    """Samples of one block, at the native rate."""
    block_s: float | None = Field(default=None, gt=0)
    """Seconds of request that one block stands for; None where it is `block_samples` at the native rate."""
    extra_samples: int = 0
    """Samples that the decoder adds once."""
    longest_s: float | None = Field(default=None, gt=0)
    """Longest request of one pass; None where there is no bound."""


LengthRule = Annotated[FixedLength | FreeLength, Field(discriminator="rule")]


@dataclass(frozen=True)
class Window:
    """One pass of a system over a stretch of a clip."""

    start_s: float
    """Where the stretch starts, in seconds from the start of the clip."""
    shown_s: float
    """Seconds of video that the system is given."""
    skip_samples: int = 0
    """Native samples at the front that earlier windows already cover."""
    keep_samples: int | None = None
    """Native samples that follow in the joined sound, zeros where fewer were emitted; None: all, as emitted."""
    looped: bool = False
    """Whether the clip is shorter than what the pass answers for, and starts again at its end."""


def native_samples(rule: FixedLength | FreeLength, sample_rate: int, seconds: float) -> int:
    """Return how many samples one pass emits when `seconds` are asked for."""
    if isinstance(rule, FixedLength):
        return rule.native_samples
    block_s = rule.block_s or rule.block_samples / sample_rate
    return math.ceil(seconds / block_s - _SAME_S) * rule.block_samples + rule.extra_samples


def plan_windows(
    rule: FixedLength | FreeLength | None, sample_rate: int | None, duration_s: float
) -> tuple[Window, ...]:
    """Split a clip into the passes that a system needs for it.

    Parameters
    ----------
    rule : FixedLength or FreeLength or None
        The system's rule; None for a system that takes any clip whole.
    sample_rate : int or None
        Native rate in Hz; needed where a clip is split.
    duration_s : float
        Length of the clip in seconds, above 0.

    Returns
    -------
    tuple of Window
        In time order; together they cover the clip once.

    Raises
    ------
    ValueError
        If the clip has no length, or is to be split and the rate is not known.
    """
    if not duration_s > 0:
        raise ValueError(f"clip length must be above 0 s, found {duration_s}")
    if rule is None:
        return (Window(0.0, duration_s),)
    if isinstance(rule, FixedLength):
        covers_s, shown_s = rule.covers_s, rule.shown_s
    else:
        covers_s = shown_s = min(duration_s, rule.longest_s or duration_s)
    if duration_s <= covers_s + _SAME_S:
        return (Window(0.0, shown_s, looped=duration_s < covers_s - _SAME_S),)
    if sample_rate is None:
        raise ValueError("a clip can only be split at a known native rate")
    return _split(duration_s, covers_s, shown_s, sample_rate)


def _split(duration_s: float, covers_s: float, shown_s: float, sample_rate: int) -> tuple[Window, ...]:
    count = math.ceil(duration_s / covers_s - _SAME_S)
    edges = [round(index * covers_s * sample_rate) for index in range(count)]
    edges.append(round(duration_s * sample_rate))
    windows = []
    for index in range(count):
        start_s = min(index * covers_s, duration_s - covers_s)
        skip = edges[index] - round(start_s * sample_rate)
        windows.append(Window(start_s, shown_s, skip, edges[index + 1] - edges[index]))
    return tuple(windows)


def join_windows(
    windows: Sequence[Window], passes: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], int]:
    """Join the native outputs of a clip's windows.

    Parameters
    ----------
    windows : sequence of Window
        As `plan_windows` returned them.
    passes : sequence of ndarray of float32, shape (samples, channels)
        What each pass emitted.

    Returns
    -------
    joined : ndarray of float32, shape (samples, channels)
    padded : int
        Samples of silence that stand for sound which a pass should have covered and did not emit.
    """
    pieces = []
    padded = 0
    for window, samples in zip(windows, passes, strict=True):
        kept = samples[window.skip_samples :]
        if window.keep_samples is not None:
            kept = kept[: window.keep_samples]
            missing = window.keep_samples - kept.shape[0]
            padded += missing
            kept = np.pad(kept, ((0, missing), (0, 0)))
        pieces.append(kept)
    return np.concatenate(pieces), padded


def source_times(duration_s: float, window: Window, fps: float) -> NDArray[np.float64]:
    """Return the clip times of the frames that a window shows.

    A clip shorter than the window is looped; past the end of a longer clip its last frame stays.

    Returns
    -------
    ndarray of float64, shape (frames,)
        Seconds from the start of the clip.
    """
    times = window.start_s + np.arange(round(window.shown_s * fps)) / fps
    if window.looped:
        return np.asarray(np.mod(times + _SAME_S, duration_s), dtype=np.float64)
    return np.minimum(times, max(duration_s - 0.5 / fps, 0.0))
