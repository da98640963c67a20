"""Speed of the metrics as ratios to the official way, measured in the same process."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
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
from clapstick.metrics.onsets import detect_onsets, match_condfoleygen
from clapstick.metrics.rms import bin_edges
from clapstick.protocols.audio import Audio, read_wav, write_wav

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

CLIPS = 732
RATE = 16_000
SECONDS = 10


def _seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Return processor seconds, which other programs on the machine do not stretch, and the result."""
    start = _processor_seconds()
    result = work()
    return _processor_seconds() - start, result


def _processor_seconds() -> float:
    """Of this process and of the programs that it started and waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


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
    """Write generated and reference sound of one made-up clip as a run archive holds them, in 16-bit steps."""
    rng = np.random.default_rng(number)
    paths = []
    for kind in ("generated", "reference"):
        sound = 0.003 * rng.standard_normal(RATE * SECONDS)
        for start in rng.integers(2000, RATE * SECONDS - 5000, 9):
            burst = rng.normal(size=5000) * np.exp(-np.arange(5000) / 500)
            sound[start : start + 5000] += rng.uniform(0.1, 0.4) * burst
        paths.append(folder / f"{number:04d}-{kind}.wav")
        steps = np.clip(np.round(sound * 2**15), -(2**15), 2**15 - 1)
        write_wav(paths[-1], Audio((steps / 2**15).astype(np.float32)[:, np.newaxis], RATE))
    return paths[0], paths[1]


def _official_curve(sound: Array) -> Array:
    padded = np.pad(sound, 192, mode="reflect")
    return np.asarray(librosa.feature.rms(y=padded, frame_length=512, hop_length=128, center=False)[0])


def _official_classes(sound: Array) -> Array:
    numerator, denominator = ellip(4, 0.01, 120, 0.125)
    curve = filtfilt(numerator, denominator, _official_curve(sound), method="gust")
    return np.searchsorted(bin_edges(), np.maximum(curve, 0), side="right")


def _official_loudness(generated: Path, reference: Path) -> list[float]:
    """Compute E-L1 and the accuracies; as the official scripts, each reads its files."""
    paths = (reference, generated)
    target, found = (soundfile.read(path)[0] for path in paths)
    scores = [float(np.abs(_official_curve(target) - _official_curve(found)).mean())]
    target, found = (_official_classes(soundfile.read(path)[0]) for path in paths)
    kept = (target > 0) | (found > 0)
    return scores + [
        float((np.abs(target - found)[kept] <= bins).mean()) for bins in acc.TOLERANCE_OF_K.values()
    ]


def _official_onsets(generated: Path, reference: Path) -> list[float]:
    """Compute onset accuracy and AP from two videos, as CondFoleyGen's predict_onset.py."""
    moviepy = pytest.importorskip("moviepy")
    sounds = []
    for path in (reference, generated):
        with moviepy.VideoFileClip(str(path)) as video:
            sound = video.audio.to_soundarray(fps=22_050).mean(axis=1)
        sounds.append(sound[: 22_050 * SECONDS])
    events = [librosa.onset.onset_detect(y=one, sr=22_050, units="samples", delta=0.3) for one in sounds]
    matching = match_condfoleygen(*events, sounds[1])
    return [matching.recall, float(average_precision_score(matching.labels, matching.scores))]


def _our_scores(conventions: Sequence[Convention], generated_wav: Path, reference_wav: Path) -> list[float]:
    generated, reference = (read_wav(path).mono.astype(np.float64) for path in (generated_wav, reference_wav))
    clip = ClipInput(generated_wav.stem, generated, RATE, reference=reference)
    return [float(convention.statistics(clip)["value"]) for convention in conventions]


def _ratio_over_clips(
    name: str,
    conventions: Sequence[Convention],
    official: Callable[[Path, Path], list[float]],
    folder: Path,
    input_of: Callable[[Path], Path] = lambda wav: wav,
) -> float:
    """Score all clips both ways by turns, in one process with every library on one thread."""
    ours = theirs = 0.0
    with threadpool_limits(1):
        for number in range(-3, CLIPS):
            pair = _write_pair(abs(number), folder)
            inputs = [input_of(path) for path in pair]
            our_seconds, values = _seconds(partial(_our_scores, conventions, *pair))
            their_seconds, expected = _seconds(partial(official, *inputs))
            if number >= 0:
                ours += our_seconds
                theirs += their_seconds
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)  # type: ignore[arg-type]
            for path in {*pair, *inputs}:
                path.unlink()
    _say(
        f"{name} of {CLIPS} clips: {ours:.1f} processor seconds, per file {theirs:.1f}, "
        f"ratio {theirs / ours:.1f}"
    )
    return theirs / ours


def test_loudness_metrics_against_the_per_file_way(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    conventions = [e_l1.METRIC.convention("v2s"), *(metric.convention("tolerance") for metric in acc.METRICS)]
    ratio = _ratio_over_clips("E-L1 and acc", conventions, _official_loudness, tmp_path)
    record_property("E-L1 and acc ratio", ratio)
    assert ratio >= 10


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning:")
def test_onset_metrics_against_the_official_script(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The script takes nothing but videos, and starts FFmpeg for each; most of its time goes there."""
    pytest.importorskip(
        "moviepy", reason="install tests/benchmarks/requirements.txt with --no-deps (make bench does)"
    )
    picture = tmp_path / "picture.mp4"
    _ffmpeg("-f", "lavfi", "-i", f"testsrc=size=224x224:rate=15:duration={SECONDS}", picture)

    def with_picture(wav: Path) -> Path:
        video = wav.with_suffix(".mp4")
        _ffmpeg("-i", picture, "-i", wav, "-c:v", "copy", "-c:a", "alac", video)
        return video

    conventions = [metric.convention("condfoleygen") for metric in onset.METRICS[:2]]
    ratio = _ratio_over_clips("onset accuracy and AP", conventions, _official_onsets, tmp_path, with_picture)
    record_property("onset ratio", ratio)
    assert ratio >= 10


def _ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", *map(str, arguments)], check=True)


def test_onset_detection_against_librosa(record_property: Callable[[str, object], None]) -> None:
    """On samples that both have: the Fourier transforms that both take are most of our time."""
    sounds = []
    for number in range(20):
        rng = np.random.default_rng(number)
        sound = 0.003 * rng.standard_normal(22_050 * SECONDS)
        for start in rng.integers(0, len(sound) - 5000, 9):
            sound[start : start + 5000] += 0.3 * rng.normal(size=5000) * np.exp(-np.arange(5000) / 500)
        sounds.append(sound)

    def librosas(sound: Array) -> Array:
        return np.asarray(librosa.onset.onset_detect(y=sound, sr=22_050, units="samples", delta=0.3))

    ours = theirs = 0.0
    with threadpool_limits(1):
        librosas(sounds[0]), detect_onsets(sounds[0])
        for sound in sounds:
            seconds, found = _seconds(partial(detect_onsets, sound))
            ours += seconds
            seconds, expected = _seconds(partial(librosas, sound))
            theirs += seconds
            np.testing.assert_array_equal(found, expected)  # type: ignore[arg-type]
    _say(f"onset detection: {1e3 * ours / 20:.1f} ms a sound, librosa {1e3 * theirs / 20:.1f}")
    record_property("onset detection ratio", theirs / ours)
    assert theirs / ours >= 1.5
