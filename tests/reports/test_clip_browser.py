"""The page in Chromium: listening, switching, filtering, keys, links, accessibility."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from archive_builder import SAMPLE_RATE, BuiltSystem, build_archive

from clapstick.protocols.archive import RunArchive
from clapstick.protocols.audio import Audio, write_wav
from clapstick.reports import build_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FRAME_S = 1 / 30


def wait_until(page: Page, condition: str, timeout_s: float = 10.0) -> None:
    """Wait for a condition in the page; its policy forbids the polling that Playwright does by eval."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came true: {condition}"
        page.wait_for_timeout(20)


def open_clip(page: Page, path: Path, clip: str, sound: str = "") -> None:
    """Open a deep link and wait until all sounds are there."""
    page.goto(f"{path.as_uri()}#clip={clip}&sound={sound}")
    wait_until(page, "clapstick.player.ready !== undefined")


def test_nothing_but_the_page_is_loaded_until_clips_are_near(page: Page, page_path: Path) -> None:
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    page.set_viewport_size({"width": 1280, "height": 300})
    page.goto(page_path.as_uri())
    page.wait_for_timeout(200)
    assert not [url for url in loaded if "/sound/" in url or "/video/" in url or "/data/" in url]
    page.locator("#clips").scroll_into_view_if_needed()
    page.wait_for_selector(".clip-row")
    assert not [url for url in loaded if "/sound/" in url or "/video/" in url]


def test_switching_while_playing_keeps_the_position(page: Page, page_path: Path) -> None:
    open_clip(page, page_path, "one", "video-foley")
    page.click("#play")
    wait_until(page, "clapstick.player.position() > 0.3")
    # Position and clock are read in the same moment, before and after the switch.
    before, after, sources = page.evaluate(
        """() => {
          const {player} = clapstick;
          const now = () => player.position() - performance.now() / 1000;
          const before = now();
          const radios = [...document.querySelectorAll("input[name=sound]")];
          radios.find((radio) => radio.value === "syncfusion").click();
          return [before, now(), player.selected];
        }"""
    )
    assert sources == "syncfusion"
    assert abs(after - before) < 0.005
    assert page.evaluate("clapstick.player.playing")
    assert page.locator(".sound-row.selected").get_attribute("data-system") == "syncfusion"


def test_the_chosen_sound_is_heard_and_no_other(page: Page, page_path: Path) -> None:
    open_clip(page, page_path, "one", "video-foley")
    page.click("#play")
    wait_until(page, "clapstick.player.position() > 0.45")
    heard = page.evaluate(
        """async () => {
          const {context, output} = clapstick.player.audio;
          const analyser = context.createAnalyser();
          analyser.fftSize = 2048;
          output.connect(analyser);
          const level = () => {
            const wave = new Float32Array(analyser.fftSize);
            analyser.getFloatTimeDomainData(wave);
            return Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length);
          };
          const loudest = async (name) => {
            clapstick.player.select(name);
            clapstick.player.seek(0.45);
            let most = 0;
            const end = performance.now() + 500;
            while (performance.now() < end) {
              await new Promise(requestAnimationFrame);
              most = Math.max(most, level());
            }
            return most;
          };
          return {loud: await loudest("video-foley"), silent: await loudest("silence")};
        }"""
    )
    assert heard["loud"] > 0.02
    assert heard["silent"] < 1e-4


def test_drawn_envelopes_equal_the_stored_ones(page: Page, page_path: Path) -> None:
    open_clip(page, page_path, "one", "video-foley")
    path = page.locator('.sound-row[data-system="video-foley"] path.line').get_attribute("d")
    assert path is not None
    drawn = [tuple(map(float, point.split(","))) for point in path[1:].split("L")]
    sound = {}
    for name in ("reference", "video-foley", "syncfusion", "two-stage-tiny", "spec-vqgan", "silence"):
        (file,) = (page_path.parent / "sound" / "one").glob(f"{name}.*.js")
        sound[name] = json.loads(file.read_text().split(", ", 1)[1].removesuffix(");\n"))
    top = max(max(values["rms"]) for values in sound.values())
    stored = sound["video-foley"]
    assert len(drawn) == len(stored["rms"])
    for index, (x, y) in enumerate(drawn):
        assert x == pytest.approx(index * stored["hop_s"] / 2.0 * 1000, abs=0.006)
        assert y == pytest.approx(100 - stored["rms"][index] / top * 96, abs=0.006)
    onsets = page.locator('.sound-row[data-system="video-foley"] line.detected')
    assert [float(onset.get_attribute("x1") or "nan") for onset in onsets.all()] == pytest.approx(
        [time_s / 2.0 * 1000 for time_s in stored["onsets_s"]], abs=0.006
    )
    annotated = page.locator('.sound-row[data-system="video-foley"] line.annotated')
    assert [float(line.get_attribute("x1") or "nan") for line in annotated.all()] == [250.0, 600.0]


