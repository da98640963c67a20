"""The audit on the real lists, and on a folder with planted duplicates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.protocols.audit import Audit, audit, flag_seen, list_membership
from clapstick.protocols.clips import Clip
from clapstick.protocols.duplicates import all_recordings, duplicates_among
from clapstick.protocols.listed_clips import listed_clips
from clapstick.protocols.lists import clip_list, listed_videos
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import find_protocol
from clapstick.protocols.readers.greatest_hits import read
from clapstick.systems.card import TrainedOn
from tests.protocols.test_fingerprint import RATE, hits
from tests.protocols.test_greatest_hits_reader import TEST, add_recording


def trained(family: str, *splits: str) -> tuple[TrainedOn, ...]:
    return (TrainedOn(dataset="greatest-hits", split_of=family, splits=splits),)


TRAINED = {
    "condfoleygen": trained("condfoleygen", "train"),
    "syncfusion": trained("syncfusion", "train"),
    "video-foley": trained("video-foley", "train"),
    "diff-foley": (TrainedOn(dataset="vggsound", split_of="official", splits=("train",)),),
    "silent": (),
}


@pytest.fixture(scope="module")
def clips() -> tuple[Clip, ...]:
    """Video-Foley's 732 test clips."""
    return listed_clips(find_protocol("video-foley-table2").dataset)


@pytest.fixture(scope="module")
def result(clips: tuple[Clip, ...]) -> Audit:
    return audit(clips, TRAINED)


def test_counts_are_those_of_the_published_lists(result: Audit) -> None:
    """Counted independently from the released list files, facts of the systems, section 0.1."""
    counts = {
        system.system: (len(system.seen_clips), len(system.seen_videos), system.clips, system.videos)
        for system in result.systems
    }
    assert counts == {
        "condfoleygen": (627, 210, 732, 242),
        "syncfusion": (516, 172, 732, 242),
        "video-foley": (0, 0, 732, 242),
    }
    assert (len(result.unseen_by_all), len(result.unseen_videos)) == (20, 6)
    assert result.without_lists == ("diff-foley", "silent")


def test_membership_of_every_list(clips: tuple[Clip, ...]) -> None:
    rows = {(row.split_of, row.split): (row.clips, row.videos) for row in list_membership(clips).itertuples()}
    assert rows["syncfusion", "valid"] == (69, 22)
    assert rows["syncfusion", "test"] == (147, 48)
    assert rows["condfoleygen", "test"] == (99, 30)
    assert rows["condfoleygen-video-list", "test"] == (49, 20)
    assert rows["video-foley", "train"] == (0, 0)
    in_all_tests = listed_videos("syncfusion", "test") & listed_videos("condfoleygen", "test")
    assert sum(clip.source in in_all_tests for clip in clips) == 9


def test_common_split_is_computed_named_and_explained(result: Audit) -> None:
    assert set(result.unseen_by_all) == set(clip_list("common-unseen")["clip_id"])
    assert (
        "condfoleygen was trained on 627 of 732 clips (210 of 242 videos): condfoleygen train."
        in result.explanation
    )
    assert "20 clips (6 videos) are in no training list" in result.explanation
    assert "Fréchet distances are not defined" in result.explanation


def test_flags_name_the_systems_that_saw_the_source(clips: tuple[Clip, ...]) -> None:
    flagged = flag_seen(clips, TRAINED)
    by_system = {name: sum(name in clip.seen_by for clip in flagged) for name in TRAINED}
    assert by_system == {"condfoleygen": 627, "syncfusion": 516, "video-foley": 0, "diff-foley": 0, "silent": 0}
    assert [clip.id for clip in flagged] == [clip.id for clip in clips]
    assert all(clip.seen_by == tuple(sorted(clip.seen_by)) for clip in flagged)
    # Training clips of Video-Foley: all of them seen by it, also where another window is taken.
    other = clips[0].model_copy(update={"id": "x", "source": sorted(listed_videos("video-foley", "train"))[0]})
    assert flag_seen([other], TRAINED)[0].seen_by[-1] == "video-foley"


def test_clips_of_other_data_are_nobodys(tmp_path: Path) -> None:
    clip = Clip(id="a", source="a", video=tmp_path / "a.mp4", duration_s=1)
    result = audit([clip], TRAINED)
    assert result.unseen_by_all == ("a",)
    assert "None of the clips is from Greatest Hits" in result.explanation


