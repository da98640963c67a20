"""Deriving things from waveforms once, and the fast onset strength beside librosa's."""

from __future__ import annotations

import gc
import shutil
import subprocess
from pathlib import Path

import librosa
import numpy as np
import pytest

from clapstick.metrics import waveform
from clapstick.metrics.base import Array, ClipInput, NotComputableError
from clapstick.metrics.onset_strength import onset_strength
from clapstick.metrics.onsets import detect_onsets
from clapstick.protocols.audio import Audio, read_wav, write_wav


def _bursts(state: int, rate: int = 22_050, seconds: int = 3) -> Array:
    rng = np.random.default_rng(state)
    sound = 0.003 * rng.standard_normal(rate * seconds)
    for start in rng.integers(0, rate * seconds - 5000, 6):
        sound[start : start + 5000] += (
            rng.uniform(0.1, 0.6) * rng.normal(size=5000) * np.exp(-np.arange(5000) / 700)
        )
    return sound


def test_a_clip_holds_read_only_views() -> None:
    sound = np.zeros(10)
    clip = ClipInput("clip", sound, 16_000, reference=sound)
    with pytest.raises(ValueError, match="read-only"):
        clip.generated[0] = 1.0
    sound[0] = 1.0


def test_read_only_waveforms_are_worked_on_once() -> None:
    calls = []

    def derive(sound: Array) -> float:
        calls.append(1)
        return float(sound.sum())

    view = ClipInput("clip", np.ones(5), 16_000).generated
    assert [waveform.derived_once(view, "sum", derive) for _ in range(3)] == [5.0, 5.0, 5.0]
    assert len(calls) == 1
    waveform.derived_once(view, "other", derive)
    assert len(calls) == 2


def test_waveforms_that_may_change_are_worked_on_anew() -> None:
    sound = np.ones(5)
    assert waveform.derived_once(sound, "sum", lambda one: float(one.sum())) == 5.0
    sound[0] = 3.0
    assert waveform.derived_once(sound, "sum", lambda one: float(one.sum())) == 7.0


def test_what_was_derived_goes_with_its_waveform() -> None:
    clip = ClipInput("clip", np.ones(5), 16_000)
    waveform.derived_once(clip.generated, "sum", lambda one: float(one.sum()))
    held = len(waveform._DERIVED)
    del clip
    gc.collect()
    assert len(waveform._DERIVED) == held - 1


@pytest.mark.parametrize("state", range(6))
def test_onset_strength_and_onsets_equal_librosas(state: int) -> None:
    sound = _bursts(state)
    expected = librosa.onset.onset_strength(y=sound, sr=22_050)
    strength = onset_strength(sound)
    np.testing.assert_allclose(strength, expected, rtol=0, atol=1e-5 * expected.max())
    onsets = librosa.onset.onset_detect(y=sound, sr=22_050, units="samples", delta=0.3)
    assert detect_onsets(sound).tolist() == onsets.tolist()


def test_silence_has_no_onset_strength() -> None:
    assert onset_strength(np.zeros(22_050)).tolist() == [0.0] * 44


def test_resampling_is_librosas() -> None:
    sound = _bursts(1, 16_000)
    expected = librosa.resample(sound, orig_sr=16_000, target_sr=22_050)
    got = waveform.resample(sound, 16_000, 22_050)
    np.testing.assert_allclose(got, expected[: len(got)], rtol=0, atol=1e-6)
    assert waveform.resample(sound, 16_000, 16_000) is sound


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000, 44_100, 48_000])
def test_moviepys_reading_is_ffmpegs_every_second_sample(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "sound.wav"
    write_wav(path, Audio(_bursts(2, rate).astype(np.float32)[:, np.newaxis], rate))
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ar", "44100", "-ac", "2", "-"]
    stereo = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.int16)
    expected = (stereo.reshape(-1, 2) / 2**15).mean(axis=1)[::2]
    got = waveform.as_moviepy_reads(read_wav(path).mono.astype(np.float64), rate)
    np.testing.assert_array_equal(got, expected)


def test_moviepys_reading_folds_high_tones_back() -> None:
    # 14 kHz sampled at 22.05 kHz without a filter is heard at 22.05 - 14 = 8.05 kHz.
    sound = 0.5 * np.sin(2 * np.pi * 14_000 * np.arange(44_100) / 44_100)
    read = waveform.as_moviepy_reads(sound, 44_100)
    assert len(read) == 22_050
    assert int(np.abs(np.fft.rfft(read)).argmax()) == 8_050
    assert np.abs(waveform.resample(sound, 44_100, 22_050)[2_000:-2_000]).max() < 1e-3


def test_a_sound_shorter_than_ffmpegs_filter_has_a_reason() -> None:
    with pytest.raises(NotComputableError, match="resamples 3 samples at 16000 Hz to nothing"):
        waveform.as_moviepy_reads(np.ones(3), 16_000)


def test_moviepys_reading_leaves_22_khz_as_it_is() -> None:
    sound = _bursts(3)
    assert waveform.as_moviepy_reads(sound, 22_050) is sound


def test_peaks_are_set_and_silence_is_left() -> None:
    assert waveform.peak_normalised(np.array([0.1, -0.5])).tolist() == [0.2, -1.0]
    assert waveform.peak_normalised(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
