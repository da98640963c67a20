"""Speed of the metrics as ratios to the official way, measured in the same process."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from scipy.signal import ellip, filtfilt
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from clapstick.metrics import acc, e_l1, onset
from clapstick.metrics.base import Array, ClipInput, Convention
from clapstick.metrics.frechet import frechet_distance, frechet_distance_inf
from clapstick.metrics.onsets import match_condfoleygen
from clapstick.metrics.rms import bin_edges
from clapstick.protocols.audio import Audio, read_wav, write_wav

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

CLIPS = 732
RATE = 16_000
SECONDS = 10


def _seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Return processor seconds, which other programs on the machine do not stretch, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _say(line: str) -> None:
    sys.stdout.write(f"\n{line}\n")


def test_frechet_distance_against_fadtk(record_property: Callable[[str, object], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fadtk.fad import calc_embd_statistics, calc_frechet_distance

    rng = np.random.default_rng(0)
    reference = rng.standard_normal((CLIPS, 2048))
    generated = 0.1 + rng.standard_normal((CLIPS, 2048)) * np.linspace(0.5, 1.5, 2048)
    frechet_distance(reference, generated)
    times = sorted(_seconds(lambda: frechet_distance(reference, generated)) for _ in range(3))
    ours, value = times[1]

    def official() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, second = calc_embd_statistics(reference), calc_embd_statistics(generated)
            return float(calc_frechet_distance(*first, *second))

    theirs, expected = _seconds(official)
    extrapolation, _ = _seconds(lambda: frechet_distance_inf(reference, generated, np.random.default_rng(0)))
    _say(f"Frechet distance of 732 x 2048: {ours:.3f} s, fadtk {theirs:.1f} s, ratio {theirs / ours:.0f}")
    _say(
        f"FAD-inf of 25 sizes: {extrapolation:.2f} s, ratio to one fadtk distance {theirs / extrapolation:.1f}"
    )
    record_property("frechet ratio", theirs / ours)
    assert value == pytest.approx(expected, rel=1e-6)
    assert theirs / ours >= 100
    assert theirs / extrapolation >= 6.3, (
        "63 s for one official distance and 10 s for FAD-inf is a ratio of 6.3"
    )


def _write_pair(number: int, folder: Path) -> tuple[Path, Path]:
    """Write generated and reference sound of one made-up clip, as a run archive holds them."""
    rng = np.random.default_rng(number)
    paths = []
    for kind in ("generated", "reference"):
        sound = 0.003 * rng.standard_normal(RATE * SECONDS)
        for start in rng.integers(2000, RATE * SECONDS - 5000, 9):
            burst = rng.normal(size=5000) * np.exp(-np.arange(5000) / 500)
            sound[start : start + 5000] += rng.uniform(0.1, 0.4) * burst
        paths.append(folder / f"{number:04d}-{kind}.wav")
        write_wav(paths[-1], Audio(np.clip(sound, -1, 1).astype(np.float32)[:, None], RATE))
    return paths[0], paths[1]


def _official_curve(sound: Array) -> Array:
    padded = np.pad(sound, 192, mode="reflect")
    return np.asarray(librosa.feature.rms(y=padded, frame_length=512, hop_length=128, center=False)[0])


def _official_classes(sound: Array) -> Array:
    numerator, denominator = ellip(4, 0.01, 120, 0.125)
    curve = filtfilt(numerator, denominator, _official_curve(sound), method="gust")
    return np.searchsorted(bin_edges(), np.maximum(curve, 0), side="right")


def _official_loudness(generated_wav: Path, reference_wav: Path) -> list[float]:
    """Compute E-L1 and the accuracies; as the official scripts, each reads its files."""
    paths = (reference_wav, generated_wav)
    reference, generated = (soundfile.read(path)[0] for path in paths)
    scores = [float(np.abs(_official_curve(reference) - _official_curve(generated)).mean())]
    targets, found = (_official_classes(soundfile.read(path)[0]) for path in paths)
    kept = (targets > 0) | (found > 0)
    return scores + [
        float((np.abs(targets - found)[kept] <= bins).mean()) for bins in acc.TOLERANCE_OF_K.values()
    ]


def _official_onsets(generated_wav: Path, reference_wav: Path) -> list[float]:
    """Compute onset accuracy and AP."""
    reference, generated = (
        librosa.resample(soundfile.read(path)[0], orig_sr=RATE, target_sr=22_050)
        for path in (reference_wav, generated_wav)
    )
    events = [
        librosa.onset.onset_detect(y=one, sr=22_050, units="samples", delta=0.3)
        for one in (reference, generated)
    ]
    matching = match_condfoleygen(*events, generated)
    return [matching.recall, float(average_precision_score(matching.labels, matching.scores))]


def _our_scores(conventions: Sequence[Convention], generated_wav: Path, reference_wav: Path) -> list[float]:
    generated, reference = (read_wav(path).mono.astype(np.float64) for path in (generated_wav, reference_wav))
    clip = ClipInput(generated_wav.stem, generated, RATE, reference=reference)
    return [float(convention.statistics(clip)["value"]) for convention in conventions]


_LOUDNESS = [e_l1.METRIC.convention("v2s"), *(metric.convention("tolerance") for metric in acc.METRICS)]
_ONSETS = [metric.convention("condfoleygen") for metric in onset.METRICS[:2]]


@pytest.mark.parametrize(
    ("name", "official", "conventions"),
    [
        ("E-L1 and acc", _official_loudness, _LOUDNESS),
        # Not reached: both ways resample with soxr and take 431 Fourier transforms a sound, half of our time.
        ("onset accuracy and AP", _official_onsets, _ONSETS),
    ],
    ids=["loudness", "onsets"],
)
def test_loudness_and_onset_metrics_against_the_per_file_way(
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    name: str,
    official: Callable[[Path, Path], list[float]],
    conventions: Sequence[Convention],
) -> None:
    """Both ways by turns, a clip at a time in one process, every library on one thread."""
    with threadpool_limits(1):
        for _ in range(3):
            pair = _write_pair(10_000, tmp_path)
            _our_scores(conventions, *pair), official(*pair)
        ours = theirs = 0.0
        for number in range(CLIPS):
            pair = _write_pair(number, tmp_path)
            seconds, values = _seconds(partial(_our_scores, conventions, *pair))
            ours += seconds
            seconds, expected = _seconds(partial(official, *pair))
            theirs += seconds
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)  # type: ignore[arg-type]
            for path in pair:
                path.unlink()
    ratio = theirs / ours
    _say(f"{name} of {CLIPS} clips: {ours:.1f} processor seconds, per file {theirs:.1f}, ratio {ratio:.1f}")
    record_property(f"{name} ratio", ratio)
    assert ratio >= 10
