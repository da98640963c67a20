"""The CLAP embedding as Video-Foley's evaluation computes it, and the empty text that it mixes in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clapstick.metrics.embedders.base import AudioEmbedder
from clapstick.metrics.embedders.front_end import resample_hann
from clapstick.metrics.embedders.registry import load_embedder

FORM = "clap_score_videofoley"
NAME = "laion-clap-htsat-base"
WEIGHTS = "laion-clap-music-speech"
FRONT_END = {"sample_rate": 48000, "window": 1024, "hop": 480, "low_hz": 50, "high_hz": 14000}


@pytest.fixture(scope="module")
def path(
    fixture: Any, checkpoints: Any, tables: Callable[..., dict[str, Any]], clap_text: Callable[..., Any]
) -> Path:
    text = clap_text(fixture.facts["fill"]).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in text.items()} | fixture.facts["state_dict"]
    return Path(
        checkpoints.write(
            "music_speech_audioset_epoch_15_esc_89.98.pt",
            shapes,
            fixture.facts["fill"],
            key="state_dict",
            prefix="module.",
            computed=tables(shapes, **FRONT_END) | dict(text),
        )
    )


@pytest.fixture(scope="module")
def embeddings(
    fixture: Any, path: Path, waveform_of: Callable[[str], np.ndarray], rate_of: Callable[[str], int]
) -> np.ndarray:
    tower: AudioEmbedder = load_embedder(NAME, {WEIGHTS: path})
    recipes = fixture.facts["inputs"]["clips"]
    found = [tower.embed([waveform_of(recipe)], sample_rate=rate_of(recipe))[0] for recipe in recipes]
    return np.concatenate([outputs["embedding"] for outputs in found])


def test_audio_embeddings(fixture: Any, embeddings: np.ndarray) -> None:
    wanted = fixture.arrays["audio_embedding"]
    assert embeddings.shape == wanted.shape
    assert np.linalg.norm(embeddings - wanted, axis=1).max() < 5e-5


def test_cosines(fixture: Any, embeddings: np.ndarray) -> None:
    (key,) = fixture.matches(r"cos_pairs_\w+_no_dropout")
    pairs = [(int(first), int(second)) for first, second in re.findall(r"(\d+)_(\d+)", key[0])]
    cosines = np.array([embeddings[one] @ embeddings[other] for one, other in pairs])
    assert cosines.shape == fixture.arrays[key[0]].shape
    assert np.abs(cosines - fixture.arrays[key[0]]).max() < 1e-5


def test_resampling(
    fixture: Any,
    rules: ModuleType,
    waveform_of: Callable[[str], np.ndarray],
    rate_of: Callable[[str], int],
) -> None:
    recipe = fixture.facts["inputs"]["clips"][0]
    samples, sample_rate = waveform_of(recipe), rate_of(recipe)
    heard = int(re.search(r"zero-pad to (\d+)", fixture.facts["pipeline"])[1])  # type: ignore[index]
    samples = np.pad(samples, (0, max(0, heard - len(samples))))[:heard]
    resampled = resample_hann(samples, sample_rate, 48000)
    assert len(resampled) == int(fixture.arrays["resampled_length"]) == heard * 48000 // sample_rate
    wanted = tuple(fixture.arrays["resampled_48k.shape"])
    assert rules.compare(fixture.arrays, "resampled_48k", resampled[: wanted[0]]) < 5e-5


def test_empty_text(fixture: Any, path: Path) -> None:
    (found,) = load_embedder(f"{NAME}-empty", {WEIGHTS: path}, kind="text").embed(["whatever"])
    wanted = fixture.arrays["unconditional_text_embedding"]
    assert np.linalg.norm(found["embedding"][0] - wanted) < 5e-5
