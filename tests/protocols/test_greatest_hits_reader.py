"""The Greatest Hits reader on folders in the published form, whole and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from clapstick.protocols.clips import Onset
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.annotations import label_class, read_times
from clapstick.protocols.readers.greatest_hits import make_clips, read, read_recording
from tests.protocols.media import make_video

TEST = DatasetRules(reader="greatest-hits", split="test", clip_start_s=0, clip_duration_s=1, clip_hop_s=1)


def add_recording(
    folder: Path,
    name: str,
    seconds: float = 2.0,
    times: str | None = "0.5 wood hit static\n1.25 metal scratch None\n",
    sound_seconds: float | None = None,
) -> None:
    """Write one recording in the published form."""
    make_video(folder / f"{name}_denoised.mp4", seconds=seconds)
    samples = np.zeros(round((sound_seconds or seconds) * 8000))
    soundfile.write(folder / f"{name}_denoised.wav", samples, 8000)
    if times is not None:
        (folder / f"{name}_times.txt").write_text(times)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings, one of them in the test list."""
    add_recording(tmp_path, "b")
    add_recording(tmp_path, "a")
    (tmp_path / "test.txt").write_text("b\n")
    (tmp_path / "train.txt").write_text("a\n")
    return tmp_path


def test_clips_have_ids_windows_onsets_and_classes(folder: Path) -> None:
    listing = read(folder, TEST)
    assert listing.problems == ()
    first, second = listing.clips
    assert (first.id, first.source, first.start_s) == ("b_0", "b", 0.0)
    assert first.reference == folder / "b_denoised.wav"
    assert first.onsets == (Onset(time_s=0.5, material="wood", action="hit", reaction="static"),)
    assert (first.material, first.action) == ("wood", "hit")
    # 1.25 s of the recording is 0.25 s of the clip that starts at 1 s.
    assert second.onsets == (Onset(time_s=0.25, material="metal", action="scratch", reaction=None),)
    assert second.reference_start_s == second.start_s == 1.0


def test_splits_come_from_the_lists_and_all_from_the_files(folder: Path) -> None:
    train = TEST.model_copy(update={"split": "train"})
    everything = TEST.model_copy(update={"split": "all"})
    assert {clip.source for clip in read(folder, train).clips} == {"a"}
    assert [clip.id for clip in read(folder, everything).clips] == ["a_0", "a_1", "b_0", "b_1"]


def test_whole_recording_keeps_its_name(folder: Path) -> None:
    rules = TEST.model_copy(update={"clip_duration_s": 0.0, "clip_hop_s": 0.0})
    (clip,) = read(folder, rules).clips
    assert clip.id == "b"
    assert clip.duration_s == pytest.approx(2.0, abs=0.05)
    assert clip.onsets is not None
    assert [onset.time_s for onset in clip.onsets] == [0.5, 1.25]
    assert (clip.material, clip.action) == ("multiple", "multiple")


def test_onset_on_the_border_belongs_to_the_later_clip(tmp_path: Path) -> None:
    add_recording(tmp_path, "a", times="1.0 wood hit static\n2.0 wood hit static\n")
    recording, _ = read_recording(tmp_path, "a")
    assert recording is not None
    first, second = make_clips(recording, TEST)
    assert first.onsets == ()
    assert second.onsets is not None
    assert [onset.time_s for onset in second.onsets] == [0.0]


def test_every_defect_of_a_folder_is_listed_in_one_reading(tmp_path: Path) -> None:
    add_recording(tmp_path, "good")
    add_recording(tmp_path, "no-wav")
    (tmp_path / "no-wav_denoised.wav").unlink()
    add_recording(tmp_path, "no-times", times="")
    add_recording(tmp_path, "odd-material", times="0.5 woood hit static\n")
    add_recording(tmp_path, "odd-time", times="soon wood hit static\n0.6 wood hit static\n")
    add_recording(tmp_path, "odd-line", times="0.5 wood\n")
    add_recording(tmp_path, "long-wav", sound_seconds=4.0)
    add_recording(tmp_path, "short", seconds=0.5)
    add_recording(tmp_path, "both")
    (tmp_path / "train.txt").write_text("both\n")
    names = [
        "good", "no-wav", "no-times", "odd-material", "odd-time", "odd-line", "long-wav", "short", "both",
        "../outside", "/etc/passwd", "Good", "good", "absent",
    ]  # fmt: skip
    (tmp_path / "test.txt").write_text("\n".join(names) + "\n")
    listing = read(tmp_path, TEST)
    said = "\n".join(str(problem) for problem in listing.problems)
    for expected in (
        "no-wav_denoised.wav: reference wav is missing",
        "no-times_times.txt: annotation file is empty",
        "odd-material_times.txt:1: unknown material; found woood",
        "Did you mean wood?",
        "odd-time_times.txt:1: annotation time is not a time; found soon",
        "odd-line_times.txt:1: annotation line does not parse; found 0.5 wood",
        "long-wav_denoised.wav: sound and picture differ in length; found 4.000 s",
        "short_denoised.mp4: recording is shorter than a clip; found 0.5",
        "both: video is in the train list and in the test list",
        "video name leaves the folder; found '../outside'",
        "video name leaves the folder; found '/etc/passwd'",
        "video names differ in case only; found good and Good",
        "video is listed twice; found good",
        "absent_denoised.mp4: file is missing",
        "absent_denoised.wav: reference wav is missing",
        "absent_times.txt: annotations cannot be read",
    ):
        assert expected in said
    usable = {clip.source for clip in listing.clips}
    assert usable == {"good", "no-wav", "no-times", "odd-material", "odd-time", "odd-line", "long-wav", "both"}
    by_source = {clip.source: clip for clip in listing.clips}
    assert by_source["no-wav"].reference is None
    assert by_source["no-wav"].reference_missing == "reference wav is missing"
    assert by_source["no-times"].onsets is None
    assert by_source["odd-time"].onsets is None
    assert by_source["long-wav"].warnings


def test_unknown_label_is_left_out_and_its_onset_kept(tmp_path: Path) -> None:
    path = tmp_path / "times.txt"
    path.write_text("0.5 woood hit static\n0.2 None None None\n")
    onsets, problems = read_times(path)
    assert onsets == (Onset(time_s=0.2), Onset(time_s=0.5, action="hit", reaction="static"))
    assert [problem.what for problem in problems] == ["unknown material"]


@pytest.mark.parametrize("bad", ["-1 wood hit static", "nan wood hit static", "inf wood hit static"])
def test_impossible_times_make_the_file_unusable(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "times.txt"
    path.write_text(f"0.5 wood hit static\n{bad}\n")
    onsets, problems = read_times(path)
    assert onsets is None
    assert problems[0].where.endswith(":2")


def test_missing_list_is_an_error_that_names_it(tmp_path: Path) -> None:
    add_recording(tmp_path, "a")
    with pytest.raises(ClapstickError, match=r"test\.txt: list of the split is missing"):
        read(tmp_path, TEST)


def test_label_class() -> None:
    assert label_class([None, "wood", "wood"]) == "wood"
    assert label_class(["wood", "metal"]) == "multiple"
    assert label_class([None]) == "None"
    assert label_class([]) == "None"
