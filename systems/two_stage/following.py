"""Sound that follows its envelope more closely: drafted, listened to, and made from a corrected curve.

A network answers some prompts too loudly or too quietly, most of all where the curve is unlike those it was
trained on. What the network is told is changed by as much as what came out missed; the sound is all its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.mel import FFT, HOP, rms_for_mel, to_mel_frames
from clapstick.systems.two_stage.rms2sound import MEL_RATE, Order, Rendered, RMS2Sound, render
from clapstick.systems.two_stage.sampling import Sampling

SPREAD_S = 0.1
"""Standard deviation of the window over which loudness is compared; single strokes stay as they came."""
MOST_GAIN = 2.0
_DRAFT_SHARE = 3
"""A draft tells loudness long before it sounds well."""
_SMALLEST = 1e-4


def render_following(
    model: RMS2Sound,
    order: Order,
    null_prompt: Tensor,
    corrections: int,
    *,
    sampling: Sampling | None = None,
) -> Rendered:
    """Make a sound whose curve was corrected so many times by a draft of it, made from the same noise.

    Parameters
    ----------
    model : RMS2Sound
    order : Order
    null_prompt : Tensor, shape (prompt_dim,)
    corrections : int
        0 or more; a draft takes a third of the steps. Without an envelope there is nothing to correct.
    sampling : Sampling, optional

    Raises
    ------
    ClapstickError
        As `render`.
    """
    how = sampling or model.config.sampling
    quick = how.model_copy(update={"steps": -(-how.steps // _DRAFT_SHARE)})
    warnings: tuple[str, ...] = ()
    for _ in range(corrections if order.envelope is not None else 0):
        draft = render(model, order, null_prompt, sampling=quick)
        order = replace(order, told=corrected(order, draft.samples))
        warnings += draft.warnings
    made = render(model, order, null_prompt, sampling=how)
    return replace(made, warnings=tuple(dict.fromkeys((*warnings, *made.warnings))))


def corrected(order: Order, samples: NDArray[np.float32]) -> Envelope | None:
    """Return what to tell the network next: louder where `samples` were too quiet, and the other way round.

    The change is at most twofold, and sounds too short to have a loudness curve leave everything as it is.
    """
    asked, told = order.envelope, order.told or order.envelope
    if asked is None or told is None or samples.size <= FFT:
        return told
    frames = samples.size // HOP
    wanted = _loudness(to_mel_frames(asked.amplitudes, frames, asked.rate))
    heard = _loudness(rms_for_mel(samples[: frames * HOP].astype(np.float64)))
    change = np.clip(wanted / np.maximum(heard, _SMALLEST), 1 / MOST_GAIN, MOST_GAIN)
    amplitudes = to_mel_frames(told.amplitudes, frames, told.rate) * change
    return Envelope(np.minimum(amplitudes, 1.0), MEL_RATE)


def _loudness(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    power = gaussian_filter1d(curve**2, SPREAD_S * MEL_RATE, mode="nearest")
    return np.asarray(np.sqrt(power))
