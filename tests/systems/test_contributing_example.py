"""The whole in-process system of CONTRIBUTING.md, as a reader would copy it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clapstick.harness.cli import build_app
from clapstick.systems.conformance import check_system
from clapstick.systems.registry import find_system

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """The folder that the guide describes."""
    folder = tmp_path / "bright"
    folder.mkdir()
    blocks = re.findall(r"`bright/([a-z.]+)`:\n\n```[a-z]+\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert [name for name, _ in blocks] == ["system.toml", "system.py"]
    for name, text in blocks:
        (folder / name).write_text(text)
    return folder


def test_the_guides_system_passes_every_check(bright: Path, tmp_path: Path) -> None:
    found = {one.check: one for one in check_system(find_system(str(bright)), tmp_path / "work")}
    assert [one for one in found.values() if one.passed is False] == []
    assert found["time offset"].passed is True


def test_a_run_takes_the_guides_system(bright: Path, hits_folder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    command = ["plan", "synthetic-hits", "--data", str(hits_folder), "--out", str(tmp_path / "run"), "--json"]
    done = CliRunner().invoke(build_app(), [*command, "--systems", str(bright), "--set", "bright.level=0.2"])
    assert done.exit_code == 0, done.output
    rows = {row["system"]: row for row in json.loads(done.stdout)["systems"]}
    assert rows["bright"]["missing"] is None
    assert rows["bright"]["to generate"] == rows["bright"]["clips"] > 0
