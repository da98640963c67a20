"""PANNs Wavegram-Logmel-CNN14: front end, hidden layers, embedding, class probabilities."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clapstick.metrics.embedders.base import AudioEmbedder
from clapstick.metrics.embedders.front_end import resample_kaiser_best, through_pcm16
from clapstick.metrics.embedders.registry import load_embedder

FORM = "panns_wavegram_logmel_cnn14"
TOLERANCE = 5e-5
NAME = "panns-wavegram-logmel"


@pytest.fixture(scope="module")
def path(fixture: Any, checkpoints: Any, tables: Callable[..., dict[str, Any]]) -> Path:
    given = fixture.facts["arguments"]
    shapes = fixture.facts["state_dict"]
    computed = tables(
        shapes,
        sample_rate=given["sample_rate"],
        window=given["window_size"],
        hop=given["hop_size"],
        low_hz=given["fmin"],
        high_hz=given["fmax"],
    )
    name = "Wavegram_Logmel_Cnn14_mAP=0.439.pth"
    return Path(checkpoints.write(name, shapes, fixture.facts["fill"], key="model", computed=computed))


@pytest.fixture(scope="module")
def panns(path: Path) -> AudioEmbedder:
    return load_embedder(NAME, {NAME: path})


def _forward(panns: AudioEmbedder, samples: np.ndarray) -> dict[str, Tensor]:
    with torch.inference_mode():
        return dict(panns.forward(torch.from_numpy(samples.astype(np.float32))[None]))


def _raw(fixture: Any) -> list[str]:
    return [name for name in fixture.facts["inputs"] if name.startswith("raw")]


def test_embedding_and_probabilities(
    fixture: Any, rules: ModuleType, panns: AudioEmbedder, waveform_of: Callable[[str], np.ndarray]
) -> None:
    assert _raw(fixture)
    for name in _raw(fixture):
        outputs = _forward(panns, waveform_of(fixture.facts["inputs"][name]))
        assert rules.compare(fixture.arrays, f"{name}.embedding", outputs["embedding"][0]) < TOLERANCE
        assert rules.compare(fixture.arrays, f"{name}.clipwise", outputs["logits"][0].sigmoid()) < TOLERANCE
        half = outputs["embedding"].numpy().astype(np.float16)
        stored = fixture.arrays[f"{name}.get_embedding_float16"]
        one_step = np.spacing(np.maximum(np.abs(half), np.abs(stored))).astype(np.float64)
        # Near 0 a step of float16 is smaller than the noise of float32 in sums of large terms.
        noise = TOLERANCE * np.sqrt(np.square(stored.astype(np.float64)).mean())
        assert (np.abs(half.astype(np.float64) - stored) <= one_step + noise).all()


def test_hidden_layers(
    fixture: Any, rules: ModuleType, panns: AudioEmbedder, waveform_of: Callable[[str], np.ndarray]
) -> None:
    keys = {
        match[1]: match[2] for key in fixture.arrays if (match := re.match(r"((\w+)\.hidden\.\w+)\.idx", key))
    }
    assert keys
    for name in set(keys.values()):
        layers = {key: key.rsplit(".", 1)[1] for key, owner in keys.items() if owner == name}
        hidden = _hidden(panns, set(layers.values()), waveform_of(fixture.facts["inputs"][name]))
        for key, layer in layers.items():
            assert rules.compare(fixture.arrays, key, hidden[layer]) < TOLERANCE, key


def _hidden(panns: AudioEmbedder, layers: set[str], samples: np.ndarray) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}

    def keep(layer: str) -> Any:
        return lambda module, given, output: kept.update({layer: output})

    hooks = [getattr(panns.forward, layer).register_forward_hook(keep(layer)) for layer in layers]
    _forward(panns, samples)
    for hook in hooks:
        hook.remove()
    return kept


def test_front_end_of_files_at_another_rate(
    fixture: Any,
    rules: ModuleType,
    panns: AudioEmbedder,
    waveform_of: Callable[[str], np.ndarray],
    rate_of: Callable[[str], int],
) -> None:
    for match in fixture.matches(r"((wav\w+)_(\d+))\.embedding"):
        name, recipe = match[1], fixture.facts["inputs"][f"{match[2]}_i"]
        first = int(re.search(r"(\d+)\+i\)", recipe)[1])  # type: ignore[index]
        samples = waveform_of(re.sub(r"\d+\+i", str(first + int(match[3])), recipe))
        sample_rate = rate_of(recipe)
        resampled = resample_kaiser_best(samples, sample_rate, fixture.facts["arguments"]["sample_rate"])
        _close(fixture, f"{name}.resampled_float", resampled, 1e-5)
        heard = through_pcm16(resampled)
        _close(fixture, f"{name}.after_int16_cache", heard, 1 / 32768)
        assert rules.compare(fixture.arrays, f"{name}.after_int16_cache", heard) < 1e-6
        (outputs,) = panns.embed([samples], sample_rate=sample_rate)
        assert rules.compare(fixture.arrays, f"{name}.embedding", outputs["embedding"][0]) < TOLERANCE
        unquantised = _forward(panns, resampled)["embedding"][0]
        assert rules.compare(fixture.arrays, f"{name}.embedding_no_cache_quantisation", unquantised) < TOLERANCE
        other = np.rint(resampled.astype(np.float64) * 32768).clip(-32768, 32767) / 32768
        embedding = _forward(panns, other)["embedding"][0]
        assert (
            rules.compare(fixture.arrays, f"{name}.embedding_if_writer_scales_by_32768", embedding) < TOLERANCE
        )


def _close(fixture: Any, key: str, ours: np.ndarray, tolerance: float) -> None:
    assert ours.shape == tuple(fixture.arrays[f"{key}.shape"])
    found = ours.reshape(-1)[fixture.arrays[f"{key}.idx"]]
    assert np.abs(found - fixture.arrays[f"{key}.val"]).max() <= tolerance
