"""Planted duplicates are found and different recordings are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio
from clapstick.protocols.fingerprint import Fingerprint, find_duplicates, fingerprint
from clapstick.protocols.media import read_audio

RATE = 16_000
REAL_CLIPS = Path(__file__).parents[3] / "shared" / "data" / "clips"
Samples = NDArray[np.float32]


def hits(seed: int, seconds: float = 10.0) -> Samples:
    """Make irregular hits on one ringing object: its recordings differ in times and levels alone."""
    rng = np.random.default_rng(seed)
    sound = 1e-3 * rng.standard_normal(round(seconds * RATE))
    ring = np.arange(RATE // 2) / RATE
    modes = sum(np.sin(2 * np.pi * hz * ring) * np.exp(-ring * hz / 60) for hz in (430, 1180, 2310, 3700))
    for time_s in np.cumsum(rng.uniform(0.2, 0.9, 40)):
        first = round(time_s * RATE)
        if first + len(ring) > len(sound):
            break
        sound[first : first + len(ring)] += rng.uniform(0.1, 0.4) * (
            modes + 0.5 * rng.standard_normal(len(ring)) * np.exp(-ring * 80)
        )
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def print_of(samples: Samples, rate: int = RATE) -> Fingerprint:
    return fingerprint(Audio(np.atleast_2d(samples.T).T.astype(np.float32), rate))


@pytest.fixture(scope="module")
def training() -> dict[str, Fingerprint]:
    """Forty recordings of the same object."""
    return {f"train-{seed}": print_of(hits(seed)) for seed in range(40)}


def _resampled(samples: Samples) -> Samples:
    import soxr

    return np.asarray(soxr.resample(samples, RATE, 22_050))


PLANTED: dict[str, Callable[[Samples], Samples]] = {
    "quieter by 20 dB": lambda samples: samples * 0.1,
    "noise 20 dB below": lambda samples: (
        samples + 0.1 * samples.std() * np.random.default_rng(1).standard_normal(len(samples))
    ).astype(np.float32),
    "starts 1.307 s later": lambda samples: samples[round(1.307 * RATE) :],
    "half of it": lambda samples: samples[: len(samples) // 2],
    "8 bits": lambda samples: (np.round(samples * 127) / 127).astype(np.float32),
    "stereo": lambda samples: np.stack([samples, 0.5 * samples], axis=1),
}


@pytest.mark.parametrize("change", PLANTED)
def test_planted_near_duplicate_is_found_and_nothing_else(
    training: dict[str, Fingerprint], change: str
) -> None:
    test = {"planted": print_of(PLANTED[change](hits(7))), "new": print_of(hits(1007))}
    (pair,) = find_duplicates(test, training)
    assert (pair.first, pair.second, pair.kind) == ("planted", "train-7", "near")


def test_other_rate_and_lossy_encoding_are_near_duplicates(
    training: dict[str, Fingerprint], tmp_path: Path
) -> None:
    other_rate = print_of(_resampled(hits(3)), 22_050)
    soundfile.write(tmp_path / "a.ogg", hits(4), RATE, format="OGG", subtype="VORBIS")
    decoded, _ = soundfile.read(tmp_path / "a.ogg", dtype="float32")
    pairs = find_duplicates({"rate": other_rate, "lossy": print_of(decoded)}, training)
    assert {(pair.first, pair.second) for pair in pairs} == {("rate", "train-3"), ("lossy", "train-4")}


def test_shift_is_measured(training: dict[str, Fingerprint]) -> None:
    (pair,) = find_duplicates({"late": print_of(hits(9)[2 * RATE :])}, training)
    # What the test clip starts with lies at 2 s of the training recording.
    assert pair.offset_s == pytest.approx(2.0, abs=0.02)


def test_exact_copy_is_called_exact_whatever_its_length_on_disk(training: dict[str, Fingerprint]) -> None:
    (pair,) = find_duplicates({"copy": print_of(hits(5))}, training)
    assert (pair.kind, pair.share) == ("exact", 1.0)


def test_different_recordings_of_one_object_are_no_duplicates(training: dict[str, Fingerprint]) -> None:
    assert find_duplicates({f"test-{seed}": print_of(hits(seed)) for seed in range(100, 130)}, training) == []


def test_within_one_set_each_pair_is_named_once_and_never_itself() -> None:
    prints = {"a": print_of(hits(1)), "b": print_of(hits(1) * 0.5), "c": print_of(hits(2))}
    pairs = find_duplicates(prints, prints)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b")]


def test_silence_and_very_short_sounds_have_no_landmarks_and_match_by_bytes_alone() -> None:
    silent = print_of(np.zeros(RATE, dtype=np.float32))
    longer = print_of(np.zeros(2 * RATE, dtype=np.float32))
    short = print_of(np.ones(10, dtype=np.float32))
    assert len(silent.landmarks) == len(short.landmarks) == 0
    assert find_duplicates({"a": silent}, {"b": longer}) == []
    assert [pair.kind for pair in find_duplicates({"a": silent}, {"b": silent})] == ["exact"]


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="the real clips are not beside this checkout")
def test_real_clips_are_found_again_after_lossy_encoding_and_not_confused(tmp_path: Path) -> None:
    whole = {
        path.stem: read_audio(path)
        for path in sorted(REAL_CLIPS.glob("*.mp4"))
        if path.stem != "basketball_bounce"
    }
    again = {}
    for name, audio in whole.items():
        late = 0.5 * audio.samples[audio.sample_rate // 3 :]
        soundfile.write(tmp_path / f"{name}.ogg", late, audio.sample_rate, format="OGG", subtype="VORBIS")
        again[f"copy of {name}"] = fingerprint(read_audio(tmp_path / f"{name}.ogg"))
    prints = {name: fingerprint(audio) for name, audio in whole.items()}
    assert {(pair.first, pair.second) for pair in find_duplicates(again, prints)} == {
        (f"copy of {name}", name) for name in whole
    }
    assert find_duplicates(prints, prints) == []
