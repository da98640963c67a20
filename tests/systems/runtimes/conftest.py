"""Small systems whose runners behave as each test asks."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from clapstick.protocols.clips import Clip
from clapstick.systems.card import FoundSystem, SystemCard
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.results import FailedClip, Generated
from clapstick.systems.runtimes.run import run_out_of_process

SAMPLE_RATE = 8000


def write_video(path: Path, seconds: float = 1.0, fps: int = 10) -> Path:
    """Write a grey video that is brighter with every frame, with a click track as its sound."""
    import av

    with av.open(str(path), mode="w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=16_000)
        for index in range(round(seconds * fps)):
            picture = np.full((48, 64, 3), 10 + 5 * index, dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        samples = np.zeros((1, round(seconds * 16_000)), dtype=np.float32)
        samples[0, ::4000] = 0.5
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of one second."""
    return write_video(tmp_path_factory.mktemp("video") / "one second.mp4")


@pytest.fixture
def clips(video: Path) -> list[Clip]:
    """Four clips of one second."""
    return [Clip(id=f"clip {name}", source=name, video=video, duration_s=1.0) for name in "abcd"]


def write_system(folder: Path, body: str, **card: object) -> FoundSystem:
    """Write a system whose runner has this ``make(model, clip)`` (or whatever else `body` defines)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runner.py").write_text(
        "import array, json, os, subprocess, sys, time\n"
        "import clapstick_runner as kit\n"
        "def load(job):\n    return job\n"
        "def tone(clip, level=0.5):\n"
        f"    return kit.Sound([level] * round(clip.duration_s * {SAMPLE_RATE}), {SAMPLE_RATE})\n"
        + textwrap.dedent(body)
        + "\nif __name__ == '__main__':\n    kit.main(load, make)\n",
        encoding="utf-8",
    )
    values = {"name": "stub", "title": "Stub", "summary": "A stub.", "runtime": "env"}
    card = {"sample_rate": SAMPLE_RATE} | card
    return FoundSystem(SystemCard.model_validate(values | card), folder)


@pytest.fixture
def run_stub(tmp_path: Path) -> Callable[..., tuple[list[Generated], list[FailedClip]]]:
    """Return a function that runs a stub over clips in this Python."""

    def run(
        body: str, clips: Sequence[Clip], *, card: dict[str, object] | None = None, **options: object
    ) -> tuple[list[Generated], list[FailedClip]]:
        found = write_system(tmp_path / "system", body, **(card or {}))
        values = {"python": sys.executable, "start_timeout_s": 30.0, "clip_timeout_s": 5.0} | options
        results: list[Generated] = []
        failed = run_out_of_process(
            found,
            clips,
            tmp_path / "job",
            parameters={"level": 0.25},
            seed_of=lambda clip: 2**40 + clips.index(clip),
            on_result=results.append,
            options=RuntimeOptions.model_validate(values),
        )
        return results, failed

    return run
