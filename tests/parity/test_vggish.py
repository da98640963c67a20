"""VGGish: log-mel patches and embeddings in four variants."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def path(fixture: Any, checkpoints: Any) -> Path:
    learned = {
        name: shape for name, shape in fixture.facts["state_dict"].items() if not name.startswith("pproc.")
    }
    return Path(checkpoints.write("vggish-10086976.pth", learned, fixture.facts["fill"]))


@pytest.fixture(scope="module")
def vggish(path: Path) -> AudioEmbedder:
    return load_embedder("vggish", {"vggish": path})


@pytest.fixture(scope="module")
def signals(
    fixture: Any, waveform_of: Callable[[str], np.ndarray], rate_of: Callable[[str], int]
) -> dict[str, tuple[np.ndarray, int]]:
    """Name -> samples and their rate."""
    return {name: (waveform_of(recipe), rate_of(recipe)) for name, recipe in fixture.facts["inputs"].items()}


def test_log_mel_patches(fixture: Any, signals: dict[str, tuple[np.ndarray, int]]) -> None:
    """The keys tell no input's name: patches are of the first one, or of the first at another rate."""
    for match in fixture.matches(r"(examples_\w+?(_resampled)?)\.val"):
        samples, sample_rate = next(
            (samples, rate) for samples, rate in signals.values() if (rate != 16000) == bool(match[2])
        )
        ours = log_mel_examples(resample_resampy(samples, sample_rate, 16000))
        _close(fixture, match[1], ours)
        if f"{match[1]}_first" in fixture.arrays:
            assert np.abs(ours[0, 0] - fixture.arrays[f"{match[1]}_first"]).max() < 1e-4


def _close(fixture: Any, key: str, ours: np.ndarray) -> None:
    assert ours.shape == tuple(fixture.arrays[f"{key}.shape"])
    found = ours.reshape(-1)[fixture.arrays[f"{key}.idx"]]
    assert np.abs(found - fixture.arrays[f"{key}.val"]).max() < 1e-4


@pytest.mark.parametrize(
    ("variant", "output"),
    [
        ("fadtk_no_pca_no_last_relu", "embedding"),
        ("torchvggish_no_pca_with_last_relu", "relu"),
        ("avgen_favd", "relu"),
    ],
)
def test_embeddings(
    fixture: Any,
    rules: ModuleType,
    vggish: AudioEmbedder,
    signals: dict[str, tuple[np.ndarray, int]],
    variant: str,
    output: str,
) -> None:
    for match in fixture.matches(rf"(\w+)\.{variant}"):
        samples, sample_rate = signals[match[1]]
        patches = log_mel_examples(resample_resampy(samples, sample_rate, 16000))
        with torch.inference_mode():
            outputs = vggish.forward(torch.from_numpy(patches))
        assert rules.compare(fixture.arrays, match[0], outputs[output]) < TOLERANCE


def test_pca_and_quantisation(
    fixture: Any, rules: ModuleType, vggish: AudioEmbedder, signals: dict[str, tuple[np.ndarray, int]]
) -> None:
    fill = fixture.facts["fill"]
    shapes = fixture.facts["state_dict"]
    eigenvectors, means = (
        torch.from_numpy(rules.rule_tensor(name, shapes[name], fill["seed"], fill["gain"]))
        for name in ("pproc.pca_eigen_vectors", "pproc.pca_means")
    )
    for match in fixture.matches(r"(\w+)\.torchvggish_pca_postprocessed"):
        samples, sample_rate = signals[match[1]]
        with torch.inference_mode():
            rows = vggish.forward(
                torch.from_numpy(log_mel_examples(resample_resampy(samples, sample_rate, 16000)))
            )
            codes = postprocess(rows["relu"], eigenvectors, means).numpy()
        # The official function squeezes, which drops the axis of a single patch.
        difference = np.abs(codes - fixture.arrays[match[0]].reshape(codes.shape))
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
    signals: dict[str, tuple[np.ndarray, int]],
    embedder: str,
    output: str,
    variant: str,
) -> None:
    loaded = load_embedder(embedder, {"vggish": path})
    at_16k = [name for name in signals if signals[name][1] == 16000 and f"{name}.{variant}" in fixture.arrays]
    assert at_16k
    found = loaded.embed([signals[name][0] for name in at_16k], sample_rate=16000)
    for name, outputs in zip(at_16k, found, strict=True):
        assert rules.compare(fixture.arrays, f"{name}.{variant}", outputs[output]) < TOLERANCE
