"""The system interface: what a system is asked for and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip


@dataclass(frozen=True)
class Request:
    """One clip to make sound for."""

    clip: Clip
    reference: Audio | None
    """The reference sound; handed over only to systems whose card says ``sees_reference``."""
    prompt_audio: Audio | None
    """The decoded audio prompt, where the clip's prompt is audio."""


@dataclass(frozen=True)
class NativeOutput:
    """What a system emits, at its own rate and length."""

    audio: Audio
    warnings: tuple[str, ...] = ()
    predictions: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """Besides sound: ``rms_logits`` (frames, classes), ``onset_logits`` (frames,), ``envelope`` (frames,)."""


@dataclass(frozen=True)
class Context:
    """What a system may use of the run it takes part in."""

    clips: Sequence[Clip]
    """All clips of the run."""
    load_reference: Callable[[Clip], Audio]
    """Decodes a clip's reference; only for systems whose card says ``sees_reference``."""
    parameters: Mapping[str, str | int | float | bool]
    """The card's parameters, with the user's changes."""
    weights: Mapping[str, Path]
    """Weight name -> verified local file, for every weight the card needs."""
    device: str = "cpu"


class System(Protocol):
    """Makes sound for clips. Built once a run (and once a worker) by the card's entry point."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip.

        All randomness comes from `rng`, which depends on run seed, system and clip alone.
        """
