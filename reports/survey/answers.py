"""Answers: what raters send back, checked against the plan, and turned into tables of ratings or choices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail
from clapstick.reports.survey.plan import Key, Plan, Session, allowed_values, sha256_of

if TYPE_CHECKING:
    import pandas as pd

CHECKS = "checks"
"""Page name of consent and equipment checks."""
_CHECK_SUBJECTS = {("consent", "given"), ("sound", "tries"), ("latency", "tries")}
MAX_CHECK_VALUE = 99
FAILED_LATENCY = 99
"""Value of the latency check where the rater could not tell which video was in time."""


class Answer(BaseModel):
    """One answer of one rater."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    page: str = Field(max_length=32)
    sound: str = Field(max_length=32)
    """Number of the sound; ``choice`` in a forced choice."""
    criterion: str = Field(max_length=40)
    value: int = Field(ge=1, le=MAX_CHECK_VALUE)
    """1 to 5; in a forced choice 1 or 2 for the first or second sound of the page."""
    revision: int = Field(ge=1, le=1_000_000)
    """Counts a rater's answers; of two answers to one question the later one holds."""
    seconds: float = Field(default=0.0, ge=0, le=1e7)
    """Since the page was opened."""
    plays: int = Field(default=0, ge=0, le=1_000_000)
    """Times that the sound had been heard to its end."""


class AnswerFile(BaseModel):
    """What one rater sends back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    plan_sha256: str
    rater: str
    finished: bool
    answers: tuple[Answer, ...]


def why_not_allowed(plan: Plan, session: Session, answer: Answer) -> str | None:
    """Return why an answer does not belong to a session; None where it does."""
    if answer.page == CHECKS:
        known = (answer.sound, answer.criterion) in _CHECK_SUBJECTS
        return None if known else f"there is no check {answer.sound!r}"
    page = next((page for page in session.pages if page.id == answer.page), None)
    if page is None:
        return f"page {answer.page!r} is not in this rater's session"
    allowed = allowed_values(plan, page)
    if answer.sound not in allowed:
        return f"sound {answer.sound!r} is not on page {answer.page!r}"
    if answer.criterion not in session.criteria:
        return f"criterion {answer.criterion!r} is not asked of this rater"
    if answer.value > allowed[answer.sound]:
        return f"value {answer.value} is above {allowed[answer.sound]}"
    return None


def read_answers(paths: Sequence[Path], plan: Plan) -> dict[str, list[Answer]]:
    """Read answer files, server exports (lists of them), filled spreadsheets, and folders of these.

    Returns
    -------
    dict
        Rater -> answers, the last revision of each question.

    Raises
    ------
    ClapstickError
        If a file cannot be read, belongs to another plan, names an unknown rater, page, sound or criterion,
        or two
        files of one rater contradict each other.
    """
    collected: dict[str, dict[tuple[str, str, str], tuple[Answer, Path]]] = {}
    sessions = {session.rater: session for session in plan.sessions}
    for path in _files(paths):
        for file in _read_file(path, plan):
            own = collected.setdefault(file.rater, {})
            for answer in file.answers:
                reason = (
                    why_not_allowed(plan, sessions[file.rater], answer)
                    if file.rater in sessions
                    else f"there is no rater {file.rater!r} in the plan"
                )
                if reason:
                    raise fail(
                        f"answer is not valid: {reason}", path, remedy="Ask for the file as it was saved."
                    )
                _keep_latest(own, answer, path)
    return {rater: [answer for answer, _ in own.values()] for rater, own in collected.items()}


def _keep_latest(own: dict[tuple[str, str, str], tuple[Answer, Path]], answer: Answer, path: Path) -> None:
    question = (answer.page, answer.sound, answer.criterion)
    held = own.get(question)
    if held is None or held[0].revision < answer.revision:
        own[question] = (answer, path)
    elif held[0].revision == answer.revision and held[0].value != answer.value:
        raise fail(
            "two files of one rater contradict each other",
            path,
            found=f"{answer.value} for {'/'.join(question)}",
            expected=f"{held[0].value} as in {held[1]}",
            remedy="Find out which file is the rater's, and leave the other out.",
        )


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.suffix in (".json", ".xlsx"))
        elif path.is_file():
            found.append(path)
        else:
            raise fail("answers are missing", path, remedy="Check the path.")
    if not found:
        raise fail("no answer files", ", ".join(map(str, paths)), expected=".json or .xlsx files")
    return found


def _read_file(path: Path, plan: Plan) -> list[AnswerFile]:
    if path.suffix == ".xlsx":
        from clapstick.reports.survey.sheets import read_sheet

        return [read_sheet(path, plan)]
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        files = [AnswerFile.model_validate_json(json.dumps(value)) for value in _as_list(values)]
    except ValidationError as error:
        [first] = explain_invalid(error, AnswerFile, path, "answer").problems
        raise fail(
            "not an answer file",
            path,
            found=f"{first.what} ({first.found or first.expected})",
            remedy="Ask for the file as it was saved.",
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise fail(
            "not an answer file", path, found=error, remedy="Ask for the file as it was saved."
        ) from error
    for file in files:
        if file.plan_sha256 != sha256_of(plan):
            raise fail(
                "answers belong to another plan",
                path,
                found=file.plan_sha256,
                expected=sha256_of(plan),
                remedy="Score them with the packet that they were given for.",
            )
    return files


def _as_list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def ratings_table(plan: Plan, key: Key, collected: dict[str, list[Answer]]) -> pd.DataFrame:
    """Return one row a rating: rater, clip, system, criterion, rating, page, role, seconds.

    `role` is ``test``, ``repeat``, ``attention`` or ``training``; for attention pages `system` holds the
    number of beeps.
    """
    import pandas as pd

    rows = []
    for session in plan.sessions:
        pages = {page.id: page for page in session.pages}
        for answer in collected.get(session.rater, []):
            if answer.page == CHECKS:
                continue
            sound = key.sounds[answer.sound]
            role = _role(pages[answer.page].kind, answer.page, key)
            system = str(key.beeps[answer.sound]) if role == "attention" else sound.system
            rows.append(
                (
                    session.rater,
                    sound.clip,
                    system,
                    answer.criterion,
                    answer.value,
                    answer.page,
                    role,
                    answer.seconds,
                )
            )
    columns = ["rater", "clip", "system", "criterion", "rating", "page", "role", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def choices_table(plan: Plan, key: Key, collected: dict[str, list[Answer]]) -> pd.DataFrame:
    """Return one row a choice: rater, clip, criterion, first, second, winner, page, role, seconds.

    For attention pages the names are numbers of beeps.
    """
    import pandas as pd

    rows = []
    for session in plan.sessions:
        pages = {page.id: page for page in session.pages}
        for answer in collected.get(session.rater, []):
            if answer.page == CHECKS:
                continue
            page = pages[answer.page]
            role = _role(page.kind, page.id, key)
            names = [
                str(key.beeps[sound]) if role == "attention" else key.sounds[sound].system
                for sound in page.sounds
            ]
            rows.append(
                (
                    session.rater,
                    key.sounds[page.sounds[0]].clip,
                    answer.criterion,
                    names[0],
                    names[1],
                    names[answer.value - 1],
                    page.id,
                    role,
                    answer.seconds,
                )
            )
    columns = ["rater", "clip", "criterion", "first", "second", "winner", "page", "role", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def _role(kind: str, page: str, key: Key) -> str:
    return "repeat" if page in key.repeats else "test" if kind == "rating" else kind
