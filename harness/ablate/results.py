"""The table of a sweep: scores of all points over seeds and clips, the papers' numbers, the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from clapstick.harness.ablate.evidence import Choice, Values, choose, estimate
from clapstick.harness.ablate.execute import PointResult
from clapstick.harness.ablate.halving import GivenUp, Outcome
from clapstick.harness.ablate.quantisation import QuantisationRow, quantisation_rows
from clapstick.harness.ablate.sweep import Point, Setting, Sweep
from clapstick.harness.plan import score_requests
from clapstick.harness.statistics import ScoreRequest
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import Problem
from clapstick.protocols.protocol import find_protocol
from clapstick.protocols.results import published_results

if TYPE_CHECKING:
    import pandas as pd

Outcomes = Mapping[Point, Outcome]


@dataclass(frozen=True)
class SweepResults:
    """Everything that a sweep's page and files show."""

    sweep: Sweep
    table: pd.DataFrame
    """One row a setting x system x score: mean, interval, seeds, clips, the paper's number, or a reason."""
    choice: Choice | None
    failures: tuple[tuple[str, Problem], ...]
    """(point, what went wrong)."""
    quantisation: tuple[QuantisationRow, ...] = ()
    """What the discretised reference should lose, where the sweep varies its bins."""


@dataclass(frozen=True)
class Scores:
    """What the archive of one point holds."""

    archive: RunArchive
    clips: pd.DataFrame
    """scores.parquet."""

    @cached_property
    def sets(self) -> Mapping[tuple[str, ScoreRequest], float]:
        """Values of whole sets, for scores that no single clip has."""
        return {
            (record.system, ScoreRequest(record.metric, record.convention)): record.value
            for record in self.archive.read_summary()
            if record.value is not None
        }

    def generation_s(self, system: str) -> float | None:
        """Return the mean wall seconds that a system took for a clip; None where the archive does not say."""
        records = [self.archive.read_native(system, clip) for clip in self.archive.read_clips()]
        seconds = [record.seconds for record in records if record is not None]
        return float(np.mean(seconds)) if seconds else None


def collect(sweep: Sweep, outcomes: Outcomes) -> SweepResults:
    """Read the archives of all points that worked, and put them together."""
    import pandas as pd

    requests = score_requests(find_protocol(sweep.protocol).model_copy(update={"metrics": sweep.metrics}))
    scores = {point: _read(done) for point, done in outcomes.items() if isinstance(done, PointResult)}
    rows = []
    for setting in [*sweep.settings(), *([()] if sweep.constant_controls else [])]:
        points = [point for point in outcomes if point.setting == setting]
        worked = [point for point in points if point in scores]
        given_up = next((done for point in points if isinstance(done := outcomes[point], GivenUp)), None)
        for system in sweep.varied_systems if setting else sweep.constant_controls:
            cost = _cost(system, sweep, worked, outcomes, scores)
            for written, request in zip(sweep.metrics, requests, strict=True):
                row = _row(sweep, setting, system, written, request, [scores[point] for point in worked])
                if given_up:
                    row["reason"] = str(given_up)
                rows.append(row | cost)
    failures = tuple(
        (f"{point.label}, seed {point.seed}", done)
        for point, done in outcomes.items()
        if isinstance(done, Problem)
    )
    archives = {point: score.archive for point, score in scores.items()}
    table = pd.DataFrame(rows)
    choice = _choice(sweep, requests, scores)
    return SweepResults(sweep, table, choice, failures, quantisation_rows(table, archives))


def _read(done: PointResult) -> Scores:
    archive = RunArchive(done.folder)
    return Scores(archive, archive.read_scores())


