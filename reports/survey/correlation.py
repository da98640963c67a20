"""How well each metric of a run predicts what raters said, and how well it could at best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from clapstick.reports.survey.selection import REFERENCE

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
RESAMPLES = 500
SPLITS = 200
FEWEST_SYSTEMS = 4
"""Below this a correlation over systems is a coin toss."""
FEWEST_SOUNDS = 5


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MetricCorrelation(_Record):
    """Spearman's rank correlation of one metric with the ratings under one criterion.

    The ground truth is left out: metrics that compare with it are perfect there by construction.
    """

    criterion: str
    metric: str
    convention: str
    direction: str
    """``lower`` or ``higher`` is better; a good metric correlates negatively where lower is better."""
    clip_level: float | None
    """Over sounds: each system's sound for each clip."""
    clip_ci_low: float | None
    clip_ci_high: float | None
    sounds: int
    system_level: float | None
    """Over system means on the clips of the test."""
    system_ci_low: float | None
    system_ci_high: float | None
    systems: int
    reason: str | None = None


class NoiseCeiling(_Record):
    """The correlation with the mean rating that a perfect metric would reach, given how raters scatter."""

    criterion: str
    clip_level: float | None
    system_level: float | None


def metric_correlations(
    ratings: pd.DataFrame,
    scores: pd.DataFrame,
    directions: dict[str, str],
    level: float,
    rng: np.random.Generator,
) -> list[MetricCorrelation]:
    """Correlate every metric and convention with every criterion; intervals resample clips.

    Parameters
    ----------
    ratings : DataFrame
        Columns rater, clip, system, criterion, rating.
    scores : DataFrame
        As ``scores.parquet``: system, clip, metric, convention, value.
    directions : dict
        Metric -> ``lower`` or ``higher``.
    """
    means = (
        ratings[ratings["system"] != REFERENCE]
        .groupby(["criterion", "system", "clip"])["rating"]
        .mean()
        .reset_index()
    )
    found = []
    for criterion, own in means.groupby("criterion", sort=True):
        for (metric, convention), values in scores.groupby(["metric", "convention"], sort=True):
            both = own.merge(values.dropna(subset=["value"]), on=["system", "clip"])
            found.append(
                _correlate(
                    str(criterion),
                    str(metric),
                    str(convention),
                    directions.get(str(metric), "none"),
                    both,
                    level,
                    rng,
                )
            )
    return found


def _correlate(
    criterion: str,
    metric: str,
    convention: str,
    direction: str,
    both: pd.DataFrame,
    level: float,
    rng: np.random.Generator,
) -> MetricCorrelation:
    systems, clips = both["system"].nunique(), both["clip"].nunique()
    reasons = []
    clip_level: tuple[float | None, float | None, float | None] = (None, None, None)
    system_level = clip_level
    if len(both) < FEWEST_SOUNDS or clips < 2:
        reasons.append(f"{len(both)} sounds with a score, at least {FEWEST_SOUNDS} of two clips are needed")
    else:
        clip_level = _with_interval(both, level, rng, over_systems=False)
    if systems < FEWEST_SYSTEMS or clips < 2:
        reasons.append(f"{systems} systems with a score, at least {FEWEST_SYSTEMS} are needed")
    else:
        system_level = _with_interval(both, level, rng, over_systems=True)
    return MetricCorrelation(
        criterion=criterion,
        metric=metric,
        convention=convention,
        direction=direction,
        clip_level=clip_level[0],
        clip_ci_low=clip_level[1],
        clip_ci_high=clip_level[2],
        sounds=len(both),
        system_level=system_level[0],
        system_ci_low=system_level[1],
        system_ci_high=system_level[2],
        systems=systems,
        reason="; ".join(reasons) or None,
    )


def _with_interval(
    both: pd.DataFrame, level: float, rng: np.random.Generator, *, over_systems: bool
) -> tuple[float | None, float | None, float | None]:
    clip = np.unique(both["clip"], return_inverse=True)[1]
    system = np.unique(both["system"], return_inverse=True)[1]
    values = both[["value", "rating"]].to_numpy(dtype=np.float64)

    def estimate(rows: NDArray[np.int64]) -> float | None:
        pair = values[rows]
        if over_systems:
            counts = np.bincount(system[rows], minlength=system.max() + 1)
            sums = [np.bincount(system[rows], pair[:, k], counts.size)[counts > 0] for k in (0, 1)]
            pair = np.stack(sums, axis=1) / counts[counts > 0, None]
        return spearman(pair[:, 0], pair[:, 1])

    rows_of = [np.flatnonzero(clip == number) for number in range(clip.max() + 1)]
    whole = estimate(np.arange(len(values)))
    draws = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[number] for number in rng.integers(len(rows_of), size=len(rows_of))])
        draw = estimate(rows)
        if draw is not None:
            draws.append(draw)
    if whole is None or len(draws) < RESAMPLES // 2:
        return whole, None, None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return whole, float(low), float(high)


def spearman(first: Array, second: Array) -> float | None:
    """Return Spearman's rank correlation; None where one side is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(first), rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else None


def noise_ceilings(ratings: pd.DataFrame, rng: np.random.Generator) -> list[NoiseCeiling]:
    """Return the ceiling of each criterion from random halves of the raters.

    The correlation r between the means of two halves gives the reliability of the mean of all raters,
    ``2 r / (1 + r)`` (Spearman-Brown); nothing can correlate with that mean by more than its square root.
    """
    ratings = ratings[ratings["system"] != REFERENCE]
    return [
        NoiseCeiling(
            criterion=str(criterion),
            clip_level=_ceiling(own, ["system", "clip"], rng),
            system_level=_ceiling(own, ["system"], rng) if own["system"].nunique() >= FEWEST_SYSTEMS else None,
        )
        for criterion, own in ratings.groupby("criterion", sort=True)
    ]


def _ceiling(ratings: pd.DataFrame, unit: list[str], rng: np.random.Generator) -> float | None:
    raters = np.unique(ratings["rater"], return_inverse=True)[1]
    units = ratings.groupby(unit).ngroup().to_numpy()
    values = ratings["rating"].to_numpy(dtype=np.float64)
    count = int(raters.max()) + 1
    if count < 2:
        return None
    found = []
    for _ in range(SPLITS):
        in_first = np.isin(raters, rng.permutation(count)[: count // 2])[:, None] == [True, False]
        sums = np.stack([np.bincount(units, values * side, units.max() + 1) for side in in_first.T])
        counts = np.stack([np.bincount(units, side, units.max() + 1) for side in in_first.T])
        seen = (counts > 0).all(axis=0)
        if seen.sum() >= 3:
            r = spearman(*(sums[:, seen] / counts[:, seen]))
            if r is not None:
                found.append(r)
    if not found:
        return None
    r = max(float(np.mean(found)), 0.0)
    return float(np.sqrt(2 * r / (1 + r)))
