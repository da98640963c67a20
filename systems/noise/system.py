"""White noise as loud as the reference."""

from __future__ import annotations

import numpy as np

from clapstick.protocols.audio import Audio
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import reference_of, samples_of


class Noise:
    """Knows how loud the reference is on the whole, and nothing of when."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return white noise at the reference's rate with the RMS of its mono mix."""
        reference = reference_of(request)
        level = np.sqrt(np.mean(np.square(reference.mono, dtype=np.float64)))
        samples = rng.standard_normal((max(1, samples_of(request, reference.sample_rate)), 1))
        samples *= level / np.sqrt(np.mean(samples**2))
        return NativeOutput(Audio(samples.astype(np.float32), reference.sample_rate))


def build(context: Context) -> Noise:
    """Build the system."""
    return Noise()
