"""The folder reader on made files and on the real clips."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.folder import read
from tests.protocols.media import make_sound_file, make_video

REAL_CLIPS = Path(__file__).parents[3] / "shared" / "data" / "clips"
WHOLE = DatasetRules(reader="folder", split="all", clip_start_s=0, clip_duration_s=0, clip_hop_s=0)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".webm"])
def test_every_container_gives_a_clip(tmp_path: Path, suffix: str) -> None:
    make_video(tmp_path / f"a{suffix}", seconds=1.0, fps=24, sample_rate=48_000)
    listing = read(tmp_path, WHOLE)
    assert listing.problems == ()
    (clip,) = listing.clips
    assert clip.id == "a"
    assert clip.duration_s == pytest.approx(1.0, abs=0.05)
    assert clip.reference == tmp_path / f"a{suffix}"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_recording_that_states_no_length_is_measured(tmp_path: Path) -> None:
    """As browsers record: a WebM that was never closed has no duration anywhere."""
    make_video(tmp_path / "whole.webm", seconds=2.0)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "whole.webm"), "-c", "copy", "-f", "webm", "-"]
    (tmp_path / "live.webm").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    live, whole = read(tmp_path, WHOLE).clips
    assert live.duration_s == pytest.approx(whole.duration_s, abs=0.1)


def test_video_without_sound_has_no_reference_and_says_why(tmp_path: Path) -> None:
    make_video(tmp_path / "mute.mp4", seconds=1.0, sample_rate=None)
    (clip,) = read(tmp_path, WHOLE).clips
    assert clip.reference is None
    assert clip.reference_missing == "the video has no audio stream"


def test_every_broken_file_is_listed_and_the_good_one_stays(tmp_path: Path) -> None:
    make_video(tmp_path / "good.mp4", seconds=1.0)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video at all\n" * 50)
    make_sound_file(tmp_path / "sound-only.mkv", seconds=1.0)
    listing = read(tmp_path, WHOLE)
    assert [clip.id for clip in listing.clips] == ["good"]
    assert {Path(problem.where).name: problem.what for problem in listing.problems} == {
        "cut.mp4": "not a media file, or cut off",
        "empty.mp4": "file is empty",
        "text.mp4": "not a media file, or cut off",
        "sound-only.mkv": "no video stream",
    }
    assert all(problem.remedy for problem in listing.problems)


def test_same_stem_in_two_containers_is_named_not_merged(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", seconds=0.5)
    make_video(tmp_path / "a.mp4", seconds=0.5)
    listing = read(tmp_path, WHOLE)
    assert len(listing.clips) == 1
    assert "two files give the same clip id" in str(listing.problems[0])


@pytest.mark.parametrize("name", ["sp ace", "qu'ote\"s", "ünïcødé", "a..b", "<b>bold</b>".replace("/", "-")])
def test_odd_names_stay_the_id_and_get_a_safe_stem(tmp_path: Path, name: str) -> None:
    make_video(tmp_path / f"{name}.mp4", seconds=0.5)
    (clip,) = read(tmp_path, WHOLE).clips
    assert clip.id == name
    assert "/" not in clip.file_stem
    assert not clip.file_stem.startswith(".")


def test_sub_folders_are_read_and_hidden_files_left(tmp_path: Path) -> None:
    (tmp_path / "day 1").mkdir()
    make_video(tmp_path / "day 1" / "b.mp4", seconds=0.5)
    make_video(tmp_path / ".hidden.mp4", seconds=0.5)
    assert [clip.id for clip in read(tmp_path, WHOLE).clips] == ["day 1/b"]


def test_windows_are_cut_where_the_protocol_says_so(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", seconds=2.5)
    rules = WHOLE.model_copy(update={"clip_duration_s": 1.0, "clip_hop_s": 1.0})
    assert [(clip.id, clip.start_s) for clip in read(tmp_path, rules).clips] == [("a_0", 0.0), ("a_1", 1.0)]


def test_missing_and_empty_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="data folder is missing"):
        read(tmp_path / "nowhere", WHOLE)
    with pytest.raises(ClapstickError, match="no video"):
        read(tmp_path, WHOLE)


@pytest.mark.skipif(not REAL_CLIPS.is_dir(), reason="the real clips are not beside this checkout")
def test_real_clips_all_read_and_one_has_no_sound() -> None:
    listing = read(REAL_CLIPS, WHOLE)
    assert listing.problems == ()
    assert len(listing.clips) == 11
    assert [clip.id for clip in listing.clips if clip.reference is None] == ["basketball_bounce"]
