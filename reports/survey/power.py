"""How many raters and clips a test needs: the power of the paired test on a difference between two systems.

The difference of two systems scatters over raters, over clips and from rating to rating. With R raters who each
rate c of C clips, its variance is ``rater / R + clip / C + noise / (R c)``, and the test of
`clapstick.reports.survey.crossed` has the power of a noncentral t test (J. Westfall, D. Kenny, C. Judd,
Statistical power and optimal design in experiments in which samples of participants respond to samples of
stimuli, 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.uncertainty import student_quantile
from clapstick.reports.survey.crossed import Components, crossed_mean, satterthwaite

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_COMPONENTS = Components(rater=0.10, clip=0.20, noise=1.40)
"""Variances of a difference between two systems in squared points, where there is no pilot. Rounded medians
over the pairs of distortions in the PEAVS annotations (amazon-science/avgen-eval-toolkit, batch 1)."""


@dataclass(frozen=True)
class PlannedPower:
    """The power of one size of test."""

    raters: int
    clips: int
    ratings_a_system: int
    power: float


def paired_power(
    difference: float,
    raters: int,
    clips: int,
    components: Components,
    *,
    clips_per_rater: int = 0,
    alpha: float = 0.05,
) -> float:
    """Return the chance to find a difference between two systems in a two-sided test.

    Parameters
    ----------
    difference : float
        True difference of mean ratings, in points.
    components : Components
        Variances of the difference.
    clips_per_rater : int
        Clips that each rater meets; 0 for all.

    Raises
    ------
    ValueError
        If there are fewer than two raters or clips, or more clips a rater than clips.
    """
    each = clips_per_rater or clips
    if raters < 2 or clips < 2 or not 1 <= each <= clips:
        raise ValueError(
            f"needs two raters, two clips and 1 to {clips} clips a rater; found {raters}, {clips}, {each}"
        )
    from scipy.stats import nct

    n = raters * each
    parts = [max(components.rater, 0) / raters, max(components.clip, 0) / clips, max(components.noise, 0) / n]
    variance, degrees = satterthwaite(parts, raters, clips, n)
    if variance == 0:
        return float(difference != 0)
    shift = abs(difference) / np.sqrt(variance)
    critical = student_quantile(1 - alpha / 2, degrees)
    beyond = float(nct.sf(critical, degrees, shift))
    below = float(nct.cdf(-critical, degrees, shift))
    return beyond + (below if below > 0 else 0.0)  # SciPy gives NaN where the lower tail underflows


def plan_sizes(
    difference: float,
    components: Components,
    *,
    raters: Sequence[int],
    clips: Sequence[int],
    clips_per_rater: int = 0,
    alpha: float = 0.05,
) -> list[PlannedPower]:
    """Return the power of every number of raters with every number of clips."""
    sizes = []
    for r in raters:
        for c in clips:
            each = min(clips_per_rater or c, c)
            power = paired_power(difference, r, c, components, clips_per_rater=each, alpha=alpha)
            sizes.append(PlannedPower(r, c, r * each, power))
    return sizes


def smallest_raters(
    difference: float,
    clips: int,
    components: Components,
    wanted: float,
    *,
    clips_per_rater: int = 0,
    alpha: float = 0.05,
    most: int = 1000,
) -> int | None:
    """Return the fewest raters that reach the wanted power with these clips; None where no number does."""
    for raters in range(2, most + 1):
        if (
            paired_power(difference, raters, clips, components, clips_per_rater=clips_per_rater, alpha=alpha)
            >= wanted
        ):
            return raters
    return None


def components_from_ratings(ratings: pd.DataFrame) -> Components:
    """Return the median components of the differences between systems in a pilot.

    Parameters
    ----------
    ratings : DataFrame
        Columns rater, clip, system, criterion, rating.

    Raises
    ------
    NotComputableError
        If no pair of systems was rated by two raters on two clips.
    """
    from itertools import combinations

    found = []
    for _, own in ratings.groupby("criterion"):
        wide = own.pivot_table(index=["rater", "clip"], columns="system", values="rating", aggfunc="mean")
        for a, b in combinations(wide.columns, 2):
            cells = (wide[a] - wide[b]).dropna().rename("difference").reset_index()
            try:
                values = cells["difference"].to_numpy(dtype=np.float64)
                part = crossed_mean(
                    cells["rater"].to_numpy(), cells["clip"].to_numpy(), values, 0.95
                ).components
            except NotComputableError:
                continue
            found.append((part.rater, part.clip, part.noise))
    if not found:
        raise NotComputableError("no two systems of the pilot were rated by two raters on two common clips")
    rater, clip, noise = np.median(np.maximum(found, 0), axis=0)
    return Components(float(rater), float(clip), float(noise))


def choice_power(rate: float, choices: int, *, alpha: float = 0.05) -> float:
    """Return the power of the exact binomial test of a win rate against one half, for independent choices."""
    from scipy.stats import binom, binomtest

    wins = np.arange(choices + 1)
    p_values = np.array([binomtest(int(k), choices).pvalue for k in wins])
    return float(binom.pmf(wins, choices, rate)[p_values < alpha].sum())