def test_unknown_list_on_a_card_is_an_error_that_names_those_there_are(clips: tuple[Clip, ...]) -> None:
    with pytest.raises(ClapstickError, match="is not known; found syncfusion has no list 'validation'"):
        audit(clips, {"syncfusion": trained("syncfusion", "validation")})
    with pytest.raises(ClapstickError, match="trained_on"):
        flag_seen(clips, {"x": trained("nobody", "train")})


def test_protocols_of_other_data_need_media() -> None:
    with pytest.raises(ClapstickError, match="Give the data with --data"):
        listed_clips(find_protocol("folder").dataset)


def test_listed_clips_of_other_splits() -> None:
    rewas = listed_clips(find_protocol("rewas-table3").dataset)
    assert len(rewas) == 242
    assert {clip.duration_s for clip in rewas} == {2.0}
    multifoley = listed_clips(find_protocol("multifoley-table4").dataset)
    assert (len(multifoley), {clip.duration_s for clip in multifoley}) == (800, {5.0})
    assert min(clip.start_s for clip in multifoley) == 3.0
    assert len({clip.source for clip in listed_clips(find_protocol("fol-ai-table1").dataset)}) == 196


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Three test recordings; the sound of one is in training under another name, quieter and shifted."""
    for number, name in enumerate(["test-a", "test-b", "test-c", "train-a", "train-b", "train-c"]):
        add_recording(tmp_path, name, seconds=6.0)
        soundfile.write(tmp_path / f"{name}_denoised.wav", hits(number, 6.0), RATE)
    long = hits(50, 8.0)
    soundfile.write(tmp_path / "test-b_denoised.wav", long[: 6 * RATE], RATE)
    soundfile.write(tmp_path / "train-b_denoised.wav", 0.2 * long[RATE : 7 * RATE], RATE)
    shutil.copy(tmp_path / "test-c_denoised.wav", tmp_path / "train-c_denoised.wav")
    (tmp_path / "test.txt").write_text("test-a\ntest-b\ntest-c\n")
    (tmp_path / "train.txt").write_text("train-a\ntrain-b\ntrain-c\n")
    return tmp_path


def test_planted_duplicates_are_found_across_splits(planted: Path) -> None:
    clips = read(planted, TEST).clips
    pairs, problems = duplicates_among(all_recordings(planted, TEST).clips, clips)
    assert problems == []
    assert [(pair.first, pair.second, pair.kind) for pair in pairs] == [
        ("test-c", "train-c", "exact"),
        ("test-b", "train-b", "near"),
    ]


def test_command_gives_the_counts_of_the_cards_as_json() -> None:
    ran = CliRunner().invoke(build_app(), ["audit", "video-foley-table2", "--json"])
    assert ran.exit_code == 0, ran.output
    document = json.loads(ran.stdout)
    systems = {row["system"]: (row["clips_seen"], row["videos_seen"]) for row in document["systems"]}
    assert systems["condfoleygen"] == (627, 210)
    assert systems["syncfusion"] == (516, 172)
    assert systems["video-foley-official"] == (0, 0)
    assert (len(document["common_split"]["clips"]), len(document["common_split"]["videos"])) == (20, 6)
    lists = {(row["split_of"], row["split"]): (row["clips"], row["videos"]) for row in document["lists"]}
    assert lists["condfoleygen", "train"] == (627, 210)
    assert lists["syncfusion", "train"] == (516, 172)
    assert document["duplicates"] is None


def test_command_looks_into_the_data(planted: Path) -> None:
    ran = CliRunner().invoke(build_app(), ["audit", "synthetic-hits", "--data", str(planted)])
    assert ran.exit_code == 0, ran.output
    assert "Same sound twice" in ran.stdout
    assert "train-b" in ran.stdout
    (planted / "test-a_denoised.wav").write_bytes(b"RIFF")
    ran = CliRunner().invoke(build_app(), ["audit", "synthetic-hits", "--data", str(planted), "--json"])
    assert ran.exit_code == 1
    assert any("test-a" in problem["where"] for problem in json.loads(ran.stdout)["problems"])
