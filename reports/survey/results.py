"""The whole analysis of a listening test, from answers to one record that pages and leaderboards read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from clapstick.protocols.archive import RunArchive, ScoreRecord, write_json
from clapstick.protocols.problems import fail
from clapstick.reports.survey.agreement import (
    Agreement,
    RaterConsistency,
    choice_agreement,
    choice_consistency,
    opinion_agreement,
    rater_consistency,
)
from clapstick.reports.survey.answers import (
    CHECKS,
    FAILED_LATENCY,
    Answer,
    choices_table,
    ratings_table,
    read_answers,
)
from clapstick.reports.survey.correlation import (
    MetricCorrelation,
    NoiseCeiling,
    metric_correlations,
    noise_ceilings,
)
from clapstick.reports.survey.design import Design, ExclusionRule
from clapstick.reports.survey.exclusions import exclude, rule_name
from clapstick.reports.survey.opinion import (
    OpinionDifference,
    OpinionScore,
    opinion_differences,
    opinion_scores,
    printed_score,
)
from clapstick.reports.survey.plan import Key, Plan, allowed_values, read_key, read_plan, sha256_of
from clapstick.reports.survey.preference import Strength, WinRate, strengths, win_rates

if TYPE_CHECKING:
    import pandas as pd

AS_PLANNED = "as planned"
NOBODY_OUT = "nobody left out"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExcludedRater(_Record):
    """A rater who was left out, and under which rules."""

    rater: str
    rules: tuple[str, ...]
    found: tuple[float, ...]
    """What the rules measured."""


class SensitivityRow(_Record):
    """One score under another choice of who is left out."""

    variant: str
    raters: int
    criterion: str
    label: str
    """System, or pair of systems."""
    value: float
    """Mean rating or win rate."""


class SurveyResult(_Record):
    """Everything that a listening test says."""

    format: int = 1
    title: str
    design: str
    """Name of the design, or of the table that the ratings came from."""
    kind: str
    plan_sha256: str | None
    """None for ratings that were collected elsewhere."""
    level: float
    raters: int
    """After exclusions."""
    answers: int
    """Ratings or choices behind the scores."""
    scores: tuple[OpinionScore, ...] = ()
    differences: tuple[OpinionDifference, ...] = ()
    win_rates: tuple[WinRate, ...] = ()
    strengths: tuple[Strength, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    consistency: tuple[RaterConsistency, ...] = ()
    """Of all raters, those left out too."""
    excluded: tuple[ExcludedRater, ...] = ()
    sensitivity: tuple[SensitivityRow, ...] = ()
    correlations: tuple[MetricCorrelation, ...] = ()
    ceilings: tuple[NoiseCeiling, ...] = ()
    notes: tuple[str, ...] = ()


def score_packet(
    packet: Path, answers: Sequence[Path], key_path: Path, run: Path | None = None
) -> tuple[SurveyResult, pd.DataFrame]:
    """Analyse the answers to a packet as its plan says.

    Parameters
    ----------
    packet : Path
        Packet folder.
    answers : sequence of Path
        Answer files, server exports, filled sheets, or folders of them.
    key_path : Path
        The key that was written with the packet.
    run : Path, optional
        Run archive, for the correlation with its metrics.

    Returns
    -------
    SurveyResult, DataFrame
        The result, and the table of all ratings or choices with systems named.
    """
    plan = read_plan(packet)
    key = read_key(key_path, plan)
    collected = read_answers(answers, plan)
    opinion = plan.design.kind == "opinion"
    table = (ratings_table if opinion else choices_table)(plan, key, collected)
    if not (table["role"] == "test").any():
        raise fail("no answer to the test's questions", ", ".join(map(str, answers)), remedy="Check the files.")
    excluded = exclude(plan.design.exclusions, table, key.repeats)
    out = {entry.rater for entry in excluded}
    kept = table[(table["role"] == "test") & ~table["rater"].isin(out)]
    if kept.empty:
        raise fail(
            "the plan's rules leave every rater out",
            packet,
            found=f"{len(out)} raters",
            expected="a rater who stays",
            remedy="Collect more answers; the plan stays as it is.",
        )
    parts = (
        _opinion_parts(kept, plan.design.analysis.level)
        if opinion
        else _choice_parts(kept, plan.design.analysis.level)
    )
    consistency = rater_consistency if opinion else choice_consistency
    correlations, ceilings = _against_metrics(kept, run, plan.design.analysis.level) if opinion else ((), ())
    result = SurveyResult(
        title=plan.design.title,
        design=plan.design.name,
        kind=plan.design.kind,
        plan_sha256=sha256_of(plan),
        level=plan.design.analysis.level,
        raters=kept["rater"].nunique(),
        answers=len(kept),
        consistency=tuple(consistency(table, key.repeats)),
        excluded=_excluded_raters(plan.design, table, key),
        sensitivity=_sensitivity(plan.design, table, key),
        correlations=correlations,
        ceilings=ceilings,
        notes=(*plan.notes, *_completeness(plan, collected)),
        **parts,
    )
    return result, table


def score_table(
    ratings: pd.DataFrame, choices: pd.DataFrame | None, *, title: str, level: float
) -> SurveyResult:
    """Analyse ratings that were collected elsewhere; see `clapstick.reports.survey.tables`."""
    parts = _opinion_parts(ratings, level)
    if choices is not None:
        parts |= _choice_parts(choices, level) | {"agreement": parts["agreement"]}
    return SurveyResult(
        title=title,
        design="table",
        kind="opinion",
        plan_sha256=None,
        level=level,
        raters=ratings["rater"].nunique(),
        answers=len(ratings),
        consistency=tuple(rater_consistency(ratings, {})),
        ceilings=tuple(noise_ceilings(ratings, np.random.default_rng(0))),
        notes=("Collected elsewhere: no plan was fixed before the data, and nobody was left out here.",),
        **parts,
    )


def write_ratings(run: Path, result: SurveyResult) -> Path:
    """Write ``RUN/ratings.json``: mean opinion scores as columns for the run's leaderboard.

    Returns
    -------
    Path
        The file; its form is ``{"scores": [ScoreRecord, ...]}``.
    """
    archive = RunArchive(run)
    archive.read_run()
    records = [
        ScoreRecord(
            system=score.system,
            metric=f"mos-{score.criterion}",
            convention=result.design,
            value=score.mean,
            ci_low=score.ci_low,
            ci_high=score.ci_high,
            n=score.n,
            direction="higher",
            unit="points of 5",
            signature=(
                f"metric:mos-{score.criterion}|convention:{result.design}|raters:{score.raters}"
                f"|clips:{score.clips}|ratings:{score.n}|excluded:{len(result.excluded)}|plan:{result.plan_sha256}"
            ),
            interval_method=f"t over {score.raters} raters and {score.clips} clips, crossed random effects",
            warnings=(score.reason,) if score.reason else (),
        )
        for score in result.scores
    ]
    path = run / "ratings.json"
    write_json(path, {"scores": [record.model_dump(mode="json") for record in records]})
    return path


def _opinion_parts(ratings: pd.DataFrame, level: float) -> dict[str, Any]:
    return {
        "scores": tuple(opinion_scores(ratings, level)),
        "differences": tuple(opinion_differences(ratings, level)),
        "agreement": tuple(opinion_agreement(ratings)),
    }


def _choice_parts(choices: pd.DataFrame, level: float) -> dict[str, Any]:
    return {
        "win_rates": tuple(win_rates(choices, level)),
        "strengths": tuple(strengths(choices, level)),
        "agreement": tuple(choice_agreement(choices)),
    }


def _excluded_raters(design: Design, table: pd.DataFrame, key: Key) -> tuple[ExcludedRater, ...]:
    entries = exclude(design.exclusions, table, key.repeats)
    return tuple(
        ExcludedRater(
            rater=rater,
            rules=tuple(entry.rule for entry in entries if entry.rater == rater),
            found=tuple(entry.found for entry in entries if entry.rater == rater),
        )
        for rater in sorted({entry.rater for entry in entries})
    )


def _sensitivity(design: Design, table: pd.DataFrame, key: Key) -> tuple[SensitivityRow, ...]:
    """Repeat the scores with nobody left out, with each rule alone, and as planned."""
    if not design.exclusions:
        return ()
    variants: dict[str, list[ExclusionRule]] = {
        NOBODY_OUT: [],
        **{rule_name(rule): [rule] for rule in design.exclusions},
    }
    if len(design.exclusions) > 1:
        variants[AS_PLANNED] = list(design.exclusions)
    rows = []
    for variant, rules in variants.items():
        out = {entry.rater for entry in exclude(rules, table, key.repeats)}
        kept = table[(table["role"] == "test") & ~table["rater"].isin(out)]
        rows += [
            SensitivityRow(
                variant=variant, raters=kept["rater"].nunique(), criterion=criterion, label=label, value=value
            )
            for criterion, label, value in _values(kept, design)
        ]
    return tuple(rows)


def _values(kept: pd.DataFrame, design: Design) -> list[tuple[str, str, float]]:
    level = design.analysis.level
    if design.kind == "opinion":
        return [
            (str(criterion), str(system), printed_score(own.to_numpy(dtype=np.float64), level)[0])
            for (criterion, system), own in kept.groupby(["criterion", "system"])["rating"]
        ]
    return [(r.criterion, f"{r.system_a} over {r.system_b}", r.rate) for r in win_rates(kept, level)]


def _against_metrics(
    kept: pd.DataFrame, run: Path | None, level: float
) -> tuple[tuple[MetricCorrelation, ...], tuple[NoiseCeiling, ...]]:
    rng = np.random.default_rng(0)
    ceilings = tuple(noise_ceilings(kept, rng))
    if run is None or not (run / "scores.parquet").is_file():
        return (), ceilings
    archive = RunArchive(run)
    directions = {record.metric: record.direction for record in archive.read_summary()}
    found = metric_correlations(kept, archive.read_scores(), directions, level, rng)
    return tuple(found), ceilings


def _completeness(plan: Plan, collected: dict[str, list[Answer]]) -> list[str]:
    notes = []
    absent = [session.rater for session in plan.sessions if session.rater not in collected]
    if absent:
        notes.append(f"{len(absent)} of {len(plan.sessions)} raters sent nothing")
    for session in plan.sessions:
        answers = collected.get(session.rater)
        if answers is None:
            continue
        asked = sum(len(allowed_values(plan, page)) for page in session.pages) * len(session.criteria)
        given = sum(answer.page != CHECKS for answer in answers)
        if given < asked:
            notes.append(f"rater {session.rater} answered {given} of {asked} questions; the answers count")
        if any(answer.sound == "latency" and answer.value == FAILED_LATENCY for answer in answers):
            notes.append(
                f"rater {session.rater} could not tell picture and sound in time apart from early or late"
            )
    return notes