def test_orders_and_filters(page: Page, page_path: Path, archive: RunArchive) -> None:
    page.goto(page_path.as_uri())
    page.locator("#clips").scroll_into_view_if_needed()
    page.wait_for_selector(".clip-row")
    names = lambda: page.locator(".clip-name").all_inner_texts()  # noqa: E731
    scores = archive.read_scores()
    mine = scores[(scores.system == "video-foley") & (scores.metric == "e-l1") & (scores.convention == "v2s")]
    worst = mine.dropna(subset="value").sort_values("value", ascending=False)["clip"].tolist()
    assert names() == [*worst, "four"]
    page.select_option("#sort-order", "best")
    assert names() == [*reversed(worst), "four"]
    page.select_option("#sort-order", "disagreement")
    competing = scores[scores.system.isin(["video-foley", "syncfusion", "two-stage-tiny", "spec-vqgan"])]
    competing = competing[(competing.metric == "e-l1") & (competing.convention == "v2s")]
    spread = competing.groupby("clip")["value"].std().dropna().sort_values(ascending=False)
    assert names() == [*spread.index, "four"]
    page.select_option("#sort-order", "influence")
    values = mine.set_index("clip")["value"].dropna()
    influence = ((values.mean() - values) / (len(values) - 1)).abs().sort_values(ascending=False)
    assert names() == [*influence.index, "four"]
    page.select_option("#filter-material", "=metal")
    assert sorted(names()) == ["four", "one"]
    page.select_option("#filter-action", "=hit")
    assert names() == ["one"]
    assert page.inner_text("#clip-count") == "1 of 4 clips"
    page.select_option("#filter-material", "")
    page.select_option("#filter-action", "")
    page.select_option("#sort-system", "syncfusion")
    page.select_option("#filter-seen", "seen")
    assert names() == ["one"]
    page.select_option("#filter-seen", "")
    page.fill("#filter-text", "TWO")
    assert names() == ["two"]


def test_a_link_opens_clip_sound_and_time(page: Page, page_path: Path) -> None:
    page.goto(f"{page_path.as_uri()}#clip=three&sound=spec-vqgan&t=0.75")
    wait_until(page, "clapstick.player.ready !== undefined")
    assert page.inner_text("#clip-title") == "three"
    assert page.evaluate("clapstick.player.selected") == "spec-vqgan"
    assert page.evaluate("clapstick.player.position()") == pytest.approx(0.75)
    page.click("#next")
    wait_until(page, "document.getElementById('clip-title').textContent !== 'three'")
    assert "clip=three" not in page.url
    assert "sound=spec-vqgan" in page.url


def test_a_link_to_an_unknown_clip_says_so(page: Page, page_path: Path) -> None:
    page.goto(f"{page_path.as_uri()}#clip=none-such")
    wait_until(page, "document.getElementById('clip-empty').textContent.includes('does not have')")


