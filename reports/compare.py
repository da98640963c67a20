"""Several runs beside each other: what may share a column, what may not and why, what got better or worse."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.comparison import PairedTest, with_holm
from clapstick.metrics.comparison import compare as paired_tests
from clapstick.metrics.registry import metrics
from clapstick.metrics.signature import parse_signature
from clapstick.protocols.archive import ScoreRecord
from clapstick.protocols.problems import fail
from clapstick.reports.run_data import Pair, RunData, read_run
from clapstick.reports.stored_statistics import read_statistics

SIGNIFICANT = 0.05
_OWN_CLIPS = frozenset({"n", "param.clips"})
"""Settings that name the clips a system has: they differ where a system failed for a clip."""


@dataclass(frozen=True)
class RunScore:
    """A score and the run that it comes from."""

    run: str
    score: ScoreRecord


@dataclass(frozen=True)
class AgreedColumn:
    """A metric under a convention, and runs whose values of it may stand in one column."""

    metric: str
    convention: str
    runs: tuple[str, ...]
    differences: dict[str, tuple[str, str]]
    """Setting -> its value in the runs that the column stands apart from, and in these; empty for the first."""


@dataclass(frozen=True)
class Separated:
    """A metric under a convention that two runs compute in different ways, or on different clips."""

    metric: str
    convention: str
    run_a: str
    run_b: str
    differences: dict[str, tuple[str, str]]
    """Setting -> its value in each run."""


@dataclass(frozen=True)
class Change:
    """One system's score in a later run against the first."""

    system: str
    metric: str
    convention: str
    run_a: str
    run_b: str
    value_a: float
    value_b: float
    difference: float
    """Later minus first, on the clips that both have."""
    ci_low: float | None
    ci_high: float | None
    p_holm: float | None
    """Adjusted over all systems of the metric and convention."""
    clips: int
    verdict: str
    """``better``, ``worse``, ``within noise``, ``changed`` (no direction), or ``not tested``."""
    reason: str = ""

    @property
    def is_none(self) -> bool:
        """Whether both runs have the same value."""
        return self.value_a == self.value_b and self.difference == 0


@dataclass(frozen=True)
class RunComparison:
    """What several runs say together."""

    runs: tuple[str, ...]
    merged: tuple[RunScore, ...]
    """Scores that may share a column, by metric and convention."""
    separated: tuple[Separated, ...]
    changes: tuple[Change, ...]
    columns: tuple[AgreedColumn, ...]
    """Every metric and convention, once for each group of runs that agree, the first run's first."""
    data: dict[str, RunData]
    """Run -> what it holds."""


def compare_runs(run_dirs: Sequence[Path], *, allow: Collection[str] = ()) -> RunComparison:
    """Compare runs; the first is what later ones are measured against.

    Parameters
    ----------
    run_dirs : sequence of Path
        Two or more run archives.
    allow : collection of str
        Settings of a signature that may differ, such as ``version`` or ``library.numpy``; ``clips`` for other
        clips.

    Raises
    ------
    ClapstickError
        If a folder is no run archive, or there are fewer than two.
    """
    if len(run_dirs) < 2:
        raise fail(
            "a comparison needs two runs",
            "compare",
            found=len(run_dirs),
            remedy="Name two run folders or more.",
        )
    runs = dict(zip(_names(run_dirs), [read_run(path) for path in run_dirs], strict=True))
    columns = _agreed_columns(runs, allow)
    first_groups = [column for column in columns if not column.differences]
    firsts = {(column.metric, column.convention): column.runs[0] for column in first_groups}
    first_name = next(iter(runs))
    return RunComparison(
        runs=tuple(runs),
        merged=tuple(
            RunScore(name, score)
            for column in first_groups
            for name in column.runs
            for score in runs[name].scores
            if (score.metric, score.convention) == (column.metric, column.convention)
        ),
        separated=tuple(
            Separated(
                column.metric,
                column.convention,
                firsts[column.metric, column.convention],
                name,
                column.differences,
            )
            for column in columns
            if column.differences
            for name in column.runs
        ),
        changes=tuple(
            change
            for column in first_groups
            if column.runs[0] == first_name
            for name in column.runs[1:]
            for change in _changes(
                runs[first_name], runs[name], (column.metric, column.convention), first_name, name
            )
        ),
        columns=columns,
        data=runs,
    )


def _agreed_columns(runs: dict[str, RunData], allow: Collection[str]) -> tuple[AgreedColumn, ...]:
    """Put the runs that hold a column into groups that agree."""
    columns: list[AgreedColumn] = []
    for column in dict.fromkeys(column for data in runs.values() for column in data.columns):
        groups: list[list[str]] = []
        for name in (name for name, data in runs.items() if column in data.columns):
            for group in groups:
                if not _differences(runs[group[0]], runs[name], column, allow):
                    group.append(name)
                    break
            else:
                groups.append([name])
        first = runs[groups[0][0]]
        columns += [
            AgreedColumn(*column, tuple(group), _differences(first, runs[group[0]], column, allow))
            for group in groups
        ]
    return tuple(columns)


