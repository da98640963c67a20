"""Printable sheets: the test on paper (PDF) and as a spreadsheet, with media by number."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clapstick.protocols.archive import atomic
from clapstick.protocols.problems import fail
from clapstick.reports.survey.design import POINTS, Criterion
from clapstick.reports.survey.plan import Page, Plan, Session, sha256_of

if TYPE_CHECKING:
    from fpdf import FPDF

    from clapstick.reports.survey.answers import AnswerFile

COLUMNS = ("page", "sound", "media", "criterion", "question", "answer")
_FAMILY = "sheet"
_INK = (30, 30, 30)
_SOFT = (110, 110, 110)
_LINE = (190, 190, 190)


def write_sheets(plan: Plan, out: Path, font: Path | None = None) -> list[Path]:
    """Write a PDF and a spreadsheet for every rater into `out`.

    Parameters
    ----------
    font : Path, optional
        TrueType font for designs with letters beyond Latin-1.

    Raises
    ------
    ClapstickError
        If a text holds a letter that the font lacks.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for session in plan.sessions:
        with atomic(out / f"{session.rater}.pdf") as temporary:
            temporary.write_bytes(render_pdf(plan, session, font))
        with atomic(out / f"{session.rater}.xlsx") as temporary:
            _write_xlsx(temporary, plan, session)
        written += [out / f"{session.rater}.pdf", out / f"{session.rater}.xlsx"]
    return written


def render_pdf(plan: Plan, session: Session, font: Path | None = None) -> bytes:
    """Return one rater's sheet: guidelines, then each page with its media numbers and boxes to tick."""
    from datetime import UTC, datetime

    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime(1970, 1, 1, tzinfo=UTC))
    pdf.set_margin(18)
    pdf.set_auto_page_break(True, 18)
    pdf.set_title(plan.design.title)
    family = "helvetica"
    if font is not None:
        family = _FAMILY
        pdf.add_font(family, "", font)
        pdf.add_font(family, "B", font)
    else:
        _require_latin(plan)
    sheet = _Sheet(pdf, family, plan, session)
    sheet.guidelines()
    for number, page in enumerate(session.pages, start=1):
        sheet.page(number, page)
    return bytes(pdf.output())


