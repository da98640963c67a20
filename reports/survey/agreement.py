"""How far raters agree: Krippendorff's alpha, intraclass correlation, the consistency of each rater."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from clapstick.metrics.base import NotComputableError
from clapstick.reports.survey.crossed import variance_components
from clapstick.reports.survey.exclusions import repeat_differences

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agreement(_Record):
    """How far raters agree under one criterion."""

    criterion: str
    alpha: float | None
    """Krippendorff's alpha: ordinal for ratings, nominal for choices."""
    icc_single: float | None
    """ICC(2,1): share of the variance of one rater's ratings that lies between sounds."""
    icc_mean: float | None
    """ICC(2,k): the same for the mean over the raters of a sound."""
    raters_per_sound: float
    """Mean number k."""
    reason: str | None = None


class RaterConsistency(_Record):
    """One rater against the others and against himself."""

    rater: str
    n: int
    mean: float | None
    """Mean rating; None in a forced choice."""
    sd: float | None
    with_others: float | None
    """Correlation with the mean of the other raters over the same sounds; share of choices with the majority
    in a
    forced choice."""
    repeat_difference: float | None
    """Mean absolute difference between first and second answers; share of changed choices in a forced
    choice."""


def krippendorff_alpha(ratings: Array, level: Level) -> float:
    """Return Krippendorff's alpha (K. Krippendorff, Content Analysis, 2004, chapter 11).

    Parameters
    ----------
    ratings : array, shape (raters, units)
        NaN where a rater did not rate a unit.
    level : str
        ``nominal``, ``ordinal`` or ``interval``: which differences count.

    Raises
    ------
    NotComputableError
        If no unit has two ratings, or all ratings are equal: nothing could have disagreed.
    """
    given = ~np.isnan(ratings)
    values, place = np.unique(ratings[given], return_inverse=True)
    counts = np.zeros((ratings.shape[1], values.size))
    np.add.at(counts, (np.nonzero(given)[1], place), 1)
    counts = counts[counts.sum(axis=1) > 1]
    if counts.size == 0:
        raise NotComputableError("no sound was rated by two raters")
    totals = counts.sum(axis=0)
    pairs = counts.sum(axis=1, keepdims=True) - 1
    coincidences = counts.T @ (counts / pairs) - np.diag((counts / pairs).sum(axis=0))
    expected = np.outer(totals, totals) - np.diag(totals)
    distance = _distances(values, totals, level)
    disagreement = float((expected * distance).sum())
    if disagreement == 0.0:
        raise NotComputableError("all ratings are equal: there was nothing to disagree about")
    return float(1 - (totals.sum() - 1) * (coincidences * distance).sum() / disagreement)


def _distances(values: Array, totals: Array, level: Level) -> Array:
    if level == "nominal":
        return 1.0 - np.eye(values.size)
    if level == "interval":
        differences: Array = np.subtract.outer(values, values)
        return np.square(differences)
    reach = np.cumsum(totals)
    between: Array = np.subtract.outer(reach - totals / 2, reach - totals / 2)
    return np.square(between)


def intraclass_correlation(ratings: Array) -> tuple[float, float]:
    """Return ICC(2,1) and ICC(2,k) from the variances of units, raters and noise.

    On complete ratings they are the ones of P. Shrout and J. Fleiss, Intraclass correlations, 1979; k is the
    mean
    number of ratings a unit otherwise.

    Parameters
    ----------
    ratings : array, shape (raters, units)
        NaN where a rater did not rate a unit.
    """
    rater, unit = np.nonzero(~np.isnan(ratings))
    rater, unit = np.unique(rater, return_inverse=True)[1], np.unique(unit, return_inverse=True)[1]
    found = variance_components(rater, unit, ratings[~np.isnan(ratings)])
    k = rater.size / (unit.max() + 1)
    error = found.rater + found.noise
    if found.clip + error <= 0 or found.clip + error / k <= 0:
        raise NotComputableError("all ratings are equal: no share of their variance")
    return found.clip / (found.clip + error), found.clip / (found.clip + error / k)


def sound_columns(ratings: pd.DataFrame) -> list[str]:
    """Return the columns that name a sound: clip and system, and ``variant`` where a system made several."""
    return ["clip", "system"] + (["variant"] if "variant" in ratings.columns else [])


def opinion_agreement(ratings: pd.DataFrame) -> list[Agreement]:
    """Return the agreement of raters under each criterion; a sound is a clip and a system."""
    found = []
    for criterion, own in ratings.groupby("criterion", sort=True):
        wide = own.pivot_table(index="rater", columns=sound_columns(own), values="rating", aggfunc="mean")
        matrix = wide.to_numpy(dtype=np.float64)
        found.append(_agreement(str(criterion), matrix, "ordinal"))
    return found


