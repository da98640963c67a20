"""FAVD against amazon-science/avgen-eval-toolkit, from given embeddings to the distance."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from clapstick.metrics.base import Array
from clapstick.metrics.favd import side_by_side
from clapstick.metrics.frechet import frechet_distance

FORM = "favd"


def _small(fixture: Any, which: str, without: str = "") -> Array:
    clips = sorted({key.split(".")[2] for key in fixture.arrays if key.startswith(f"small.{which}.")})
    return np.concatenate(
        [
            side_by_side(
                fixture.arrays[f"small.{which}.{clip}.video"], fixture.arrays[f"small.{which}.{clip}.audio"]
            )
            for clip in clips
            if clip != without
        ]
    )


def _full(seed: int, tag: int, clips: int, shift: float, video_dim: int, audio_dim: int) -> Array:
    """Make the full-size sets by the recipe in the fixture's JSON."""

    def features(rng: np.random.Generator, latent: Array, stream: int, dimension: int) -> Array:
        mixing = np.random.default_rng([seed, stream]).standard_normal((4, dimension)) * 0.5
        noise = 0.4 * rng.standard_normal((len(latent), dimension))
        return np.maximum(0, latent @ mixing + noise + shift).astype(np.float32)

    sets = []
    for clip in range(clips):
        rng = np.random.default_rng([seed, 600, tag, clip])
        video_rows, audio_rows = rng.integers(6, 12), rng.integers(6, 12)
        latent = rng.standard_normal((max(video_rows, audio_rows), 4))
        video = features(rng, latent[:video_rows], 601, video_dim)
        audio = features(rng, latent[:audio_rows], 602, audio_dim)
        sets.append(side_by_side(video, audio))
    return np.concatenate(sets)


def test_small_sets(fixture: Any) -> None:
    reference, generated = _small(fixture, "ref"), _small(fixture, "eval")
    assert [len(reference), len(generated)] == fixture.arrays["small.n_rows"].tolist()
    first = fixture.arrays["small.combined_ref_first_rows"]
    np.testing.assert_array_equal(reference[: len(first)], first)
    value = frechet_distance(reference, generated)
    assert value == pytest.approx(float(fixture.arrays["small.favd"]), rel=1e-5)
    assert value == pytest.approx(float(fixture.arrays["small.favd_reference_psd_eigh"]), rel=1e-5)
    assert round(value, 4) == pytest.approx(float(fixture.arrays["small.favd_script_rounded"]), abs=1.1e-4)


def test_a_clip_without_sound_is_left_out(fixture: Any) -> None:
    key = next(key for key in fixture.arrays if key.startswith("small.favd_with_missing_audio"))
    generated_clip, reference_clip = re.findall(r"(clip\d+)_(?:eval|ref)", key)
    reference, generated = _small(fixture, "ref", reference_clip), _small(fixture, "eval", generated_clip)
    assert [len(reference), len(generated)] == fixture.arrays["small.n_rows_missing"].tolist()
    assert frechet_distance(reference, generated) == pytest.approx(float(fixture.arrays[key]), rel=1e-5)


def test_full_dimension_with_fewer_rows_than_dimensions(fixture: Any) -> None:
    recipe = fixture.facts["inputs"]["full"]
    seed, clips, video_dim, audio_dim = (
        int(re.search(rf"\b{name}=(\d+)", recipe).group(1))  # type: ignore[union-attr]
        for name in ("S", "n", "dv", "da")
    )
    sets = re.findall(r"tag (\d+), shift ([\d.]+) for (?:ref|eval)", recipe)
    reference, generated = (
        _full(seed, int(tag), clips, float(shift), video_dim, audio_dim) for tag, shift in sets
    )
    assert [len(reference), len(generated)] == fixture.arrays["full.n_rows"].tolist()
    value = frechet_distance(reference, generated)
    assert value == pytest.approx(float(fixture.arrays["full.favd"]), rel=1e-4)
    assert value == pytest.approx(float(fixture.arrays["full.favd_reference_psd_eigh"]), rel=1e-4)
