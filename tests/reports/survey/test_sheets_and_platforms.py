"""Paper sheets, spreadsheets, and what goes to platforms."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from openpyxl import load_workbook
from survey_raters import plan_and_key, simulate_session, small_packet, small_run

from clapstick.protocols.audio import read_wav
from clapstick.protocols.media import read_audio
from clapstick.protocols.problems import ClapstickError
from clapstick.reports.survey.answers import read_answers
from clapstick.reports.survey.packet import MadePacket
from clapstick.reports.survey.platforms import seats_csv, write_webmushra
from clapstick.reports.survey.results import score_packet
from clapstick.reports.survey.sheets import render_pdf, write_sheets
from clapstick.reports.survey.store import Seat

EXTRA = ("presentation.training_pages=1", "presentation.attention_pages=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> MadePacket:
    return small_packet(run, tmp_path_factory.mktemp("made"), raters=3, extra=EXTRA)


def fill_in(path: Path, made: MadePacket) -> None:
    """Write a simulated rater's answers into the answer column."""
    plan, key = plan_and_key(made)
    session = next(s for s in plan.sessions if s.rater == path.stem)
    answers = simulate_session(plan, key, session, np.random.default_rng(1)).answers
    given = {(a.page, a.sound, a.criterion): a.value for a in answers}
    book = load_workbook(path)
    sheet = book["Answers"]
    line = 3
    for page in session.pages:
        for sound in ["choice"] if plan.design.kind == "forced-choice" else page.sounds:
            for name in session.criteria:
                sheet.cell(line, 6).value = given[page.id, sound, name]
                line += 1
    book.save(path)


@pytest.mark.parametrize("design", ["video-foley", "2afc"])
def test_filled_sheets_score_like_answer_files(run: Path, tmp_path: Path, design: str) -> None:
    made = small_packet(run, tmp_path, design, raters=3)
    plan, key = plan_and_key(made)
    written = write_sheets(plan, tmp_path / "sheets")
    assert len(written) == 6
    files = []
    for session in plan.sessions:
        fill_in(tmp_path / "sheets" / f"{session.rater}.xlsx", made)
        answers = simulate_session(plan, key, session, np.random.default_rng(1))
        files.append(tmp_path / f"{session.rater}.json")
        files[-1].write_text(answers.model_dump_json())
    from_sheets, _ = score_packet(made.packet, [tmp_path / "sheets"], made.key)
    from_files, _ = score_packet(made.packet, files, made.key)
    assert from_sheets.scores == from_files.scores
    assert from_sheets.win_rates == from_files.win_rates
    assert from_sheets.answers > 0


def test_half_filled_sheets_count_and_mistakes_are_named(made: MadePacket, tmp_path: Path) -> None:
    plan, _ = plan_and_key(made)
    write_sheets(plan, tmp_path)
    path = tmp_path / f"{plan.sessions[0].rater}.xlsx"
    book = load_workbook(path)
    book["Answers"]["F5"].value = 4
    book.save(path)
    (answers,) = read_answers([path], plan).values()
    assert [answer.value for answer in answers] == [4]
    book["Answers"]["F6"].value = 7
    book.save(path)
    with pytest.raises(ClapstickError, match=r"line 6: not a choice; found 7; expected 1 to 5"):
        read_answers([path], plan)
    book["Answers"]["F6"].value = None
    book["Answers"].delete_rows(4)
    book.save(path)
    with pytest.raises(ClapstickError, match="row of the sheet was moved"):
        read_answers([path], plan)
    path.write_bytes(b"not a spreadsheet")
    with pytest.raises(ClapstickError, match="not an answer sheet"):
        read_answers([path], plan)


def test_sheets_name_media_by_number_and_no_system(made: MadePacket, tmp_path: Path) -> None:
    plan, key = plan_and_key(made)
    session = plan.sessions[0]
    data = render_pdf(plan, session)
    assert data == render_pdf(plan, session), "same plan, same sheet"
    (tmp_path / "s.pdf").write_bytes(data)
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    command = ["pdftotext", "-layout", str(tmp_path / "s.pdf"), "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for page in session.pages:
        for sound in page.sounds:
            assert f"media {sound}" in text
    for system in key.systems:
        assert system not in text
    assert session.rater in text
    assert "(practice)" in text
    assert "Tick the number of beeps" in text


def test_letters_that_the_font_lacks_are_named(run: Path, tmp_path: Path) -> None:
    made = small_packet(run, tmp_path, raters=1, extra=('title="듣기 평가"',))
    plan, _ = plan_and_key(made)
    with pytest.raises(ClapstickError, match=r"lacks letters.*--font"):
        render_pdf(plan, plan.sessions[0])


def test_webmushra_pages_hold_the_session_and_the_sound(made: MadePacket, tmp_path: Path) -> None:
    plan, key = plan_and_key(made)
    paths = write_webmushra(made.packet, plan, tmp_path)
    assert [path.stem for path in paths] == [session.rater for session in plan.sessions]
    config = yaml.safe_load(paths[0].read_text())
    rated = [page for page in config["pages"] if page["type"] == "likert_multi_stimulus"]
    session = plan.sessions[0]
    assert len(rated) == len(session.pages) * len(session.criteria)
    assert list(rated[0]["stimuli"]) == list(session.pages[0].sounds)
    assert [option["value"] for option in rated[0]["response"]] == ["1", "2", "3", "4", "5"]
    assert config["pages"][-1]["writeResults"] is True
    for system in key.systems:
        assert system not in paths[0].read_text()
    number = session.pages[0].sounds[0]
    wav = read_wav(tmp_path / "sounds" / f"{number}.wav").samples
    media = read_audio(made.packet / "media" / f"{number}.mp4").samples
    assert np.abs(wav - media).max() <= 1.5 / 32768


def test_webmushra_has_no_forced_choice(run: Path, tmp_path: Path) -> None:
    made = small_packet(run, tmp_path, "2afc", raters=1)
    with pytest.raises(ClapstickError, match="webMUSHRA export is for ratings"):
        write_webmushra(made.packet, plan_and_key(made)[0], tmp_path / "out")


@pytest.mark.parametrize(
    ("platform", "column"), [("links", "link"), ("mturk", "survey_url"), ("prolific", "taskflow_url")]
)
def test_platform_tables_hold_one_link_and_code_a_rater(platform: str, column: str) -> None:
    seats = [Seat("AAAAA", "token-a", "C0DE", False, False), Seat("BBBBB", "token-b", "C1DE", False, False)]
    rows = list(csv.DictReader(io.StringIO(seats_csv(seats, "https://lab.example/", platform))))  # type: ignore[arg-type]
    assert [row[column] for row in rows] == ["https://lab.example/s/token-a/", "https://lab.example/s/token-b/"]
    assert [row["completion_code"] for row in rows] == ["C0DE", "C1DE"]
