"""A built report, and a browser to open it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive_builder import build_archive

from clapstick.protocols.archive import RunArchive
from clapstick.reports import build_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> RunArchive:
    """Four clips, six systems; one system failed on clip ``two``, clip ``four`` has no reference."""
    return build_archive(
        tmp_path_factory.mktemp("run") / "run",
        failed=[("syncfusion", "two")],
        without_reference=("four",),
    )


@pytest.fixture(scope="session")
def page_path(archive: RunArchive) -> Path:
    """The page of that run."""
    return build_report(archive.root, workers=2)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    if not CHROMIUM.is_file():
        pytest.skip(f"needs {CHROMIUM}: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()
