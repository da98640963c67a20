"""What the points of a sweep say together: means with intervals over seeds and clips, and a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Direction
from clapstick.metrics.uncertainty import student_quantile, student_two_sided_p

Values = NDArray[np.float64]
ALPHA = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and clips with its interval."""

    mean: float
    low: float
    high: float
    standard_error: float
    degrees: float
    seeds: int
    clips: int


@dataclass(frozen=True)
class AgainstBest:
    """How one setting compares with the best one on the same seeds and clips."""

    label: str
    difference: float
    """Setting minus best."""
    low: float
    high: float
    p: float
    p_adjusted: float
    """After Bonferroni over all pairs of settings."""

    @property
    def worse(self) -> bool:
        """Whether it is worse than the best beyond doubt."""
        return self.p_adjusted <= ALPHA


@dataclass(frozen=True)
class Choice:
    """The first setting of the grid that is not significantly worse than the best."""

    best: str
    chosen: str
    against_best: tuple[AgainstBest, ...]
    text: str


def estimate(values: Values, level: float = 0.95) -> Estimate:
    """Return the mean of a seeds x clips table with its Student interval.

    Seeds and clips are two crossed samples: the variance of the mean is that of the seeds' means over the
    number of seeds plus that of the clips' means over the number of clips, which counts the residual twice and
    so errs towards wider intervals. Degrees of freedom after Satterthwaite (Biometrics Bulletin 2(6), 1946).
    With one seed the interval speaks of the clips alone.

    Parameters
    ----------
    values : ndarray, shape (seeds, clips)
        Finite clip scores; at least one seed and two clips.
    """
    seeds, clips = values.shape
    parts = [(values.mean(axis=0).var(ddof=1) / clips, clips - 1)]
    if seeds > 1:
        parts.append((values.mean(axis=1).var(ddof=1) / seeds, seeds - 1))
    variance = sum(part for part, _ in parts)
    squares = sum(part**2 / degrees for part, degrees in parts)
    degrees = variance**2 / squares if squares > 0 else float(clips - 1)
    error = float(np.sqrt(variance))
    reach = student_quantile(0.5 + level / 2, degrees) * error
    mean = float(values.mean())
    return Estimate(mean, mean - reach, mean + reach, error, float(degrees), seeds, clips)


def choose(tables: Mapping[str, Values], direction: Direction, level: float = 0.95) -> Choice:
    """Compare every setting with the best one, and choose the first that is not worse beyond doubt.

    Parameters
    ----------
    tables : mapping
        Setting -> (seeds, clips) scores, in order of preference; the same seeds and clips for all.
    direction : {"lower", "higher"}
        What is better.
    """
    sign = 1.0 if direction == "lower" else -1.0
    best = min(tables, key=lambda label: sign * float(tables[label].mean()))
    others = [label for label in tables if label != best]
    tests = []
    for label in others:
        found = estimate(tables[label] - tables[best], level)
        statistic = found.mean / found.standard_error if found.standard_error > 0 else 0.0
        p = (
            student_two_sided_p(statistic, found.degrees)
            if found.standard_error > 0
            else float(found.mean == 0)
        )
        tests.append((label, found, p))
    # The best is found by looking, so every pair counts as tried: Bonferroni over all pairs of settings.
    pairs = len(tables) * (len(tables) - 1) // 2
    against = tuple(
        AgainstBest(label, found.mean, found.low, found.high, p, min(1.0, p * pairs))
        for label, found, p in tests
    )
    worse = {test.label for test in against if test.worse}
    chosen = next(label for label in tables if label not in worse)
    return Choice(best, chosen, against, _explain(tables, best, chosen, against))


def _explain(tables: Mapping[str, Values], best: str, chosen: str, against: Sequence[AgainstBest]) -> str:
    seeds, clips = tables[best].shape
    basis = f"{seeds} seed{'s' if seeds > 1 else ''} and {clips} clips"
    open_settings = [test.label for test in against if not test.worse]
    if not open_settings:
        sentence = f"{best} is better than every other setting (adjusted p at most {ALPHA}), over {basis}."
    elif len(open_settings) == len(against):
        widest = max(max(abs(test.low), abs(test.high)) for test in against)
        sentence = (
            f"No setting is told from the best ({best}) over {basis}: up to {widest:.3g} may lie between. "
            f"The first of the grid, {chosen}, is as well supported as any."
        )
    else:
        test = next((test for test in against if test.label == chosen), None)
        reach = (
            f": it differs from {best} by {test.difference:.3g} [{test.low:.3g}, {test.high:.3g}]"
            if test
            else ""
        )
        sentence = (
            f"{chosen} is the first setting not significantly worse than the best{reach}, over {basis}. "
            f"Not told from the best: {', '.join(open_settings)}."
        )
    if seeds == 1:
        sentence += (
            " With one seed nothing is known of the chance in training: intervals speak of the clips alone."
        )
    elif seeds < 3:
        sentence += " Two seeds say little about the chance in training: intervals are wide for that reason."
    return sentence
