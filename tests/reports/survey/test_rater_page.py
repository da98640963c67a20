"""A rater goes through a packet in a real browser: from disk and from the server, by keyboard, with a break."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from survey_raters import plan_and_key, small_packet, small_run

from clapstick.reports.survey.packet import MadePacket
from clapstick.reports.survey.plan import Plan, Session, sha256_of
from clapstick.reports.survey.results import score_packet
from clapstick.reports.survey.server import build_server
from clapstick.reports.survey.store import AnswerStore

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason="Chromium is not installed")

EXTRA = (
    "questions.count=2",
    "presentation.training_pages=1",
    "presentation.attention_pages=1",
    "presentation.repeated_pages=1",
    'title="<b>Bold</b> & \\"quoted\\""',
)
TWO_SYSTEMS = ["video-foley", "spec-vqgan"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("run"), clips=5)


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> MadePacket:
    return small_packet(run, tmp_path_factory.mktemp("made"), raters=2, extra=EXTRA)


def watched(context):
    """Open a page that fails the test on any script error or refused content."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.problems = problems
    return page


def press_to(page, name: str) -> None:
    """Reach a button with the Tab key and press it."""
    for _ in range(60):
        focused = page.evaluate("document.activeElement.innerText || ''")
        if name in focused:
            page.keyboard.press("Enter")
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no button {name!r} in reach of the keyboard")


def heading(page, text: str) -> None:
    playwright.expect(page.locator("h1")).to_contain_text(text, timeout=30_000)


def on_page(page, number: int) -> None:
    playwright.expect(page.locator("#where")).to_have_text(re.compile(f"^Page {number} of"), timeout=30_000)


def begin_by_keyboard(page) -> None:
    press_to(page, "I agree")
    heading(page, "What to do")
    playwright.expect(page.locator("h1")).to_be_focused()  # a new page takes the focus once it is drawn
    press_to(page, "Go on")
    heading(page, "Can you hear it?")
    page.get_by_label("How many beeps?").focus()
    page.keyboard.type("9")
    page.keyboard.press("Enter")
    page.get_by_text("That is not the number").wait_for()
    page.get_by_label("How many beeps?").fill("4")
    page.get_by_label("How many beeps?").focus()
    page.keyboard.press("Enter")
    heading(page, "Do picture and sound arrive together?")
    press_to(page, "together in video 1")
    page.get_by_text("In another one they are closer together").wait_for()
    press_to(page, "together in video 2")


def answer_page_by_keyboard(
    page, session: Session, number: int, values: dict[tuple[str, str, str], int]
) -> None:
    """Play every sound with its letter, answer with digits, leave with Enter."""
    own = session.pages[number]
    paired = "choice" in {sound for _, sound, _ in values}
    on_page(page, number + 1)
    for index, sound in enumerate(own.sounds):
        page.keyboard.press("abcdefgh"[index])
        mark = page.locator(".sounds small").nth(index)
        playwright.expect(mark).to_have_text(re.compile("^heard"), timeout=30_000)
        if not paired:
            for criterion in session.criteria:
                page.keyboard.press(str(values[own.id, sound, criterion]))
    if paired:
        for criterion in session.criteria:
            page.keyboard.press(str(values[own.id, "choice", criterion]))
    page.get_by_role("heading", level=1).focus()
    page.keyboard.press("Enter")


def chosen_values(plan: Plan, session: Session) -> dict[tuple[str, str, str], int]:
    paired = plan.design.kind == "forced-choice"
    return {
        (page.id, sound, criterion): 1 + (place + number + index) % (2 if paired else 5)
        for place, page in enumerate(session.pages)
        for number, sound in enumerate(["choice"] if paired else page.sounds)
        for index, criterion in enumerate(session.criteria)
    }


def test_by_keyboard_from_disk_with_a_break_and_a_file_that_scores(
    browser, made: MadePacket, tmp_path: Path
) -> None:
    plan, _ = plan_and_key(made)
    session = plan.sessions[0]
    values = chosen_values(plan, session)
    url = f"{(made.packet / 'index.html').as_uri()}#{session.rater}"
    context = browser.new_context(accept_downloads=True)
    page = watched(context)
    page.goto(url)
    heading(page, '<b>Bold</b> & "quoted"')
    begin_by_keyboard(page)
    for number in range(2):
        answer_page_by_keyboard(page, session, number, values)
    on_page(page, 3)
    problems = page.problems
    page.close()
    page = watched(context)
    page.goto(url)
    on_page(page, 3)
    page.keyboard.press("Enter")
    page.get_by_text("Please play sound A to its end first.").wait_for()
    for number in range(2, len(session.pages)):
        answer_page_by_keyboard(page, session, number, values)
    heading(page, "Thank you")
    with page.expect_download() as waiting:
        press_to(page, "Save my answers")
    waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
    assert problems + page.problems == []
    context.close()
    result, table = score_packet(made.packet, [tmp_path / f"answers-{session.rater}.json"], made.key)
    assert result.raters == 1
    for (page_id, sound, criterion), value in values.items():
        system = plan_and_key(made)[1].sounds[sound].system
        row = table[(table["page"] == page_id) & (table["criterion"] == criterion)]
        if row["role"].iloc[0] != "attention":
            row = row[row["system"] == system]
        assert row["rating"].tolist() == [value]


