"""E-L1: how far the loudness over time of the generated sound is from the reference's."""

from __future__ import annotations

from functools import partial

import numpy as np

from clapstick.metrics import rms
from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Setting, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.predicted_rms import class_edges, predicted_curve, reference_curve, sounding_frames
from clapstick.metrics.waveform import RESAMPLER, peak_normalised, sound_pair

TFOLEY_RATE = 22_050
FOL_AI_SMOOTHING_FRAMES = 15


def e_l1(reference: Array, generated: Array) -> float:
    """Return the mean absolute difference of two loudness curves.

    Parameters
    ----------
    reference, generated : array, shape (frames,)

    Raises
    ------
    ValueError
        If the curves differ in length or are empty.
    """
    if reference.shape != generated.shape or not reference.size:
        raise ValueError(
            f"loudness curves have shapes {reference.shape} and {generated.shape}; "
            "use the same frame length, hop and duration for both"
        )
    return float(np.abs(reference - generated).mean())


def _v2s(clip: ClipInput, *, normalised: bool = False) -> Statistics:
    reference, generated = sound_pair(clip, sample_rate=rms.SAMPLE_RATE)
    if normalised:
        reference, generated = peak_normalised(reference), peak_normalised(generated)
    return clip_score(e_l1(rms.rms_curve(reference), rms.rms_curve(generated)))


def _video2rms(clip: ClipInput) -> Statistics:
    reference = reference_curve(clip)
    edges = class_edges(clip)
    predicted = predicted_curve(clip, edges, len(reference))
    reference_classes = rms.discretise(reference, edges)
    kept = sounding_frames(reference_classes, predicted.classes)
    return clip_score(e_l1(reference[kept], predicted.amplitudes[kept]))


def _tfoley(clip: ClipInput) -> Statistics:
    reference, generated = (
        rms.low_pass(rms.centred_rms_curve(peak_normalised(sound)))
        for sound in sound_pair(clip, sample_rate=TFOLEY_RATE)
    )
    return clip_score(e_l1(reference, generated))


def _fol_ai(clip: ClipInput) -> Statistics:
    reference, generated = (
        _moving_average(rms.centred_rms_curve(peak_normalised(sound)))
        for sound in sound_pair(clip, sample_rate=rms.SAMPLE_RATE)
    )
    return clip_score(e_l1(reference, generated))


def _moving_average(curve: Array, frames: int = FOL_AI_SMOOTHING_FRAMES) -> Array:
    if len(curve) < frames:
        raise NotComputableError(
            f"the loudness curve has {len(curve)} frames, smoothing needs {frames}; use a longer clip"
        )
    smoothed: Array = np.convolve(np.pad(curve, frames // 2, mode="edge"), np.full(frames, 1 / frames), "valid")
    return smoothed


_RMS: dict[str, Setting] = {
    "rate": rms.SAMPLE_RATE,
    "frame": rms.FRAME_SAMPLES,
    "hop": rms.HOP_SAMPLES,
    "resampler": RESAMPLER,
}
_VIDEO_FOLEY = "jnwnlee/video-foley@0afd45a"

METRIC = Metric(
    name="e-l1",
    title="E-L1",
    summary=(
        "Mean absolute difference between the loudness curves (RMS over time) of reference and generated "
        "sound. It tells whether events happen at the right time with the right strength, and not how they "
        "sound. A constant gain error counts, except in the normalised conventions."
    ),
    direction="lower",
    unit="amplitude",
    low=0.0,
    high=None,
    conventions=(
        Convention(
            name="v2s",
            summary=(
                "Unfiltered RMS of both sounds at 16 kHz, frame 512, hop 128, reflected ends; silent frames "
                "count."
            ),
            statistics=_v2s,
            combiner=MeanOfClips(),
            source=f"{_VIDEO_FOLEY} evaluate_v2s.py (get_EL1); tables 2 and 5 of the Video-Foley paper",
            official=True,
            parameters=_RMS,
        ),
        Convention(
            name="v2s-normalised",
            summary="As v2s after scaling both sounds to peak 1: how much of E-L1 is a wrong gain.",
            statistics=partial(_v2s, normalised=True),
            combiner=MeanOfClips(),
            source="Clapstick; no paper reports it",
            parameters=_RMS | {"peak": 1.0},
        ),
        Convention(
            name="video2rms",
            summary=(
                "The system's predicted RMS (classes decoded to the upper edge of their bin) against the "
                "low-pass filtered RMS of the reference; frames where both are class 0 are left out."
            ),
            statistics=_video2rms,
            combiner=MeanOfClips(),
            source=(
                f"{_VIDEO_FOLEY} evaluate.py (evaluate) and criterion.py (RMSLoss); tables 1 and 4 of the paper"
            ),
            official=True,
            parameters=_RMS | {"bins": rms.BINS, "rms-min": rms.RMS_MIN},
            caveat=(
                "Measures the prediction, not the sound, and is another quantity than v2s; decoding to the "
                "upper bin edge biases it upwards."
            ),
        ),
        Convention(
            name="tfoley",
            summary=(
                "Both sounds scaled to peak 1, RMS at 22.05 kHz with frame 512, hop 128, centred frames with "
                "zeros outside, both low-pass filtered; blind to gain."
            ),
            statistics=_tfoley,
            combiner=MeanOfClips(),
            source="YoonjinXD/T-foley@7a0fb41 inference.py, where E-L1 comes from",
            official=True,
            parameters=_RMS | {"rate": TFOLEY_RATE, "centred": True, "peak": 1.0},
        ),
        Convention(
            name="fol-ai",
            summary=(
                "Both sounds scaled to peak 1, centred RMS at 16 kHz, moving average over 15 frames; blind "
                "to gain."
            ),
            statistics=_fol_ai,
            combiner=MeanOfClips(),
            source=(
                "FOL-AI (Stable-V2A) paper, equation 10 and its section on the RMS envelope; no code was "
                "released"
            ),
            parameters=_RMS | {"centred": True, "peak": 1.0, "smoothing": FOL_AI_SMOOTHING_FRAMES},
            caveat=(
                "The paper gives neither frame, hop nor the kind of smoothing kernel: frame 512, hop 128 and "
                "a moving average are assumed."
            ),
        ),
    ),
    default="v2s",
    default_reason=(
        "It compares sounds, needs nothing of the system but its audio, and is table 2 of Video-Foley."
    ),
    paper="Y. Chung, J. Lee and J. Nam, T-Foley, ICASSP 2024; J. Lee et al., Video-Foley, 2024, equation 7",
    official_code=f"{_VIDEO_FOLEY} evaluate_v2s.py",
    evidence=("hand-derived", "library", "official-fixture"),
)
