"""The built page without a browser: what it says, and that it stays inert."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from archive_builder import BuiltSystem, build_archive

from clapstick.protocols.archive import ErrorRecord, RunArchive, ScoreRecord, write_json
from clapstick.protocols.clips import Prompt
from clapstick.protocols.problems import ClapstickError, Problem
from clapstick.protocols.prompts import AUDIO_POLICIES
from clapstick.reports import build_report
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.prompts import prompt_entry
from clapstick.reports.run_data import read_run

HOSTILE = (
    '<script>document.title="owned"</script>',
    '"><img src=x onerror=alert(1)>',
    "it's {{ 7*7 }} & ${7*7}",
    "مقطع صوتي ‮abc",
    "../../etc/passwd",
    "日本語 🥁 \u2028 line",
)


def test_every_value_of_the_summary_is_on_the_page(page_path: Path, archive: RunArchive) -> None:
    text = page_path.read_text(encoding="utf-8")
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', text, re.DOTALL).group(1))  # type: ignore[union-attr]
    for record in archive.read_summary():
        cell = cells[f"{record.system}@{record.metric}@{record.convention}"]
        lines = {line[0]: line[1] for line in cell["lines"]}
        digits = {line[0]: line[2] for line in cell["lines"] if len(line) > 2}
        assert cell["signature"] == record.signature
        if record.value is None:
            assert lines["Not computed"] == record.reason
        else:
            assert float(digits["Value"]) == record.value
            assert digits["95 % interval"] == f"{record.ci_low!r} to {record.ci_high!r}"
            assert len(lines["Value"].split()[0]) <= 8
            assert lines["Clips"] == f"{record.n} of 4"
        assert tuple(cell["missing"]) == record.missing


def test_nothing_is_bold_inside_a_tie(archive: RunArchive) -> None:
    board = make_leaderboard(read_run(archive.root))
    marks = {row.system.name: row.cells[0].mark for row in board.rows}
    assert marks["video-foley"] == marks["two-stage-tiny"] == "tie"
    assert "best" not in marks.values()


def test_controls_are_not_ranked_and_stand_apart(archive: RunArchive) -> None:
    board = make_leaderboard(read_run(archive.root))
    kinds = {row.system.name: group.kind for group in board.groups for row in group.rows}
    assert kinds["reference"] == "ceiling"
    assert kinds["silence"] == "floor"
    assert [group.title for group in board.groups][:2] == ["No prompt", "Audio prompt"]
    for row in board.rows:
        if row.system.is_control:
            assert all(not cell.mark and not cell.rank for cell in row.cells)


def test_a_control_that_beats_a_system_is_a_warning(archive: RunArchive, page_path: Path) -> None:
    board = make_leaderboard(read_run(archive.root))
    cells = {row.system.name: row.cells[0] for row in board.rows}
    assert cells["spec-vqgan"].beaten_by == ("Silence",)
    assert cells["video-foley"].beaten_by == ()
    assert any("Silence" in warning and "SpecVQGAN" in warning for warning in board.warnings)
    assert "A control does better than a system" in page_path.read_text(encoding="utf-8")


def test_one_system_alone_is_not_ranked_or_called_best(tmp_path: Path) -> None:
    systems = (BuiltSystem("mine", "Mine"), BuiltSystem("silence", "Silence", role="control", error=0.2))
    board = make_leaderboard(read_run(build_archive(tmp_path / "run", systems=systems, media=False).root))
    assert board.findings == ("Mine is the only system: there is nothing to rank.",)
    assert all(not cell.mark for row in board.rows for cell in row.cells)


def test_a_control_that_no_test_tells_from_a_system_is_no_warning(tmp_path: Path) -> None:
    systems = (
        BuiltSystem("mine", "Mine", error=0.05),
        BuiltSystem("silence", "Silence", role="control", error=0.045),
    )
    board = make_leaderboard(read_run(build_archive(tmp_path / "run", systems=systems, media=False).root))
    assert not [warning for warning in board.warnings if "E-L1" in warning]
    assert board.not_told == ("E-L1: no test tells Mine from Silence, which is ahead (p = 0.400 after Holm).",)
    assert all(not cell.beaten_by for row in board.rows for cell in row.cells)


def test_differences_that_print_as_zero_raise_no_warning(tmp_path: Path) -> None:
    systems = (
        BuiltSystem("mine", "Mine", error=0.05),
        BuiltSystem("silence", "Silence", role="control", error=0.05 - 1e-9),
    )
    board = make_leaderboard(read_run(build_archive(tmp_path / "run", systems=systems, media=False).root))
    assert not [sentence for sentence in (*board.warnings, *board.not_told) if "E-L1" in sentence]


def test_what_was_not_computed_is_listed_once_with_its_reason(archive: RunArchive) -> None:
    board = make_leaderboard(read_run(archive.root))
    reasons = [reason for _, reason, _ in board.missing]
    assert reasons == ["needs the PANNs checkpoint: `clapstick weights fetch panns-wavegram-logmel`"]


def test_hostile_text_is_text(tmp_path: Path) -> None:
    systems = (
        BuiltSystem("mine", HOSTILE[0]),
        BuiltSystem("silence", HOSTILE[1], role="control", error=0.2),
    )
    error = ErrorRecord(
        system="mine",
        clip=HOSTILE[0],
        stage="score",
        problem=Problem(what=HOSTILE[1], where=HOSTILE[0], found=HOSTILE[2], remedy=HOSTILE[3]),
    )
    archive = build_archive(
        tmp_path / "run",
        clip_ids=HOSTILE,
        systems=systems,
        media=False,
        title=HOSTILE[0],
        prompt_text=HOSTILE[1],
        errors=[error],
    )
    page = build_report(archive.root)
    text = page.read_text(encoding="utf-8")
    assert "<script>document" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;document.title=" in text
    index = (page.parent / "data" / "clips.js").read_text(encoding="utf-8")
    assert "<" not in index
    assert "\u2028" not in index
    written = [path for path in page.parent.rglob("*") if path.is_file()]
    assert all(path.resolve().is_relative_to(page.parent.resolve()) for path in written)


def test_the_chunk_of_a_sound_holds_the_sound_and_its_envelope(page_path: Path, archive: RunArchive) -> None:
    clip = archive.read_clips()[0]
    (path,) = (page_path.parent / "sound" / clip.file_stem).glob("video-foley.*.js")
    chunk = json.loads(path.read_text(encoding="utf-8").split(", ", 1)[1].removesuffix(");\n"))
    samples, rate = soundfile.read(archive.audio_wav("video-foley", clip))
    assert chunk["sample_rate"] == rate
    # 32 ms windows around multiples of 8 ms: value k is the RMS of samples 128 k - 256 ... 128 k + 255.
    k = 70
    window = samples[128 * k - 256 : 128 * k + 256]
    assert chunk["rms"][k] == pytest.approx(np.sqrt(np.mean(window**2)), abs=6e-6)
    assert chunk["hop_s"] == 128 / rate
    assert chunk["onsets_s"] == pytest.approx([0.52, 1.22], abs=0.04)


def test_a_second_build_makes_no_media_again(page_path: Path, archive: RunArchive) -> None:
    media = [*page_path.parent.glob("video/*"), *page_path.parent.glob("sound/*/*")]
    before = {path: path.stat().st_mtime_ns for path in media}
    build_report(archive.root)
    assert {path: path.stat().st_mtime_ns for path in media} == before


def test_a_video_that_cannot_be_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    archive = build_archive(tmp_path / "run", clip_ids=("one", "two"))
    clips = archive.read_clips()
    clips[0].video.write_bytes(b"no video at all")
    clips[1].video.unlink()
    page = build_report(archive.root)
    index = (page.parent / "data" / "clips.js").read_text(encoding="utf-8")
    assert "video cannot be shown" in index
    assert "is not there any more" in index


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="not a run archive"):
        build_report(tmp_path)


def test_mean_opinion_scores_of_listening_tests_are_columns(tmp_path: Path) -> None:
    archive = build_archive(tmp_path / "run")
    rated = archive.read_summary()[0].system
    record = ScoreRecord(
        system=rated,
        metric="mos-audio-quality",
        convention="video-foley",
        value=3.875,
        ci_low=3.5,
        ci_high=4.25,
        n=240,
        direction="higher",
        unit="points of 5",
        signature="metric:mos-audio-quality|convention:video-foley|plan:0",
    )
    write_json(archive.root / "ratings.json", {"scores": [record.model_dump(mode="json")]})
    board = make_leaderboard(read_run(archive.root))
    column = next(column for column in board.columns if column.metric == "mos-audio-quality")
    assert (column.unit, column.direction, column.clips_note) == ("points of 5", "higher", "")
    row = next(row for row in board.rows if row.system.name == rated)
    assert row.cells[board.columns.index(column)].score == record


def test_seen_and_unseen_clips_are_columns(archive: RunArchive, page_path: Path) -> None:
    board = make_leaderboard(read_run(archive.root))
    scores = read_run(archive.root).clip_values["e-l1", "v2s"]["syncfusion"]
    rows = {row.system.name: row for row in board.rows}
    seen, unseen = rows["syncfusion"].splits[0]
    assert seen.score is not None
    assert unseen.score is not None
    # It was trained on clip "one" of four; it failed on "two", and "four" has no reference.
    assert (seen.score.value, seen.score.n) == (scores["one"], 1)
    assert (unseen.score.value, unseen.score.n) == (scores["three"], 1)
    assert rows["video-foley"].splits == ()
    assert board.overlaps == ("SyncFusion was trained on 1 of 4 clips, by its published training list.",)
    text = page_path.read_text(encoding="utf-8")
    assert text.count('class="num split">seen') == 3  # one for each metric under its first convention
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', text, re.DOTALL).group(1))  # type: ignore[union-attr]
    drawer = cells["syncfusion@e-l1@v2s@unseen"]
    assert drawer["title"] == "E-L1 · SyncFusion · unseen clips"
    assert ["Clips", "1 of 3 unseen clips"] in drawer["lines"]
    assert drawer["missing"] == ["two", "four"]


def test_a_run_without_overlap_has_no_such_columns(tmp_path: Path) -> None:
    systems = (BuiltSystem("mine", "Mine"), BuiltSystem("other", "Other"))
    archive = build_archive(tmp_path / "run", systems=systems, media=False)
    page = build_report(archive.root)
    text = page.read_text(encoding="utf-8")
    assert 'class="num split' not in text
    assert 'id="splits"' not in text


def test_a_prompt_that_gives_the_answer_away_is_said_beside_it(tmp_path: Path) -> None:
    archive = build_archive(tmp_path / "run", media=False)
    record = json.loads((archive.root / "run.json").read_text())
    texts = {}
    for policy in ("same-material", "ground-truth"):
        record["protocol"]["prompt"] = {"text": "video-foley", "audio": policy}
        (archive.root / "run.json").write_text(json.dumps(record))
        texts[policy] = build_report(archive.root).read_text(encoding="utf-8")
    warning = AUDIO_POLICIES["ground-truth"].summary.replace("'", "&#39;")
    assert warning not in texts["same-material"]
    assert f"ground-truth: {warning}" in texts["ground-truth"], "among the protocol's rules"
    assert f"<span>Audio prompt: {warning}</span>" in texts["ground-truth"], "above the systems that have it"
    # Of six systems, Video-Foley and SyncFusion take the audio prompt.
    assert texts["ground-truth"].count(f'<td>audio<span class="sub">{warning}</span>') == 2
    assert "video-foley: " in texts["same-material"]


def test_the_sound_and_the_text_of_a_prompt_are_told_apart() -> None:
    both = Prompt(kind="audio", policy="video-foley + same-material", text="A person hit wood.")
    assert prompt_entry(both) == {
        "sound": "audio",
        "policy": "same-material",
        "caution": "",
        "text": "A person hit wood.",
    }
    written = Prompt(kind="text", policy="caption", text="A drum.")
    assert prompt_entry(written) == {"sound": "", "policy": "", "caution": "", "text": "A drum."}
    given = prompt_entry(Prompt(kind="audio", policy="ground-truth"))
    assert (given["policy"], given["text"]) == ("ground-truth", None)
    assert "gives the answer away" in str(given["caution"])
