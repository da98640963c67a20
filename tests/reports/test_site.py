"""Sites of many runs, reports in one file, published numbers, and the command."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive_builder import BuiltSystem, build_archive
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import find_protocol
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.published import published_rows
from clapstick.reports.run_data import read_run
from clapstick.reports.single_file import MOST_BYTES, build_single_file
from clapstick.reports.site import build_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ATOM = "{http://www.w3.org/2005/Atom}"


def test_a_site_has_an_index_a_feed_and_addresses_that_stay(archive: RunArchive, tmp_path: Path) -> None:
    other = build_archive(tmp_path / "other", clip_ids=("x",), title="<b>Other</b> & more", seed=7)
    index = build_site([archive.root], tmp_path / "site", address="https://example.org/foley/")
    (first,) = (tmp_path / "site" / "runs").iterdir()
    build_site([other.root], tmp_path / "site", address="https://example.org/foley/")
    pages = sorted((tmp_path / "site" / "runs").glob("*/index.html"))
    assert first / "index.html" in pages
    assert len(pages) == 2
    text = index.read_text(encoding="utf-8")
    assert all(f"runs/{page.parent.name}/index.html" in text for page in pages)
    assert "<b>Other</b>" not in text
    assert [text.count(f"<bdi>{name}</bdi>") for name in ("run", "other")] == [1, 1], "runs are told by folder"
    feed = ElementTree.fromstring((tmp_path / "site" / "feed.xml").read_text(encoding="utf-8"))
    entries = feed.findall(f"{ATOM}entry")
    assert {entry.findtext(f"{ATOM}title") for entry in entries} == {
        "Test protocol, run: 4 clips, 4 systems",
        "<b>Other</b> & more, other: 1 clips, 4 systems",
    }
    links = {link.attrib["href"] for link in feed.iter(f"{ATOM}link")}
    assert f"https://example.org/foley/runs/{first.name}/index.html" in links
    assert '<a href="../../index.html">' in (first / "index.html").read_text(encoding="utf-8")


def test_one_file_works_alone(archive: RunArchive, tmp_path: Path, browser: Browser) -> None:
    page_path = build_single_file(archive.root, tmp_path / "alone.html", clips=["one"])
    assert page_path.stat().st_size < MOST_BYTES
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{page_path.as_uri()}#clip=one&sound=video-foley")
    for _ in range(500):
        if page.evaluate(
            "clapstick.player.ready !== undefined && document.getElementById('video').readyState > 1"
        ):
            break
        page.wait_for_timeout(20)
    assert page.locator(".sound-row path.line").count() == 6
    page.click("#play")
    for _ in range(500):
        if page.evaluate("clapstick.player.position()") > 0.2:
            break
        page.wait_for_timeout(20)
    assert page.evaluate("clapstick.player.playing")
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", page_path.as_uri()))] == []


def test_one_file_names_an_unknown_clip(archive: RunArchive, tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="no such clip"):
        build_single_file(archive.root, tmp_path / "alone.html", clips=["five"])


def test_published_numbers_stand_beside_measured_ones(tmp_path: Path) -> None:
    systems = (
        BuiltSystem("video-foley", "Video-Foley", prompts=("audio",), error=0.02),
        BuiltSystem("syncfusion", "SyncFusion", prompts=("audio",), error=0.05),
    )
    archive = build_archive(tmp_path / "run", clip_ids=("a", "b"), systems=systems, media=False)
    assert published_rows(read_run(archive.root), make_leaderboard(read_run(archive.root))) == []
    values = json.loads((archive.root / "run.json").read_text())
    values["protocol"] = find_protocol("video-foley-table2").model_dump(mode="json")
    (archive.root / "run.json").write_text(json.dumps(values))
    data = read_run(archive.root)
    rows = published_rows(data, make_leaderboard(data))
    mine = next(row for row in rows if row.system == "Video-Foley" and row.column == "E-L1")
    assert mine.published.startswith("0.009")
    score = data.score_of["video-foley", "e-l1", "v2s"]
    assert score.value is not None
    assert float(mine.measured) == pytest.approx(score.value, abs=1e-4)
    # Two clips are not the 732 of the paper: no difference is shown.
    assert mine.comparable == "✕ not comparable"
    assert "measured on 2" in mine.why
    assert mine.difference == ""
    unmeasured = next(row for row in rows if row.column.startswith("FAD-P"))
    assert unmeasured.measured == ""


def test_the_report_command(archive: RunArchive, tmp_path: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(build_app(), ["report", str(archive.root), "--out", str(tmp_path / "r"), "--json"])
    assert result.exit_code == 0
    assert Path(json.loads(result.stdout)["report"]).is_file()
    with pytest.raises(ClapstickError, match="a site needs a folder"):
        runner.invoke(build_app(), ["report", str(archive.root), str(archive.root)], catch_exceptions=False)
