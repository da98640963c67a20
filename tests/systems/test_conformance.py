"""The suite passes a good system and names each fault of a bad one."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from clapstick.harness.cli import build_app
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.card import FoundSystem, SystemCard
from clapstick.systems.conformance import Finding, check_system, envelope, lag, longest_flat_peak
from clapstick.systems.lengths import FreeLength
from clapstick.systems.runtimes.options import RuntimeOptions

HEAD = """
import sys
sys.path.insert(0, {packages!r})
import av, numpy, clapstick_runner as kit
RATE = 8000
CALLS = [0]
def load(job):
    return job
def clicks(clip, delay=0.0):
    # Noise as long as the corner of the picture is bright.
    sound = numpy.random.default_rng(clip.seed).normal(0, 1e-4, round(clip.duration_s * RATE))
    with av.open(str(clip.video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if frame.to_ndarray(format="gray")[5, 5] > 128:
                at = round((number / clip.fps + delay) * RATE)
                burst = sound[at : at + round(RATE / clip.fps)]
                burst[:] = numpy.random.default_rng(clip.seed + number).uniform(-0.5, 0.5, burst.shape)
    CALLS[0] += 1
    return sound
"""
GOOD = "def make(job, clip):\n    return kit.Sound(clicks(clip), RATE)\n"


def findings(tmp_path: Path, body: str, **card: object) -> dict[str, Finding]:
    packages = str(Path(np.__file__).parents[1])
    (tmp_path / "runner.py").write_text(HEAD.format(packages=packages) + body + "\nkit.main(load, make)\n")
    values = {"name": "own", "title": "Own", "summary": "Own.", "runtime": "env", "sample_rate": 8000}
    found = FoundSystem(SystemCard.model_validate(values | card), tmp_path)
    options = RuntimeOptions(python=Path(sys.executable), clip_timeout_s=20.0)
    return {one.check: one for one in check_system(found, tmp_path / "work", options=options)}


def test_good_system_passes(tmp_path: Path) -> None:
    found = findings(tmp_path, GOOD, length=FreeLength(rule="free", block_samples=1).model_dump())
    assert [one.check for one in found.values() if one.passed is not True] == []
    assert re.search(r"sound moves \+0\.(399|400|401) s with \+0\.400 s", found["time offset"].detail)


@pytest.mark.parametrize(
    ("check", "body", "told"),
    [
        ("answers", "def make(job, clip):\n    raise MemoryError('no room')", "no room"),
        (
            "length",
            "def make(job, clip):\n    return kit.Sound(clicks(clip)[:-1600], RATE)",
            "3.800 s for 4.000 s",
        ),
        (
            "determinism",
            "def make(job, clip):\n    return kit.Sound(clicks(clip) + CALLS[0] / 1e3, RATE)",
            "0.00",
        ),
        (
            "batch independence",
            "def load(job):\n    return len(job.clips)\n"
            "def make(count, clip):\n    return kit.Sound(clicks(clip) + count / 1e3, RATE)",
            "alone and among others",
        ),
        ("silence", "def make(job, clip):\n    return kit.Sound(clicks(clip) * 0, RATE)", "peak 0.00000"),
        ("clipping", "def make(job, clip):\n    return kit.Sound(clicks(clip) * 4, RATE)", "beyond full scale"),
        (
            "clipping",
            "def make(job, clip):\n    return kit.Sound(numpy.clip(clicks(clip) * 9, -1, 1), RATE)",
            "in a row at full scale",
        ),
        (
            "time offset",
            "def make(job, clip):\n    return kit.Sound(clicks(clip, delay=0.25), RATE)",
            "+0.249 s against the picture|+0.250 s against the picture|+0.251 s against the picture",
        ),
        (
            "bad clips",
            "import os\ndef make(job, clip):\n    try:\n        return kit.Sound(clicks(clip), RATE)\n"
            "    except Exception:\n        os._exit(4)",
            "exit code 4",
        ),
        (
            "bad clips",
            "def make(job, clip):\n    return kit.Sound([0.1] * round(clip.duration_s * RATE), RATE)",
            "made sound for a file that is no video",
        ),
    ],
)
def test_each_fault_is_named(tmp_path: Path, check: str, body: str, told: str) -> None:
    found = findings(tmp_path, body)[check]
    assert found.passed is False
    assert any(words in found.detail for words in told.split("|")), found.detail


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
@pytest.mark.parametrize("delay_s", [-0.107, 0.0, 0.013, 0.25])
def test_lag_is_heard_to_the_millisecond_at_any_rate(rate: int, delay_s: float) -> None:
    """Bursts of 80 ms from these times against the same times drawn as a curve of one value a millisecond."""
    times_s = np.array([0.5, 1.3, 3.9, 7.2, 8.8])
    rng = np.random.default_rng(0)
    samples = np.zeros((10 * rate, 1), np.float32)
    shown = np.zeros(10_000)
    for time_s in times_s:
        start, length = round((time_s + delay_s) * rate), round(0.08 * rate)
        samples[start : start + length, 0] = rng.uniform(-0.5, 0.5, length)
        shown[round(time_s * 1000) : round(time_s * 1000) + 80] = 1.0
    found_s, alike = lag(shown, envelope(Audio(samples, rate)))
    assert found_s == pytest.approx(delay_s, abs=0.0011)
    assert alike > 0.9


def test_envelope_is_the_rms_around_each_millisecond() -> None:
    """A constant 0.5 from 0.1 s on: RMS 0.5 behind it, 0.5 * sqrt(1/2) where half of the 10 ms are sound."""
    samples = np.zeros((2205, 1), np.float32)
    samples[:, 0] = np.where(np.arange(2205) >= 1102.5, 0.5, 0.0)
    curve = envelope(Audio(samples, 11_025))
    assert curve.shape == (200,)
    assert curve[50] == 0.0
    assert curve[150] == pytest.approx(0.5)
    assert curve[100] == pytest.approx(0.5 * np.sqrt(0.5), abs=0.01)


def test_wrong_rate_fails_with_both_rates(tmp_path: Path) -> None:
    found = findings(tmp_path, GOOD, sample_rate=16_000)
    assert found["answers"].passed is False
    assert "found 8000 Hz; expected 16000 Hz" in found["answers"].detail


def test_system_that_ignores_the_picture_has_no_offset(tmp_path: Path) -> None:
    body = "def make(job, clip):\n    return kit.Sound(numpy.random.normal(0, 0.1, 32000), RATE)"
    found = findings(tmp_path, body)["time offset"]
    assert found.passed is None
    assert "does not follow" in found.detail


def test_flat_peaks_are_counted_by_channel() -> None:
    # Left stands at 1 for three samples, right at -1 for two and later for one.
    samples = np.float32([[0, -1], [1, -1], [1, 0], [1, -1], [0, 0]])
    assert longest_flat_peak(samples) == 3
    assert longest_flat_peak(np.zeros((4, 1), np.float32)) == 0


def test_files_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="nothing can be asked of a folder of files"):
        findings(tmp_path, GOOD, runtime="files") and check_system(
            FoundSystem(SystemCard(name="f", title="F", summary="F", runtime="files"), tmp_path), tmp_path
        )


def test_command_line_tells_it_as_json(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    findings(tmp_path, GOOD)
    (tmp_path / "system.toml").write_text(
        'name = "own"\ntitle = "Own"\nsummary = "Own."\nruntime = "env"\nsample_rate = 8000\n'
        "[parameters]\nsteps = 9\n"
    )
    arguments = ["check", "system", str(tmp_path), "--python", sys.executable, "--json", "-p", "steps=2"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert {row["check"] for row in rows} >= {"length", "rate", "determinism", "time offset"}
    assert {row["result"] for row in rows} == {"passed"}
