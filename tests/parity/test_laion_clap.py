"""LAION CLAP: both sizes of the audio tower, fadtk's windows, the quantiser, and the text tower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clapstick.metrics.embedders.base import AudioEmbedder
from clapstick.metrics.embedders.checkpoint import WrongWeightsError
from clapstick.metrics.embedders.front_end import truncate_to_int16
from clapstick.metrics.embedders.htsat_fusion import fusion_spectrograms
from clapstick.metrics.embedders.registry import load_embedder

FORM = "laion_clap"
TOLERANCE = 5e-5
"""Of vectors of unit length."""
KEYS = r"{size}\.(?P<input>(?!fadtk)[^._]+)[._](?P<variant>.*)"
"""Keys such as ``tiny.w0.no_quantisation`` and ``tiny.short_6.3s_repeatpad``."""
SIZES = {"tiny": ("laion-clap-audio", "laion-clap-630k"), "base": ("laion-clap-music", "laion-clap-music")}
FRONT_END = {"sample_rate": 48000, "window": 1024, "hop": 480, "low_hz": 50, "high_hz": 14000}


@pytest.fixture(scope="module")
def paths(fixture: Any, checkpoints: Any, tables: Callable[..., dict[str, Any]]) -> dict[str, Path]:
    found = {}
    for size, facts in fixture.facts["models"].items():
        if "state_dict" not in facts:
            continue
        shapes = facts["state_dict"]
        found[size] = checkpoints.write(
            f"{size}.pt",
            shapes,
            fixture.facts["fill"],
            key="state_dict",
            prefix="module.",
            computed=tables(shapes, **FRONT_END),
            stray={"text_branch.embeddings.position_ids": torch.arange(514)[None]},
        )
    return found


@pytest.fixture(scope="module")
def towers(paths: dict[str, Path]) -> dict[str, AudioEmbedder]:
    return {size: load_embedder(name, {weights: paths[size]}) for size, (name, weights) in SIZES.items()}


def _embed(tower: AudioEmbedder, samples: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(tower.forward(torch.from_numpy(samples)[None])["embedding"][0].numpy())


def test_quantiser(fixture: Any, rules: ModuleType, waveform_of: Callable[[str], np.ndarray]) -> None:
    probe = truncate_to_int16(fixture.arrays["quantise_probe_in"])
    assert np.array_equal(probe, fixture.arrays["quantise_probe_out"])
    for match in fixture.matches(r"(\w+)\.quantised_max_abs_change"):
        samples = waveform_of(fixture.facts["inputs"][match[1]])
        quantised = truncate_to_int16(samples)
        assert rules.compare(fixture.arrays, f"{match[1]}.quantised_waveform", quantised) < 1e-12
        change = np.abs(quantised - samples).max()
        assert change == pytest.approx(float(fixture.arrays[match[0]]), abs=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_audio_tower(
    fixture: Any, towers: dict[str, AudioEmbedder], waveform_of: Callable[[str], np.ndarray], size: str
) -> None:
    for match in fixture.matches(KEYS.format(size=size)):
        samples = waveform_of(fixture.facts["inputs"][match["input"]])
        heard = samples if match["variant"] == "no_quantisation" else truncate_to_int16(samples)
        found = _embed(towers[size], _repeated(heard))
        assert np.linalg.norm(found - fixture.arrays[match[0]]) < TOLERANCE, match[0]


def _repeated(samples: np.ndarray) -> np.ndarray:
    """Repeat whole copies and fill up to 10 s with zeros, as the official package does."""
    copies = np.tile(samples, 480000 // len(samples))
    return np.pad(copies, (0, 480000 - len(copies)))


@pytest.mark.parametrize("size", SIZES)
def test_windows_of_fadtk(
    fixture: Any,
    towers: dict[str, AudioEmbedder],
    waveform_of: Callable[[str], np.ndarray],
    rate_of: Callable[[str], int],
    size: str,
) -> None:
    names = [name for name in fixture.facts["inputs"] if name.startswith("fadtk")]
    assert names
    for name in names:
        recipe = fixture.facts["inputs"][name]
        (outputs,) = towers[size].embed([waveform_of(recipe)], sample_rate=rate_of(recipe))
        wanted = fixture.arrays[f"{size}.{name}"]
        assert outputs["embedding"].shape == wanted.shape
        assert np.linalg.norm(outputs["embedding"] - wanted, axis=1).max() < TOLERANCE


def test_text_tower(fixture: Any, clap_text: Callable[..., Any]) -> None:
    network = clap_text(fixture.facts["fill"])
    own = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    wanted = fixture.facts["models"]["state_dict_text_branch"]
    assert {name: shape for name, shape in own.items() if name.startswith("text_branch.")} == wanted
    with torch.inference_mode():
        found = network(torch.from_numpy(fixture.arrays["text.input_ids"].astype(np.int64)))[
            "embedding"
        ].numpy()
    assert np.linalg.norm(found - fixture.arrays["text.embedding"], axis=1).max() < TOLERANCE


def test_audio_tower_with_fusion(
    fixture: Any, paths: dict[str, Path], waveform_of: Callable[[str], np.ndarray]
) -> None:
    tower = load_embedder("laion-clap-fusion", {"laion-clap-630k-fusion": paths["tiny_fusion"]})
    for match in fixture.matches(KEYS.format(size="tiny_fusion")):
        samples = waveform_of(fixture.facts["inputs"][match["input"]])
        heard = samples if match["variant"] == "no_quantisation" else truncate_to_int16(samples)
        (found,) = tower.embed_prepared([fusion_spectrograms(heard)])
        assert np.linalg.norm(found["embedding"][0] - fixture.arrays[match[0]]) < TOLERANCE, match[0]


def test_file_with_feature_fusion_is_for_its_own_embedder(paths: dict[str, Path]) -> None:
    with pytest.raises(WrongWeightsError, match=r"not a checkpoint.*unknown.*with feature fusion"):
        load_embedder("laion-clap-audio", {"laion-clap-630k": paths["tiny_fusion"]})
    with pytest.raises(WrongWeightsError, match="not a checkpoint of LAION CLAP 630k-audioset-fusion-best"):
        load_embedder("laion-clap-fusion", {"laion-clap-630k-fusion": paths["tiny"]})


def test_file_of_the_other_size_is_refused(paths: dict[str, Path]) -> None:
    with pytest.raises(WrongWeightsError, match="not a checkpoint of LAION CLAP 630k-audioset-best"):
        load_embedder("laion-clap-audio", {"laion-clap-630k": paths["base"]})
