"""The reference, late by a tenth of a second."""

from __future__ import annotations

import numpy as np

from clapstick.protocols.audio import Audio
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import reference_of


class Shifted:
    """Delays the reference; its end is cut off, so that the length stays."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return the delayed reference at its own rate and channels."""
        reference = reference_of(request)
        length = reference.samples.shape[0]
        delay = min(length, round(self._delay_s * reference.sample_rate))
        late = np.zeros_like(reference.samples)
        late[delay:] = reference.samples[: length - delay]
        return NativeOutput(Audio(late, reference.sample_rate))


def build(context: Context) -> Shifted:
    """Build the system."""
    return Shifted(float(context.parameters["delay_s"]))
