"""Forced choices: win rates with exact intervals, and Bradley-Terry strengths."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from clapstick.metrics.base import NotComputableError
from clapstick.reports.survey.opinion import holm

if TYPE_CHECKING:
    import pandas as pd


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WinRate(_Record):
    """How often a was chosen over b."""

    criterion: str
    system_a: str
    system_b: str
    wins: int
    n: int
    rate: float
    ci_low: float
    """Exact binomial interval (Clopper-Pearson)."""
    ci_high: float
    half_width: float
    """Normal approximation, as papers print it."""
    p: float
    """Exact, two-sided, for one half."""
    p_holm: float
    """Adjusted over all pairs under this criterion."""


class Strength(_Record):
    """Bradley-Terry strength: log odds of winning against an average system of the test."""

    criterion: str
    system: str
    strength: float | None
    ci_low: float | None
    ci_high: float | None
    reason: str | None = None


def win_rates(choices: pd.DataFrame, level: float) -> list[WinRate]:
    """Return the win rate of every pair of systems under every criterion.

    Parameters
    ----------
    choices : DataFrame
        Columns criterion, first, second, winner.
    """
    rates = []
    for criterion, own in choices.groupby("criterion", sort=True):
        found = []
        for a, b in combinations(sorted(set(own["first"]) | set(own["second"])), 2):
            met = own[own["first"].isin([a, b]) & own["second"].isin([a, b])]
            if len(met):
                found.append((a, b, int((met["winner"] == a).sum()), len(met)))
        tests = [binomial(wins, n, level) for _, _, wins, n in found]
        adjusted = holm([test[2] for test in tests])
        for (a, b, wins, n), (low, high, p), p_holm in zip(found, tests, adjusted, strict=True):
            rates.append(
                WinRate(
                    criterion=str(criterion),
                    system_a=a,
                    system_b=b,
                    wins=wins,
                    n=n,
                    rate=wins / n,
                    ci_low=low,
                    ci_high=high,
                    half_width=normal_half_width(wins, n, level),
                    p=p,
                    p_holm=p_holm,
                )
            )
    return rates


def binomial(wins: int, n: int, level: float) -> tuple[float, float, float]:
    """Return the exact interval of a win rate and the exact two-sided p value for one half."""
    from scipy.stats import binomtest

    test = binomtest(wins, n)
    interval = test.proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high), float(test.pvalue)


def normal_half_width(wins: int, n: int, level: float) -> float:
    """Return ``z sqrt(p (1 - p) / n)``."""
    from scipy.special import ndtri

    rate = wins / n
    return float(ndtri(0.5 + level / 2) * np.sqrt(rate * (1 - rate) / n))


def strengths(choices: pd.DataFrame, level: float) -> list[Strength]:
    """Fit Bradley-Terry strengths under every criterion, strongest first; standard errors are clustered by
    rater."""
    found = []
    for criterion, own in choices.groupby("criterion", sort=True):
        systems = sorted(set(own["first"]) | set(own["second"]))
        try:
            fitted = bradley_terry(own, systems, level)
        except NotComputableError as error:
            found += [
                Strength(
                    criterion=str(criterion),
                    system=name,
                    strength=None,
                    ci_low=None,
                    ci_high=None,
                    reason=str(error),
                )
                for name in systems
            ]
            continue
        rows = [
            Strength(criterion=str(criterion), system=name, strength=value, ci_low=low, ci_high=high)
            for name, (value, low, high) in fitted.items()
        ]
        found += sorted(rows, key=lambda row: -(row.strength or 0.0))
    return found


def bradley_terry(
    choices: pd.DataFrame, systems: list[str], level: float
) -> dict[str, tuple[float, float, float]]:
    """Return strength and interval of each system; strengths sum to zero.

    Raises
    ------
    NotComputableError
        If the systems fall into two groups of which one never loses to the other: its strength has no bound
        (L. Ford,
        1957).
    """
    import statsmodels.api as sm
    from scipy.special import ndtri

    _require_connected(choices, systems)
    place = {name: index for index, name in enumerate(systems)}
    design = np.zeros((len(choices), len(systems)))
    rows = np.arange(len(choices))
    design[rows, choices["first"].map(place)] += 1
    design[rows, choices["second"].map(place)] -= 1
    won = (choices["winner"] == choices["first"]).to_numpy(dtype=np.float64)
    raters = np.unique(choices["rater"], return_inverse=True)[1]
    model = sm.GLM(won, design[:, 1:], family=sm.families.Binomial())
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": raters}} if raters.max() > 0 else {}
    fit = model.fit(**clustered)
    centre = np.eye(len(systems))[:, 1:] - 1 / len(systems)
    values = centre @ fit.params
    errors = np.sqrt(np.diag(centre @ fit.cov_params() @ centre.T))
    reach = float(ndtri(0.5 + level / 2))
    return {
        name: (float(v), float(v - reach * e), float(v + reach * e))
        for name, v, e in zip(systems, values, errors, strict=True)
    }


def _require_connected(choices: pd.DataFrame, systems: list[str]) -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    place = {name: index for index, name in enumerate(systems)}
    loser = choices["first"].where(choices["winner"] == choices["second"], choices["second"])
    beaten = csr_matrix(
        (np.ones(len(choices)), (choices["winner"].map(place), loser.map(place))), shape=(len(systems),) * 2
    )
    groups, labels = connected_components(beaten, connection="strong")
    if groups > 1:
        alone = [name for name, label in zip(systems, labels, strict=True) if label == labels[0]]
        raise NotComputableError(
            f"{', '.join(alone)} won always or never against the others: strengths have no bound"
        )