class Served:
    """A survey server in a thread."""

    def __init__(self, made: MadePacket, data: Path) -> None:
        plan = plan_and_key(made)[0]
        self.store = AnswerStore(data / "a.sqlite3", sha256_of(plan), [s.rater for s in plan.sessions])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = uvicorn.Config(build_server(made.packet, plan, self.store), port=self.port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.store.close()


@pytest.fixture
def paired(run: Path, tmp_path: Path) -> MadePacket:
    return small_packet(run, tmp_path, "2afc", raters=2, extra=("questions.count=3",))


def test_by_keyboard_from_the_server_on_two_devices(browser, paired: MadePacket, tmp_path: Path) -> None:
    plan, _ = plan_and_key(paired)
    served = Served(paired, tmp_path)
    try:
        seat = served.store.seats()[0]
        session = plan.sessions[0]
        values = chosen_values(plan, session)
        context = browser.new_context()
        page = watched(context)
        page.goto(f"http://127.0.0.1:{served.port}/s/{seat.token}/")
        heading(page, plan.design.title)
        begin_by_keyboard(page)
        answer_page_by_keyboard(page, session, 0, values)
        page.get_by_text("Saved on the server.").wait_for()
        first = page.problems
        context.close()
        context = browser.new_context()
        page = watched(context)
        page.goto(f"http://127.0.0.1:{served.port}/s/{seat.token}/")
        for number in range(1, len(session.pages)):
            answer_page_by_keyboard(page, session, number, values)
        page.locator(".code").wait_for()
        assert page.locator(".code").inner_text() == seat.code
        assert first + page.problems == []
        context.close()
        stored = {
            (a.page, a.sound, a.criterion): a.value
            for a in served.store.answers(seat.rater)
            if a.page != "checks"
        }
        assert stored == values
    finally:
        served.stop()


def test_answers_given_without_connection_are_sent_when_it_is_back(
    browser, paired: MadePacket, tmp_path: Path
) -> None:
    served = Served(paired, tmp_path)
    try:
        seat = served.store.seats()[0]
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{served.port}/s/{seat.token}/")
        context.set_offline(True)
        press_to(page, "I agree")
        page.get_by_text("No connection").wait_for()
        assert served.store.answers(seat.rater) == []
        context.set_offline(False)
        page.get_by_text("Saved on the server.").wait_for(timeout=20_000)
        assert [answer.sound for answer in served.store.answers(seat.rater)] == ["consent"]
        context.close()
    finally:
        served.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_in_light_and_dark(browser, made: MadePacket, scheme: str) -> None:
    session = plan_and_key(made)[0].sessions[1]
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{(made.packet / 'index.html').as_uri()}#{session.rater}")
    seen = []
    for button in ("I agree", "Go on", None, "together in video 2", "end"):
        found = axe.Axe().run(page)
        serious = [v["id"] for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
        assert serious == [], f"{page.locator('h1').inner_text()}: {serious}"
        seen.append(page.locator("h1").inner_text())
        if button == "end":
            break
        if button is None:
            page.get_by_label("How many beeps?").fill("4")
            page.keyboard.press("Enter")
        else:
            press_to(page, button)
        playwright.expect(page.locator("h1")).not_to_have_text(seen[-1])
    assert len(set(seen)) == 5
    context.close()


def test_a_wrong_code_is_told_and_a_right_one_begins(browser, made: MadePacket) -> None:
    context = browser.new_context()
    page = watched(context)
    page.goto(f"{(made.packet / 'index.html').as_uri()}#<img src=x onerror=alert(1)>")
    page.get_by_text("There is no code").wait_for()
    assert page.locator("img").count() == 0
    page.get_by_label("Your code").fill("nope")
    page.keyboard.press("Enter")
    page.get_by_text("There is no such code").wait_for()
    page.get_by_label("Your code").fill(plan_and_key(made)[0].sessions[0].rater.lower())
    page.keyboard.press("Enter")
    page.get_by_role("button", name="I agree").wait_for()
    assert page.problems == []
    context.close()
