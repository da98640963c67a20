"""Simulated raters: answers to a packet from a stated quality of each system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from archive_builder import build_archive

from clapstick.reports.survey.answers import Answer, AnswerFile
from clapstick.reports.survey.design import find_design
from clapstick.reports.survey.packet import MadePacket, make_packet
from clapstick.reports.survey.plan import Key, Page, Plan, Session, read_key, read_plan, sha256_of

SMALL = (
    'questions.rule="spread"',
    "questions.count=4",
    "stimuli.duration_s=0.5",
    "stimuli.height_px=120",
)
QUALITY = {"video-foley": 4.2, "two-stage-tiny": 3.4, "syncfusion": 2.8, "spec-vqgan": 1.8, "reference": 4.8}


def small_run(folder: Path, clips: int = 8) -> Path:
    """Write a run archive of short clips."""
    names = [f"clip {number}" for number in range(clips)]
    build_archive(folder / "run", clip_ids=names, duration_s=1.0, onsets_s=(0.2, 0.6))
    return folder / "run"


def small_packet(
    run: Path,
    folder: Path,
    design: str = "video-foley",
    *,
    raters: int = 5,
    extra: tuple[str, ...] = (),
    seed: int = 1,
) -> MadePacket:
    """Make a packet of four clips."""
    overrides = (*SMALL, *extra)
    return make_packet(
        run,
        find_design(design, overrides),
        raters=raters,
        seed=seed,
        out=folder / "packet",
        key_path=folder / "key.json",
        overrides=overrides,
    )


def plan_and_key(made: MadePacket) -> tuple[Plan, Key]:
    """Read both back from disk."""
    plan = read_plan(made.packet)
    return plan, read_key(made.key, plan)


def simulate_session(
    plan: Plan,
    key: Key,
    session: Session,
    rng: np.random.Generator,
    quality: Mapping[str, float] = QUALITY,
    *,
    careful: bool = True,
) -> AnswerFile:
    """Answer every page; a careless rater answers at random, attention pages too."""
    bias = rng.normal(0, 0.3)
    answers: list[Answer] = []
    for page in session.pages:
        for criterion in session.criteria:
            for sound, value in _page_values(plan, key, page, rng, quality, bias, careful).items():
                answers.append(
                    Answer(
                        page=page.id,
                        sound=sound,
                        criterion=criterion,
                        value=value,
                        revision=len(answers) + 1,
                        seconds=8.0 if careful else 0.4,
                        plays=1,
                    )
                )
    return AnswerFile(plan_sha256=sha256_of(plan), rater=session.rater, finished=True, answers=tuple(answers))


def _page_values(
    plan: Plan,
    key: Key,
    page: Page,
    rng: np.random.Generator,
    quality: Mapping[str, float],
    bias: float,
    careful: bool,
) -> dict[str, int]:
    paired = plan.design.kind == "forced-choice"
    if page.kind == "attention" and careful:
        beeps = [key.beeps[sound] for sound in page.sounds]
        return {"choice": 1 + int(np.argmax(beeps))} if paired else {page.sounds[0]: beeps[0]}
    if not careful:
        return (
            {"choice": int(rng.integers(1, 3))} if paired else {s: int(rng.integers(1, 6)) for s in page.sounds}
        )
    felt = [quality[key.sounds[sound].system] + bias + rng.normal(0, 0.6) for sound in page.sounds]
    if paired:
        return {"choice": 1 + int(np.argmax(felt))}
    return {sound: int(np.clip(round(value), 1, 5)) for sound, value in zip(page.sounds, felt, strict=True)}
