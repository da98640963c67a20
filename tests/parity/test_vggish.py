"""VGGish: log-mel patches and embeddings in four variants."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.metrics.embedders.base import AudioEmbedder
from clapstick.metrics.embedders.front_end import resample_resampy
from clapstick.metrics.embedders.registry import load_embedder
from clapstick.metrics.embedders.vggish import log_mel_examples, postprocess

FORM = "vggish"
TOLERANCE = 5e-5
RATE = re.compile(r"waveform\([^,]+,\s*(\d+)")


@pytest.fixture(scope="module")
def path(fixture: Any, checkpoints: Any) -> Path:
    learned = {
        name: shape for name, shape in fixture.facts["state_dict"].items() if not name.startswith("pproc.")
    }
    return Path(checkpoints.write("vggish-10086976.pth", learned, fixture.facts["fill"]))


@pytest.fixture(scope="module")
def vggish(path: Path) -> AudioEmbedder:
    return load_embedder("vggish", {"vggish": path})


def _signals(fixture: Any, waveform_of: Callable[[str], np.ndarray]) -> dict[str, tuple[np.ndarray, int]]:
    return {
        name: (waveform_of(recipe), int(RATE.match(recipe)[1]))  # type: ignore[index]
        for name, recipe in fixture.facts["inputs"].items()
    }


def test_log_mel_patches(fixture: Any, waveform_of: Callable[[str], np.ndarray]) -> None:
    signals = _signals(fixture, waveform_of)
    ours = log_mel_examples(signals["w0"][0])
    first = fixture.arrays["examples_10s_first"]
    assert np.abs(ours[0, 0] - first).max() < 1e-4
    _close(fixture, "examples_10s", ours)
    samples, sample_rate = signals["w44"]
    _close(fixture, "examples_44k1_resampled", log_mel_examples(resample_resampy(samples, sample_rate, 16000)))


def _close(fixture: Any, key: str, ours: np.ndarray) -> None:
    assert ours.shape == tuple(fixture.arrays[f"{key}.shape"])
    found = ours.reshape(-1)[fixture.arrays[f"{key}.idx"]]
    assert np.abs(found - fixture.arrays[f"{key}.val"]).max() < 1e-4


def test_embeddings(
    fixture: Any, rules: ModuleType, vggish: AudioEmbedder, waveform_of: Callable[[str], np.ndarray]
) -> None:
    checked = 0
    for name, (samples, sample_rate) in _signals(fixture, waveform_of).items():
        patches = log_mel_examples(resample_resampy(samples, sample_rate, 16000))
        with torch.inference_mode():
            outputs = vggish.forward(torch.from_numpy(patches))
        for variant, output in (
            ("fadtk_no_pca_no_last_relu", "embedding"),
            ("torchvggish_no_pca_with_last_relu", "relu"),
            ("avgen_favd", "relu"),
        ):
            if f"{name}.{variant}" in fixture.arrays:
                assert rules.compare(fixture.arrays, f"{name}.{variant}", outputs[output]) < TOLERANCE
                checked += 1
    assert checked >= 5


def test_pca_and_quantisation(
    fixture: Any, rules: ModuleType, vggish: AudioEmbedder, waveform_of: Callable[[str], np.ndarray]
) -> None:
    fill = fixture.facts["fill"]
    shapes = fixture.facts["state_dict"]
    eigenvectors, means = (
        torch.from_numpy(rules.rule_tensor(name, shapes[name], fill["seed"], fill["gain"]))
        for name in ("pproc.pca_eigen_vectors", "pproc.pca_means")
    )
    for name, (samples, sample_rate) in _signals(fixture, waveform_of).items():
        key = f"{name}.torchvggish_pca_postprocessed"
        if key not in fixture.arrays:
            continue
        with torch.inference_mode():
            rows = vggish.forward(
                torch.from_numpy(log_mel_examples(resample_resampy(samples, sample_rate, 16000)))
            )
            codes = postprocess(rows["relu"], eigenvectors, means).numpy()
        difference = np.abs(codes - fixture.arrays[key])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(
    ("embedder", "output", "variant"),
    [
        ("vggish", "embedding", "fadtk_no_pca_no_last_relu"),
        ("vggish-relu", "relu", "avgen_favd"),
    ],
)
def test_embedders_from_the_official_file(
    fixture: Any,
    rules: ModuleType,
    path: Path,
    waveform_of: Callable[[str], np.ndarray],
    embedder: str,
    output: str,
    variant: str,
) -> None:
    loaded = load_embedder(embedder, {"vggish": path})
    signals = _signals(fixture, waveform_of)
    at_16k = [name for name in signals if signals[name][1] == 16000 and f"{name}.{variant}" in fixture.arrays]
    assert at_16k
    found = loaded.embed([signals[name][0] for name in at_16k], sample_rate=16000)
    for name, outputs in zip(at_16k, found, strict=True):
        assert rules.compare(fixture.arrays, f"{name}.{variant}", outputs[output]) < TOLERANCE
