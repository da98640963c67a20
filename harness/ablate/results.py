"""The table of a sweep: scores of all points over seeds and clips, the papers' numbers, the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clapstick.harness.ablate.evidence import Choice, Values, choose, estimate
from clapstick.harness.ablate.execute import PointResult
from clapstick.harness.ablate.sweep import Point, Setting, Sweep, label_of
from clapstick.harness.plan import score_requests
from clapstick.harness.statistics import ScoreRequest
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import Problem
from clapstick.protocols.protocol import find_protocol

if TYPE_CHECKING:
    import pandas as pd

Outcomes = Mapping[Point, PointResult | Problem]


@dataclass(frozen=True)
class SweepResults:
    """Everything that a sweep's page and files show."""

    sweep: Sweep
    table: pd.DataFrame
    """One row a setting x system x score: mean, interval, seeds, clips, the paper's number, or a reason."""
    choice: Choice | None
    failures: tuple[tuple[str, Problem], ...]
    """(point, what went wrong)."""


def collect(sweep: Sweep, outcomes: Outcomes) -> SweepResults:
    """Read the archives of all points that worked, and put them together."""
    import pandas as pd

    requests = score_requests(find_protocol(sweep.protocol).model_copy(update={"metrics": sweep.metrics}))
    scores = {point: _read(done) for point, done in outcomes.items() if isinstance(done, PointResult)}
    rows = []
    for setting in sweep.settings():
        points = [point for point in outcomes if point.setting == setting]
        worked = [point for point in points if point in scores]
        for system in (sweep.system, *sweep.controls):
            for written, request in zip(sweep.metrics, requests, strict=True):
                row = _row(sweep, setting, system, written, request, [scores[point] for point in worked])
                rows.append(row | _cost(worked, outcomes))
    failures = tuple(
        (f"{point.label}, seed {point.seed}", done)
        for point, done in outcomes.items()
        if isinstance(done, Problem)
    )
    return SweepResults(sweep, pd.DataFrame(rows), _choice(sweep, requests, scores), failures)


@dataclass(frozen=True)
class _Scores:
    clips: pd.DataFrame
    """scores.parquet."""
    sets: Mapping[tuple[str, ScoreRequest], float]
    """Values of whole sets, for scores that no single clip has."""


def _read(done: PointResult) -> _Scores:
    archive = RunArchive(done.folder)
    sets = {
        (record.system, ScoreRequest(record.metric, record.convention)): record.value
        for record in archive.read_summary()
        if record.value is not None
    }
    return _Scores(archive.read_scores(), sets)


def _row(
    sweep: Sweep, setting: Setting, system: str, written: str, request: ScoreRequest, scores: Sequence[_Scores]
) -> dict[str, object]:
    metric, convention = request.resolve()
    row: dict[str, object] = {
        "setting": label_of(setting),
        **dict(setting),
        "system": system,
        "score": written,
        "metric": metric.title,
        "direction": convention.direction or metric.direction,
        "mean": None,
        "low": None,
        "high": None,
        "seeds": len(scores),
        "clips": 0,
        "reason": None,
        "published": next(
            (p.value for p in sweep.published if p.score == written and p.setting == dict(setting)), None
        ),
        "published_in": next(
            (p.where for p in sweep.published if p.score == written and p.setting == dict(setting)), None
        ),
    }
    if not scores:
        return row | {"reason": "no point of this setting worked"}
    values = seeds_by_clips(scores, system, request)
    if values is not None and values.shape[1] >= 2:
        found = estimate(values)
        return row | {"mean": found.mean, "low": found.low, "high": found.high, "clips": found.clips}
    of_sets = [score.sets[system, request] for score in scores if (system, request) in score.sets]
    if not of_sets:
        return row | {"reason": _reason(scores[0], system, request)}
    return row | {
        "mean": float(np.mean(of_sets)),
        "low": min(of_sets),
        "high": max(of_sets),
        "seeds": len(of_sets),
    }


def seeds_by_clips(scores: Sequence[_Scores], system: str, request: ScoreRequest) -> Values | None:
    """Return (seeds, clips) values over the clips that every seed has; None where no clip has a value."""
    columns = []
    for score in scores:
        frame = score.clips
        chosen = frame[
            (frame.system == system)
            & (frame.metric == request.metric)
            & (frame.convention == request.convention)
        ]
        columns.append(chosen.set_index("clip").value.dropna())
    shared = sorted(set.intersection(*(set(column.index) for column in columns)))
    if not shared:
        return None
    return np.asarray(np.stack([column.loc[shared].to_numpy(np.float64) for column in columns]))


def _reason(score: _Scores, system: str, request: ScoreRequest) -> str:
    frame = score.clips
    chosen = frame[
        (frame.system == system) & (frame.metric == request.metric) & (frame.convention == request.convention)
    ]
    reasons = chosen.reason.dropna()
    return str(reasons.iloc[0]) if len(reasons) else "nothing was scored"


def _cost(points: Sequence[Point], outcomes: Outcomes) -> dict[str, object]:
    done = [found for point in points if isinstance(found := outcomes[point], PointResult)]
    weights = [found.parameters for found in done if found.parameters is not None]
    return {
        "seconds": round(float(np.mean([found.seconds for found in done])), 2) if done else None,
        "parameters": weights[0] if weights else None,
    }


def _choice(sweep: Sweep, requests: Sequence[ScoreRequest], scores: Mapping[Point, _Scores]) -> Choice | None:
    """Choose among the settings whose every seed worked and has the same clips."""
    request = requests[sweep.metrics.index(sweep.choose)]
    metric, convention = request.resolve()
    direction = convention.direction or metric.direction
    tables: dict[str, Values] = {}
    for setting in sweep.settings():
        of_setting = [scores[point] for point in scores if point.setting == setting]
        if len(of_setting) != len(sweep.seeds):
            continue
        values = seeds_by_clips(of_setting, sweep.system, request)
        if values is not None and values.shape[1] >= 2:
            tables[label_of(setting)] = values
    if len({values.shape for values in tables.values()}) != 1 or len(tables) < 2 or direction == "none":
        return None
    return choose(tables, direction)
