"""Energy MAE: how far the log energy over time of the generated sound is from the reference's."""

from __future__ import annotations

from functools import partial

from clapstick.metrics import mel_energy
from clapstick.metrics.base import ClipInput, Convention, Metric, Setting, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.e_l1 import e_l1
from clapstick.metrics.waveform import RESAMPLER, sound_pair

_CODE = "naver-ai/rewas@4e09954 eval_MAE.py"


def _statistics(clip: ClipInput, *, smoothed: bool) -> Statistics:
    reference, generated = (
        mel_energy.energy_curve(sound) for sound in sound_pair(clip, sample_rate=mel_energy.SAMPLE_RATE)
    )
    if smoothed:
        reference, generated = mel_energy.control_curve(reference), mel_energy.control_curve(generated)
    return clip_score(e_l1(reference, generated))


_PARAMETERS: dict[str, Setting] = {
    "rate": mel_energy.SAMPLE_RATE,
    "segment": mel_energy.SEGMENT_SAMPLES,
    "fft": mel_energy.FFT_SAMPLES,
    "hop": mel_energy.HOP_SAMPLES,
    "bands": mel_energy.BANDS,
    "peak": mel_energy.PEAK,
    "resampler": RESAMPLER,
}
_CAVEAT = (
    "Only the first 5.12 s count (the official loader takes a random segment), and gain has no effect. The "
    "published values of 0.1 to 0.2 are too small for differences of natural logarithms; their scale is not "
    "stated."
)

METRIC = Metric(
    name="energy-mae",
    title="Energy MAE",
    summary=(
        "Mean absolute difference of the energy curves of reference and generated sound: the mean over 64 "
        "mel bands of the natural-log mel spectrogram, 512 frames of 10 ms."
    ),
    direction="lower",
    unit="nats",
    low=0.0,
    high=None,
    conventions=(
        Convention(
            name="code",
            summary="Energy curves as they are, peak set to 0.5 first.",
            statistics=partial(_statistics, smoothed=False),
            combiner=MeanOfClips(),
            source=f"{_CODE} (the formula; the script does not run as released)",
            official=True,
            parameters=_PARAMETERS | {"smoothed": False},
            caveat=_CAVEAT,
        ),
        Convention(
            name="paper",
            summary=(
                "Energy curves smoothed as the paper's condition: 112 points, Savitzky-Golay of window 9, "
                "order 2."
            ),
            statistics=partial(_statistics, smoothed=True),
            combiner=MeanOfClips(),
            source="Y. Jeong et al., ReWaS, 2024, section 3.2",
            parameters=_PARAMETERS | {"smoothed": True},
            caveat=_CAVEAT,
        ),
    ),
    default="code",
    default_reason=(
        "The released formula, on which the fixture rests; the paper's text smooths the curves first."
    ),
    paper="Y. Jeong et al., Read, Watch and Scream (ReWaS), AAAI 2025",
    official_code=_CODE,
    evidence=("hand-derived", "official-fixture"),
)
