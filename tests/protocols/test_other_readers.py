"""Walking The Maps, VGGSound and CSV manifests, whole and broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from clapstick.protocols.checksums import write_checksums
from clapstick.protocols.clips import Onset
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import DatasetRules, find_protocol
from clapstick.protocols.readers import manifest, vggsound, walking_the_maps
from clapstick.protocols.readers.base import readers
from tests.protocols.media import make_video

WHOLE = DatasetRules(reader="any", split="all", clip_start_s=0, clip_duration_s=0, clip_hop_s=0)
TWO_SECONDS = find_protocol("fol-ai-table4").dataset
ID_A, ID_B = "aB3_d-F9xyz", "_BBBBBB_BB-"


def test_all_readers_are_found() -> None:
    assert set(readers()) == {
        "greatest-hits", "folder", "walking-the-maps", "vggsound", "vggsound-sync", "manifest",
    }  # fmt: skip


class TestWalkingTheMaps:
    def test_names_give_source_and_two_second_chunks(self, tmp_path: Path) -> None:
        make_video(tmp_path / f"{ID_A}_10_15.1.mp4", seconds=5.1)
        make_video(tmp_path / f"{ID_B}_3.5_5.54.mp4", seconds=2.04)
        listing = walking_the_maps.read(tmp_path, TWO_SECONDS)
        assert listing.problems == ()
        assert [(clip.source, clip.start_s) for clip in listing.clips] == [
            (ID_B, 0.0),
            (ID_A, 0.0),
            (ID_A, 2.0),
        ]
        assert listing.clips[1].id == f"{ID_A}_10_15.1_0"
        assert all(clip.duration_s == 2.0 for clip in listing.clips)

    def test_separated_sound_is_the_reference_and_is_recorded(self, tmp_path: Path) -> None:
        make_video(tmp_path / f"{ID_A}_0_2.mp4", seconds=2.1)
        soundfile.write(tmp_path / f"{ID_A}_0_2.wav", [0.0] * 16_000, 8000)
        (clip,) = walking_the_maps.read(tmp_path, TWO_SECONDS).clips
        assert clip.reference == tmp_path / f"{ID_A}_0_2.wav"
        assert walking_the_maps.SEPARATED in clip.warnings

    def test_every_defect_is_named(self, tmp_path: Path) -> None:
        make_video(tmp_path / f"{ID_A}_0_2.mp4", seconds=2.1)
        make_video(tmp_path / "holiday.mp4", seconds=2.1)
        make_video(tmp_path / f"{ID_A}_9_3.mp4", seconds=2.1)
        make_video(tmp_path / f"{ID_A}_50_51.mp4", seconds=1.0)
        (tmp_path / f"{ID_A}_60_70.mp4").write_bytes(b"no video")
        listing = walking_the_maps.read(tmp_path, TWO_SECONDS)
        assert len(listing.clips) == 1
        assert {Path(problem.where).name: problem.what for problem in listing.problems} == {
            "holiday.mp4": "name does not follow the data set",
            f"{ID_A}_9_3.mp4": "clip ends before it starts",
            f"{ID_A}_50_51.mp4": "recording is shorter than a clip",
            f"{ID_A}_60_70.mp4": "not a media file, or cut off",
        }

    def test_dead_videos_are_named_and_the_subset_has_a_name(self, tmp_path: Path) -> None:
        for start in (0, 10, 20):
            make_video(tmp_path / f"{ID_A}_{start}_{start + 2}.mp4", seconds=2.1)
        write_checksums(tmp_path)
        whole = walking_the_maps.read(tmp_path, TWO_SECONDS)
        assert whole.problems == ()
        assert whole.subset.startswith("walking-the-maps-3-of-3-")
        (tmp_path / f"{ID_A}_10_12.mp4").unlink()
        left = walking_the_maps.read(tmp_path, TWO_SECONDS)
        assert left.subset.startswith("walking-the-maps-2-of-3-")
        assert [problem.what for problem in left.problems] == ["file of the manifest is missing"]

    def test_name_and_length_that_disagree_are_a_warning(self, tmp_path: Path) -> None:
        make_video(tmp_path / f"{ID_A}_0_30.mp4", seconds=2.1)
        (clip,) = walking_the_maps.read(tmp_path, TWO_SECONDS).clips
        assert "its name says 30.00 s" in clip.warnings[0]


class TestVggSound:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "vggsound.csv").write_text(
            f'{ID_A},30,"dog barking, close",test\n{ID_A},60,rain,train\n{ID_B},1,cat meowing,test\n'
            f"CCCCCCCCCCC,5,wind,test\n"
        )
        make_video(tmp_path / f"{ID_A}_000030.mp4", seconds=2.0)
        (tmp_path / "videos").mkdir()
        make_video(tmp_path / "videos" / f"{ID_B}_1000_11000.mp4", seconds=2.0)
        return tmp_path

    def rules(self, split: str = "test") -> DatasetRules:
        return WHOLE.model_copy(update={"split": split})

    def test_both_ways_of_naming_are_found_and_labels_are_captions(self, folder: Path) -> None:
        listing = vggsound.read(folder, self.rules())
        assert [(clip.id, clip.caption) for clip in listing.clips] == [
            (f"{ID_A}_000030", "dog barking, close"),
            (f"{ID_B}_000001", "cat meowing"),
        ]
        assert [(problem.what, problem.where) for problem in listing.problems] == [
            ("listed video is missing", "CCCCCCCCCCC_000005")
        ]
        assert listing.subset.startswith("vggsound-test-2-of-3-")

    def test_subset_name_follows_what_is_there(self, folder: Path) -> None:
        before = vggsound.read(folder, self.rules()).subset
        assert vggsound.read(folder, self.rules()).subset == before
        (folder / f"{ID_A}_000030.mp4").unlink()
        after = vggsound.read(folder, self.rules()).subset
        assert after.startswith("vggsound-test-1-of-3-")

    def test_own_list_narrows_by_id_or_name(self, folder: Path) -> None:
        (folder / "mine.txt").write_text(f"{ID_B}\nnot-in-list\n")
        listing = vggsound.read(folder, self.rules("mine"))
        assert [clip.source for clip in listing.clips] == [ID_B]
        assert [problem.what for problem in listing.problems] == ["listed video is not in the data set's list"]

    def test_sync_is_vggsound_narrowed_by_its_list(self, folder: Path) -> None:
        (folder / "vggsound_sync.txt").write_text(f"{ID_A}_000030\n")
        listing = readers()["vggsound-sync"].read(folder, self.rules())
        assert [clip.id for clip in listing.clips] == [f"{ID_A}_000030"]
        assert listing.subset.startswith("vggsound-sync-1-of-1-")

    def test_bad_lists_are_errors_or_named_lines(self, folder: Path) -> None:
        with pytest.raises(ClapstickError, match=r"nowhere\.txt: list cannot be read"):
            vggsound.read(folder, self.rules("nowhere"))
        with pytest.raises(ClapstickError, match="split name leaves the folder"):
            vggsound.read(folder, self.rules("../secret"))
        with (folder / "vggsound.csv").open("a") as stream:
            stream.write("short,1,x,test\n")
        problems = vggsound.read(folder, self.rules()).problems
        assert any(problem.where.endswith("vggsound.csv:5") for problem in problems)


class TestManifest:
    def write(self, folder: Path, text: str) -> None:
        (folder / "manifest.csv").write_text(text, encoding="utf-8")

    def test_every_column_reaches_the_clip(self, tmp_path: Path) -> None:
        make_video(tmp_path / "a.mp4", seconds=3.0)
        soundfile.write(tmp_path / "a.wav", [0.0] * 24_000, 8000)
        self.write(
            tmp_path,
            "path,id,start,duration,caption,onsets,reference,reference_start,source,material,action\n"
            'a.mp4,first,0.5,2,"a dog, barking",1.5 wood hit static;0.25,a.wav,0.75,take 1,wood,hit\n',
        )
        (clip,) = manifest.read(tmp_path, WHOLE).clips
        assert (clip.id, clip.source, clip.start_s, clip.duration_s) == ("first", "take 1", 0.5, 2.0)
        assert (clip.caption, clip.material, clip.action) == ("a dog, barking", "wood", "hit")
        assert (clip.reference, clip.reference_start_s) == (tmp_path / "a.wav", 0.75)
        assert clip.onsets == (
            Onset(time_s=0.25),
            Onset(time_s=1.5, material="wood", action="hit", reaction="static"),
        )

    def test_path_alone_is_enough(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        make_video(tmp_path / "sub" / "b.mkv", seconds=1.0, sample_rate=None)
        self.write(tmp_path, "path,onsets\nsub/b.mkv,-\n")
        (clip,) = manifest.read(tmp_path, WHOLE).clips
        assert (clip.id, clip.onsets) == ("sub/b", ())
        assert clip.reference_missing == "the video has no audio stream"

    def test_windows_cut_a_line_further(self, tmp_path: Path) -> None:
        make_video(tmp_path / "a.mp4", seconds=3.0)
        self.write(tmp_path, "path,start,onsets\na.mp4,0.5,0.25;1.75\n")
        rules = WHOLE.model_copy(update={"clip_duration_s": 1.0, "clip_hop_s": 1.0})
        first, second = manifest.read(tmp_path, rules).clips
        assert (first.id, first.start_s, second.id, second.start_s) == ("a_0", 0.5, "a_1", 1.5)
        # 1.75 s of the line is 0.75 s of its second window.
        assert second.onsets == (Onset(time_s=0.75),)

    def test_every_wrong_line_is_named(self, tmp_path: Path) -> None:
        make_video(tmp_path / "a.mp4", seconds=1.0)
        lines = {
            2: ("a.mp4,x,,,,", None),
            3: ("gone.mp4,y,,,,", "file is missing"),
            4: ("../a.mp4,z,,,,", "path leaves the folder"),
            5: ("/etc/passwd,z,,,,", "path leaves the folder"),
            6: ("a.mp4,z,0,9,,", "clip reaches past the end of its video"),
            7: ("a.mp4,z,soon,,,", "start is not a time"),
            8: ("a.mp4,z,,,1;two,", "onset does not parse"),
            9: ("a.mp4,x,,,,", "two clips have the same id"),
            10: ("a.mp4,z,,,,gone.wav", "reference is missing"),
            11: (",z,,,,", "path is empty"),
            12: ("a.mp4,z,,,,,surplus", "line has more fields than columns"),
        }
        self.write(
            tmp_path,
            "path,id,start,duration,onsets,reference\n" + "\n".join(text for text, _ in lines.values()),
        )
        listing = manifest.read(tmp_path, WHOLE)
        assert [clip.id for clip in listing.clips] == ["x"]
        assert [problem.what for problem in listing.problems] == [what for _, what in lines.values() if what]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("file,start\na.mp4,1\n", "manifest has unknown columns"),
            ("id\nx\n", "no column path"),
            ("", "no column path"),
        ],
    )
    def test_wrong_columns_are_an_error(self, tmp_path: Path, text: str, said: str) -> None:
        self.write(tmp_path, text)
        with pytest.raises(ClapstickError, match=said):
            manifest.read(tmp_path, WHOLE)

    def test_missing_manifest_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ClapstickError, match=r"manifest\.csv: manifest cannot be read"):
            manifest.read(tmp_path, WHOLE)
