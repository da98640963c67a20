"""What a narrow window shows of a report, in Chromium: everything is reachable, and one sees that it is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from archive_builder import SYSTEMS, BuiltSystem, build_archive

from clapstick.reports import build_report

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PHONE = {"width": 390, "height": 844}
LEGIBLE_PIXELS = 9.5


def box_of(place: Locator) -> tuple[float, float]:
    """Return the left and right edge of an element, in pixels of the window."""
    box = place.bounding_box()
    assert box is not None
    return box["x"], box["x"] + box["width"]


def test_every_section_can_be_reached_from_the_navigation_of_a_phone(page: Page, page_path: Path) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(page_path.as_uri())
    links = page.locator("nav a").all()
    assert len(links) == 7
    for link in links:
        left, right = box_of(link)
        assert left >= 0
        assert right <= PHONE["width"]
    links[-1].click()
    page.wait_for_timeout(700)  # the page scrolls smoothly
    bar = page.locator("nav").bounding_box()
    title = page.locator("#errors-title").bounding_box()
    assert bar is not None
    assert title is not None
    assert title["y"] >= bar["y"] + bar["height"], "the navigation covers no title"


def test_an_error_is_read_on_a_phone_without_scrolling_sideways(page: Page, page_path: Path) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(page_path.as_uri())
    (row,) = page.locator("#errors tbody tr").all()
    for words in ("raised ValueError", "Mend the system."):
        left, right = box_of(row.get_by_text(words))
        assert left >= 0
        assert right <= PHONE["width"]
    assert page.locator("#errors .scroll").evaluate("box => box.scrollWidth - box.clientWidth") == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_words_in_figures_stay_legible(page: Page, page_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(page_path.as_uri())
    smallest = page.evaluate(
        """() => Math.min(...[...document.querySelectorAll("figure svg")].flatMap((svg) => {
          const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
          const size = (word) => scale * parseFloat(getComputedStyle(word).fontSize);
          return [...svg.querySelectorAll("text")].map(size);
        }))"""
    )
    assert smallest >= LEGIBLE_PIXELS
    captions = page.locator("figcaption").all()
    assert all(box_of(caption)[1] <= width for caption in captions)


def right_edge(place: Locator) -> np.ndarray:
    """Return the grey values of the last pixels in the middle of an element, where a shadow would be."""
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("L"), dtype=np.float64)
    return picture[:, -12:].mean(axis=0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_with_more_to_the_right_has_a_shadow_there(page: Page, tmp_path: Path, scheme: str) -> None:
    many = tuple(BuiltSystem(f"system-{k}", f"System with the long name {k}") for k in range(14))
    archive = build_archive(tmp_path / "run", systems=(*SYSTEMS, *many), media=False)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(build_report(archive.root).as_uri())
    table = page.locator("#breakdown .scroll").first
    assert table.evaluate("box => box.scrollWidth - box.clientWidth") > 100
    begins = right_edge(table)
    table.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    page.wait_for_timeout(100)
    ends = right_edge(table)
    assert abs(begins[-1] - ends[-1]) > 25