def _names(run_dirs: Sequence[Path]) -> list[str]:
    """Name runs by their folders, by whole paths where two folders share a name."""
    short = [path.resolve().name for path in run_dirs]
    if len(set(short)) == len(short):
        return short
    full = [str(path.resolve()) for path in run_dirs]
    if len(set(full)) < len(full):
        raise fail("a run is named twice", "compare", found=", ".join(full), remedy="Name each run once.")
    return full


def _differences(
    first: RunData, later: RunData, column: Pair, allow: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Return every setting in which the columns of two runs differ; empty where they are one column."""
    found: dict[str, tuple[str, str]] = {}
    ids, other_ids = ({clip.id for clip in data.clips} for data in (first, later))
    if ids != other_ids and "clips" not in allow:
        found["clips"] = (_clip_words(ids, other_ids), _clip_words(other_ids, ids))
    signatures, others = (_signatures(data, column) for data in (first, later))
    if not signatures or not others:
        return found
    try:
        differing = parse_signature(signatures[0]).differences(parse_signature(others[0]))
    except ValueError:
        differing = {"signature": (signatures[0], others[0])} if signatures[0] != others[0] else {}
    return found | {
        key: values for key, values in differing.items() if key not in _OWN_CLIPS and key not in allow
    }


def _clip_words(ids: set[str], other_ids: set[str]) -> str:
    own = len(ids - other_ids)
    return (
        f"{len(ids)}, {own} of them not in the other run"
        if own
        else f"{len(ids)}, all of them in the other run"
    )


def _signatures(data: RunData, column: Pair) -> list[str]:
    return [
        score.signature
        for score in data.scores
        if (score.metric, score.convention) == column and score.value is not None
    ]


def _changes(first: RunData, later: RunData, column: Pair, name_a: str, name_b: str) -> list[Change]:
    """Compare every system that both runs have; p-values are adjusted over these systems."""
    systems = [s.name for s in first.systems if (s.name, *column) in later.score_of]
    tests: dict[str, PairedTest | str] = {}
    for system in systems:
        before, after = first.score_of.get((system, *column)), later.score_of[system, *column]
        if before is not None and before.value is not None and after.value is not None:
            tests[system] = _test(first, later, system, column)
    done = [system for system, test in tests.items() if isinstance(test, PairedTest)]
    adjusted = with_holm([test for test in tests.values() if isinstance(test, PairedTest)])
    tests |= dict(zip(done, adjusted, strict=True))
    return [_change(first, later, system, column, name_a, name_b, test) for system, test in tests.items()]


def _test(first: RunData, later: RunData, system: str, column: Pair) -> PairedTest | str:
    """Test a system's statistics in two runs; a reason where that cannot be done."""
    metric = metrics().get(column[0])
    known = {item.name: item for item in metric.conventions} if metric else {}
    if metric is None or column[1] not in known:
        return "this installation does not know the metric"
    convention = known[column[1]]
    statistics = {
        "later": read_statistics(later, system, *column),
        "first": read_statistics(first, system, *column),
    }
    if not all(statistics.values()):
        return "the archive holds no per-clip statistics: score it again"
    rng = np.random.default_rng(zlib.crc32(repr((system, *column)).encode()))
    clusters = {clip.id: clip.source for clip in (*first.clips, *later.clips)}
    try:
        return paired_tests(
            statistics, clusters, convention.combiner, convention.direction or metric.direction, rng
        ).pairs[0]
    except NotComputableError as error:
        return str(error)


def _change(
    first: RunData,
    later: RunData,
    system: str,
    column: Pair,
    name_a: str,
    name_b: str,
    test: PairedTest | str,
) -> Change:
    before, after = first.score_of[system, *column], later.score_of[system, *column]
    value_a, value_b = before.value, after.value
    assert value_a is not None
    assert value_b is not None
    head = (system, *column, name_a, name_b, value_a, value_b)
    if isinstance(test, str):
        return Change(*head, value_b - value_a, None, None, None, 0, "not tested", test)
    sign = 1 if test.system_a == "later" else -1
    low, high = sorted((sign * test.low, sign * test.high))
    difference = sign * test.difference
    verdict = _verdict(difference, test.p_holm, after.direction)
    return Change(*head, difference, low, high, test.p_holm, test.clips, verdict)


def _verdict(difference: float, p_holm: float, direction: str) -> str:
    if difference == 0 or p_holm >= SIGNIFICANT:
        return "within noise"
    if direction not in ("lower", "higher"):
        return "changed"
    return "better" if (difference < 0) == (direction == "lower") else "worse"
