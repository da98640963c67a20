"""Tables in Chromium: columns of seen and unseen clips, and the page that compares runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive_builder import build_archive

from clapstick.protocols.archive import RunArchive
from clapstick.reports.compare import compare_runs
from clapstick.reports.compare_page import write_comparison

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, of which the second has other clips: every column stands apart."""
    folder = tmp_path_factory.mktemp("runs")
    first = build_archive(folder / "first", clip_ids=[f"c{k}" for k in range(12)], media=False)
    second = build_archive(folder / "second", clip_ids=[f"c{k}" for k in range(10)], media=False, seed=1)
    third = build_archive(folder / "third", clip_ids=[f"c{k}" for k in range(12)], media=False, seed=2)
    return write_comparison(compare_runs([first.root, second.root, third.root]), folder / "page.html")


def test_seen_and_unseen_columns_can_be_hidden(page: Page, page_path: Path, archive: RunArchive) -> None:
    page.goto(page_path.as_uri())
    columns = page.locator("#board thead .split:visible")
    assert columns.count() == 6  # seen and unseen for E-L1, envelope correlation and FAD-P
    page.uncheck("#splits")
    assert columns.count() == 0
    page.check("#splits")
    page.locator('[data-cell="syncfusion@e-l1@v2s@seen"]').click()
    drawer = page.locator("#drawer")
    seen = next(r for r in archive.read_splits()["seen"] if (r.metric, r.convention) == ("e-l1", "v2s"))
    value = drawer.locator("dd").nth(1)
    assert value.get_attribute("title") == repr(seen.value)
    assert float(value.inner_text().split()[0]) == pytest.approx(seen.value, abs=1e-3)
    assert "1 of 1 seen clips" in drawer.inner_text()


def test_a_phone_begins_without_them(page: Page, page_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(page_path.as_uri())
    assert page.locator("#board thead .split:visible").count() == 0
    assert not page.is_checked("#splits")


def test_a_merged_value_says_how_it_was_computed(page: Page, comparison: Path) -> None:
    page.goto(comparison.as_uri())
    assert "second: clips 10, all of them in the other run" in page.locator("#board thead").inner_text()
    page.locator("#board tbody .value").first.click()
    drawer = page.locator("#drawer")
    assert drawer.is_visible()
    assert "metric:e-l1" in drawer.inner_text()
    page.keyboard.press("Escape")
    assert not drawer.is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_in_a_comparison(
    browser: Browser, comparison: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
    )
    page = context.new_page()
    page.goto(comparison.as_uri())
    found = Axe().run(page).response["violations"]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert [item["id"] for item in found if item["impact"] in ("serious", "critical")] == []
    assert wide == 0