class _Sheet:
    """Draws one rater's sheet."""

    def __init__(self, pdf: FPDF, family: str, plan: Plan, session: Session) -> None:
        self._pdf = pdf
        self._family = family
        self._plan = plan
        self._session = session
        self._criteria = [c for c in plan.design.criteria if c.name in session.criteria]

    def guidelines(self) -> None:
        """First page: who, what to do, what the scores mean."""
        design = self._plan.design
        self._pdf.add_page()
        self._text(design.title, 18, bold=True)
        self._text(
            f"Rater {self._session.rater}     Date ____________     Plan {sha256_of(self._plan)[:16]}",
            9,
            soft=True,
        )
        self._gap(3)
        for part in (design.consent, design.guidelines):
            self._text(part.strip(), 10)
            self._gap(2)
        self._text("Each line names a media file: sound 012 is media/012.mp4. Tick one box a line.", 10)
        for criterion in self._criteria:
            self._gap(4)
            self._text(criterion.title, 12, bold=True)
            self._text(f"{criterion.question} {criterion.guideline}", 10)
            for score, meaning in enumerate(criterion.scale, start=1):
                self._text(f"{score}   {meaning}", 9.5, indent=4)
            self._text(self._example_line(criterion), 9, soft=True)

    def page(self, number: int, page: Page) -> None:
        """One page of the test as a block that is not torn apart."""
        rows = [(sound, c) for sound in page.sounds for c in self._criteria]
        paired = self._plan.design.kind == "forced-choice"
        height = 22 + (
            len(self._criteria) * 10 if paired else len(page.sounds) * (8 + len(self._criteria) * 8.5)
        )
        if self._pdf.get_y() + height > self._pdf.h - 18 or number == 1:
            self._pdf.add_page()
        self._gap(3)
        kind = {"training": " (practice)", "attention": " (count the beeps)"}.get(page.kind, "")
        self._text(f"Page {number}{kind}", 13, bold=True)
        if page.kind == "attention":
            told = "Choose the sound with more beeps." if paired else "Tick the number of beeps that you hear."
            self._text(told, 9.5, soft=True)
        if paired:
            self._pair(page)
            return
        for letter, sound in zip(string.ascii_uppercase, page.sounds, strict=False):
            self._gap(1)
            self._text(f"Sound {letter}     media {sound}", 10.5, bold=True)
            for _, criterion in (row for row in rows if row[0] == sound):
                self._boxes(criterion.title, [str(score) for score in range(1, POINTS + 1)])

    def _pair(self, page: Page) -> None:
        self._text("     ".join(f"Sound {x}: media {s}" for x, s in zip("AB", page.sounds, strict=True)), 10.5)
        for criterion in self._criteria:
            self._boxes(criterion.question, ["A", "B"])

    def _boxes(self, label: str, choices: list[str]) -> None:
        pdf = self._pdf
        pdf.set_font(self._family, "", 10)
        pdf.set_text_color(*_INK)
        pdf.set_draw_color(*_LINE)
        y = pdf.get_y()
        pdf.set_xy(22, y)
        pdf.cell(100, 8, label)
        x = 126.0
        for choice in choices:
            pdf.set_draw_color(*_INK)
            pdf.rect(x, y + 1.9, 4.2, 4.2)
            pdf.set_xy(x + 5, y)
            pdf.cell(7, 8, choice)
            x += 13.5
        pdf.set_draw_color(*_LINE)
        pdf.line(22, y + 8.2, 192, y + 8.2)
        pdf.set_xy(18, y + 8.5)

    def _example_line(self, criterion: Criterion) -> str:
        own = {e.score: e.sound for e in self._plan.examples if e.criterion == criterion.name}
        return f"Examples: lowest media {own[1]}, highest media {own[POINTS]}" if own else ""

    def _text(
        self, text: str, size: float, *, bold: bool = False, soft: bool = False, indent: float = 0
    ) -> None:
        if not text:
            return
        self._pdf.set_font(self._family, "B" if bold else "", size)
        self._pdf.set_text_color(*(_SOFT if soft else _INK))
        self._pdf.set_x(18 + indent)
        self._pdf.multi_cell(0, size * 0.48, text, new_x="LMARGIN", new_y="NEXT")

    def _gap(self, millimetres: float) -> None:
        self._pdf.set_y(self._pdf.get_y() + millimetres)


def _require_latin(plan: Plan) -> None:
    design = plan.design
    texts = [design.title, design.consent, design.guidelines]
    texts += [text for c in design.criteria for text in (c.title, c.question, c.guideline, *c.scale)]
    for text in texts:
        bad = sorted({letter for letter in text if ord(letter) > 255})
        if bad:
            raise fail(
                "the sheet's font lacks letters of the design",
                text[:40],
                found=" ".join(bad[:10]),
                expected="Latin-1",
                remedy="Name a TrueType font with --font.",
            )


def _rows(plan: Plan, session: Session) -> Iterator[tuple[int, Page, str, str, Criterion]]:
    """Yield page number, page, letter, sound and criterion of each answer."""
    criteria = {c.name: c for c in plan.design.criteria}
    for number, page in enumerate(session.pages, start=1):
        if plan.design.kind == "forced-choice":
            subjects = [("A or B", "choice")]
        else:
            subjects = list(zip(string.ascii_uppercase, page.sounds, strict=False))
        for letter, sound in subjects:
            for name in session.criteria:
                yield number, page, letter, sound, criteria[name]