def test_everything_works_by_keyboard_alone(page: Page, page_path: Path) -> None:
    page.goto(page_path.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#clips").scroll_into_view_if_needed()
    page.wait_for_selector(".clip-row")
    page.focus("#filter-text")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "clip-list"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    wait_until(page, "clapstick.player.ready !== undefined")
    title = page.inner_text("#clip-title")
    page.keyboard.press("3")
    assert page.evaluate("clapstick.player.selected") in ("syncfusion", "video-foley")
    page.keyboard.press("2")
    assert page.evaluate("clapstick.player.selected") == "video-foley"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("clapstick.player.position()") == pytest.approx(0.1)
    page.keyboard.press("Space")
    wait_until(page, "clapstick.player.playing && clapstick.player.position() > 0.2")
    page.keyboard.press("Space")
    assert not page.evaluate("clapstick.player.playing")
    page.keyboard.press("PageDown")
    wait_until(page, f"document.getElementById('clip-title').textContent !== {json.dumps(title)}")


def test_the_drawer_says_how_a_value_was_computed(page: Page, page_path: Path) -> None:
    page.goto(page_path.as_uri())
    link = page.locator('[data-cell="video-foley@e-l1@v2s"]')
    assert re.fullmatch(r"\d+\.\d+", link.inner_text())
    link.focus()
    page.keyboard.press("Enter")
    drawer = page.locator("#drawer")
    assert drawer.is_visible()
    text = drawer.inner_text()
    assert "metric:e-l1|convention:v2s|n:3|rate:16000|resampler:soxr_hq|seed:0|version:0.1.0" in text
    assert "3 of 4" in text
    page.keyboard.press("Escape")
    assert not drawer.is_visible()


def test_alike_clips_are_not_called_better_than_others(page: Page, tmp_path: Path) -> None:
    archive = build_archive(tmp_path / "run", media=False)
    for system in ("reference", "silence"):
        for clip in archive.read_clips():
            path = archive.audio_wav(system, clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, Audio(np.zeros((SAMPLE_RATE, 1), dtype=np.float32), SAMPLE_RATE))
    scores = pd.read_parquet(archive.root / "scores.parquet")
    scores.loc[(scores.system == "reference") & scores.value.notna(), "value"] = 0.0
    scores.to_parquet(archive.root / "scores.parquet")
    open_clip(page, build_report(archive.root), "one")
    rows = {
        name: page.locator(f'.sound-row[data-system="{name}"]').inner_text()
        for name in ("reference", "silence")
    }
    assert "E-L1 0.00" in rows["reference"]
    assert "better than" not in rows["reference"]
    assert re.search(r"better than on \d+ % of its clips", rows["silence"])
    assert "audio prompt" in page.inner_text("#clip-facts")


def test_a_system_that_failed_shows_why(page: Page, page_path: Path) -> None:
    open_clip(page, page_path, "two")
    row = page.locator('.sound-row[data-system="syncfusion"]')
    assert "raised ValueError" in row.inner_text()
    assert row.locator("input").is_disabled()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_serious_violation(browser: Browser, page_path: Path, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # The page's policy forbids scripts that are not its own; axe has to be let in.
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    open_clip(page, page_path, "one")
    page.check("#spectrograms")
    found = Axe().run(page).response["violations"]
    page.locator("[data-cell]").first.click()
    found += Axe().run(page, "#drawer").response["violations"]
    context.close()
    serious = [
        (item["id"], [node["html"][:120] for node in item["nodes"]][:3])
        for item in found
        if item["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_never_wider_than_the_window(page: Page, page_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_clip(page, page_path, "one")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_text_shows_as_text(page: Page, tmp_path: Path) -> None:
    names = (
        '<script>document.title="owned"</script>',
        '"><img src=x onerror=alert(1)>',
        "مقطع ‮abc",
        "a'b`${1}",
    )
    systems = (BuiltSystem("mine", names[1]), BuiltSystem("silence", names[0], role="control", error=0.2))
    archive = build_archive(
        tmp_path / "run",
        clip_ids=names,
        systems=systems,
        title=names[0],
        prompt_text=names[1],
        failed=[("mine", names[2])],
    )
    path = build_report(archive.root)
    page.goto(path.as_uri())
    assert page.title() == f"{names[0]} · Clapstick"
    page.locator("#clips").scroll_into_view_if_needed()
    page.wait_for_selector(".clip-row")
    assert sorted(page.locator(".clip-name").all_inner_texts()) == sorted(names)
    page.select_option("#sort-order", "id")
    for row in range(len(names)):
        page.locator(".clip-row").nth(row).click()
        wait_until(page, "clapstick.player.ready !== undefined")
        assert page.inner_text("#clip-title") in names
        assert f"“{names[1]}”" in page.inner_text("#clip-facts")
    page.locator("[data-cell]").first.click()
    assert names[1] in page.inner_text("#drawer-title") or names[0] in page.inner_text("#drawer-title")
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == f"{names[0]} · Clapstick"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server, because only there a test may look into the pictures of a video."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", tmp_path
        running.shutdown()
        thread.join()


def test_picture_overlay_and_sound_stay_within_a_frame(page: Page, server: tuple[str, Path]) -> None:
    """A white frame and a click at 1.5 s: both are timed on the browser's clock, and the cursor with them."""
    address, folder = server
    archive = build_archive(folder / "run", clip_ids=("flash",), duration_s=3.0, onsets_s=(1.5,))
    build_report(archive.root)
    for _ in range(4):  # a busy machine may drop the one frame that is white: then it is played again
        page.goto(f"{address}/run/report/index.html#clip=flash&sound=reference")
        page.reload()
        wait_until(page, "clapstick.player.ready !== undefined")
        page.click("#play")
        measured = page.evaluate(FLASH_AND_CLICK)
        if measured["flash"] is not None and measured["click"] is not None:
            break
    assert measured["flash"] is not None
    assert measured["click"] is not None
    assert abs(measured["flash"] - measured["click"]) < FRAME_S, measured
    assert abs(measured["cursor"] - 1.5) < FRAME_S, measured


FLASH_AND_CLICK = """
async () => {
  const {player} = clapstick;
  const video = document.getElementById("video");
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 4;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const {context, output} = player.audio;
  const analyser = context.createAnalyser();
  analyser.fftSize = 2048;
  output.connect(analyser);
  const wave = new Float32Array(analyser.fftSize);
  const latency = context.outputLatency || context.baseLatency || 0;
  let flash = null, click = null, cursor = null;
  video.requestVideoFrameCallback(function look(now, frame) {
    pen.drawImage(video, 0, 0, 4, 4);
    if (flash === null && pen.getImageData(1, 1, 1, 1).data[0] > 200) flash = frame.expectedDisplayTime;
    video.requestVideoFrameCallback(look);
  });
  const end = performance.now() + 2500;
  while (performance.now() < end && (flash === null || click === null)) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    analyser.getFloatTimeDomainData(wave);
    const first = wave.findIndex((value) => Math.abs(value) > 0.05);
    if (click === null && first >= 0) {
      // The last sample of the buffer is being made now and is heard a latency later.
      click = performance.now() - ((wave.length - first) / context.sampleRate - latency) * 1000;
      // The player moves the cursor once a frame, before this callback of the same frame.
      await new Promise(requestAnimationFrame);
      const share = parseFloat(document.getElementById("rows").style.getPropertyValue("--position"));
      cursor = share * player.duration - (performance.now() - click) / 1000;
    }
  }
  return {flash: flash && flash / 1000, click: click && click / 1000, cursor};
}
"""
