"""Run settings over the small data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from clapstick.harness.settings import RunSettings
from clapstick.protocols.protocol import find_protocol
from clapstick.systems.registry import find_system


@pytest.fixture(scope="session")
def hits(hits_folder) -> Path:
    """The small data set."""
    return hits_folder


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
