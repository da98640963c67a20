"""Metric adapters as subprocesses: what comes back, and what each kind of misbehaviour costs."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clapstick.protocols.audio import Audio, write_wav
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.card import FoundProgram, ProgramCard
from clapstick.systems.runner_protocol import Job
from clapstick.systems.runtimes.measure import FailedPair, Pair, Rows, measure_out_of_process
from clapstick.systems.runtimes.options import RuntimeOptions

Measure = Callable[..., tuple[dict[tuple[str, str], Rows], list[FailedPair]]]
LEVELS = """
def make(job, clip):
    samples, channels, rate = kit.read_wav(clip.sound)
    return kit.Rows([[max(samples), float(rate)], [clip.duration_s, clip.video.stat().st_size > 0]])
"""


@pytest.fixture
def pairs(clips: list[Clip], tmp_path: Path) -> list[Pair]:
    """Two systems' sounds of two clips, levels 0.125, 0.25, 0.375, 0.5, listed system by system."""
    found = []
    for system_number, system in enumerate(("one", "two")):
        for clip_number, clip in enumerate(clips[:2]):
            level = 0.125 * (1 + 2 * system_number + clip_number)
            path = tmp_path / "sounds" / f"{system} {clip.id}.wav"
            path.parent.mkdir(exist_ok=True)
            write_wav(path, Audio(np.full((8000, 1), level, np.float32), 8000))
            found.append(Pair(system, clip, path))
    return found


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Return a function that runs a stub adapter over pairs in this Python."""

    def run(
        body: str, pairs: list[Pair], *, rows: int | None = 2, dimension: int = 2, **options: object
    ) -> tuple[dict[tuple[str, str], Rows], list[FailedPair]]:
        folder = tmp_path / "adapter"
        folder.mkdir()
        (folder / "runner.py").write_text(
            "import json, os, sys, time\n"
            "import clapstick_runner as kit\n"
            "def load(job):\n    return job\n"
            + textwrap.dedent(body)
            + "\nif __name__ == '__main__':\n    kit.main(load, make)\n",
            encoding="utf-8",
        )
        card = ProgramCard(name="stub", title="Stub", summary="A stub.", runtime="env")
        values = {"python": sys.executable, "start_timeout_s": 30.0, "clip_timeout_s": 5.0} | options
        found: dict[tuple[str, str], Rows] = {}
        failed = measure_out_of_process(
            FoundProgram(card, folder),
            pairs,
            tmp_path / "job",
            dimension=dimension,
            rows=rows,
            parameters={"scale": 2.0},
            on_result=lambda pair, made: found.update({(pair.system, pair.clip.id): made}),
            options=RuntimeOptions.model_validate(values),
        )
        return found, failed

    return run


def told(failed: list[FailedPair]) -> dict[tuple[str, str] | None, str]:
    return {(one.pair.system, one.pair.clip.id) if one.pair else None: str(one.problem) for one in failed}


def test_rows_of_every_pair_arrive(measure: Measure, pairs: list[Pair], tmp_path: Path) -> None:
    found, failed = measure(LEVELS, pairs)
    assert failed == []
    assert {key: rows[0, 0] for key, rows in found.items()} == {
        ("one", "clip a"): 0.125,
        ("one", "clip b"): 0.25,
        ("two", "clip a"): 0.375,
        ("two", "clip b"): 0.5,
    }
    assert found["one", "clip a"].tolist() == [[0.125, 8000.0], [1.0, 1.0]]
    assert found["one", "clip a"].dtype == np.float32
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["log.txt"]


def test_sounds_of_one_clip_share_a_picture_and_follow_one_another(
    measure: Measure, pairs: list[Pair], tmp_path: Path
) -> None:
    kept = tmp_path / "job.json"
    measure(f"def load(job):\n    os.link(sys.argv[1], {str(kept)!r})\n    return job\n{LEVELS}", pairs)
    job = Job.model_validate_json(kept.read_text())
    assert [(clip.video, clip.sound) for clip in job.clips] == [
        ("inputs/c000000.mp4", "inputs/c000000s0.wav"),
        ("inputs/c000000.mp4", "inputs/c000000s1.wav"),
        ("inputs/c000001.mp4", "inputs/c000001s0.wav"),
        ("inputs/c000001.mp4", "inputs/c000001s1.wav"),
    ]
    assert "clip a" not in kept.read_text()
    assert job.parameters == {"scale": 2.0}


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("os._exit(3)", "exit code 3"),
        ("time.sleep(600)", "no answer within 2 s"),
        ("return kit.Rows([[1.0, 2.0]])", "1 rows of 2, expected 2 rows of 2"),
        ("return kit.Rows([[1.0], [2.0, 3.0]])", "2 rows of 1 or 2"),
        ("return kit.Rows([])", "0 rows of nothing"),
        ("return kit.Rows([[float('nan'), 1.0], [1.0, 1.0]])", "1 of the numbers are NaN"),
        ("return kit.Sound([0.0] * 800, 8000)", "sound in place of numbers"),
        ("raise KeyError('no such frame')", "no such frame"),
        (
            'say(\'{"kind": "measured", "clip": "c000000s1", "rows": [[NaN, 1], [1, 1]], "seconds": 0}\\n\')',
            "finite",
        ),
    ],
)
def test_a_fault_costs_its_pair_alone(measure: Measure, pairs: list[Pair], deed: str, said: str) -> None:
    found, failed = measure(
        f"""
        def say(text):
            with open(sys.argv[2] + "/results.jsonl", "a") as stream:
                stream.write(text)
            time.sleep(9)
        def make(job, clip):
            if clip.id == "c000000s1":
                {deed}
            return kit.Rows([[1.0, 2.0], [3.0, 4.0]])
        """,
        pairs,
        clip_timeout_s=2.0,
    )
    assert set(found) == {("one", "clip a"), ("one", "clip b"), ("two", "clip b")}
    assert list(told(failed)) == [("two", "clip a")]
    assert said in told(failed)["two", "clip a"]


def test_pairs_left_out_at_exit_code_0_are_named(measure: Measure, pairs: list[Pair]) -> None:
    found, failed = measure(
        """
        def make(job, clip):
            if clip.id == "c000001s0":
                sys.exit(0)
            return kit.Rows([[1.0, 2.0], [3.0, 4.0]])
        """,
        pairs,
    )
    assert len(found) == 2
    assert set(told(failed)) == {("one", "clip b"), ("two", "clip b")}
    assert "metric adapter ended without an answer" in told(failed)["one", "clip b"]


def test_a_runner_that_does_not_load_costs_the_job(measure: Measure, pairs: list[Pair]) -> None:
    found, failed = measure(f"def load(job):\n    raise ImportError('no torch')\n{LEVELS}", pairs)
    assert found == {}
    assert len(failed) == 4
    assert "no torch" in str(failed[0].problem)


def test_a_video_that_cannot_be_read_costs_its_pairs(
    measure: Measure, pairs: list[Pair], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    clip = pairs[0].clip.model_copy(update={"video": broken})
    found, failed = measure(LEVELS, [Pair("one", clip, pairs[0].sound), pairs[1]])
    assert set(found) == {("one", "clip b")}
    assert set(told(failed)) == {("one", "clip a")}


def test_any_number_of_rows_where_the_card_states_none(measure: Measure, pairs: list[Pair]) -> None:
    body = "def make(job, clip):\n    return kit.Rows([[1.0]] * int(clip.id[-1] + '2'))\n"
    found, failed = measure(body, pairs[:1], rows=None, dimension=1)
    assert failed == []
    assert found["one", "clip a"].shape == (2, 1)


def test_runtimes_of_this_process_are_refused(measure: Measure, pairs: list[Pair]) -> None:
    with pytest.raises(ClapstickError, match=r"outside this process.*found python.*env, docker, apptainer"):
        measure(LEVELS, pairs, runtime="python")


def test_a_stereo_wav_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clapstick.systems.runtimes.place import KIT

    monkeypatch.syspath_prepend(str(KIT))
    kit: Any = pytest.importorskip("clapstick_runner")
    samples = np.random.default_rng(3).standard_normal((50, 2)).astype(np.float32)
    write_wav(tmp_path / "two.wav", Audio(samples, 44_100))
    read, channels, rate = kit.read_wav(tmp_path / "two.wav")
    np.testing.assert_array_equal(np.asarray(read).reshape(-1, channels), samples)
    assert rate == 44_100
    kit.write_wav(tmp_path / "own.wav", samples, 8000)
    assert kit.read_wav(tmp_path / "own.wav") == (read, 2, 8000)
