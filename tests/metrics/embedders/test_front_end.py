"""Front ends against the libraries whose numbers they reproduce."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchlibrosa.stft import LogmelFilterBank, Spectrogram

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders import panns
from clapstick.metrics.embedders.base import checked_waveform
from clapstick.metrics.embedders.front_end import LogMel, PowerSpectrogram, padded_windows, through_pcm16
from clapstick.metrics.embedders.laion_clap import fadtk_windows, video_foley_window
from clapstick.metrics.embedders.winograd import WinogradConv2d, quickest


def test_pcm16_round_trip_is_libsndfiles() -> None:
    rng = np.random.default_rng(0)
    edges = np.array([-2, -1, -1 + 2**-16, -(2**-16), 0, 2**-16, 2**-15, 0.5, 1 - 2**-15, 1 - 2**-16, 1, 2])
    samples = np.concatenate([edges, 0.3 * rng.standard_normal(50_000), 1e-4 * rng.standard_normal(50_000)])
    samples = samples.astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, subtype="PCM_16", format="WAV")
    file.seek(0)
    read, _ = soundfile.read(file, dtype="int16")
    assert np.array_equal(through_pcm16(samples), read.astype(np.float32) / 32768)


def test_pcm16_round_trip_keeps_what_is_on_the_grid() -> None:
    grid = np.arange(-32768, 32768, dtype=np.float32) / 32768
    assert np.array_equal(through_pcm16(grid), grid)


@pytest.mark.parametrize(
    ("sample_rate", "window", "hop", "high_hz"), [(32000, 1024, 320, 14000), (16000, 512, 160, 8000)]
)
def test_log_mel_is_torchlibrosas(sample_rate: int, window: int, hop: int, high_hz: int) -> None:
    rng = np.random.default_rng(1)
    waveforms = torch.from_numpy(0.1 * rng.standard_normal((2, sample_rate))).float()
    stft = Spectrogram(n_fft=window, hop_length=hop, win_length=window, window="hann", center=True)
    mel = LogmelFilterBank(
        sr=sample_rate, n_fft=window, n_mels=64, fmin=50, fmax=high_hz, ref=1.0, amin=1e-10, top_db=None
    )
    wanted = stft(waveforms)
    power = PowerSpectrogram(window, hop)(waveforms)
    assert torch.allclose(power, wanted, rtol=1e-4, atol=1e-4)
    assert torch.allclose(LogMel(sample_rate, window, 64, 50, high_hz)(power), mel(wanted), atol=1e-3)


def test_silence_has_the_floor_of_minus_100_decibels() -> None:
    silent = LogMel(32000, 1024, 64, 50, 14000)(PowerSpectrogram(1024, 320)(torch.zeros(1, 3200)))
    assert torch.equal(silent, torch.full_like(silent, -100.0))


def test_windows_by_hand() -> None:
    # 5 samples, windows of 3 every 2: they start at 0, 2 and 4.
    assert padded_windows(np.arange(1, 6, dtype=np.float32), 3, 2).tolist() == [[1, 2, 3], [3, 4, 5], [5, 0, 0]]


def test_a_short_sound_is_padded_to_2_s_by_audioldm_eval_and_not_by_av_benchmark() -> None:
    # 1 s of 0.25 + 0.5 (-1)^n: the mean goes, then 16000 zeros follow, or nothing.
    sound = (0.25 + 0.5 * (-1.0) ** np.arange(16_000)).astype(np.float32)
    padded, bare = panns._audioldm_eval_windows(sound, 16_000), panns._av_benchmark_windows(sound, 16_000)
    assert (padded.shape, bare.shape) == ((1, 32_000), (1, 16_000))
    assert np.abs(bare) == pytest.approx(0.5)
    np.testing.assert_array_equal(padded[0, :16_000], bare[0])
    assert not padded[0, 16_000:].any()
    with pytest.raises(NotComputableError, match="too short for PANNs: 5119 samples at 16000 Hz, needs 5120"):
        panns._av_benchmark_windows(sound[:5119], 16_000)


def test_clap_windows_of_ten_seconds() -> None:
    # One window a second; the last holds 1 s of sound and 9 s of zeros.
    windows = fadtk_windows(np.full(160_000, 0.5, dtype=np.float32), 16000)
    assert windows.shape == (10, 480_000)
    assert np.count_nonzero(np.abs(windows[-1]) > 0.1) == pytest.approx(48_000, abs=100)
    assert video_foley_window(np.full(160_000, 0.5, dtype=np.float32), 16000).shape == (1, 480_000)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 13),
    width=st.integers(1, 9),
    tile=st.sampled_from([(2, 2), (4, 2), (2, 4), (4, 4)]),
    batch=st.integers(1, 3),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_winograd_is_the_convolution(
    height: int, width: int, tile: tuple[int, int], batch: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    convolution = torch.nn.Conv2d(5, 7, 3, padding=1, bias=bias)
    images = torch.randn(batch, 5, height, width)
    with torch.inference_mode():
        wanted, found = convolution(images), WinogradConv2d(convolution, tile)(images)
    assert found.shape == wanted.shape
    assert (found - wanted).norm() <= 1e-5 * wanted.norm() + 1e-6


def test_winograd_in_groups_is_the_convolution() -> None:
    # 36 x 64 tiles x 256 channels are 590,000 numbers an image: three images to a group of 2 million.
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(256, 8, 3, padding=1)
    images = torch.randn(5, 256, 32, 32)
    fast = quickest(convolution)
    assert isinstance(fast, WinogradConv2d)
    with torch.inference_mode():
        assert torch.allclose(fast(images), convolution(images), atol=1e-4)


def test_winograd_refuses_other_convolutions() -> None:
    with pytest.raises(ValueError, match="3 x 3 convolution with stride 1"):
        WinogradConv2d(torch.nn.Conv2d(128, 4, 3, stride=2, padding=1))


@pytest.mark.parametrize(
    ("samples", "error", "named"),
    [
        (np.zeros(0, dtype=np.float32), NotComputableError, "empty: 0 samples"),
        (np.array([0, np.inf], dtype=np.float32), NotComputableError, "the first at sample 1"),
        (np.zeros((2, 2), dtype=np.float32), ValueError, r"mono sound of shape \(samples,\)"),
    ],
)
def test_sound_that_no_network_takes(samples: np.ndarray, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        checked_waveform(samples)
