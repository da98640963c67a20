"""Exports for platforms that bring raters or run tests: links with completion codes, webMUSHRA pages."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Literal

from clapstick.protocols.audio import Audio
from clapstick.protocols.media import read_audio
from clapstick.protocols.problems import fail
from clapstick.reports.survey.plan import Page, Plan, Session, sha256_of
from clapstick.reports.survey.store import Seat

Platform = Literal["links", "mturk", "prolific"]


def seats_csv(seats: list[Seat], base_url: str, platform: Platform) -> str:
    """Return the table that a platform takes.

    ``links``: one row a rater with link and completion code. ``mturk``: one row a HIT with the template
    variables ``survey_url`` and ``rater``; codes are for approving the work and stand in a column of their own.
    ``prolific``: one external link a place, as for a taskflow, with its completion code.
    """
    base = base_url.rstrip("/")
    names = {
        "links": ["rater", "link", "completion_code"],
        "mturk": ["rater", "survey_url", "completion_code"],
        "prolific": ["taskflow_url", "completion_code", "rater"],
    }[platform]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for seat in seats:
        link = f"{base}/s/{seat.token}/"
        values = {"rater": seat.rater, "completion_code": seat.code}
        values |= dict.fromkeys(("link", "survey_url", "taskflow_url"), link)
        writer.writerow({name: values[name] for name in names})
    return buffer.getvalue()


def write_webmushra(packet: Path, plan: Plan, out: Path) -> list[Path]:
    """Write one webMUSHRA (pymushra) configuration a rater, and the sounds as wav under random numbers.

    webMUSHRA plays no video, so this serves criteria of sound alone. Every page is a ``likert_multi_stimulus``
    page of one criterion.

    Raises
    ------
    ClapstickError
        For a forced choice, for which webMUSHRA has no page of this form.
    """
    import yaml

    if plan.design.kind == "forced-choice":
        raise fail("webMUSHRA export is for ratings", plan.design.name, remedy="Use the packet or the server.")
    written = []
    used = sorted({sound for session in plan.sessions for page in session.pages for sound in page.sounds})
    for number in used:
        _write_wav16(out / "sounds" / f"{number}.wav", read_audio(packet / "media" / f"{number}.mp4"))
    for session in plan.sessions:
        path = out / f"{session.rater}.yaml"
        path.write_text(
            yaml.safe_dump(_webmushra(plan, session), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        written.append(path)
    return written


def _webmushra(plan: Plan, session: Session) -> dict[str, Any]:
    design = plan.design
    pages: list[Any] = [
        {"type": "generic", "id": "guidelines", "name": design.title, "content": _html(design.guidelines)},
        {"type": "volume", "id": "volume", "name": "Volume", "content": "Set a comfortable volume.",
         "stimulus": f"configs/sounds/{session.pages[0].sounds[0]}.wav", "defaultVolume": 0.5},
    ]  # fmt: skip
    for number, page in enumerate(session.pages, start=1):
        pages += [_likert_page(plan, number, page, name) for name in session.criteria]
    pages.append(
        {"type": "finish", "name": "Thank you", "content": "Your answers are sent.", "showResults": False,
         "writeResults": True}
    )  # fmt: skip
    return {
        "testname": design.title,
        "testId": f"{sha256_of(plan)[:16]}-{session.rater}",
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
        "pages": pages,
    }


def _likert_page(plan: Plan, number: int, page: Page, name: str) -> dict[str, Any]:
    criterion = next(c for c in plan.design.criteria if c.name == name)
    text = "How many beeps do you hear?" if page.kind == "attention" else criterion.question
    return {
        "type": "likert_multi_stimulus",
        "id": f"{page.id}-{name}",
        "name": f"Page {number}: {criterion.title}",
        "content": _html(text),
        "mustRate": True,
        "mustPlayback": "ended" if plan.design.presentation.full_play else "processUpdate",
        "randomize": False,
        "stimuli": {number: f"configs/sounds/{number}.wav" for number in page.sounds},
        "response": [
            {"value": str(score), "label": f"{score} {meaning}"}
            for score, meaning in enumerate(criterion.scale, start=1)
        ],
    }


def _html(text: str) -> str:
    from markupsafe import escape

    return "".join(f"<p>{escape(part)}</p>" for part in text.strip().split("\n\n"))


def _write_wav16(path: Path, audio: Audio) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.samples, audio.sample_rate, subtype="PCM_16", format="WAV")