def _write_xlsx(path: Path, plan: Plan, session: Session) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    sheet: Any = book.active
    sheet.title = "Answers"
    sheet.append(["Rater", session.rater, "Plan", sha256_of(plan)])
    sheet.append(list(COLUMNS))
    paired = plan.design.kind == "forced-choice"
    for number, page, letter, sound, criterion in _rows(plan, session):
        question = {
            "rating": criterion.question,
            "training": f"Practice: {criterion.question}",
            "attention": "Choose the sound with more beeps." if paired else "How many beeps do you hear?",
        }[page.kind]
        media = " / ".join(page.sounds) if sound == "choice" else sound
        sheet.append([number, letter, media, criterion.title, question, None])
    for cell in sheet[2]:
        cell.font = Font(bold=True)
    given = "1,2" if paired else ",".join(str(score) for score in range(1, POINTS + 1))
    check = DataValidation(type="list", formula1=f'"{given}"', allow_blank=True, showErrorMessage=True)
    check.error = f"One of {given}" + (": 1 for sound A, 2 for sound B" if paired else "")
    sheet.add_data_validation(check)
    check.add(f"F3:F{sheet.max_row}")
    for row in sheet.iter_rows(min_row=3, min_col=6, max_col=6):
        row[0].fill = PatternFill("solid", fgColor="FFF4CC")
    for column, width in zip("ABCDEF", (7, 9, 13, 30, 62, 9), strict=True):
        sheet.column_dimensions[column].width = width
        for cell in sheet[column][2:]:
            cell.alignment = Alignment(vertical="top", wrap_text=column == "E")
    sheet.freeze_panes = "A3"
    guide: Any = book.create_sheet("Guidelines")
    guide.column_dimensions["A"].width = 110
    lines = [plan.design.title, plan.design.consent.strip(), plan.design.guidelines.strip()]
    for criterion in plan.design.criteria:
        if criterion.name in session.criteria:
            lines += ["", criterion.title, f"{criterion.question} {criterion.guideline}"]
            lines += [f"{score}   {text}" for score, text in enumerate(criterion.scale, start=1)]
    for line in lines:
        guide.append([line])
        guide.cell(guide.max_row, 1).alignment = Alignment(wrap_text=True, vertical="top")
    book.save(path)


def read_sheet(path: Path, plan: Plan) -> AnswerFile:
    """Read a filled spreadsheet.

    Raises
    ------
    ClapstickError
        If it is no sheet of this plan, rows were moved, or an answer is not among the choices.
    """
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    from clapstick.reports.survey.answers import Answer, AnswerFile

    try:
        book = load_workbook(path, data_only=True)
        table = [tuple(row) for row in book["Answers"].iter_rows(values_only=True, max_col=len(COLUMNS))]
    except (OSError, KeyError, BadZipFile, InvalidFileException) as error:
        raise fail("not an answer sheet", path, found=error, remedy="Ask for the sheet as sent out.") from error
    head, rows = table[0], table[2:]
    sessions = {session.rater: session for session in plan.sessions}
    if head[3] != sha256_of(plan) or head[1] not in sessions:
        raise fail("sheet belongs to another plan", path, found=f"rater {head[1]}, plan {head[3]}")
    asked = list(_rows(plan, sessions[str(head[1])]))
    answers = []
    for line, (row, (number, page, letter, sound, criterion)) in enumerate(
        zip(rows, asked, strict=False), start=3
    ):
        if (row[0], row[1], row[3]) != (number, letter, criterion.title):
            raise fail(
                "row of the sheet was moved", f"{path}, line {line}", found=row[:4], remedy="Put it back."
            )
        value = row[5]
        if value is None:
            continue
        choices = len(page.sounds) if sound == "choice" else POINTS
        if value not in range(1, choices + 1):
            raise fail("not a choice", f"{path}, line {line}", found=value, expected=f"1 to {choices}")
        answers.append(
            Answer(page=page.id, sound=sound, criterion=criterion.name, value=int(value), revision=line)
        )
    return AnswerFile(
        plan_sha256=str(head[3]),
        rater=str(head[1]),
        finished=len(answers) == len(asked),
        answers=tuple(answers),
    )
