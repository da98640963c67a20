"""Random RMS classes: what Video-Foley calls random choice."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.rms import BINS, HOP_SAMPLES, SAMPLE_RATE, bin_edges, undiscretise
from clapstick.protocols.audio import Audio
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import frames_of, samples_of
from clapstick.systems.envelope_shaper.shaping import apply_gains


class RandomEnvelope:
    """Draws a class for every frame and lets white noise follow."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return white noise of unit RMS times the envelope of the drawn classes."""
        frames = frames_of(request)
        logits = rng.random((frames, BINS), dtype=np.float32)
        envelope = undiscretise(logits.argmax(axis=1), bin_edges())
        samples = apply_gains(rng.standard_normal(samples_of(request)), envelope, HOP_SAMPLES)
        return NativeOutput(
            Audio(samples[:, None].astype(np.float32), SAMPLE_RATE),
            predictions={"rms_logits": logits, "envelope": envelope},
        )


def build(context: Context) -> RandomEnvelope:
    """Build the system."""
    return RandomEnvelope()
