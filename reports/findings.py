"""What a leaderboard says in sentences: who leads, and where controls do not bracket the systems."""

from __future__ import annotations

from clapstick.protocols.archive import RankRecord
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
    return [r for r in data.ranks if (r.metric, r.convention) == (column.metric, column.convention)]


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
        for comparison in data.comparisons
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


def beaten_by_controls(data: RunData, column: Column) -> dict[str, list[str]]:
    """Return competitor -> floor controls with a better value."""
    floors = [s.name for s in data.systems if s.is_floor]
    beaten: dict[str, list[str]] = {}
    for system in data.competitors:
        value = _value(data, system.name, column)
        if value is None:
            continue
        above = [
            name
            for name in floors
            if (floor := _value(data, name, column)) is not None and _visibly_better(column, floor, value)
        ]
        if above:
            beaten[system.name] = above
    return beaten


def _visibly_better(column: Column, value: float, other: float) -> bool:
    """Whether a value is better and also printed differently."""
    printed = [format_value(number, column.decimals) for number in (value, other)]
    return _better(column.direction, value, other) and printed[0] != printed[1]


def beaten_sentence(
    data: RunData, column: Column, system: str, controls: list[str], titles: dict[str, str]
) -> str:
    """Say which controls do better than a system."""
    value = format_value(_value(data, system, column), column.decimals)
    listed = " and ".join(
        f"{titles[name]} ({format_value(_value(data, name, column), column.decimals)})" for name in controls
    )
    verb = "does" if len(controls) == 1 else "do"
    return f"{column_name(column)}: {listed} {verb} better than {titles[system]} ({value})."


def above_ceiling(data: RunData, column: Column, titles: dict[str, str]) -> list[str]:
    """Say which systems do better than a control that none should beat."""
    warnings = []
    for ceiling in (s.name for s in data.systems if s.is_ceiling):
        top = _value(data, ceiling, column)
        if top is None:
            continue
        for system in data.competitors:
            value = _value(data, system.name, column)
            if value is not None and _visibly_better(column, value, top):
                warnings.append(
                    f"{column_name(column)}: {titles[system.name]} "
                    f"({format_value(value, column.decimals)}) does better than {titles[ceiling]} "
                    f"({format_value(top, column.decimals)}): this metric rewards something besides likeness."
                )
    return warnings


def _better(direction: str, value: float, other: float) -> bool:
    """Whether `value` is strictly better than `other`."""
    if direction == "lower":
        return value < other
    return direction == "higher" and value > other


def _value(data: RunData, system: str, column: Column) -> float | None:
    score = data.score_of.get((system, column.metric, column.convention))
    return None if score is None else score.value


def _has_values(data: RunData, column: Column) -> bool:
    return any(_value(data, system.name, column) is not None for system in data.competitors)
