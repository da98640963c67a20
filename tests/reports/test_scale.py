"""A report of 732 clips and 8 systems, its records alone: built, opened and scrolled."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive_builder import BuiltSystem, build_archive

from clapstick.reports import build_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.benchmark]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The page, and the seconds that its build took."""
    systems = tuple(BuiltSystem(f"system-{k}", f"System {k}", error=0.01 * (k + 1)) for k in range(6))
    systems += (
        BuiltSystem("reference", "Reference", role="control", error=0.0, sees_reference=True),
        BuiltSystem("silence", "Silence", role="control", error=0.08),
    )
    archive = build_archive(
        tmp_path_factory.mktemp("large") / "run",
        clip_ids=[f"2015-02-16-16-49-06_{k}" for k in range(732)],
        systems=systems,
        media=False,
    )
    start = time.perf_counter()
    page = build_report(archive.root)
    return page, time.perf_counter() - start


def test_it_is_built_in_less_than_a_minute(large: tuple[Path, float]) -> None:
    assert large[1] < 60


def test_it_opens_at_once_and_keeps_few_rows(large: tuple[Path, float], browser: Browser) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(large[0].as_uri())
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1000
    page.locator("#clips").scroll_into_view_if_needed()
    page.wait_for_selector(".clip-row")
    scrolled = page.evaluate(
        """async () => {
          const list = document.getElementById("clip-list");
          const frames = [];
          let rows = 0;
          let before = await new Promise(requestAnimationFrame);
          for (let top = 0; top < list.scrollHeight; top += 300) {
            list.scrollTop = top;
            const now = await new Promise(requestAnimationFrame);
            frames.push(now - before);
            rows = Math.max(rows, list.querySelectorAll(".clip-row").length);
            before = now;
          }
          frames.sort((a, b) => a - b);
          return {median: frames[Math.floor(frames.length / 2)], rows};
        }"""
    )
    assert scrolled["rows"] < 60
    assert scrolled["median"] < 34  # two frames of a 60 Hz screen
    start = page.evaluate("performance.now()")
    page.select_option("#sort-order", "disagreement")
    assert page.evaluate("performance.now()") - start < 1000
