"""PaSST against hear21passt's own class under the same rule weights, and its three ways to cut sound."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders.base import AudioEmbedder
from clapstick.metrics.embedders.checkpoint import WrongWeightsError
from clapstick.metrics.embedders.passt import av_benchmark_window, stable_audio_windows, unpadded_segments
from clapstick.metrics.embedders.registry import load_embedder

RATE = 32_000


@pytest.fixture(scope="module")
def official(rules: ModuleType) -> Any:
    """hear21passt's model as av-benchmark builds it, without its download, filled by the rule."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        passt = pytest.importorskip("hear21passt.models.passt", reason="needs clapstick[official]")
        from hear21passt.models.preprocess import AugmentMelSTFT
        from hear21passt.wrapper import PasstBasicWrapper

        mel = AugmentMelSTFT(128, 32000, 800, 320, 1024, 48, 192, False, 0.0, None, 1, 10, 2000)
        network = passt.get_model(arch="passt_s_swa_p16_128_ap476", pretrained=False)
    rules.fill(network)
    return PasstBasicWrapper(mel=mel, net=network, mode="all").eval()


@pytest.fixture(scope="module")
def weights(official: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("passt") / "passt-s-f128-p16-s10-ap.476-swa.pt"
    torch.save(official.net.state_dict(), path)
    return {"passt": path}


def _official(official: Any, row: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        return np.asarray(official(torch.from_numpy(row)[None])[0].numpy())


def _require_equal(found: dict[str, np.ndarray], row: int, expected: np.ndarray) -> None:
    assert found["logits"].shape[1] == 527
    for name, wanted in (("logits", expected[:527]), ("embedding", expected[527:])):
        assert np.linalg.norm(found[name][row] - wanted) < 5e-5 * np.linalg.norm(wanted), name


def test_equals_the_official_class_at_any_length(
    official: Any, weights: dict[str, Path], rules: ModuleType
) -> None:
    ours: AudioEmbedder = load_embedder("passt-segments-logits", weights)
    clips = [rules.waveform(2.5, RATE, 1), rules.waveform(0.8, RATE, 2)]
    for clip, found in zip(clips, ours.embed(clips, sample_rate=RATE), strict=True):
        _require_equal(found, 0, _official(official, clip))


@pytest.mark.slow
def test_equals_the_official_class_on_windows_of_10_s(
    official: Any, weights: dict[str, Path], rules: ModuleType
) -> None:
    ours: AudioEmbedder = load_embedder("passt", weights)
    clips = [rules.waveform(3, RATE, 1), rules.waveform(11, RATE, 2)]
    for clip, found in zip(clips, ours.embed(clips, sample_rate=RATE), strict=True):
        _require_equal(found, 0, _official(official, av_benchmark_window(clip, RATE)[0]))


@pytest.mark.slow
def test_a_short_last_segment_is_heard_without_padding(
    official: Any, weights: dict[str, Path], rules: ModuleType
) -> None:
    ours: AudioEmbedder = load_embedder("passt-segments-logits", weights)
    clip = rules.waveform(11.5, RATE, 3)
    (found,) = ours.embed([clip], sample_rate=RATE)
    assert found["logits"].shape == (2, 527)
    _require_equal(found, 1, _official(official, clip[10 * RATE :]))


def test_one_window_without_its_mean() -> None:
    # 2 s of 0.25 + 0.5 (-1)^n: the mean 0.25 goes, 8 s of zeros follow. 12 s are cut to 10.
    sound = (0.25 + 0.5 * (-1.0) ** np.arange(2 * RATE)).astype(np.float32)
    window = av_benchmark_window(sound, RATE)
    assert window.shape == (1, 10 * RATE)
    assert np.abs(window[0, : 2 * RATE]) == pytest.approx(0.5)
    assert not window[0, 2 * RATE :].any()
    assert av_benchmark_window(np.ones(12 * RATE, dtype=np.float32), RATE).shape == (1, 10 * RATE)


def test_windows_every_5_s_at_a_peak_of_minus_1_db() -> None:
    # -1 dB is 0.8912509. 12 s: starts 0 and 5 s (below 12 - 5), the second with 7 s of sound. 10 s: one.
    sound = np.full(12 * RATE, 0.1, dtype=np.float32)
    windows = stable_audio_windows(sound, RATE)
    assert windows.shape == (2, 10 * RATE)
    assert windows.max() == pytest.approx(0.8912509)
    assert [int(np.count_nonzero(window)) for window in windows] == [10 * RATE, 7 * RATE]
    assert len(stable_audio_windows(sound[: 10 * RATE], RATE)) == 1
    assert stable_audio_windows(sound[: RATE // 2], RATE).shape == (1, RATE // 2)
    assert not stable_audio_windows(np.zeros(RATE, dtype=np.float32), RATE).any()


def test_segments_of_10_s_and_the_rest() -> None:
    # 10.2 s: 10 s and 0.2 s. 10.15 s: the rest is not longer than 0.15 s and left out.
    sound = np.ones(int(10.2 * RATE), dtype=np.float32)
    rows = unpadded_segments(sound, RATE)
    assert rows[:, 0].tolist() == [10 * RATE, 0.2 * RATE]
    assert int(rows[1, 1:].sum()) == 0.2 * RATE
    assert len(unpadded_segments(sound[: int(10.15 * RATE)], RATE)) == 1
    with pytest.raises(NotComputableError, match="too short for PaSST: 4800 samples at 32000 Hz, needs 4801"):
        unpadded_segments(sound[:4800], RATE)


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "passt-s-f128-p16-s10-ap.476-swa.pt"
    torch.save({"pre_conv0.weight": torch.zeros(64, 1, 11)}, path)
    with pytest.raises(WrongWeightsError, match=r"not a checkpoint of PaSST.*seems to be for PANNs Wavegram"):
        load_embedder("passt-logits", {"passt": path})
