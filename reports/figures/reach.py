"""How far an axis reaches: a few values far worse than all others do not squeeze these into a corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clapstick.protocols.archive import ScoreRecord
from clapstick.reports.figures.svg import element

FAR = 4.0
"""Values are left off an axis where the gap to the rest is more than this many times the width of the rest."""
MOST_OFF = 0.25
"""Share of the values that may be off."""
IN_WORDS = "An arrow is a value beyond the axis, printed beside it."

Span = tuple[float, float]
"""Both ends of an interval; twice the value where there is none."""


@dataclass(frozen=True)
class Reach:
    """The least and the greatest number that an axis must show."""

    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """Both numbers."""
        return self.low, self.high

    def side(self, value: float) -> int:
        """Return 0 for a value on the axis, -1 for one below it, 1 for one above it."""
        return int(value > self.high) - int(value < self.low)


def span_of(score: ScoreRecord) -> Span:
    """Return a score's interval; raises `ValueError` where it has no value."""
    if score.value is None:
        raise ValueError(f"{score.system} has no value under {score.metric}")
    if score.ci_low is None or score.ci_high is None:
        return score.value, score.value
    return score.ci_low, score.ci_high


def reach_of(spans: Sequence[Span], direction: str) -> Reach:
    """Return what an axis should show: all intervals, or all but a few that are far worse.

    Parameters
    ----------
    spans : sequence of (low, high)
    direction : {"lower", "higher", "none"}
        Which values are better. Good ones are never left off, nor any where neither end is better.
    """
    kept = list(spans)
    if direction == "lower":
        kept = _without_far_above(kept)
    if direction == "higher":
        kept = _turned(_without_far_above(_turned(kept)))
    return Reach(min(low for low, _ in kept), max(high for _, high in kept))


def _without_far_above(spans: Sequence[Span]) -> list[Span]:
    ordered = sorted(spans)
    for off in range(int(MOST_OFF * len(ordered)), 0, -1):
        rest, gone = ordered[:-off], ordered[-off:]
        low, high = rest[0][0], max(high for _, high in rest)
        if high > low and gone[0][0] - high > FAR * (high - low):
            return rest
    return ordered


def _turned(spans: Sequence[Span]) -> list[Span]:
    return [(-high, -low) for low, high in spans]


def arrow(x: float, y: float, right: int, down: int, *, is_control: bool) -> Markup:
    """Return an arrow head that points off the picture."""
    size = math.hypot(right, down)
    across, along = right / size, down / size
    points = ((8 * across, 8 * along), (-5 * along, 5 * across), (5 * along, -5 * across))
    d = "M" + "L".join(f"{x + dx:.2f},{y + dy:.2f}" for dx, dy in points) + "Z"
    return element("path", "control" if is_control else "mark", d=d, stroke_width=1.5)