def _row(
    sweep: Sweep, setting: Setting, system: str, written: str, request: ScoreRequest, scores: Sequence[Scores]
) -> dict[str, object]:
    metric, convention = request.resolve()
    published = published_number(sweep, setting, system, request)
    row: dict[str, object] = {
        "setting": sweep.label(setting),
        **{key: sweep.word(key, value) for key, value in setting},
        "system": system,
        "score": written,
        "metric": metric.title,
        "unit": metric.unit,
        "direction": convention.direction or metric.direction,
        "mean": None,
        "low": None,
        "high": None,
        "seeds": len(scores),
        "clips": 0,
        "reason": None,
        "published": published[0] if published else None,
        "published_in": published[1] if published else None,
    }
    if not scores:
        return row | {"reason": "no point of this setting worked"}
    values = seeds_by_clips(scores, system, request)
    if values is not None and values.shape[1] >= 2:
        found = estimate(values)
        low, high = metric.in_range(found.low), metric.in_range(found.high)
        return row | {"mean": found.mean, "low": low, "high": high, "clips": found.clips}
    of_sets = [score.sets[system, request] for score in scores if (system, request) in score.sets]
    if not of_sets:
        return row | {"reason": _reason(scores[0], system, request)}
    # A score of whole sets has no clips to compute an interval from: the range over seeds is shown.
    return row | {
        "mean": float(np.mean(of_sets)),
        "low": min(of_sets),
        "high": max(of_sets),
        "seeds": len(of_sets),
    }


def published_number(
    sweep: Sweep, setting: Setting, system: str, request: ScoreRequest
) -> tuple[float, str] | None:
    """Return the number that a paper prints for one of our rows, and where; None where there is none."""
    varied = dict(setting)
    beside = [row for row in sweep.published if row.system == system and row.setting == varied]
    frame = published_results()
    for row in beside:
        found = frame[
            (frame.protocol == row.table)
            & (frame.row == row.row)
            & (frame.metric == request.metric)
            & (frame.convention == request.convention)
        ]
        if len(found):
            first = found.iloc[0]
            return float(first.value), f"{first.paper}, {first.table}: {first.row}"
    return None


def seeds_by_clips(scores: Sequence[Scores], system: str, request: ScoreRequest) -> Values | None:
    """Return (seeds, clips) values over the clips that every seed has; None where no clip has a value."""
    columns = [_of(score, system, request).set_index("clip").value.dropna() for score in scores]
    shared = sorted(set.intersection(*(set(column.index) for column in columns)))
    if not shared:
        return None
    return np.asarray(np.stack([column.loc[shared].to_numpy(np.float64) for column in columns]))


def _of(score: Scores, system: str, request: ScoreRequest) -> pd.DataFrame:
    frame = score.clips
    return frame[
        (frame.system == system) & (frame.metric == request.metric) & (frame.convention == request.convention)
    ]


def _reason(score: Scores, system: str, request: ScoreRequest) -> str:
    reasons = _of(score, system, request).reason.dropna()
    return str(reasons.iloc[0]) if len(reasons) else "nothing was scored"


def _cost(
    system: str, sweep: Sweep, points: Sequence[Point], outcomes: Outcomes, scores: Mapping[Point, Scores]
) -> dict[str, object]:
    """Return what one setting of a system costs: training, generation of a clip, size."""
    done = [found for point in points if isinstance(found := outcomes[point], PointResult)]
    training = [found.train_s for found in done if found.train_s is not None and system == sweep.system]
    sizes = [found.parameters for found in done if found.parameters is not None and system == sweep.system]
    generation = [s for point in points if (s := scores[point].generation_s(system)) is not None]
    return {
        "train_s": round(float(np.mean(training)), 2) if training else None,
        "generate_s": round(float(np.mean(generation)), 4) if generation else None,
        "parameters": sizes[0] if sizes else None,
    }


def _choice(sweep: Sweep, requests: Sequence[ScoreRequest], scores: Mapping[Point, Scores]) -> Choice | None:
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
            tables[sweep.label(setting)] = values
    if len({values.shape for values in tables.values()}) != 1 or len(tables) < 2 or direction == "none":
        return None
    return choose(tables, direction)
