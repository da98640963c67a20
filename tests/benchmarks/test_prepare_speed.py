"""Preparing 200 synthetic videos beside the bare ffmpeg command that cuts the same clips on the same cores."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clapstick.protocols.prepare import Preparation, ffmpeg_command, prepare
from clapstick.protocols.protocol import Protocol, find_protocol
from clapstick.protocols.readers.greatest_hits import read
from clapstick.protocols.synthetic.make import make_synthetic_hits
from clapstick.protocols.synthetic.settings import SyntheticSettings

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
]
ROUNDS = 4
VIDEOS_A_ROUND = 50
MADE = 10
CORES = len(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Make a few synthetic videos and link them under 200 names, in as many folders as there are rounds."""
    settings = SyntheticSettings(train_videos=0, test_videos=MADE)
    made = make_synthetic_hits(settings, tmp_path_factory.mktemp("made"))
    folders = []
    for number in range(ROUNDS):
        folder = tmp_path_factory.mktemp(f"round-{number}")
        names = [f"video-{index:03d}" for index in range(VIDEOS_A_ROUND)]
        for index, name in enumerate(names):
            for end in ("_denoised.mp4", "_denoised.wav", "_times.txt"):
                os.link(made / f"test-{index % MADE + 1:04d}{end}", folder / f"{name}{end}")
        (folder / "test.txt").write_text("\n".join(names) + "\n")
        folders.append(folder)
    return folders


def bare(data: Path, protocol: Protocol, out: Path) -> float:
    """Run the bare command of every clip, one process a core; return the seconds."""
    commands = []
    for clip in read(data, protocol.dataset).clips:
        folder = out / clip.file_stem
        folder.mkdir(parents=True)
        commands.append(ffmpeg_command(clip, folder, protocol, lint=False))
    started = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda command: subprocess.run(command, check=True, capture_output=True), commands))
    return time.perf_counter() - started


def timed(data: Path, protocol: Protocol, out: Path) -> tuple[float, Preparation]:
    started = time.perf_counter()
    done = prepare(data, protocol, out, workers=CORES)
    return time.perf_counter() - started, done


def test_preparing_runs_at_four_fifths_of_bare_ffmpeg_and_a_second_run_in_two_seconds(
    folders: list[Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    protocol = find_protocol("synthetic-hits")
    bare_s = ours_s = again_s = 0.0
    for number, folder in enumerate(folders):  # by turns, so that other work on the machine meets both alike
        bare_s += bare(folder, protocol, tmp_path / f"bare-{number}")
        seconds, done = timed(folder, protocol, tmp_path / f"out-{number}")
        ours_s += seconds
        assert (done.made, done.problems) == (VIDEOS_A_ROUND, ())
        seconds, again = timed(folder, protocol, tmp_path / f"out-{number}")
        again_s += seconds
        assert (again.made, again.kept) == (0, VIDEOS_A_ROUND)
    record_property("ratio", bare_s / ours_s)
    assert bare_s / ours_s >= 0.8, f"bare {bare_s:.1f} s, prepare {ours_s:.1f} s"
    assert again_s < 2
