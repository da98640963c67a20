"""MS-CLAP 2023: hidden layers, fadtk's windows, text tower."""

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

from clapstick.metrics.embedders import msclap
from clapstick.metrics.embedders.base import AudioEmbedder
from clapstick.metrics.embedders.registry import load_embedder

FORM = "msclap_2023"
TOLERANCE = 5e-5
NAME = "msclap-2023"
FRONT_END = {"sample_rate": 32000, "window": 1024, "hop": 320, "low_hz": 50, "high_hz": 14000}
LAYERS = {f"layer{index}": f"layers.{index}" for index in range(4)}


@pytest.fixture(scope="module")
def tower(fixture: Any, checkpoints: Any, tables: Callable[..., dict[str, Any]]) -> AudioEmbedder:
    shapes = fixture.facts["state_dict"]
    path = checkpoints.write(
        "CLAP_weights_2023.pth",
        shapes,
        fixture.facts["fill"],
        key="model",
        computed=tables(shapes, **FRONT_END),
        stray={"caption_encoder.base.wte.weight": torch.zeros(3, 3)},
    )
    return load_embedder(NAME, {NAME: Path(path)})


def _forward(network: Any, samples: np.ndarray) -> dict[str, Tensor]:
    with torch.inference_mode():
        return dict(network(torch.from_numpy(samples)[None]))


def test_embeddings(
    fixture: Any, rules: ModuleType, tower: AudioEmbedder, waveform_of: Callable[[str], np.ndarray]
) -> None:
    names = [
        name for name in fixture.facts["inputs"] if f"{name}.embedding" in fixture.arrays and name != "text"
    ]
    assert names
    for name in names:
        found = _forward(tower.forward, waveform_of(fixture.facts["inputs"][name]))["embedding"][0]
        assert rules.compare(fixture.arrays, f"{name}.embedding", found) < TOLERANCE


def test_hidden_layers(
    fixture: Any, rules: ModuleType, tower: AudioEmbedder, waveform_of: Callable[[str], np.ndarray]
) -> None:
    htsat: Any = tower.forward.base["htsat"]  # type: ignore[attr-defined]
    keys = [key.removesuffix(".idx") for key in fixture.arrays if re.search(r"\.hidden\.\w+\.idx$", key)]
    assert keys
    for name in {key.split(".")[0] for key in keys}:
        samples = waveform_of(fixture.facts["inputs"][name])
        kept: dict[str, Tensor] = {}

        def keep(layer: str, kept: dict[str, Tensor] = kept) -> Any:
            return lambda module, given, output: kept.update({layer: output})

        layers = {key.rsplit(".", 1)[1] for key in keys if key.startswith(f"{name}.")}
        hooks = [
            htsat.get_submodule(LAYERS.get(layer, layer)).register_forward_hook(keep(layer)) for layer in layers
        ]
        outputs = _forward(htsat, samples)
        for hook in hooks:
            hook.remove()
        for layer in layers:
            found = kept[layer]
            wanted = tuple(fixture.arrays[f"{name}.hidden.{layer}.shape"])
            # The fixture's bn0 is (batch, mel, frames, 1).
            found = found if tuple(found.shape) == wanted else found.reshape(wanted)
            assert rules.compare(fixture.arrays, f"{name}.hidden.{layer}", found) < TOLERANCE, layer
        if f"{name}.backbone_768" in fixture.arrays:
            assert rules.compare(fixture.arrays, f"{name}.backbone_768", outputs["embedding"][0]) < TOLERANCE
        if f"{name}.clipwise.idx" in fixture.arrays:
            probabilities = outputs["logits"].sigmoid()
            assert rules.compare(fixture.arrays, f"{name}.clipwise", probabilities) < TOLERANCE


def test_windows_of_fadtk(
    fixture: Any,
    rules: ModuleType,
    tower: AudioEmbedder,
    waveform_of: Callable[[str], np.ndarray],
    rate_of: Callable[[str], int],
) -> None:
    names = [name for name in fixture.facts["inputs"] if name.startswith("fadtk")]
    assert names
    for name in names:
        recipe = fixture.facts["inputs"][name]
        (outputs,) = tower.embed([waveform_of(recipe)], sample_rate=rate_of(recipe))
        assert rules.compare(fixture.arrays, f"{name}.embeddings", outputs["embedding"]) < TOLERANCE


def test_text_tower(fixture: Any, rules: ModuleType) -> None:
    fill = fixture.facts["fill"]
    network = msclap.MsclapText().eval()
    own = {f"caption_encoder.{name}": list(tensor.shape) for name, tensor in network.state_dict().items()}
    wanted = fixture.facts["state_dict_text"]
    assert own == {
        name: shape for name, shape in wanted.items() if not name.endswith((".attn.bias", "masked_bias"))
    }
    rules.fill(network, seed=fill["seed"], gain=fill["gain"], prefix="caption_encoder." + fill["prefix"])
    with torch.inference_mode():
        found = network(torch.from_numpy(fixture.arrays["text.input_ids"].astype(np.int64)))["embedding"]
    assert rules.compare(fixture.arrays, "text.embedding", found) < TOLERANCE
