"""Comparing runs: equal settings merge, different ones are named, chance is not called progress."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from archive_builder import SYSTEMS, build_archive
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import ClapstickError
from clapstick.reports.compare import compare_runs

CLIPS = tuple(f"clip-{index}" for index in range(40))


def run(root: Path, *, seed: int = 0, better: float = 0.0, clips: tuple[str, ...] = CLIPS) -> RunArchive:
    """Build a run whose ``video-foley`` is better by an amount."""
    systems = tuple(
        replace(system, error=system.error - better) if system.name == "video-foley" else system
        for system in SYSTEMS
    )
    return build_archive(root, clip_ids=clips, systems=systems, media=False, seed=seed)


def test_a_real_gain_is_better_and_the_rest_is_noise(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after", seed=1, better=0.01)
    found = compare_runs([before.root, after.root])
    assert found.separated == ()
    verdicts = {(c.system, c.metric): c for c in found.changes if c.convention != "tfoley"}
    gain = verdicts["video-foley", "e-l1"]
    assert gain.verdict == "better"
    assert gain.difference == pytest.approx(gain.value_b - gain.value_a)
    assert gain.ci_low is not None
    assert gain.ci_high is not None
    assert gain.ci_low < -0.01 + 0.002 < gain.ci_high + 0.004
    assert gain.clips == 40
    assert verdicts["video-foley", "envelope-correlation"].verdict == "better"
    assert verdicts["syncfusion", "e-l1"].verdict == "within noise"
    assert verdicts["silence", "e-l1"].verdict == "within noise"
    worse = {(c.system, c.metric): c.verdict for c in compare_runs([after.root, before.root]).changes}
    assert worse["video-foley", "e-l1"] == "worse"


def test_the_same_run_twice_changes_nothing(tmp_path: Path) -> None:
    first, second = run(tmp_path / "one"), run(tmp_path / "two")
    found = compare_runs([first.root, second.root])
    assert {change.verdict for change in found.changes} == {"within noise"}
    assert {change.difference for change in found.changes} == {0.0}


@pytest.mark.slow
def test_identical_systems_seldom_get_a_winner(tmp_path: Path) -> None:
    """Two runs of equal systems, 60 times over six systems: at most 5 % of the families name a change.

    With a true rate of 0.05, 60 families exceed 8 with probability 0.003.
    """
    first = run(tmp_path / "first", seed=1000)
    false_winners = 0
    for seed in range(60):
        later = run(tmp_path / f"later-{seed}", seed=seed)
        changes = [c for c in compare_runs([first.root, later.root]).changes if c.convention == "v2s"]
        assert len(changes) == len(SYSTEMS)
        false_winners += any(change.verdict != "within noise" for change in changes)
    assert false_winners <= 8


def test_other_settings_are_kept_apart_and_named(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after")
    summary = json.loads((after.root / "summary.json").read_text())
    for record in summary["scores"]:
        if record["metric"] == "e-l1" and record["convention"] == "v2s":
            record["signature"] = record["signature"].replace("soxr_hq", "soxr_vhq")
    (after.root / "summary.json").write_text(json.dumps(summary))
    found = compare_runs([before.root, after.root])
    (apart,) = found.separated
    assert (apart.metric, apart.convention) == ("e-l1", "v2s")
    assert apart.differences == {"resampler": ("soxr_hq", "soxr_vhq")}
    merged_runs = {item.run for item in found.merged if item.score.convention == "v2s"}
    assert merged_runs == {"before"}
    assert not [change for change in found.changes if change.convention == "v2s"]
    assert compare_runs([before.root, after.root], allow=["resampler"]).separated == ()


def test_other_clips_are_kept_apart(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after", clips=CLIPS[:30])
    found = compare_runs([before.root, after.root])
    assert found.changes == ()
    assert found.separated[0].differences == {
        "clips": ("40, 10 of them not in the other run", "30, all of them in the other run")
    }


def test_archives_without_statistics_are_not_tested_and_say_so(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after")
    for path in (after.root / "statistics").rglob("*.safetensors"):
        path.unlink()
    found = compare_runs([before.root, after.root])
    assert {change.verdict for change in found.changes} == {"not tested"}
    assert all("score it again" in change.reason for change in found.changes)


def test_the_page_lists_what_changed_and_holds_hostile_names_as_text(tmp_path: Path) -> None:
    before, after = run(tmp_path / "<i>before"), run(tmp_path / "after", seed=1, better=0.01)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(build_app(), ["compare", str(before.root), str(after.root), "-o", str(page)])
    assert result.exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "<i>before" not in text
    assert "&lt;i&gt;before" in text
    assert text.count('class="better significant"') == 3
    assert "script-src &#39;sha256-" in text
    assert "Nothing: every column has the same signature" in text


def test_rows_with_the_same_values_are_printed_once_and_are_no_change(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after", better=0.01)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(build_app(), ["compare", str(before.root), str(after.root), "-o", str(page)])
    assert result.exit_code == 0
    merged, changes = result.stdout.split("Changes from the first run")
    rows = [[cell.strip() for cell in line.split("│")] for line in merged.splitlines() if "e-l1@v2s" in line]
    origins = [(row[1], row[2]) for row in rows]
    assert ("silence", "before, after") in origins
    assert [origin for origin in origins if origin[0] == "video-foley"] == [
        ("video-foley", "before"),
        ("video-foley", "after"),
    ]
    assert len(origins) == len(SYSTEMS) + 1
    assert "silence" not in changes
    assert "video-foley" in changes
    # Three clip-level columns of five systems, of which one system differs.
    equal = 3 * (len(SYSTEMS) - 1)
    assert f"{equal} values are the same as in the first run" in result.stderr
    text = page.read_text(encoding="utf-8")
    assert f"Not listed: {equal} values that are the same as in <bdi>before</bdi>" in text
    assert text.count('class="within-noise"') == 0


def test_one_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="needs two runs"):
        compare_runs([tmp_path])


def test_the_command_prints_json_and_ends_with_1_where_columns_are_apart(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after", clips=CLIPS[:30])
    result = CliRunner().invoke(build_app(), ["compare", str(before.root), str(after.root), "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["runs"] == ["before", "after"]
    assert document["separated"][0]["differences"]["clips"] == [
        "40, 10 of them not in the other run",
        "30, all of them in the other run",
    ]
    same = CliRunner().invoke(build_app(), ["compare", str(before.root), str(before.root / ".." / "before")])
    assert same.exit_code != 0
    assert np.isfinite(document["merged"][0]["value"])
