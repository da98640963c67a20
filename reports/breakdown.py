"""Where systems are good: means by material and action, with small cells shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clapstick.metrics.uncertainty import jackknife, means_without_each, student_quantile
from clapstick.protocols.clips import Clip
from clapstick.reports.run_data import Pair, RunData

SMALL_CELL = 5
"""Cells with fewer clips are marked."""
NOT_ANNOTATED = "not annotated"


@dataclass(frozen=True)
class CellMean:
    """The clips of one cell under one system."""

    mean: float
    shrunk: float
    """The mean drawn towards the system's own mean, by as much as chance explains."""
    n: int
    interval: tuple[float, float] | None
    """Student's interval of the mean, source videos left out in turn; None where clips or sources are few."""

    @property
    def is_small(self) -> bool:
        """Whether too few clips stand behind the mean to be read alone."""
        return self.n < SMALL_CELL


@dataclass(frozen=True)
class Breakdown:
    """One metric by one attribute of the clips."""

    column: Pair
    attribute: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    """Clips with each label."""
    systems: tuple[str, ...]
    cells: dict[tuple[str, str], CellMean]
    """(label, system) -> mean; a pair without clips has none."""


def by_attribute(data: RunData, column: Pair, attribute: str) -> Breakdown:
    """Break a metric down by ``material``, ``action`` or ``material and action``."""
    labels = pd.Series([_label(clip, attribute) for clip in data.clips], index=[clip.id for clip in data.clips])
    table = data.clip_values[column]
    order = sorted(set(labels), key=lambda label: (label == NOT_ANNOTATED, label))
    sources = {clip.id: clip.source for clip in data.clips}
    level = data.run.protocol.statistics.level
    systems = [str(name) for name in table.columns if table[name].notna().any()]
    cells: dict[tuple[str, str], CellMean] = {}
    for system in systems:
        groups = {label: table[system][labels == label].dropna() for label in order}
        shrunk = shrink([values.to_numpy() for values in groups.values() if values.size])
        means = iter(shrunk)
        for label, values in groups.items():
            if values.size:
                interval = student_interval(values.to_numpy(), [sources[clip] for clip in values.index], level)
                cells[label, system] = CellMean(float(values.mean()), next(means), int(values.size), interval)
    counts = tuple(int((labels == label).sum()) for label in order)
    return Breakdown(column, attribute, tuple(order), counts, tuple(systems), cells)


def student_interval(
    values: NDArray[np.float64], sources: Sequence[str], level: float
) -> tuple[float, float] | None:
    """Return Student's interval of a mean over clips, with the jackknife's standard error over source videos.

    Parameters
    ----------
    values : array, shape (clips,)
    sources : sequence of str
        Source video of each clip.
    level : float

    Returns
    -------
    low, high : float
        None with fewer than `SMALL_CELL` clips or two sources.
    """
    if len(values) < SMALL_CELL or len(set(sources)) < 2:
        return None
    mean = float(values.mean())
    estimate = jackknife(mean, means_without_each(values, sources))
    reach = student_quantile(0.5 + level / 2, estimate.groups - 1) * estimate.standard_error
    return mean - reach, mean + reach


def shrink(groups: Sequence[NDArray[np.float64]]) -> list[float]:
    """Draw the means of small groups towards the common mean.

    Method-of-moments empirical Bayes for normal means (DerSimonian and Laird, Meta-analysis in clinical trials,
    1986): with within-group variance s2 and between-group variance t2, the mean of n values keeps the weight
    t2 / (t2 + s2 / n). With fewer than two groups, or no within-group variance to estimate, means stay.

    Parameters
    ----------
    groups : sequence of arrays, each of shape (values,) with at least one value

    Returns
    -------
    list of float, one for each group
    """
    means = np.array([group.mean() for group in groups])
    sizes = np.array([group.size for group in groups], dtype=np.float64)
    freedom = float(np.sum(sizes - 1))
    if len(groups) < 2 or freedom < 1:
        return [float(mean) for mean in means]
    within = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups) / freedom
    if within == 0:
        return [float(mean) for mean in means]
    pooled = float(np.sum(sizes * means) / sizes.sum())
    spread = float(np.sum(sizes * (means - pooled) ** 2))
    between = (spread - (len(groups) - 1) * within) / float(sizes.sum() - np.sum(sizes**2) / sizes.sum())
    between = max(0.0, between)
    variances = between + within / sizes
    trust = variances.min() / variances
    centre = float(np.sum(trust * means) / trust.sum())
    weights = between / variances
    return [float(value) for value in weights * means + (1 - weights) * centre]


def _label(clip: Clip, attribute: str) -> str:
    if attribute == "material":
        return clip.material or NOT_ANNOTATED
    if attribute == "action":
        return clip.action or NOT_ANNOTATED
    return f"{clip.material or NOT_ANNOTATED}, {clip.action or NOT_ANNOTATED}"
