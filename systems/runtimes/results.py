"""What a system outside this process hands over: sound for clips, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import Problem
from clapstick.systems.base import NativeOutput


@dataclass(frozen=True)
class Generated:
    """The native sound of one clip."""

    clip: Clip
    output: NativeOutput
    seconds: float
    """Wall seconds over all passes of the clip, as the system measured them."""
    peak_memory_bytes: int | None
    """Highest of the clip's passes."""
    native_samples: tuple[int, ...] = ()
    """Samples that each pass emitted before anything was cut."""


@dataclass(frozen=True)
class FailedClip:
    """A clip that the system has no sound for, or, where `clip` is None, what it did besides."""

    clip: Clip | None
    problem: Problem
