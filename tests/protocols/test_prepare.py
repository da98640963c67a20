"""Preparing and verifying data folders, with ffmpeg and with faults."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.protocols import prepare as module
from clapstick.protocols.checksums import compare
from clapstick.protocols.media import probe
from clapstick.protocols.prepare import prepare
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import Protocol, find_protocol
from clapstick.protocols.readers import manifest
from tests.protocols.media import make_video

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
RATE = 16_000


def add(folder: Path, name: str, seconds: float = 2.0, still: bool = False, level: float = 0.2) -> None:
    """Write a recording whose wav is the sound of its video."""
    make_video(folder / f"{name}_denoised.mp4", seconds=seconds, still=still, size=64)
    sine = level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)
    soundfile.write(folder / f"{name}_denoised.wav", sine, RATE)
    (folder / f"{name}_times.txt").write_text("0.5 wood hit static\n")


def cut(seconds: float) -> Protocol:
    protocol = find_protocol("synthetic-hits")
    windows = {"split": "all", "clip_duration_s": seconds, "clip_hop_s": seconds}
    rules = protocol.dataset.model_copy(update=windows)
    return protocol.model_copy(update={"dataset": rules})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b", "c"):
        add(folder, name)
    return folder


def test_clips_are_cut_exactly_and_read_back(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = prepare(data, cut(1.0), out, workers=2)
    assert (done.clips, done.made, done.kept) == (6, 6, 0)
    assert done.findings == done.problems == ()
    rules = find_protocol("folder").dataset
    listing = manifest.read(out, rules)
    assert listing.problems == ()
    assert [clip.id for clip in listing.clips] == ["a_0", "a_1", "b_0", "b_1", "c_0", "c_1"]
    first = listing.clips[0]
    assert first.onsets is not None
    assert [(onset.time_s, onset.material) for onset in first.onsets] == [(0.5, "wood")]
    assert listing.clips[1].onsets == ()
    info = probe(first.video)
    assert (info.fps, info.height, info.has_audio) == (30.0, 256, False)
    assert info.duration_s == pytest.approx(1.0)
    assert first.reference is not None
    samples, rate = soundfile.read(first.reference)
    assert (len(samples), rate) == (16_000, 16_000)
    # The second clip starts one second in: 440 whole periods later, so the sines agree.
    second, _ = soundfile.read(out / "clips" / "a_1.wav")
    assert np.abs(samples - second).max() < 2e-3
    assert compare(out).complete


def test_second_run_makes_nothing_and_a_lost_file_alone_is_made_again(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(data, cut(1.0), out)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "clips").iterdir()}
    again = prepare(data, cut(1.0), out)
    assert (again.made, again.kept) == (0, 6)
    (out / "clips" / "b_1.wav").unlink()
    mended = prepare(data, cut(1.0), out)
    assert (mended.made, mended.kept) == (1, 5)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "clips").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"b_1.mp4", "b_1.wav"}


def test_changed_input_and_changed_settings_are_made_again(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(data, cut(1.0), out)
    add(data, "b", level=0.1)
    assert prepare(data, cut(1.0), out).made == 2
    louder = cut(1.0)
    louder = louder.model_copy(update={"audio": louder.audio.model_copy(update={"sample_rate": 8000})})
    assert prepare(data, louder, out).made == 6


def test_removed_recording_leaves_the_tables(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(data, cut(1.0), out)
    for path in data.glob("c_*"):
        path.unlink()
    prepare(data, cut(1.0), out)
    with (out / "manifest.csv").open() as stream:
        assert {row["source"] for row in csv.DictReader(stream)} == {"a", "b"}


def test_killed_in_the_middle_it_goes_on_from_there(data: Path, tmp_path: Path) -> None:
    for number in range(12):
        add(data, f"more-{number:02d}")
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from clapstick.protocols.prepare import prepare;"
        "from clapstick.protocols.protocol import find_protocol, read_protocol;"
        "prepare(Path(sys.argv[1]), read_protocol(Path(sys.argv[3])), Path(sys.argv[2]), workers=1)"
    )
    text = Path(str(_folder_of_protocols() / "synthetic-hits.toml")).read_text()
    toml = tmp_path / "mine.toml"
    toml.write_text(text.replace('split = "test"', 'split = "all"'))
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(data), str(out), str(toml)], start_new_session=True
    )
    journal = out / "prepared.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not journal.is_file() or journal.read_text().count("\n") < 3):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = journal.read_text().count("\n")
    with journal.open("a") as stream:
        stream.write('{"clip": "half a li')
    done = prepare(data, find_protocol(str(toml)), out)
    assert (done.clips, done.made + done.kept) == (15, 15)
    assert 3 <= done.kept <= kept
    assert compare(out).complete
    whole = prepare(data, find_protocol(str(toml)), tmp_path / "whole")
    assert whole.made == 15
    assert (out / "manifest.csv").read_bytes() == (tmp_path / "whole" / "manifest.csv").read_bytes()


def _folder_of_protocols() -> Path:
    return Path(module.__file__).parent / "published"


def test_faults_are_found_on_the_way(data: Path, tmp_path: Path) -> None:
    add(data, "still", still=True)
    add(data, "mute", level=1e-5)
    late = np.random.default_rng(0).standard_normal(2 * RATE) * 0.1
    soundfile.write(data / "b_denoised.wav", late, RATE)
    done = prepare(data, cut(2.0), tmp_path / "out")
    assert {(clip, fault) for clip, fault, _ in done.findings} == {
        ("still_0", "still"),
        ("mute_0", "mute"),
        ("b_0", "other-sound"),
    }
    with (tmp_path / "out" / "lint.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3


def test_broken_recordings_are_all_listed_and_the_rest_is_made(data: Path, tmp_path: Path) -> None:
    (data / "a_denoised.wav").unlink()
    whole = (data / "b_denoised.mp4").read_bytes()
    (data / "b_denoised.mp4").write_bytes(whole[: len(whole) // 2])
    (data / "c_times.txt").write_text("")
    done = prepare(data, cut(2.0), tmp_path / "out")
    assert {problem.what for problem in done.problems} == {
        "reference wav is missing",
        "not a media file, or cut off",
        "annotation file is empty",
    }
    assert done.made == 2
    assert not (tmp_path / "out" / "clips" / "a_0.wav").exists()
    assert prepare(data, cut(2.0), tmp_path / "out").problems == done.problems


def test_what_ffmpeg_cannot_cut_is_named_and_tried_again(data: Path, tmp_path: Path) -> None:
    whole = bytearray((data / "b_denoised.mp4").read_bytes())
    start = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4
    whole[start:end] = bytes(end - start)
    (data / "b_denoised.mp4").write_bytes(bytes(whole))
    done = prepare(data, cut(2.0), tmp_path / "out")
    said = {problem.where: problem.what for problem in done.problems}
    assert said == {"b_0": "ffmpeg could not cut the clip"}
    add(data, "b")
    assert prepare(data, cut(2.0), tmp_path / "out").made == 1


def test_missing_ffmpeg_is_an_error_that_says_what_to_install(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClapstickError, match="apt-get install ffmpeg"):
        prepare(data, cut(2.0), tmp_path / "out")


def test_odd_names_are_cut_too(tmp_path: Path) -> None:
    data = tmp_path / "da ta"
    data.mkdir()
    for name in ("-dash", "sp ace", "qu'ote\"s", "ünï"):
        add(data, name, seconds=1.0)
    done = prepare(data, cut(1.0), tmp_path / "out")
    assert (done.made, done.problems) == (4, ())
    assert len(manifest.read(tmp_path / "out", find_protocol("folder").dataset).clips) == 4


def test_commands_prepare_and_verify(data: Path, tmp_path: Path) -> None:
    (data / "test.txt").write_text("a\nb\nc\n")
    runner = CliRunner()
    arguments = ["data", "prepare", "greatest-hits", str(data), "--protocol", "synthetic-hits", "--json"]
    ran = runner.invoke(build_app(), arguments)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["made"] == 3
    assert (data / "prepared" / "manifest.csv").is_file()
    check = ["data", "verify", "greatest-hits", str(data), "--protocol", "synthetic-hits", "--json"]
    good = runner.invoke(build_app(), check)
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["problems"] == 0
    assert runner.invoke(build_app(), ["data", "checksums", str(data)]).exit_code == 0
    (data / "b_denoised.wav").unlink()
    (data / "c_denoised.mp4").write_bytes(b"broken")
    bad = runner.invoke(build_app(), check)
    assert bad.exit_code == 1
    found = json.loads(bad.stdout)
    whats = {problem["what"] for problem in found["problem_list"]}
    assert whats == {
        "reference wav is missing",
        "not a media file, or cut off",
        "file of the manifest is missing",
        "file of the manifest has other content",
    }
    assert found["subset"].startswith("greatest-hits-")
    assert "missing" in (data / "attrition.csv").read_text()


def test_protocol_of_another_data_set_is_refused(data: Path) -> None:
    arguments = ["data", "verify", "greatest-hits", str(data), "--protocol", "folder"]
    ran = CliRunner().invoke(build_app(), arguments)
    assert isinstance(ran.exception, ClapstickError)
    assert "protocol is about another data set" in str(ran.exception)
