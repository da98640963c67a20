"""What a leaderboard says in sentences: who leads, and which controls do not bracket the systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clapstick.metrics.comparison import ALPHA
from clapstick.protocols.archive import ComparisonRecord, RankRecord
from clapstick.reports.board import Column, column_name
from clapstick.reports.numbers import format_p, format_value
from clapstick.reports.run_data import RunData


def findings(data: RunData, columns: tuple[Column, ...], titles: dict[str, str]) -> tuple[str, ...]:
    """Say of every column who is best, or that no test tells."""
    valued = [column for column in columns if _has_values(data, column)]
    if valued and len(data.competitors) < 2:
        return (f"{data.competitors[0].title} is the only system: there is nothing to rank.",)
    tested = [column for column in valued if len(_ranks(data, column)) > 1]
    untested = [column_name(column) for column in valued if column not in tested]
    sentences = [_finding(data, column, titles) for column in tested]
    if untested:
        sentences.append(f"{', '.join(untested)}: no paired test, so no system is called best.")
    return tuple(sentences)


def _ranks(data: RunData, column: Column) -> list[RankRecord]:
    return [r for r in data.compared.ranks if (r.metric, r.convention) == (column.metric, column.convention)]


def _finding(data: RunData, column: Column, titles: dict[str, str]) -> str:
    name = column_name(column)
    first = [rank.system for rank in _ranks(data, column) if rank.tie_group == 1]
    if len(first) > 1:
        listed = ", ".join(titles.get(system, system) for system in first)
        return f"{name}: no test tells {listed} apart."
    best = first[0]
    value = format_value(_value(data, best, column), column.decimals)
    against = [
        comparison
        for comparison in data.compared.comparisons
        if (comparison.metric, comparison.convention) == (column.metric, column.convention)
        and best in (comparison.system_a, comparison.system_b)
    ]
    if not against:
        return f"{name}: {titles.get(best, best)} is best ({value})."
    closest = max(against, key=lambda comparison: comparison.p_holm)
    other = closest.system_b if closest.system_a == best else closest.system_a
    return (
        f"{name}: {titles.get(best, best)} is best ({value}); closest is {titles.get(other, other)} "
        f"({format_value(_value(data, other, column), column.decimals)}, "
        f"{format_p(closest.p_holm)} after Holm, {closest.n} clips)."
    )


def beaten_by(data: RunData, column: Column) -> dict[str, list[ComparisonRecord]]:
    """Return competitor -> tests against floor controls that tell the control to be better."""
    floors = {system.name for system in data.systems if system.is_floor}
    beaten: dict[str, list[ComparisonRecord]] = {}
    for test in _control_tests(data, column):
        if test.system_b in floors and test.p_holm <= ALPHA:
            beaten.setdefault(test.system_a, []).append(test)
    return beaten


def beaten_sentence(column: Column, tests: Sequence[ComparisonRecord], titles: Mapping[str, str]) -> str:
    """Say which controls do better than a system, and by how much on the clips that both have."""
    listed = "; ".join(f"{titles[test.system_b]} by {_difference(test, column)}" for test in tests)
    return f"{column_name(column)}, ahead of {titles[tests[0].system_a]}: {listed}."


def not_told_from_controls(data: RunData, column: Column, titles: Mapping[str, str]) -> list[str]:
    """Say of which systems no test tells whether they or a control that is ahead of them is better."""
    floors = {system.name for system in data.systems if system.is_floor}
    ahead: dict[str, list[ComparisonRecord]] = {}
    for test in _control_tests(data, column):
        if test.system_b in floors and test.p_holm > ALPHA:
            ahead.setdefault(test.system_a, []).append(test)
    return [
        f"{column_name(column)}: no test tells {titles[system]} from "
        f"{'; '.join(titles[test.system_b] for test in tests)}, which {_are(tests)} ahead "
        f"({'smallest ' if len(tests) > 1 else ''}{format_p(min(test.p_holm for test in tests))} after Holm)."
        for system, tests in ahead.items()
    ]


def above_ceiling(data: RunData, column: Column, titles: Mapping[str, str]) -> list[str]:
    """Say which systems do better than a control that none should beat."""
    ceilings = {system.name for system in data.systems if system.is_ceiling}
    return [
        f"{column_name(column)}: {titles[test.system_a]} does better than {titles[test.system_b]}, by "
        f"{_difference(test, column)}: this metric rewards something besides likeness."
        for test in _control_tests(data, column)
        if test.system_b in ceilings and test.p_holm <= ALPHA
    ]


def _control_tests(data: RunData, column: Column) -> list[ComparisonRecord]:
    """Return the tests against controls whose difference is not printed as 0."""
    return [
        test
        for test in data.compared.controls
        if (test.metric, test.convention) == (column.metric, column.convention)
        and float(format_value(abs(test.difference), column.decimals)) > 0
    ]


def _difference(test: ComparisonRecord, column: Column) -> str:
    """Print a difference as how much better the better one is."""
    ends = (test.ci_low, test.ci_high) if test.difference > 0 else (-test.ci_high, -test.ci_low)
    size, low, high = (format_value(value, column.decimals) for value in (abs(test.difference), *ends))
    return f"{size} ({low} to {high}; {format_p(test.p_holm)} after Holm, {test.n} clips)"


def _are(tests: Sequence[ComparisonRecord]) -> str:
    return "is" if len(tests) == 1 else "are"


def _value(data: RunData, system: str, column: Column) -> float | None:
    score = data.score_of.get((system, column.metric, column.convention))
    return None if score is None else score.value


def _has_values(data: RunData, column: Column) -> bool:
    return any(_value(data, system.name, column) is not None for system in data.competitors)
