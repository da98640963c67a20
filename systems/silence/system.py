"""Silence."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.rms import SAMPLE_RATE
from clapstick.protocols.audio import Audio
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import samples_of


class Silence:
    """Makes no sound."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return zeros for the length of the clip."""
        samples = np.zeros((max(1, samples_of(request)), 1), dtype=np.float32)
        return NativeOutput(Audio(samples, SAMPLE_RATE))


def build(context: Context) -> Silence:
    """Build the system."""
    return Silence()
