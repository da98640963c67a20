"""LAION CLAP with feature fusion on sounds of more than 10 s, against the official class."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.metrics.embedders.htsat import TINY, Htsat
from clapstick.metrics.embedders.htsat_fusion import fusion_spectrograms, piece_starts

RATE = 48_000


@pytest.fixture
def official_htsat(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's module alone: the package itself fetches tokenizers when it is imported."""
    found = importlib.util.find_spec("laion_clap")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs clapstick[official]")
    folder = Path(found.submodule_search_locations[0])
    for name, place in (("laion_clap", folder), ("laion_clap.clap_module", folder / "clap_module")):
        package = types.ModuleType(name)
        package.__path__ = [str(place)]
        monkeypatch.setitem(sys.modules, name, package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("laion_clap.clap_module.htsat")


def test_long_sound_equals_the_official_class(official_htsat: Any, rules: ModuleType) -> None:
    settings = SimpleNamespace(
        audio_length=1024, clip_samples=480000, mel_bins=64, sample_rate=48000, window_size=1024, hop_size=480,
        fmin=50, fmax=14000, class_num=527, model_type="HTSAT", model_name="tiny",
    )  # fmt: skip
    ours = Htsat(TINY, sample_rate=RATE, hop=480, fusion=True).eval()
    rules.fill(ours)
    spectrograms = torch.from_numpy(fusion_spectrograms(rules.waveform(13, RATE, 5)))
    assert spectrograms.shape == (1, 4, 1001, 64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        official = official_htsat.create_htsat_model(settings, True, "aff_2d").eval()
        rules.fill(official)
        given = {"longer": torch.tensor([[True]]), "mel_fusion": spectrograms}
        expected = official(given, device="cpu")["embedding"]
        found = ours.of_log_mel(spectrograms)["embedding"]
        without_pieces = ours.of_log_mel(spectrograms[:, :1])["embedding"]
    assert torch.linalg.norm(found - expected) < 5e-5 * torch.linalg.norm(expected)
    assert torch.linalg.norm(without_pieces - expected) > 1e-3 * torch.linalg.norm(expected)


def test_pieces_are_the_middle_of_each_third() -> None:
    # Places 0..8: thirds 0-2, 3-5, 6-8. Places 0, 1: thirds 0, 1 and none, which stands for the first place.
    assert piece_starts(9) == [1, 4, 7]
    assert piece_starts(2) == [0, 1, 0]


def test_spectrograms_by_length(rules: ModuleType) -> None:
    # 10 s are 480000 // 480 + 1 = 1001 frames. Up to one hop more it is still 1001: nothing to fuse.
    assert fusion_spectrograms(np.zeros(480_479, dtype=np.float32)).shape == (1, 1, 1001, 64)
    assert fusion_spectrograms(np.zeros(480_480, dtype=np.float32)).shape == (1, 4, 1001, 64)
    # 3 s fit three times and leave 1 s of zeros, -100 dB: frames 901 and later hear nothing else.
    sound = rules.waveform(3, RATE, 6)
    short = fusion_spectrograms(sound)[0, 0]
    np.testing.assert_allclose(short[10:290], short[310:590], atol=1e-2)
    assert short[910:] == pytest.approx(-100.0)


def test_front_end_equals_torchaudios_mel_spectrogram(rules: ModuleType) -> None:
    from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

    sound = rules.waveform(10, RATE, 7)
    mel = MelSpectrogram(RATE, 1024, 1024, 480, f_min=50, f_max=14000, n_mels=64)(torch.from_numpy(sound))
    expected = AmplitudeToDB(top_db=None)(mel).T.numpy()
    np.testing.assert_allclose(fusion_spectrograms(sound)[0, 0], expected, atol=1e-3)
