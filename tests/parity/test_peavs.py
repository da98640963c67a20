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


def _rows(fixture: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    tag, sound_rows, picture_rows = map(int, re.findall(r"\d+", fixture.facts["inputs"][name]))
    recipe = re.search(r"\[(\d+), tag\].*\(n, (\d+)\).*\|([\d.]+) .*\(m, (\d+)\)", fixture.facts["rows"])
    assert recipe, fixture.facts["rows"]
    rng = np.random.default_rng([int(recipe[1]), tag])
    sound = np.maximum(0, rng.standard_normal((sound_rows, int(recipe[2])))).astype(np.float32)
    picture = np.abs(rng.standard_normal((picture_rows, int(recipe[4]))) * float(recipe[3]))
    return sound, picture.astype(np.float32)


def test_every_clip_alone(fixture: Any, peavs: PeavsEmbedder, rules: Any) -> None:
    for name in fixture.facts["inputs"]:
        output = peavs.embed(*_rows(fixture, name))["output"]
        assert rules.compare(fixture.arrays, f"{name}.output", output) < TOLERANCE, name


def test_the_official_batch_changes_a_clip_whose_picture_is_shorter(fixture: Any, peavs: PeavsEmbedder) -> None:
    """Why one clip at a time is the convention: the value would depend on its neighbours."""
    batches = re.findall(r"(batch_\w+) is (\w+) with (\w+)", fixture.facts["notes"])
    assert batches
    for batch, *names in batches:
        for together, name in zip(fixture.arrays[f"{batch}.output"], names, strict=True):
            sound, picture = _rows(fixture, name)
            alone = peavs.embed(sound, picture)["output"][0]
            if len(picture) < len(sound):
                assert abs(together - alone) > 1e-3, (batch, name)
            else:
                np.testing.assert_allclose(together, alone, rtol=TOLERANCE)
