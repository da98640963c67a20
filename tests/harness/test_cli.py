"""The command line: light to start, data on stdout, everything else on stderr, telling exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MAIN = "from clapstick.harness.cli import main; main()"
HEAVY = ("torch", "scipy", "librosa", "pandas", "av", "transformers", "pydantic", "numpy")


def clapstick(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], capture_output=True, text=True, timeout=300, **options
    )


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom clapstick.harness.cli import build_app\nbuild_app()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_lists_every_command_and_every_command_has_an_example():
    top = clapstick("--help")
    assert top.returncode == 0
    for command in ("run", "plan", "score", "report", "generate", "quickstart", "doctor", "compare", "ablate"):
        assert command in top.stdout
        shown = clapstick(command, "--help").stdout
        assert "Example: clapstick" in " ".join(shown.split()), command


@pytest.mark.parametrize("command", ["systems", "metrics", "protocols", "datasets"])
def test_lists_print_json_and_nothing_else_on_stdout(command):
    done = clapstick(command, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) > 1
    assert all("name" in row for row in rows)


def test_doctor_names_a_remedy_for_everything_that_is_missing():
    done = clapstick("doctor", "--json")
    checks = json.loads(done.stdout)
    assert done.returncode == (3 if any(check["state"] == "missing" for check in checks) else 0)
    assert all(check["remedy"] for check in checks if check["state"] != "ok")


def test_a_plan_says_what_would_run_and_what_is_missing(hits, tmp_path):
    done = clapstick(
        "plan",
        "synthetic-hits",
        "--data",
        str(hits),
        "--systems",
        "silence,noise",
        "--out",
        str(tmp_path / "run"),
        "--json",
    )
    plan = json.loads(done.stdout)
    assert {row["system"]: row["to generate"] for row in plan["systems"]} == {
        "reference": 4,
        "silence": 4,
        "noise": 4,
    }
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "synthetic-hit", "--data", ".", "--out", "x"], "Did you mean synthetic-hits?"),
        (
            ["run", "folder", "--data", "nowhere", "--out", "x", "--systems", "silence"],
            "data folder is missing",
        ),
        (["run", "folder", "--data", ".", "--out", "x", "--systems", "silense"], "Did you mean silence?"),
        (["run", "folder", "--data", ".", "--out", "x", "--set", "volume"], "expected SYSTEM.PARAMETER=VALUE"),
        (
            ["run", "nope.toml", "--data", ".", "--out", "x"],
            "no such protocol; expected one of",
        ),
        (["run", "nope.toml", "--data", ".", "--out", "x"], "There is no such file or folder"),
        (["data", "verify", "folders", "."], "Did you mean folder?"),
        (["data", "verify", "folder", "nowhere"], "`clapstick data synth` makes one to try"),
        (
            ["data", "verify", "folder", ".", "--protocol", "synthetic-hits"],
            "protocol is about another data set; found greatest-hits; expected folder",
        ),
        (["run", "folder", "--data", ".", "--out", "x", "--device", "tpu"], "expected cpu, cuda or cuda:N"),
        (["run", "folder", "--data", ".", "--out", "x", "--systems", ""], "names no system"),
        (["generate", "nowhere.mp4", "--system", "noise", "-o", "/proc/x.wav"], "cannot be written"),
        (["score", "nowhere"], "not a run archive"),
        (["generate", "nowhere.mp4", "--system", "noise", "-o", "x.wav"], "file is missing"),
        (["generate", "nowhere.mp4", "--system", "noise", "-o", "x.mp3"], "unknown output format"),
    ],
)
def test_wrong_usage_is_named_on_stderr_and_ends_with_2(arguments, message, tmp_path):
    done = clapstick(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_protocol_key_names_the_nearest_valid_one(tmp_path):
    from clapstick.protocols.protocol import built_in_protocols

    text = built_in_protocols()["folder"].read_text().replace("sample_rate =", "samplerate =")
    (tmp_path / "mine.toml").write_text(text)
    done = clapstick("run", "mine.toml", "--data", ".", "--out", "x", "--systems", "silence", cwd=tmp_path)
    assert done.returncode == 2
    assert "found audio.samplerate" in done.stderr
    assert "The nearest valid key is sample_rate" in done.stderr


def test_generate_writes_wav_and_muxed_mp4_of_the_videos_length(hits, tmp_path):
    import soundfile

    from clapstick.protocols.media import probe

    video = next(hits.glob("*_denoised.mp4"))
    for name in ("out.wav", "out.mp4"):
        done = clapstick("generate", str(video), "--system", "noise", "-o", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(tmp_path / name)
    wave = soundfile.info(tmp_path / "out.wav")
    assert wave.frames == round(2.0 * wave.samplerate)
    muxed = probe(tmp_path / "out.mp4")
    assert muxed.has_video
    assert muxed.audio_duration_s == pytest.approx(2.0, abs=0.05)
    assert muxed.video_duration_s == pytest.approx(2.0, abs=0.05)


def test_a_run_without_any_score_says_so_and_ends_with_1(tmp_path):
    """The only recording has no sound, and silence stands for it: nothing can be compared."""
    import av
    import numpy as np

    with av.open(tmp_path / "mute.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(stream.encode())
    done = clapstick("run", "folder", "--data", ".", "--out", "run", "--systems", "silence", cwd=tmp_path)
    assert done.returncode == 1
    assert "nothing could be scored" in done.stderr
    assert "the system has no sound for this clip: the video has no audio stream (reference)" in done.stderr


def test_data_is_verified_by_the_data_sets_own_protocol(hits):
    done = clapstick("data", "verify", "folder", str(hits), "--json")
    assert "protocol: folder" in done.stderr
    assert json.loads(done.stdout)["clips"] > 0
