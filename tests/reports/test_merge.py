"""Several runs as one leaderboard: shared columns where signatures agree, columns of their own where not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archive_builder import BuiltSystem, build_archive

from clapstick.protocols.archive import RunArchive
from clapstick.reports.board import Leaderboard
from clapstick.reports.compare import compare_runs
from clapstick.reports.compare_page import write_comparison
from clapstick.reports.merge import merge_runs

CLIPS = tuple(f"clip-{index}" for index in range(40))
CONTROLS = (
    BuiltSystem("reference", "Reference", role="control", error=0.0, sees_reference=True),
    BuiltSystem("silence", "Silence", role="control", error=0.08),
)


def run(root: Path, *systems: BuiltSystem, seed: int = 0) -> RunArchive:
    """Build a run; the controls come first, so that runs of one seed have equal ones."""
    return build_archive(root, clip_ids=CLIPS, systems=(*CONTROLS, *systems), media=False, seed=seed)


def other_resampler(archive: RunArchive, metric: str) -> None:
    """Write another resampler into the signatures of a metric."""
    summary = json.loads((archive.root / "summary.json").read_text())
    for record in summary["scores"]:
        if record["metric"] == metric:
            record["signature"] = record["signature"].replace("soxr_hq", "soxr_vhq")
    (archive.root / "summary.json").write_text(json.dumps(summary))


def cells(board: Leaderboard, system: str) -> dict[str, object]:
    """Return column name -> value of one row."""
    row = next(row for row in board.rows if row.system.name == system)
    return {
        column.key: None if cell.score is None else cell.score.value
        for column, cell in zip(board.columns, row.cells, strict=True)
    }


def test_systems_of_two_runs_stand_and_are_ranked_in_one_table(tmp_path: Path) -> None:
    first = run(tmp_path / "one", BuiltSystem("mine", "Mine", error=0.02))
    second = run(tmp_path / "two", BuiltSystem("theirs", "Theirs", error=0.05))
    merged = merge_runs(compare_runs([first.root, second.root]))
    rows = {row.system.name: row for row in merged.board.rows}
    assert list(rows) == ["mine", "theirs", "reference", "silence"]
    # The controls have the same values in both runs and are one row each.
    assert {name: row.origin for name, row in rows.items()} == {
        "mine": "one",
        "theirs": "two",
        "reference": "one, two",
        "silence": "one, two",
    }
    # Errors of 0.02 and 0.05 with noise below 0.01, on 40 clips of 20 recordings: no overlap.
    e_l1 = {name: row.cells[0] for name, row in rows.items()}
    assert (e_l1["mine"].mark, e_l1["mine"].rank) == ("best", "1")
    assert (e_l1["theirs"].mark, e_l1["theirs"].rank) == ("", "2")
    assert "Mine is best" in merged.board.findings[0]


def test_the_same_system_in_two_runs_has_a_row_for_each(tmp_path: Path) -> None:
    first = run(tmp_path / "before", BuiltSystem("mine", "Mine", error=0.03))
    second = run(tmp_path / "after", BuiltSystem("mine", "Mine", error=0.02))
    merged = merge_runs(compare_runs([first.root, second.root]))
    titles = {row.system.name: row.system.title for row in merged.board.rows}
    assert titles["mine"] == "Mine"
    assert titles["mine (after)"] == "Mine (after)"
    assert len(titles) == 4
    before, after = (cells(merged.board, name)["e-l1@v2s"] for name in ("mine", "mine (after)"))
    assert isinstance(before, float)
    assert after == pytest.approx(before - 0.01, abs=1e-9)


def test_other_signatures_have_columns_of_their_own(tmp_path: Path) -> None:
    first = run(tmp_path / "one", BuiltSystem("mine", "Mine", error=0.02))
    second = run(tmp_path / "two", BuiltSystem("theirs", "Theirs", error=0.05))
    third = run(tmp_path / "three", BuiltSystem("more", "More", error=0.06))
    for archive in (second, third):
        other_resampler(archive, "e-l1")
    found = compare_runs([first.root, second.root, third.root])
    # The second and the third agree with each other and share the column.
    agreed = [(c.runs, c.differences) for c in found.columns if (c.metric, c.convention) == ("e-l1", "v2s")]
    assert agreed == [(("one",), {}), (("two", "three"), {"resampler": ("soxr_hq", "soxr_vhq")})]
    board = merge_runs(found).board
    apart = "e-l1@v2s@two, three: resampler soxr_vhq, not soxr_hq"
    assert [column.key for column in board.columns][:2] == ["e-l1@v2s", apart]
    assert cells(board, "mine")[apart] is None
    assert cells(board, "theirs")["e-l1@v2s"] is None
    assert isinstance(cells(board, "theirs")[apart], float)
    # Theirs leads the column that it shares with More, and is not told from Mine by any test.
    marks = {row.system.name: (row.cells[0].mark, row.cells[1].mark) for row in board.rows}
    assert marks["mine"] == ("", "")
    assert marks["theirs"] == ("", "best")


def test_clips_that_a_system_has_seen_stay_apart(tmp_path: Path) -> None:
    first = run(tmp_path / "one", BuiltSystem("mine", "Mine", error=0.02))
    second = run(tmp_path / "two", BuiltSystem("syncfusion", "SyncFusion", error=0.05))
    board = merge_runs(compare_runs([first.root, second.root])).board
    rows = {row.system.name: row for row in board.rows}
    assert rows["mine"].splits == ()
    seen, unseen = rows["syncfusion"].splits[0]
    assert seen.score is not None
    assert unseen.score is not None
    assert (seen.score.n, unseen.score.n) == (1, 39)
    assert len(board.overlaps) == 1


def test_the_page_shows_every_value_and_why_columns_are_apart(tmp_path: Path) -> None:
    first = run(tmp_path / "one", BuiltSystem("mine", "<b>Mine</b>", error=0.02))
    second = run(tmp_path / "two", BuiltSystem("theirs", "Theirs", error=0.05))
    other_resampler(second, "envelope-correlation")
    page = write_comparison(compare_runs([first.root, second.root]), tmp_path / "page.html")
    text = page.read_text(encoding="utf-8")
    assert "<b>Mine</b>" not in text
    assert "two: resampler soxr_vhq, not soxr_hq" in text
    drawn = json.loads(text.partition('id="cells">')[2].partition("</script>")[0])
    for archive, system in ((first, "mine"), (second, "theirs")):
        for record in archive.read_summary():
            if record.system == system and record.value is not None:
                lines = [
                    {name: digits[0] if digits else text for name, text, *digits in cell["lines"]}
                    for key, cell in drawn.items()
                    if key.startswith(f"{system}@{record.metric}@{record.convention}")
                ]
                assert float(lines[0]["Value"]) == record.value
