"""``rms2sound-tiny``: stage 2 alone, told the reference's RMS curve in bins, as it is, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clapstick.metrics.rms import bin_edges, undiscretise
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import classes_of
from clapstick.systems.two_stage import tiny_diffusion
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.sampling import Sampling, settings_of
from clapstick.systems.two_stage.tiny_diffusion import TinyDiffusion
from clapstick.systems.two_stage.video_foley import reference_curve

NO_RMS = "none"


class BinnedRMS:
    """Stage 2 under a condition of chosen resolution.

    Parameters
    ----------
    stage_two : TinyDiffusion
    bins : int, optional
        mu-law classes that the curve is rounded to, each decoded to its bin's upper edge; 0 leaves the curve as
        it is, None leaves stage 2 without any.
    """

    def __init__(self, stage_two: TinyDiffusion, bins: int | None) -> None:
        self._stage_two = stage_two
        self._bins = bins

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make the sound of one clip."""
        if self._bins is None:
            return self._stage_two.generate(request, rng)
        return self._stage_two.generate_from_envelope(request, self.condition(request), rng)

    def condition(self, request: Request) -> Envelope:
        """Return what stage 2 is told: the reference's filtered curve, in bins where there are any."""
        curve = reference_curve(request)
        if not self._bins:
            return curve
        rounded = undiscretise(classes_of(curve.amplitudes, self._bins), bin_edges(self._bins))
        return replace(curve, amplitudes=rounded)


def build(context: Context) -> BinnedRMS:
    """Build the system; raise `ClapstickError` where a parameter has an impossible value."""
    given = context.parameters["rms_bins"]
    if not (given == NO_RMS or (type(given) is int and given >= 0 and given != 1)):
        raise fail(
            "impossible number of RMS bins",
            "rms2sound-tiny",
            found=repr(given),
            expected="2 or more, 0 for the curve as it is, or none for no RMS at all",
            remedy="Change rms2sound-tiny.rms_bins.",
        )
    pair = tiny_diffusion.load_pair("none", shaped=bool(context.parameters["shaped"]))
    sampling = settings_of(Sampling, pair.model.config.sampling.model_dump() | dict(context.parameters))
    return BinnedRMS(pair.sampled_as(sampling), None if given == NO_RMS else int(given))
