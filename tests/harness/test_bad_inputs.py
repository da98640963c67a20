"""Bad input through the whole harness: each is named, nothing is lost, the run ends with exit code 1."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from bad_inputs import write_bad_videos, write_odd_names

from clapstick.protocols.archive import RunArchive

MAIN = "from clapstick.harness.cli import main; main()"
UNUSABLE = ("truncated", "zero bytes", "text", "no video")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of two controls over every bad video."""
    folder = tmp_path_factory.mktemp("bad")
    videos = write_bad_videos(folder / "videos")
    out = folder / "run"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MAIN,
            "run",
            "folder",
            "--data",
            str(folder / "videos"),
            "--systems",
            "silence,noise",
            "--out",
            str(out),
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done, videos, RunArchive(out)


def test_the_run_goes_on_and_ends_with_1(ran):
    done, _, archive = ran
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["scores"]
    assert (archive.root / "report" / "index.html").is_file()


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_cannot_be_used_is_named_with_the_way_out(ran, kind):
    done, videos, archive = ran
    name = videos[kind].name
    named = [error for error in archive.read_errors() if name in error.problem.where and not error.skipped]
    assert named, done.stderr
    assert all(error.problem.remedy for error in named)
    assert name in done.stderr


def test_what_can_be_used_is_scored(ran):
    _, videos, archive = ran
    clips = {clip.video.name: clip for clip in archive.read_clips()}
    for kind in ("no audio", "short audio", "long audio", "one frame", "stereo", "5.1"):
        clip = clips[videos[kind].name]
        assert archive.audio_wav("silence", clip).is_file(), kind


def test_a_video_without_sound_has_reasons_instead_of_scores(ran):
    _, videos, archive = ran
    clip = next(clip for clip in archive.read_clips() if clip.video == videos["no audio"].resolve())
    scores = archive.read_scores()
    of_clip = scores[(scores.clip == clip.id) & (scores.system == "silence") & (scores.metric == "e-l1")]
    assert of_clip.value.isna().all()
    assert of_clip.reason.str.contains("sound|audio").all()
    skipped = [error for error in archive.read_errors() if error.clip == clip.id and error.skipped]
    assert {error.system for error in skipped} >= {"reference", "noise"}


def test_short_sound_is_padded_and_long_sound_cut_and_both_are_recorded(ran):
    _, videos, archive = ran
    by_kind = {
        kind: next(clip for clip in archive.read_clips() if clip.video == videos[kind].resolve())
        for kind in ("short audio", "long audio")
    }
    # Two seconds of picture with 0.7 s of sound: about 1.3 s are padded (the codec adds a few frames).
    short = archive.read_standard("reference", by_kind["short audio"])
    assert short.padded_samples == pytest.approx(1.3 * 16_000, abs=0.1 * 16_000)
    # The picture's one second is taken of the three seconds of sound; what comes after is not the clip's.
    long = archive.read_standard("reference", by_kind["long audio"])
    assert long.padded_samples == 0


def test_odd_names_run_like_any_other(tmp_path):
    from clapstick.harness.run import run
    from clapstick.harness.settings import RunSettings
    from clapstick.protocols.protocol import find_protocol
    from clapstick.systems.registry import find_system

    videos = write_odd_names(tmp_path / "videos")
    settings = RunSettings(
        find_protocol("folder"),
        (tmp_path / "videos").resolve(),
        (find_system("silence"),),
        tmp_path / "run",
        workers=2,
    )
    outcome = run(settings)
    assert [error.problem for error in outcome.failures] == []
    clips = outcome.archive.read_clips()
    assert len(clips) == len(videos)
    written = {path.resolve() for path in (tmp_path / "run").rglob("*.wav")}
    assert {outcome.archive.audio_wav("silence", clip).resolve() for clip in clips} <= written
    assert all(path.is_relative_to((tmp_path / "run").resolve()) for path in written)
