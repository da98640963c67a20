"""Systems as subprocesses: what comes back, and what each kind of misbehaviour costs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clapstick.protocols.audio import Audio, read_wav, write_wav
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.lengths import FixedLength
from clapstick.systems.runner_protocol import Job
from clapstick.systems.runtimes.options import RuntimeOptions, read_options

RATE = 8000
TONE = "def make(job, clip):\n    return tone(clip, job.parameters['level'])\n"
Run = Callable[..., tuple[list[Any], list[Any]]]


def named(failed: list[Any]) -> dict[str | None, str]:
    return {one.clip.id if one.clip else None: str(one.problem) for one in failed}


def test_sound_arrives_clip_by_clip(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    results, failed = run_stub(
        """
        def make(job, clip):
            sound = tone(clip, job.parameters["level"])
            sound.warnings.append("seed %d" % clip.seed)
            sound.predictions["onset_times_s"] = [0.25, 0.5]
            return sound
        """,
        clips,
    )
    assert failed == []
    assert [result.clip.id for result in results] == ["clip a", "clip b", "clip c", "clip d"]
    first = results[0]
    np.testing.assert_array_equal(first.output.audio.samples, np.full((RATE, 1), 0.25))
    assert first.output.audio.sample_rate == RATE
    assert first.native_samples == (RATE,)
    assert first.peak_memory_bytes > 1e6
    assert results[1].output.warnings == ("seed 1",)  # 2^40 + 1 modulo 2^31
    np.testing.assert_array_equal(first.output.predictions["onset_times_s"], np.float32([0.25, 0.5]))
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["log.txt"]


def test_job_shows_silent_video_and_no_name_of_the_clip(
    run_stub: Run, clips: list[Clip], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    run_stub(
        f"""
        import shutil
        def load(job):
            shutil.copytree(os.path.dirname(sys.argv[1]), {str(kept)!r})
            return job
        {TONE.splitlines()[0]}
        {TONE.splitlines()[1]}
        """,
        clips[:1],
    )
    job = Job.model_validate_json((kept / "job.json").read_text())
    assert [clip.id for clip in job.clips] == ["c000000w0"]
    assert "clip a" not in (kept / "job.json").read_text()
    assert sorted(path.name for path in (kept / "inputs").iterdir()) == ["c000000w0.mp4"]
    info = probe(kept / job.clips[0].video)
    assert not info.has_audio
    assert info.fps == 10
    assert info.duration_s == pytest.approx(1.0)


def test_windows_are_asked_for_one_by_one_and_joined(run_stub: Run, clips: list[Clip]) -> None:
    rule = FixedLength(rule="fixed", covers_s=0.4, shown_s=0.4, native_samples=3000)
    # Each pass emits 3,000 samples of its own number: 0..0.4, 0.4..0.8 and 0.6..1.0 of the clip.
    results, failed = run_stub(
        """
        def make(job, clip):
            assert abs(clip.duration_s - 0.4) < 1e-9
            return kit.Sound([float(clip.id[-1]) / 4] * 3000, 8000)
        """,
        clips[:1],
        card={"length": rule.model_dump()},
    )
    assert failed == []
    samples = results[0].output.audio.samples[:, 0]
    # 0.4 s are 3,200 samples: 3,000 emitted, 200 silent; the last window's first 1,600 are covered already.
    expected = [0.0] * 3200 + [0.25] * 3000 + [0.0] * 200 + [0.5] * 1400 + [0.0] * 200
    np.testing.assert_array_equal(samples, np.float32(expected))
    assert results[0].native_samples == (3000, 3000, 3000)
    assert results[0].output.warnings == ("600 samples of silence stand for sound that windows did not cover",)


def test_prompts_reach_only_systems_that_take_them(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    sound = tmp_path / "prompt.wav"
    write_wav(sound, Audio(np.full((800, 1), 0.125, np.float32), 16_000))
    text = clips[0].model_copy(update={"prompt": Prompt(kind="text", text="a cup")})
    audio = clips[1].model_copy(update={"prompt": Prompt(kind="audio", path=sound)})
    both = clips[2].model_copy(update={"prompt": Prompt(kind="audio-visual", path=clips[2].video)})
    results, failed = run_stub(
        """
        def make(job, clip):
            sound = tone(clip)
            sizes = [p and os.path.getsize(str(p)) > 0 for p in (clip.prompt_audio, clip.prompt_video)]
            sound.warnings.append(repr((clip.prompt_kind, clip.text, *sizes)))
            return sound
        """,
        [text, audio, both],
        card={"prompts": ["text", "audio-visual"]},
    )
    assert failed == []
    assert [result.output.warnings for result in results] == [
        ("('text', 'a cup', None, None)",),
        ("('none', None, None, None)",),
        ("('audio-visual', None, True, True)",),
    ]


def test_failure_of_one_clip_is_told_and_costs_no_other(run_stub: Run, clips: list[Clip]) -> None:
    results, failed = run_stub(
        """
        def make(job, clip):
            if clip.id == "c000001w0":
                raise KeyError("no such frame")
            return tone(clip)
        """,
        clips,
    )
    assert [result.clip.id for result in results] == ["clip a", "clip c", "clip d"]
    assert "no such frame" in named(failed)["clip b"]


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), 11)", "exit code -11"),
        ("time.sleep(600)", "no answer within 2 s"),
        ("subprocess.Popen(['sleep', '600']); time.sleep(600)", "no answer within 2 s"),
        ("hog = b'x' * 700_000_000; time.sleep(600)", "bytes of memory"),
        ("say('nonsense\\n'); time.sleep(9)", "Invalid JSON"),
        ("say('x' * 9_000_000); time.sleep(9)", "too long"),
    ],
)
def test_a_fall_costs_the_clip_it_happened_on(run_stub: Run, clips: list[Clip], deed: str, told: str) -> None:
    results, failed = run_stub(
        f"""
        def say(text):
            with open(sys.argv[2] + "/results.jsonl", "a") as stream:
                stream.write(text)
        def make(job, clip):
            if clip.id == "c000001w0":
                print("about to fall")
                {deed}
            return tone(clip)
        """,
        clips[:3],
        clip_timeout_s=30.0 if "hog" in deed else 2.0,
        memory_bytes=600_000_000,
    )
    assert [result.clip.id for result in results] == ["clip a", "clip c"]
    assert list(named(failed)) == ["clip b"]
    assert told in named(failed)["clip b"]
    assert "about to fall" in named(failed)["clip b"]


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("os.symlink('/etc/hostname', path)", "symbolic link"),
        ("os.mkfifo(path)", "no plain file"),
        ("os.mkdir(path)", "no plain file"),
        ("open(path + '2', 'wb').close(); os.link(path + '2', path)", "hard link"),
        ("open(path, 'wb').write(b'RIFF')", "no wav file"),
        ("open(path, 'wb').truncate(100 * 10**9)", "far larger"),
        ("write_well(where, [0.0] * 9, 8000)", "9 samples"),
        ("write_well(where, [float('nan')] * 8000, 8000)", "NaN"),
        ("write_well(where, [0.0] * 8000, 16000)", "16000 Hz"),
        ("pass", "missing"),
    ],
)
def test_bad_output_costs_its_clip(run_stub: Run, clips: list[Clip], deed: str, told: str) -> None:
    results, failed = run_stub(
        f"""
        write_well = kit.write_wav
        def write(where, samples, rate):
            path = str(where)
            if "c000001w0" in path:
                {deed}
                return 8000
            return write_well(where, samples, rate)
        kit.write_wav = write
        def make(job, clip):
            return tone(clip)
        """,
        clips[:3],
        output_bytes=200 * 10**9,
    )
    assert [result.clip.id for result in results] == ["clip a", "clip c"]
    assert list(named(failed)) == ["clip b"]
    assert told in named(failed)["clip b"]


def test_results_that_were_not_asked_for_are_named_and_not_taken(run_stub: Run, clips: list[Clip]) -> None:
    results, failed = run_stub(
        """
        def make(job, clip):
            line = {"kind": "done", "clip": "../../clip", "samples": 1, "sample_rate": 8000, "seconds": 0}
            again = dict(line, clip="c000000w0")
            with open(sys.argv[2] + "/results.jsonl", "a") as stream:
                stream.write(json.dumps(line) + "\\n")
                if clip.id == "c000001w0":
                    stream.write(json.dumps(again) + "\\n")
            return tone(clip)
        """,
        clips[:2],
    )
    assert [result.clip.id for result in results] == ["clip a", "clip b"]
    told = [str(one.problem) for one in failed if one.clip is None]
    assert len(told) == len(failed) == 3
    assert "'../../clip', which was not asked for" in told[0]
    assert "second result for 'c000000w0'" in told[2]


def test_exit_code_0_with_half_the_clips(run_stub: Run, clips: list[Clip]) -> None:
    results, failed = run_stub(
        """
        def make(job, clip):
            if clip.id == "c000002w0":
                os._exit(0)
            return tone(clip)
        """,
        clips,
    )
    assert [result.clip.id for result in results] == ["clip a", "clip b"]
    assert list(named(failed)) == ["clip c", "clip d"]
    assert "without an answer" in named(failed)["clip c"]


def test_system_that_never_starts_fails_every_clip_with_its_last_words(
    run_stub: Run, clips: list[Clip]
) -> None:
    results, failed = run_stub("import a_module_that_is_not_there\nmake = None", clips)
    assert results == []
    assert list(named(failed)) == ["clip a", "clip b", "clip c", "clip d"]
    assert "No module named 'a_module_that_is_not_there'" in named(failed)["clip a"]


def test_system_that_always_falls_is_given_up(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    many = [clips[0].model_copy(update={"id": f"clip {number}"}) for number in range(8)]
    results, failed = run_stub("def make(job, clip):\n    print('start')\n    os._exit(9)", many)
    assert results == []
    assert len(failed) == 8
    assert "given up after 5 falls in a row" in named(failed)["clip 7"]
    assert (tmp_path / "job" / "log.txt").read_text().count("start") == 5


def test_endless_output_is_ended(run_stub: Run, clips: list[Clip]) -> None:
    results, failed = run_stub(
        """
        def make(job, clip):
            if clip.id == "c000000w0":
                while True:
                    with open(sys.argv[2] + "/%d" % time.monotonic_ns(), "wb") as flood:
                        flood.write(bytes(4_000_000))
            return tone(clip)
        """,
        clips[:2],
        output_bytes=40_000_000,
        clip_timeout_s=30.0,
    )
    assert [result.clip.id for result in results] == ["clip b"]
    assert "output folder held more than 40000000 bytes" in named(failed)["clip a"]


def test_endless_log_is_bounded_and_keeps_its_end(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    run_stub(
        """
        def make(job, clip):
            for _ in range(1000):
                print("x" * 20_000)
            print("the end")
            return tone(clip)
        """,
        clips[:1],
        clip_timeout_s=30.0,
    )
    log = (tmp_path / "job" / "log.txt").read_bytes()
    assert len(log) < 5_000_000
    assert b"bytes left out" in log
    assert log.rstrip().endswith(b"the end")


def test_no_process_is_left_behind(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    run_stub(
        f"""
        def make(job, clip):
            subprocess.Popen(["sh", "-c", "while true; do date +%N > {mark}; sleep 0.05; done"])
            return tone(clip)
        """,
        clips[:1],
    )
    before = mark.read_text() if mark.is_file() else ""
    time.sleep(0.3)
    assert (mark.read_text() if mark.is_file() else "") == before


def test_harness_error_ends_the_system(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    from clapstick.systems.registry import find_system
    from clapstick.systems.runtimes.run import run_out_of_process

    run_stub(TONE, clips[:1])
    (tmp_path / "system" / "system.toml").write_text(
        'name = "stub"\ntitle = "S"\nsummary = "S"\nruntime = "env"\n', encoding="utf-8"
    )

    def full(_: object) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run_out_of_process(
            find_system(str(tmp_path / "system")),
            clips,
            tmp_path / "job2",
            parameters={"level": 0.1},
            seed_of=lambda clip: 1,
            on_result=full,
            options=RuntimeOptions(python=Path(sys.executable)),
        )


def test_unreadable_video_costs_its_clip(run_stub: Run, clips: list[Clip], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    results, failed = run_stub(TONE, [clips[0].model_copy(update={"video": broken}), clips[1]])
    assert [result.clip.id for result in results] == ["clip b"]
    assert "not a media file" in named(failed)["clip a"]


def test_environment_without_python_says_what_to_write(run_stub: Run, clips: list[Clip]) -> None:
    with pytest.raises(ClapstickError, match=r"no Python environment is named.*\[stub\]"):
        run_stub(TONE, clips, python=None)


def test_options_come_from_the_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "systems.toml"
    path.write_text('[stub]\npython = "~/bin/python"\ngpus = ["1"]\n', encoding="utf-8")
    monkeypatch.setenv("CLAPSTICK_SYSTEMS_FILE", str(path))
    options = read_options("stub")
    assert options.python == Path("~/bin/python").expanduser()
    assert options.gpus == ("1",)
    assert read_options("other") == RuntimeOptions()
    path.write_text("[stub]\npyton = 1\n", encoding="utf-8")
    with pytest.raises(ClapstickError, match=r"\[stub\].*found pyton.*nearest valid key is python"):
        read_options("stub")


def test_files_are_found_by_clip(tmp_path: Path, run_stub: Run, clips: list[Clip]) -> None:
    folder = tmp_path / "generated"
    folder.mkdir()
    sound = Audio(np.full((4000, 2), 0.5, np.float32), RATE)
    write_wav(folder / f"{clips[0].file_stem}.wav", sound)
    write_wav(folder / "clip b.wav", sound)
    (folder / "clip d.mp4").write_bytes(clips[3].video.read_bytes())
    results, failed = run_stub(TONE, clips, runtime="files", folder=folder)
    assert [result.clip.id for result in results] == ["clip a", "clip b", "clip d"]
    np.testing.assert_array_equal(results[0].output.audio.samples, sound.samples)
    assert results[2].output.warnings == ("file has 16000 Hz, the system's native rate is 8000 Hz",)
    assert "no file for the clip" in named(failed)["clip c"]
    write_wav(folder / "clip_c.wav", sound)
    _, failed = run_stub(TONE, clips, runtime="files", folder=folder)
    assert "Is it clip_c, which belongs to no clip?" in named(failed)["clip c"]
    (folder / "clip_c.wav").unlink()
    write_wav(folder / "clip b.flac.wav", sound)
    write_wav(folder / "clip a.wav", read_wav(folder / "clip b.wav"))
    (folder / "clip b.flac").write_bytes(b"")
    _, failed = run_stub(TONE, clips, runtime="files", folder=folder)
    assert "more than one file" in named(failed)["clip b"]
    with pytest.raises(ClapstickError, match="folder with generated files is missing"):
        run_stub(TONE, clips, runtime="files", folder=tmp_path / "nowhere")
