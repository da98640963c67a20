"""PEAVS' network against amazon-science/avgen-eval-toolkit, from rows of VGGish and I3D to the raw output."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from clapstick.metrics.embedders.peavs import PeavsEmbedder
from clapstick.metrics.embedders.registry import load_embedder

FORM = "peavs"
TOLERANCE = 5e-5


@pytest.fixture(scope="module")
def peavs(fixture: Any, checkpoints: Any) -> PeavsEmbedder:
    path = checkpoints.write("final_model.pt", fixture.facts["state_dict"], fixture.facts["fill"])
    return load_embedder("peavs", {"peavs": path}, kind="pair")


def _rows(recipe: str) -> tuple[np.ndarray, np.ndarray]:
    tag, sound_rows, picture_rows = map(int, re.findall(r"\d+", recipe))
    rng = np.random.default_rng([800, tag])
    sound = np.maximum(0, rng.standard_normal((sound_rows, 128))).astype(np.float32)
    picture = np.abs(rng.standard_normal((picture_rows, 1024)) * 0.5).astype(np.float32)
    return sound, picture


def test_every_clip_alone(fixture: Any, peavs: PeavsEmbedder, rules: Any) -> None:
    for name, recipe in fixture.facts["inputs"].items():
        output = peavs.embed(*_rows(recipe))["output"]
        assert rules.compare(fixture.arrays, f"{name}.output", output) < TOLERANCE, name


def test_the_official_batch_changes_a_clip_whose_picture_is_shorter(fixture: Any, peavs: PeavsEmbedder) -> None:
    """Why one clip at a time is the convention: the value would depend on its neighbours."""
    alone = {name: peavs.embed(*_rows(recipe))["output"] for name, recipe in fixture.facts["inputs"].items()}
    together = fixture.arrays["batch_of_two.output"]
    np.testing.assert_allclose(together[1], alone["two_seconds"][0], rtol=TOLERANCE)
    together = fixture.arrays["batch_with_shorter_picture.output"]
    np.testing.assert_allclose(together[0], alone["ten_seconds"][0], rtol=TOLERANCE)
    assert abs(together[1] - alone["picture_shorter"][0])[0] > 1e-3
