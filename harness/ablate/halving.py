"""Successive halving: all settings are trained shortly, the better half longer, the best quarter in full.

Source: K. Jamieson and A. Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization,
AISTATS 2016. A setting that is given up has no score: none after a short training may stand beside one in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clapstick.harness.ablate.execute import PointResult, run_points
from clapstick.harness.ablate.resolve import resolve
from clapstick.harness.ablate.sweep import Point, Setting, Sweep
from clapstick.harness.plan import score_requests
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import find_protocol

SHARES = (0.25, 0.5, 1.0)
"""Of the epochs, one share a round."""


@dataclass(frozen=True)
class GivenUp:
    """A point that was not trained in full, because its setting was in the worse half."""

    share: float
    """Of the epochs, after which it was given up."""
    folder: Path
    """Archive of the short training."""

    def __str__(self) -> str:
        return f"given up after {self.share * 100:g} % of its training: in the worse half then"


Outcome = PointResult | Problem | GivenUp


def run_halving(
    sweep: Sweep, points: Sequence[Point], data: Path, root: Path, workers: int, device: str = "cpu"
) -> dict[Point, Outcome]:
    """Carry out a sweep by successive halving; what no varied key reaches is run once, as always.

    Raises
    ------
    ClapstickError
        If the sweep trains nothing: there is no budget to halve.
    """
    if not any(key.startswith(("video2rms.", "train.")) for key in (*sweep.base, *sweep.grid, *sweep.tied)):
        raise fail(
            "halving needs a sweep that trains",
            sweep.name,
            found=", ".join(sweep.grid),
            expected="keys of video2rms or train",
            remedy="Leave --halving out.",
        )
    outcomes: dict[Point, Outcome] = {}
    constant = [point for point in points if not point.setting]
    alive = [point for point in points if point.setting]
    for share in SHARES:
        shortened = {_shortened(sweep, point, share): point for point in alive}
        done = run_points(sweep, list(shortened), data, root, workers, device)
        found = {shortened[point]: outcome for point, outcome in done.items()}
        if share == SHARES[-1]:
            outcomes.update(found)
            break
        kept = _better_half(sweep, found)
        for point in alive:
            if point.setting not in kept:
                outcome = found[point]
                outcomes[point] = (
                    GivenUp(share, outcome.folder) if isinstance(outcome, PointResult) else outcome
                )
        alive = [point for point in alive if point.setting in kept]
    outcomes.update(run_points(sweep, constant, data, root, workers, device))
    return {point: outcomes[point] for point in points}


def _shortened(sweep: Sweep, point: Point, share: float) -> Point:
    try:
        epochs = resolve(sweep, point).training.epochs
    except ClapstickError:
        return point  # an impossible value: the point itself will say so
    return point.with_value("train.epochs", max(1, round(epochs * share)))


def _better_half(sweep: Sweep, found: dict[Point, PointResult | Problem]) -> set[Setting]:
    request = score_requests(find_protocol(sweep.protocol).model_copy(update={"metrics": (sweep.choose,)}))[0]
    metric, convention = request.resolve()
    sign = -1.0 if (convention.direction or metric.direction) == "higher" else 1.0
    values: dict[Setting, list[float]] = {}
    for point, outcome in found.items():
        if isinstance(outcome, PointResult):
            for record in RunArchive(outcome.folder).read_summary():
                same = (record.system, record.metric, record.convention) == (
                    sweep.system,
                    request.metric,
                    request.convention,
                )
                if same and record.value is not None:
                    values.setdefault(point.setting, []).append(sign * record.value)
    ranked = sorted(values, key=lambda setting: float(np.mean(values[setting])))
    return set(ranked[: max(1, -(-len(ranked) // 2))])
