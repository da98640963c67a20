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


NUMBERS = {
    "seed": r"\bS=(\d+)",
    "clips": r"\bn=(\d+)",
    "video_dim": r"\bdv=(\d+)",
    "audio_dim": r"\bda=(\d+)",
    "stream": r"\[S,(\d+),tag,j\]",
    "fewest": r"integers\((\d+),",
    "most": r"integers\(\d+,(\d+)\)",
    "latent": r"max\(tv,ta\),(\d+)\)",
    "video_stream": r"tv\]@default_rng\(\[S,(\d+)\]",
    "audio_stream": r"default_rng\(\[S,(\d+)\]\)\.standard_normal\(\(\d+,da",
    "mixing": r"dv\)\)\*([\d.]+)",
    "noise": r"([\d.]+)\*r\.standard_normal\(\(tv",
}
"""The numbers in the recipe of the full-size sets."""


def _full(recipe: str, tag: int, shift: float) -> Array:
    """Make a full-size set by the recipe in the fixture's JSON."""
    number = {}
    for name, pattern in NUMBERS.items():
        match = re.search(pattern, recipe)
        assert match, name
        number[name] = float(match[1]) if name in ("mixing", "noise") else int(match[1])
    seed = number["seed"]

    def features(rng: np.random.Generator, latent: Array, stream: str) -> Array:
        dimension = number[f"{stream}_dim"]
        mixing = np.random.default_rng([seed, number[f"{stream}_stream"]]).standard_normal(
            (number["latent"], dimension)
        )
        noise = number["noise"] * rng.standard_normal((len(latent), dimension))
        return np.maximum(0, latent @ (mixing * number["mixing"]) + noise + shift).astype(np.float32)

    sets = []
    for clip in range(number["clips"]):
        rng = np.random.default_rng([seed, number["stream"], tag, clip])
        video_rows, audio_rows = (rng.integers(number["fewest"], number["most"]) for _ in range(2))
        latent = rng.standard_normal((max(video_rows, audio_rows), number["latent"]))
        video = features(rng, latent[:video_rows], "video")
        sets.append(side_by_side(video, features(rng, latent[:audio_rows], "audio")))
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
    sets = re.findall(r"tag (\d+), shift ([\d.]+) for (?:ref|eval)", recipe)
    reference, generated = (_full(recipe, int(tag), float(shift)) for tag, shift in sets)
    assert [len(reference), len(generated)] == fixture.arrays["full.n_rows"].tolist()
    value = frechet_distance(reference, generated)
    assert value == pytest.approx(float(fixture.arrays["full.favd"]), rel=1e-4)
    assert value == pytest.approx(float(fixture.arrays["full.favd_reference_psd_eigh"]), rel=1e-4)
