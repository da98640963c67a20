"""Onset accuracy, onset AP and onset count: whether events happen when they should."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from clapstick.metrics import onset_logits
from clapstick.metrics.base import (
    Array,
    ClipInput,
    Convention,
    Metric,
    Need,
    NotComputableError,
    Setting,
    Statistics,
)
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.onset_strength import SAMPLE_RATE
from clapstick.metrics.onsets import (
    NMS_WINDOW_S,
    PEAK_DELTA,
    TOLERANCE_S,
    Matching,
    Onsets,
    average_precision,
    confidence,
    detect_onsets,
    greedy_nms,
    loudness_profile,
    match_clean,
    match_condfoleygen,
)
from clapstick.metrics.waveform import (
    MOVIEPY_READER,
    RESAMPLER,
    as_moviepy_reads,
    require_sound,
    resample,
    sound_pair,
)

Score = Callable[[Matching], float]


def _condfoleygen(clip: ClipInput, *, score: Score) -> Statistics:
    reference, generated = _pair_as_the_script_reads(clip)
    targets, found = detect_onsets(reference), detect_onsets(generated)
    if not len(targets) and not len(found):
        raise NotComputableError(
            "no onset was found in either sound, where the official script stops with an error"
        )
    return clip_score(score(match_condfoleygen(targets, found, generated)))


def _pair_as_the_script_reads(clip: ClipInput) -> tuple[Array, Array]:
    reference, generated = sound_pair(clip, sample_rate=clip.sample_rate)
    return as_moviepy_reads(reference, clip.sample_rate), as_moviepy_reads(generated, clip.sample_rate)


def _clean(clip: ClipInput, *, score: Score) -> Statistics:
    reference, generated = sound_pair(clip, sample_rate=SAMPLE_RATE)
    return clip_score(score(_clean_matching(detect_onsets(reference), generated, "the reference sound")))


def _annotations(clip: ClipInput, *, score: Score) -> Statistics:
    generated = _generated(clip)
    return clip_score(score(_clean_matching(_annotated(clip), generated, "the annotations")))


def _clean_matching(targets: Onsets, generated: Array, targets_from: str) -> Matching:
    if not len(targets):
        raise NotComputableError(f"no onset in {targets_from}, so there is nothing to find")
    return match_clean(targets, detect_onsets(generated), generated)


def _videofoley(clip: ClipInput, *, score: Score) -> Statistics:
    logits = clip.predictions.get("onset_logits")
    if logits is None:
        raise NotComputableError("the system gives no onset_logits (onset score for every video frame)")
    if logits.ndim != 1 or len(logits) < 2 or not np.isfinite(logits.astype(np.float64)).all():
        raise NotComputableError(
            f"onset_logits has shape {logits.shape} or is not finite; expected finite (frames,) at 30 frames "
            "a second"
        )
    targets = onset_logits.onset_frames(_annotated_seconds(clip), len(logits))
    matching = onset_logits.match_videofoley(targets, logits.astype(np.float64))
    if not len(matching.labels):
        raise NotComputableError("no onset is annotated or predicted, where the official evaluation stops")
    return clip_score(score(matching))


def _count(clip: ClipInput) -> Statistics:
    return _same_count(sound_pair(clip, sample_rate=SAMPLE_RATE))


def _count_condfoleygen(clip: ClipInput) -> Statistics:
    return _same_count(_pair_as_the_script_reads(clip))


def _same_count(sounds: tuple[Array, Array]) -> Statistics:
    reference, generated = (len(detect_onsets(sound)) for sound in sounds)
    return clip_score(float(reference == generated))


def _count_annotations(clip: ClipInput) -> Statistics:
    generated = _generated(clip)
    profile = loudness_profile(generated)
    found = detect_onsets(generated).tolist()
    confidences = [confidence(profile, onset, clamped=True) for onset in found]
    kept = greedy_nms(found, confidences, NMS_WINDOW_S * SAMPLE_RATE)
    return clip_score(float(len(kept) == len(_annotated(clip))))


def _generated(clip: ClipInput) -> Array:
    return resample(require_sound(clip.generated, "generated"), clip.sample_rate, SAMPLE_RATE)


def _annotated_seconds(clip: ClipInput) -> Array:
    if clip.onsets_s is None:
        raise NotComputableError("the clip has no annotated onsets")
    return np.sort(np.asarray(clip.onsets_s, dtype=np.float64))


def _annotated(clip: ClipInput) -> Onsets:
    samples: Onsets = np.rint(_annotated_seconds(clip) * SAMPLE_RATE).astype(np.int64)
    return samples


def _recall(matching: Matching) -> float:
    return matching.recall


_DETECTION: dict[str, Setting] = {
    "rate": SAMPLE_RATE,
    "detector": "librosa",
    "delta": PEAK_DELTA,
    "tolerance-s": TOLERANCE_S,
    "nms-s": NMS_WINDOW_S,
    "resampler": RESAMPLER,
}
_OFFICIAL_DETECTION = _DETECTION | {"resampler": MOVIEPY_READER}
_CONDFOLEYGEN = "XYPB/CondFoleyGen@c565db7 predict_onset.py"
_VIDEO_FOLEY = "jnwnlee/video-foley@0afd45a criterion.py (OnsetPostProcess, OnsetLoss); table 4 of Video-Foley"
_ANNOTATED: tuple[Need, ...] = ("onsets",)
_CLEAN_REASON = (
    "CondFoleyGen's detector and tolerance without its defects, under which a silent system gets AP 1."
)


def _conventions(
    score: Score, videofoley_score: Score, quantity: str, videofoley_quantity: str
) -> tuple[Convention, ...]:
    mean = MeanOfClips()
    return (
        Convention(
            name="clean",
            summary=(
                f"{quantity}; onsets detected by librosa (delta 0.3) in both sounds, nearer than 0.1 s, "
                "matched one to one; every missed reference onset counts."
            ),
            statistics=partial(_clean, score=score),
            combiner=mean,
            source=f"Clapstick; {_CONDFOLEYGEN} with suppression, early exit and the first 50 ms mended",
            parameters=_DETECTION,
        ),
        Convention(
            name="condfoleygen",
            summary=(
                f"{quantity}; reader, detector, matching and quirks of the official script, on the whole clip."
            ),
            statistics=partial(_condfoleygen, score=score),
            combiner=mean,
            source=_CONDFOLEYGEN,
            official=True,
            parameters=_OFFICIAL_DETECTION,
            caveat=(
                "Stops counting reference onsets once all generated ones are used, gives a silent sound AP "
                "1, and its suppression skips every second neighbour. Sound is read as by moviepy, every "
                "second sample of 44.1 kHz: what lies above 11 kHz folds back. The script looks at the "
                "first 2 s only, unless told otherwise."
            ),
        ),
        Convention(
            name="annotations",
            summary=f"{quantity}; onsets detected in the generated sound against the annotated events.",
            statistics=partial(_annotations, score=score),
            combiner=mean,
            source="Clapstick; matching as in clean",
            needs=_ANNOTATED,
            parameters=_DETECTION,
        ),
        Convention(
            name="videofoley",
            summary=(
                f"{videofoley_quantity}; the system's onset scores at 30 frames a second against annotations."
            ),
            statistics=partial(_videofoley, score=videofoley_score),
            combiner=mean,
            source=_VIDEO_FOLEY,
            official=True,
            needs=("onsets", "onset-logits"),
            parameters={"frame-rate": 30, "tolerance-frames": 2, "threshold": 0.5},
            caveat=(
                "A hit is within 2 frames (67 ms), though the paper says 0.1 s; reference onsets after the "
                "last used prediction are not counted as missed; a clip without predictions gets AP 1."
            ),
        ),
    )


def _metric(name: str, title: str, summary: str, conventions: tuple[Convention, ...]) -> Metric:
    return Metric(
        name=name,
        title=title,
        summary=summary,
        direction="higher",
        unit="fraction",
        low=0.0,
        high=1.0,
        conventions=conventions,
        default="clean",
        default_reason=_CLEAN_REASON,
        paper=(
            "Y. Du et al., Conditional Generation of Audio from Video via Foley Analogies, CVPR 2023, section 4"
        ),
        official_code=_CONDFOLEYGEN,
        evidence=("hand-derived", "library", "official-fixture"),
    )


METRICS = (
    _metric(
        "onset-acc",
        "Onset Acc",
        "Share of the reference onsets that the generated sound hits within 0.1 s, averaged over clips.",
        _conventions(
            _recall,
            onset_logits.accuracy,
            "Hits over reference onsets",
            "Hits over hits, misses and false alarms",
        ),
    ),
    _metric(
        "onset-ap",
        "Onset AP",
        "Average precision of the generated sound's onsets, ranked by loudness, averaged over clips.",
        _conventions(average_precision, average_precision, "Average precision", "Average precision"),
    ),
    _metric(
        "onset-count",
        "#Onset Acc",
        "Share of clips in which the generated sound has as many onsets as the reference.",
        (
            Convention(
                name="clean",
                summary="Onsets detected by librosa (delta 0.3) in both sounds; no suppression.",
                statistics=_count,
                combiner=MeanOfClips(),
                source=f"Clapstick; {_CONDFOLEYGEN}, first printed number, with sound resampled by soxr",
                parameters=_DETECTION,
            ),
            Convention(
                name="condfoleygen",
                summary="Reader and detector of the official script in both sounds; no suppression.",
                statistics=_count_condfoleygen,
                combiner=MeanOfClips(),
                source=f"{_CONDFOLEYGEN}, first printed number",
                official=True,
                parameters=_OFFICIAL_DETECTION,
            ),
            Convention(
                name="annotations",
                summary=(
                    "Onsets detected in the generated sound, suppressed within 50 ms, against the annotated "
                    "ones."
                ),
                statistics=_count_annotations,
                combiner=MeanOfClips(),
                source="Clapstick",
                needs=_ANNOTATED,
                parameters=_DETECTION,
            ),
        ),
    ),
)
