"""The reference with its RMS envelope rounded to classes: as good as a Video2RMS network can get."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.rms import FRAME_SAMPLES, HOP_SAMPLES, SAMPLE_RATE
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import (
    classes_of,
    frames_of,
    mono_16k,
    predictions_of,
    reference_envelope,
    reference_of,
    samples_of,
)
from clapstick.systems.envelope_shaper.shaping import apply_gains, frame_gains


class DiscretisedReference:
    """Finds the gains at 16 kHz and applies them at the reference's own rate, to all channels alike.

    Parameters
    ----------
    bins : int
        Number of mu-law classes; 0 keeps the filtered envelope as it is.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return the reference, scaled frame by frame to the envelope that its RMS classes stand for."""
        reference = reference_of(request)
        frames_of(request)
        mono = mono_16k(reference, samples_of(request))
        predictions = self._predictions(reference_envelope(mono))
        envelope = np.asarray(predictions["envelope"], dtype=np.float64)
        gains = frame_gains(mono, envelope, HOP_SAMPLES, FRAME_SAMPLES)
        hop_samples = HOP_SAMPLES * reference.sample_rate / SAMPLE_RATE
        samples = apply_gains(reference.samples.astype(np.float64), gains, hop_samples)
        return NativeOutput(Audio(samples.astype(np.float32), reference.sample_rate), predictions=predictions)

    def _predictions(self, envelope: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
        if self._bins == 0:
            return {"envelope": envelope}
        return predictions_of(classes_of(envelope, self._bins), self._bins)


def build(context: Context) -> DiscretisedReference:
    """Build the system; raise `ClapstickError` where the number of bins is impossible."""
    bins = context.parameters["bins"]
    if not isinstance(bins, int) or bins < 0 or bins == 1:
        raise fail(
            "impossible number of bins",
            "disc-rms",
            found=bins,
            expected="2 or more, or 0 for the continuous envelope",
            remedy="Change disc-rms.bins.",
        )
    return DiscretisedReference(bins)
