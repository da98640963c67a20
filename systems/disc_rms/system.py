"""The reference with its RMS envelope rounded to 64 classes: as good as a Video2RMS network can get."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.rms import FRAME_SAMPLES, HOP_SAMPLES, SAMPLE_RATE
from clapstick.protocols.audio import Audio
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import (
    frames_of,
    mono_16k,
    predictions_of,
    reference_classes,
    reference_of,
    samples_of,
)
from clapstick.systems.envelope_shaper.shaping import apply_gains, frame_gains


class DiscretisedReference:
    """Finds the gains at 16 kHz and applies them at the reference's own rate, to all channels alike."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return the reference, scaled frame by frame to the envelope that its RMS classes stand for."""
        reference = reference_of(request)
        frames_of(request)
        mono = mono_16k(reference, samples_of(request))
        predictions = predictions_of(reference_classes(mono))
        envelope = np.asarray(predictions["envelope"], dtype=np.float64)
        gains = frame_gains(mono, envelope, HOP_SAMPLES, FRAME_SAMPLES)
        hop_samples = HOP_SAMPLES * reference.sample_rate / SAMPLE_RATE
        samples = apply_gains(reference.samples.astype(np.float64), gains, hop_samples)
        return NativeOutput(Audio(samples.astype(np.float32), reference.sample_rate), predictions=predictions)


def build(context: Context) -> DiscretisedReference:
    """Build the system."""
    return DiscretisedReference()
