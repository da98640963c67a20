"""The plan: everything that is settled before data, in two halves.

`Plan` goes into the packet and names sounds by number only. `Key` says what the numbers stand for and stays
with the
experimenter. The plan holds the SHA-256 of the key, and every answer the SHA-256 of the plan, so neither can be
changed after the fact without being noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from clapstick.protocols.problems import fail
from clapstick.reports.survey.assignment import Meeting, assign_pairs, assign_single, assign_together
from clapstick.reports.survey.design import POINTS, Design
from clapstick.reports.survey.selection import REFERENCE

FORMAT = 1
_Model = TypeVar("_Model", bound=BaseModel)
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Page(_Record):
    """One page of a session."""

    id: str
    kind: Literal["rating", "attention", "training"]
    sounds: tuple[str, ...]
    """Numbers of the sounds in order of presentation."""


class Session(_Record):
    """What one rater goes through."""

    rater: str
    criteria: tuple[str, ...]
    pages: tuple[Page, ...]


class Example(_Record):
    """A sound on the guideline page."""

    criterion: str
    score: int
    sound: str


class Plan(_Record):
    """What is settled before the data, without saying which sound is whose."""

    format: int = FORMAT
    design: Design
    overrides: tuple[str, ...]
    """Values of the named design that were changed."""
    protocol: str
    """Name of the protocol of the run."""
    sounds_sha256: dict[str, str]
    """Number of every sound -> SHA-256 of its media file."""
    examples: tuple[Example, ...]
    sessions: tuple[Session, ...]
    notes: tuple[str, ...]
    """What could not be done as the design says, and why."""
    key_sha256: str


class Sound(_Record):
    """What a number stands for."""

    clip: str
    system: str
    role: Literal["test", "attention", "training", "example"]
    gain_db: float
    clipped_samples: int


class Key(_Record):
    """What the numbers stand for; stays out of the packet."""

    seed: int
    salt: str
    systems: tuple[str, ...]
    clips: tuple[str, ...]
    sounds: dict[str, Sound]
    beeps: dict[str, int]
    """Sound of an attention page -> number of beeps."""
    repeats: dict[str, str]
    """Repeated page -> the page that it repeats."""
    not_eligible: dict[str, str]
    """Clips of the run that could not be asked about, and why."""


@dataclass(frozen=True)
class Casting:
    """Who plays what: sound numbers before any media is written.

    `test` maps (clip, system) to a number; the other parts are lists of numbers.
    """

    clips: tuple[str, ...]
    systems: tuple[str, ...]
    """With ``reference`` where it stands among the systems or on pages of its own."""
    test: Mapping[tuple[str, str], str]
    attention: Sequence[str]
    """Sounds with 1, 2, ... beeps."""
    training: Sequence[tuple[str, ...]]
    """Sounds of each training page."""


def make_sessions(
    design: Design, casting: Casting, raters: int, rng: np.random.Generator
) -> tuple[list[Session], dict[str, str]]:
    """Lay out every rater's session.

    Returns
    -------
    list of Session, dict
        The sessions, and repeated page id -> id of the page that it repeats.
    """
    codes = rater_codes(raters, rng)
    groups = _criteria_groups(design, raters)
    sessions: dict[int, Session] = {}
    repeats: dict[str, str] = {}
    for criteria, members in groups.items():
        meetings = _assign(design, casting, len(members), rng)
        for place, rater in enumerate(members):
            own = [meeting for meeting in meetings if meeting.rater == place]
            pages = _rating_pages(design, casting, own, rng)
            repeated = _repeated(design, pages, rng)
            repeats.update({page.id: original.id for page, original in repeated})
            pages += [page for page, _ in repeated]
            pages = _mix_in(pages, _attention_pages(design, casting, rng), rng)
            training = [Page(id=_page_id(rng), kind="training", sounds=sounds) for sounds in casting.training]
            sessions[rater] = Session(rater=codes[rater], criteria=criteria, pages=(*training, *pages))
    return [sessions[rater] for rater in range(raters)], repeats


def rater_codes(raters: int, rng: np.random.Generator) -> list[str]:
    """Return different five-letter codes without letters that are easily confused."""
    codes: dict[str, None] = {}
    while len(codes) < raters:
        codes["".join(rng.choice(list(_CODE_LETTERS), size=5))] = None
    return list(codes)


def canonical(record: BaseModel) -> bytes:
    """Return the bytes that are hashed: JSON with sorted keys and no spaces."""
    values = record.model_dump(mode="json")
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256_of(record: BaseModel) -> str:
    """Return the SHA-256 of a plan or a key."""
    return hashlib.sha256(canonical(record)).hexdigest()


def read_plan(packet: Path) -> Plan:
    """Read the plan of a packet and check it against ``plan.sha256``.

    Raises
    ------
    ClapstickError
        If the folder is no packet, or the plan was changed after it was made.
    """
    path = packet / "plan.json"
    if not path.is_file():
        raise fail(
            "not a survey packet", packet, found="no plan.json", remedy="Name the folder given as --out."
        )
    plan = _read_record(path, Plan)
    stated = (packet / "plan.sha256").read_text(encoding="ascii").split()
    if stated[:1] != [sha256_of(plan)]:
        raise fail(
            "plan was changed after the packet was made",
            path,
            found=sha256_of(plan),
            expected=" ".join(stated[:1]),
            remedy="Put back the plan that the packet was made with.",
        )
    return plan


def read_key(path: Path, plan: Plan) -> Key:
    """Read the key and check that it is the one that the plan was made with."""
    if not path.is_file():
        raise fail("key file is missing", path, remedy="Name it with --key; `survey make` printed its path.")
    key = _read_record(path, Key)
    if sha256_of(key) != plan.key_sha256:
        raise fail(
            "key belongs to another packet, or was changed",
            path,
            found=sha256_of(key),
            expected=plan.key_sha256,
            remedy="Name the key that was written with this packet.",
        )
    return key


def _read_record(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise fail("file cannot be read", path, found=error, remedy="Make the packet again.") from error


def _criteria_groups(design: Design, raters: int) -> dict[tuple[str, ...], list[int]]:
    """Deal raters out over runs of criteria; one group where everybody answers all of them."""
    names = [criterion.name for criterion in design.criteria]
    each = design.presentation.criteria_per_rater or len(names)
    runs = (
        [tuple(names)]
        if each == len(names)
        else [tuple(names[(start + step) % len(names)] for step in range(each)) for start in range(len(names))]
    )
    return {run: list(range(start, raters, len(runs))) for start, run in enumerate(runs) if start < raters}


def _assign(design: Design, casting: Casting, raters: int, rng: np.random.Generator) -> list[Meeting]:
    shown = [name for name in casting.systems if not (_extra_reference(design) and name == REFERENCE)]
    per_rater = design.presentation.clips_per_rater or len(casting.clips)
    assign = {"together": assign_together, "single": assign_single, "pair": assign_pairs}
    return assign[design.presentation.page](
        raters, len(casting.clips), len(shown), min(per_rater, len(casting.clips)), rng
    )


def _extra_reference(design: Design) -> bool:
    return design.presentation.reference == "extra"


def _rating_pages(
    design: Design, casting: Casting, meetings: Sequence[Meeting], rng: np.random.Generator
) -> list[Page]:
    shown = [name for name in casting.systems if not (_extra_reference(design) and name == REFERENCE)]
    pages = [
        Page(
            id=_page_id(rng),
            kind="rating",
            sounds=tuple(casting.test[casting.clips[m.clip], shown[system]] for system in m.systems),
        )
        for m in meetings
    ]
    if _extra_reference(design):
        met = sorted({m.clip for m in meetings})
        count = min(design.presentation.extra_references, len(met))
        chosen = rng.choice(met, size=count, replace=False)
        extra = [
            Page(id=_page_id(rng), kind="rating", sounds=(casting.test[casting.clips[clip], REFERENCE],))
            for clip in chosen
        ]
        pages = _mix_in(pages, extra, rng)
    return pages


def _repeated(design: Design, pages: Sequence[Page], rng: np.random.Generator) -> list[tuple[Page, Page]]:
    """Repeat pages of the first half at the end, sounds in reverse order."""
    candidates = pages[: max(1, len(pages) // 2)]
    count = min(design.presentation.repeated_pages, len(candidates))
    chosen = sorted(rng.choice(len(candidates), size=count, replace=False).tolist()) if count else []
    return [
        (Page(id=_page_id(rng), kind="rating", sounds=candidates[index].sounds[::-1]), candidates[index])
        for index in chosen
    ]


def _attention_pages(design: Design, casting: Casting, rng: np.random.Generator) -> list[Page]:
    sounds = list(casting.attention)
    pages = []
    for _ in range(design.presentation.attention_pages):
        size = 2 if design.kind == "forced-choice" else 1
        chosen = rng.choice(len(sounds), size=size, replace=False)
        pages.append(Page(id=_page_id(rng), kind="attention", sounds=tuple(sounds[index] for index in chosen)))
    return pages


def _mix_in(pages: Sequence[Page], extra: Sequence[Page], rng: np.random.Generator) -> list[Page]:
    """Put extra pages anywhere but first."""
    mixed = list(pages)
    for page in extra:
        mixed.insert(int(rng.integers(1, len(mixed) + 1)), page)
    return mixed


def _page_id(rng: np.random.Generator) -> str:
    return rng.bytes(6).hex()


def allowed_values(plan: Plan, page: Page) -> dict[str, int]:
    """Return for each thing that a page asks about its number of choices: sounds by number, or ``choice`` for
    a pair.

    Ratings run from 1 to 5; a choice is 1 for the first sound of the page and 2 for the second.
    """
    if plan.design.kind == "forced-choice":
        return {"choice": len(page.sounds)}
    return dict.fromkeys(page.sounds, POINTS)