def choice_agreement(choices: pd.DataFrame) -> list[Agreement]:
    """Return the agreement of raters under each criterion; a unit is a clip and a pair of systems."""
    found = []
    for criterion, own in choices.groupby("criterion", sort=True):
        names = np.sort(own[["first", "second"]].to_numpy(dtype=str), axis=1)
        table = own.assign(a=names[:, 0], b=names[:, 1], won=own["winner"].to_numpy(dtype=str) == names[:, 0])
        table["won"] = table["won"].astype(float)
        wide = table.pivot_table(index="rater", columns=["clip", "a", "b"], values="won", aggfunc="first")
        found.append(_agreement(str(criterion), wide.to_numpy(dtype=np.float64), "nominal"))
    return found


def _agreement(criterion: str, matrix: Array, level: Level) -> Agreement:
    per_sound = float((~np.isnan(matrix)).sum() / matrix.shape[1])
    reasons = []
    alpha = single = mean = None
    try:
        alpha = krippendorff_alpha(matrix, level)
    except NotComputableError as error:
        reasons.append(f"alpha: {error}")
    if level != "nominal":
        try:
            single, mean = intraclass_correlation(matrix)
        except NotComputableError as error:
            reasons.append(f"ICC: {error}")
    return Agreement(
        criterion=criterion,
        alpha=alpha,
        icc_single=single,
        icc_mean=mean,
        raters_per_sound=per_sound,
        reason="; ".join(reasons) or None,
    )


def rater_consistency(table: pd.DataFrame, repeats: Mapping[str, str]) -> list[RaterConsistency]:
    """Return how each rater stands to the others and to himself, over all criteria.

    Parameters
    ----------
    table : DataFrame
        Of `ratings_table`, or any table with columns rater, clip, system, criterion, rating, role and page.
    """
    test = table[table["role"] == "test"]
    again: Any = repeat_differences(table, repeats).groupby(level="rater").mean() if repeats else {}
    unit = ["criterion", *sound_columns(test)]
    totals = test.groupby(unit)["rating"].agg(["sum", "count"])
    joined = test.join(totals, on=unit)
    joined = joined[joined["count"] > 1]
    joined = joined.assign(others=(joined["sum"] - joined["rating"]) / (joined["count"] - 1))
    found = []
    for rater, own in test.groupby("rater", sort=True):
        pairs = joined[joined["rater"] == rater]
        found.append(
            RaterConsistency(
                rater=str(rater),
                n=len(own),
                mean=float(own["rating"].mean()),
                sd=float(own["rating"].std(ddof=1)) if len(own) > 1 else None,
                with_others=_correlation(pairs["rating"], pairs["others"]),
                repeat_difference=float(again[rater]) if rater in again else None,
            )
        )
    return found


def choice_consistency(table: pd.DataFrame, repeats: Mapping[str, str]) -> list[RaterConsistency]:
    """Return for each rater how often he chose with the majority of the others, and how often he changed his
    mind."""
    test = table[table["role"] == "test"]
    again: Any = repeat_differences(table, repeats).groupby(level="rater").mean() if repeats else {}
    names = np.sort(test[["first", "second"]].to_numpy(dtype=str), axis=1)
    won = (test["winner"].to_numpy(dtype=str) == names[:, 0]).astype(float)
    test = test.assign(a=names[:, 0], b=names[:, 1], won=won)
    unit = ["criterion", "clip", "a", "b"]
    totals = test.groupby(unit)["won"].agg(["sum", "count"])
    joined = test.join(totals, on=unit)
    joined = joined[joined["count"] > 1]
    others = (joined["sum"] - joined["won"]) / (joined["count"] - 1)
    decided = joined.assign(others=others)[others != 0.5]
    found = []
    for rater, own in test.groupby("rater", sort=True):
        pairs = decided[decided["rater"] == rater]
        share = float(((pairs["others"] > 0.5) == (pairs["won"] > 0.5)).mean()) if len(pairs) else None
        found.append(
            RaterConsistency(
                rater=str(rater),
                n=len(own),
                mean=None,
                sd=None,
                with_others=share,
                repeat_difference=float(again[rater]) if rater in again else None,
            )
        )
    return found


def _correlation(first: pd.Series[float], second: pd.Series[float]) -> float | None:
    if len(first) < 3 or first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
