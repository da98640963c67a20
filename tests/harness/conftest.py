"""A small synthetic data set, made once for the tests of the harness."""

from __future__ import annotations

from pathlib import Path

import pytest

from clapstick.harness.settings import RunSettings
from clapstick.protocols.protocol import find_protocol
from clapstick.protocols.synthetic.make import make_synthetic_hits
from clapstick.protocols.synthetic.settings import SyntheticSettings
from clapstick.systems.registry import find_system


@pytest.fixture(scope="session")
def hits(tmp_path_factory) -> Path:
    """Four synthetic videos of 2 s with sound and annotations."""
    settings = SyntheticSettings(train_videos=1, test_videos=4, duration_s=2.0, seed=9)
    return make_synthetic_hits(
        settings, tmp_path_factory.mktemp("hits"), workers=2, splits=("test",), progress=False
    )


@pytest.fixture
def settings_for(hits, tmp_path):
    """Make run settings over the small data set."""

    def make(*systems: str, protocol="synthetic-hits", data=None, out=None, **changes) -> RunSettings:
        values = {"workers": 2, "seed": 0} | changes
        return RunSettings(
            protocol=find_protocol(protocol),
            data=data or hits,
            systems=tuple(find_system(name) for name in systems),
            out=out or tmp_path / "run",
            **values,
        )

    return make
