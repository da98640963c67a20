"""The wheel, and the wheel built from the sdist, hold the same files, and the wheel works alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(*arguments: str, source: Path, out: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *arguments, "-o", str(out), str(source)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl" if "--wheel" in arguments else "*.tar.gz"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel of the checkout, and the wheel of the sdist of the checkout."""
    folder = tmp_path_factory.mktemp("packages")
    direct = build("--wheel", source=ROOT, out=folder / "direct")
    sdist = build("--sdist", source=ROOT, out=folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    unpacked = next((folder / "unpacked").iterdir())
    return direct, build("--wheel", source=unpacked, out=folder / "again")


def contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {item.filename: item.CRC for item in archive.infolist() if not item.filename.endswith("RECORD")}


def test_wheel_and_wheel_from_sdist_hold_the_same_files(wheels):
    direct, again = wheels
    assert contents(direct) == contents(again)


def test_the_wheel_holds_all_five_folders_and_their_data(wheels):
    names = contents(wheels[0])
    for folder in ("harness", "systems", "metrics", "protocols", "reports"):
        tracked = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", folder], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        if not tracked:
            pytest.skip("not a git checkout")
        assert {f"clapstick/{name}" for name in tracked} <= set(names)
    assert "clapstick/py.typed" in names
    assert not [name for name in names if not name.startswith(("clapstick/", "clapstick-"))]


def test_the_wheel_works_alone(wheels, hits_folder, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    script = "import clapstick; print(clapstick.__file__)\nfrom clapstick.harness.cli import main; main()"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "run",
            "synthetic-hits",
            "--data",
            str(hits_folder),
            "--systems",
            "silence,noise",
            "--limit",
            "2",
            "--out",
            str(tmp_path / "run"),
            "--json",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    assert Path(first).is_relative_to(site)
    assert {score["system"] for score in json.loads(rest)["scores"]} == {"reference", "silence", "noise"}
    assert (tmp_path / "run" / "report" / "index.html").is_file()
