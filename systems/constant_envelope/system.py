"""White noise at one level for all clips: what can be said without looking."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.rms import BINS, SAMPLE_RATE, bin_edges, discretise
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import frames_of, predictions_of, samples_of


class ConstantEnvelope:
    """Predicts the same RMS for every frame of every clip."""

    def __init__(self, rms: float) -> None:
        self._rms = rms

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return white noise with this RMS."""
        classes = np.full(frames_of(request), min(BINS - 1, int(discretise(np.array(self._rms), bin_edges()))))
        predictions = predictions_of(classes)
        predictions["envelope"] = np.full(classes.size, self._rms)
        samples = rng.standard_normal((samples_of(request), 1))
        samples *= self._rms / np.sqrt(np.mean(samples**2))
        return NativeOutput(Audio(samples.astype(np.float32), SAMPLE_RATE), predictions=predictions)


def build(context: Context) -> ConstantEnvelope:
    """Build the system; raise `ClapstickError` where the level is not one."""
    rms = float(context.parameters["rms"])
    if not 0 <= rms <= 1:
        raise fail(
            "parameter rms is out of range",
            "constant-envelope",
            found=rms,
            expected="0 to 1",
            remedy="Give the mean RMS of the training sounds.",
        )
    return ConstantEnvelope(rms)
