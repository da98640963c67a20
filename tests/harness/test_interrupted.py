"""A run that is killed or stopped goes on where it was, and ends with the same scores."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SYSTEMS = "silence,noise,random-envelope"


def start(data: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-c",
        "from clapstick.harness.cli import main; main()",
        "run",
        "synthetic-hits",
        "--data",
        str(data),
        "--systems",
        SYSTEMS,
        "--out",
        str(out),
        "--workers",
        "2",
        "--json",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(data: Path, out: Path) -> bytes:
    process = start(data, out)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    return (out / "summary.json").read_bytes()


def killed_often(data: Path, out: Path, kills: int, seed: int, whole_s: float) -> bytes:
    moments = random.Random(seed)
    for _ in range(kills):
        process = start(data, out)
        time.sleep(moments.uniform(0.2, whole_s))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return finish(data, out)


@pytest.fixture(scope="module")
def undisturbed(hits, tmp_path_factory):
    """The summary of a run that nobody disturbed, and how long it took."""
    started = time.monotonic()
    summary = finish(hits, tmp_path_factory.mktemp("undisturbed") / "run")
    return summary, time.monotonic() - started


def test_three_kills_change_nothing(hits, undisturbed, tmp_path):
    summary, whole_s = undisturbed
    assert killed_often(hits, tmp_path / "run", 3, 0, whole_s) == summary
    assert not list((tmp_path / "run").rglob("*.tmp")) or (tmp_path / "run" / "summary.json").is_file()


@pytest.mark.slow
def test_twenty_kills_change_nothing(hits, undisturbed, tmp_path):
    summary, whole_s = undisturbed
    for part in range(4):
        assert killed_often(hits, tmp_path / f"run{part}", 5, part + 1, whole_s) == summary


def test_ctrl_c_says_how_to_go_on(hits, undisturbed, tmp_path):
    summary, _ = undisturbed
    process = start(hits, tmp_path / "run")
    until = time.monotonic() + 60
    while not list((tmp_path / "run").rglob("*.wav")) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert "start the same command again" in errors.decode()
    assert finish(hits, tmp_path / "run") == summary
