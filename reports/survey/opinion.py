"""Mean opinion scores: as papers print them, and with raters and clips as random effects; paired tests."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from clapstick.metrics.base import NotComputableError
from clapstick.reports.survey.crossed import CrossedMean, crossed_mean

if TYPE_CHECKING:
    import pandas as pd


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpinionScore(_Record):
    """One system under one criterion."""

    system: str
    criterion: str
    mean: float
    half_width: float | None
    """Normal interval over all ratings as if they were independent, as papers print it; None for one rating."""
    n: int
    raters: int
    clips: int
    mixed_mean: float | None
    """Mean over rater-clip cells; differs from `mean` only where a rater rated a sound twice."""
    ci_low: float | None
    """Interval of `mixed_mean` for other raters and other clips."""
    ci_high: float | None
    rater_variance: float | None
    clip_variance: float | None
    noise_variance: float | None
    reason: str | None = None
    """Why there is no mixed-model interval."""


class OpinionDifference(_Record):
    """Two systems under one criterion, rated by the same raters on the same clips."""

    criterion: str
    system_a: str
    system_b: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    p_holm: float | None
    """Adjusted over all pairs under this criterion."""
    n: int
    """Rater-clip cells that rated both."""
    reason: str | None = None


def opinion_scores(ratings: pd.DataFrame, level: float) -> list[OpinionScore]:
    """Return the mean opinion score of each system under each criterion, best first.

    Parameters
    ----------
    ratings : DataFrame
        Columns rater, clip, system, criterion, rating.
    level : float
        Of the intervals.
    """
    scores = []
    for (criterion, system), own in ratings.groupby(["criterion", "system"], sort=True):
        mean, half_width = printed_score(own["rating"].to_numpy(dtype=np.float64), level)
        crossed, reason = _crossed(own, "rating", level)
        scores.append(
            OpinionScore(
                system=str(system),
                criterion=str(criterion),
                mean=mean,
                half_width=half_width,
                n=len(own),
                raters=own["rater"].nunique(),
                clips=own["clip"].nunique(),
                mixed_mean=crossed.mean if crossed else None,
                ci_low=crossed.low if crossed else None,
                ci_high=crossed.high if crossed else None,
                rater_variance=crossed.components.rater if crossed else None,
                clip_variance=crossed.components.clip if crossed else None,
                noise_variance=crossed.components.noise if crossed else None,
                reason=reason,
            )
        )
    return sorted(scores, key=lambda score: (score.criterion, -score.mean))


def printed_score(
    ratings: np.ndarray[tuple[int], np.dtype[np.float64]], level: float
) -> tuple[float, float | None]:
    """Return the mean and the half-width ``z s / sqrt(n)``, as ``4.40 (+-0.11)`` in the papers' tables."""
    from scipy.special import ndtri

    if len(ratings) < 2:
        return float(ratings.mean()), None
    return float(ratings.mean()), float(ndtri(0.5 + level / 2) * ratings.std(ddof=1) / np.sqrt(len(ratings)))


def opinion_differences(ratings: pd.DataFrame, level: float) -> list[OpinionDifference]:
    """Compare every two systems on the raters and clips that rated both, with Holm's correction a criterion."""
    differences = []
    for criterion, own in ratings.groupby("criterion", sort=True):
        wide = own.pivot_table(index=["rater", "clip"], columns="system", values="rating", aggfunc="mean")
        order = wide.mean().sort_values(ascending=False).index
        found = []
        for a, b in combinations(order, 2):
            cells = (wide[a] - wide[b]).dropna().rename("difference").reset_index()
            crossed, reason = _crossed(cells, "difference", level)
            found.append((str(a), str(b), len(cells), crossed, reason))
        adjusted = holm([crossed.p for *_, crossed, _ in found if crossed])
        for a, b, n, crossed, reason in found:
            differences.append(
                OpinionDifference(
                    criterion=str(criterion),
                    system_a=a,
                    system_b=b,
                    difference=crossed.mean if crossed else None,
                    ci_low=crossed.low if crossed else None,
                    ci_high=crossed.high if crossed else None,
                    p=crossed.p if crossed else None,
                    p_holm=adjusted.pop(0) if crossed else None,
                    n=n,
                    reason=reason,
                )
            )
    return differences


def holm(p_values: list[float]) -> list[float]:
    """Return p values adjusted by Holm's step-down method."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def _crossed(table: pd.DataFrame, column: str, level: float) -> tuple[CrossedMean | None, str | None]:
    try:
        values = table[column].to_numpy(dtype=np.float64)
        return crossed_mean(table["rater"].to_numpy(), table["clip"].to_numpy(), values, level), None
    except NotComputableError as error:
        return None, str(error)
