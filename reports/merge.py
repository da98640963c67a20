"""One leaderboard of several runs: shared columns where signatures agree, columns of their own where not."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import ComparedRecord, ScoreRecord
from clapstick.protocols.clips import Clip
from clapstick.reports.board import Cell, Column, Group, Leaderboard, Row
from clapstick.reports.compare import AgreedColumn, RunComparison
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.numbers import format_value
from clapstick.reports.ranking import Table, compare_rows, rows_by_role
from clapstick.reports.run_data import Pair, RunData, SystemFacts
from clapstick.reports.stored_statistics import read_statistics

Names = Mapping[tuple[str, str], str]
"""(run, system) -> name of its row; two runs share a row where all of their common values are equal."""


@dataclass(frozen=True)
class MergedRuns:
    """Several runs as one table."""

    board: Leaderboard
    parts: tuple[tuple[RunData, Leaderboard], ...]
    """The tables that `board` puts side by side, each of runs that agree, and what lies behind them."""


def merge_runs(found: RunComparison) -> MergedRuns:
    """Make one leaderboard of all runs.

    Ranks and paired tests are made anew over all rows of a column, from the statistics of the clips.
    """
    names = row_names(found)
    groups: dict[tuple[tuple[str, ...], bool], list[AgreedColumn]] = {}
    for column in found.columns:
        groups.setdefault((column.runs, bool(column.differences)), []).append(column)
    parts = []
    for (runs, _), columns in groups.items():
        data = _as_one_run({name: found.data[name] for name in runs}, columns, names)
        apart = {
            (column.metric, column.convention): _why_apart(column) for column in columns if column.differences
        }
        parts.append((data, make_leaderboard(data, apart)))
    origins: dict[str, list[str]] = {}
    for (run, _), row in names.items():
        origins.setdefault(row, []).append(run)
    return MergedRuns(_side_by_side([board for _, board in parts], origins), tuple(parts))


def _why_apart(column: AgreedColumn) -> str:
    settings = "; ".join(
        f"{key} {here or '–'}, not {there or '–'}" for key, (there, here) in column.differences.items()
    )
    return f"{', '.join(column.runs)}: {settings}"


def row_names(found: RunComparison) -> Names:
    """Name the rows of several runs; a system with the same values in two runs is one row."""
    shared = [column for column in found.columns if len(column.runs) > 1]
    names: dict[tuple[str, str], str] = {}
    for run, data in found.data.items():
        for system in data.systems:
            twins = [other for other, name in names if name == system.name]
            twin = next((t for t in twins if _equal(found, system.name, t, run, shared)), None)
            if twin is not None:
                names[run, system.name] = names[twin, system.name]
            else:
                names[run, system.name] = f"{system.name} ({run})" if twins else system.name
    return names


def _equal(found: RunComparison, system: str, first: str, later: str, shared: Iterable[AgreedColumn]) -> bool:
    """Whether a system has the same values in two runs, and at least one."""
    pairs = [
        [found.data[run].score_of.get((system, column.metric, column.convention)) for run in (first, later)]
        for column in shared
        if first in column.runs and later in column.runs
    ]
    values = [tuple(None if score is None else (score.value, score.n) for score in pair) for pair in pairs]
    return all(a == b for a, b in values) and any(a is not None and a[0] is not None for a, _ in values)


def _as_one_run(runs: Mapping[str, RunData], columns: Iterable[AgreedColumn], names: Names) -> RunData:
    """Return runs that agree as one, reduced to these columns."""
    wanted = {(column.metric, column.convention): None for column in columns}
    first = next(iter(runs.values()))
    systems: dict[str, SystemFacts] = {}
    for run, data in runs.items():
        for system in data.systems:
            row = names[run, system.name]
            title = system.title if row == system.name else f"{system.title} ({run})"
            systems.setdefault(row, replace(system, name=row, title=title))
    return RunData(
        archive=first.archive,
        run=first.run,
        clips=_clips(runs, names),
        systems=list(systems.values()),
        scores=_scores(((run, data.scores) for run, data in runs.items()), wanted, names),
        splits={
            part: _scores(((run, data.splits.get(part, [])) for run, data in runs.items()), wanted, names)
            for part in {part for data in runs.values() for part in data.splits}
        },
        clip_scores=pd.DataFrame(columns=first.clip_scores.columns),
        compared=_compare(runs, wanted, names, systems),
        errors=[],
        natives={},
        standards={},
    )


def _clips(runs: Mapping[str, RunData], names: Names) -> list[Clip]:
    clips: dict[str, Clip] = {}
    for run, data in runs.items():
        for clip in data.clips:
            seen = {names[run, system] for system in clip.seen_by if (run, system) in names}
            known = clips.get(clip.id, clip.model_copy(update={"seen_by": ()}))
            clips[clip.id] = known.model_copy(update={"seen_by": tuple(sorted({*known.seen_by, *seen}))})
    return list(clips.values())


def _scores(
    scores: Iterable[tuple[str, Iterable[ScoreRecord]]], wanted: Mapping[Pair, None], names: Names
) -> list[ScoreRecord]:
    """Return the scores of these columns under the names of their rows, one each, in order of the columns."""
    kept: dict[tuple[Pair, str], ScoreRecord] = {}
    for run, of_run in scores:
        for score in of_run:
            column, row = (score.metric, score.convention), names.get((run, score.system))
            if column in wanted and row is not None:
                kept.setdefault((column, row), score.model_copy(update={"system": row}))
    order = list(wanted)
    return [kept[key] for key in sorted(kept, key=lambda key: order.index(key[0]))]


def _compare(
    runs: Mapping[str, RunData],
    wanted: Mapping[Pair, None],
    names: Names,
    systems: Mapping[str, SystemFacts],
) -> ComparedRecord:
    rules = next(iter(runs.values())).run.protocol.statistics
    sources = {clip.id: clip.source for data in runs.values() for clip in data.clips}
    compared = ComparedRecord()
    for metric_name, convention_name in wanted:
        metric = metrics().get(metric_name)
        known = {item.name: item for item in metric.conventions} if metric else {}
        if metric is None or convention_name not in known:
            continue
        tables: dict[str, Table] = {}
        for run, data in runs.items():
            for system in data.systems:
                row = names[run, system.name]
                if row not in tables:
                    tables[row] = read_statistics(data, system.name, metric_name, convention_name)
        compared += compare_rows(
            metric,
            known[convention_name],
            rows_by_role(tables, systems.values()),
            sources,
            np.random.default_rng([rules.seed, zlib.crc32(f"{metric_name}@{convention_name}".encode())]),
            level=rules.level,
            resamples=rules.resamples,
        )
    return compared


@dataclass(frozen=True)
class _Placed:
    """A column of the whole table, and where its cells are."""

    column: Column
    place: int
    rows: dict[str, Row]
    """Name -> row of the table that the column comes from."""

    def cell(self, name: str) -> Cell:
        row = self.rows.get(name)
        return _empty(name, self.column) if row is None else row.cells[self.place]

    def split(self, name: str) -> tuple[Cell, Cell]:
        row = self.rows.get(name)
        if row is None or not row.splits:
            return _empty(name, self.column), _empty(name, self.column)
        return row.splits[self.place]


def _side_by_side(boards: list[Leaderboard], origins: Mapping[str, list[str]]) -> Leaderboard:
    """Put tables beside each other, by row; a row that one of them lacks is empty there."""
    placed = [
        _Placed(column, place, {row.system.name: row for row in board.rows})
        for board in boards
        for place, column in enumerate(board.columns)
    ]
    order = list(dict.fromkeys((item.column.metric, item.column.convention) for item in placed))
    placed.sort(key=lambda item: (order.index((item.column.metric, item.column.convention)), item.column.apart))
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for group in (group for board in boards for group in board.groups):
        rows = groups.setdefault((group.kind, group.title, group.note), {})
        for row in group.rows:
            rows.setdefault(row.system.name, row)
    kinds = ("competitors", "ceiling", "floor")
    return Leaderboard(
        columns=tuple(item.column for item in placed),
        groups=tuple(
            Group(title, kind, tuple(_whole(row, placed, origins) for row in rows.values()), note)
            for (kind, title, note), rows in sorted(groups.items(), key=lambda item: kinds.index(item[0][0]))
        ),
        findings=tuple(sentence for board in boards for sentence in board.findings),
        warnings=tuple(sentence for board in boards for sentence in board.warnings),
        not_told=tuple(sentence for board in boards for sentence in board.not_told),
        overlaps=tuple(dict.fromkeys(sentence for board in boards for sentence in board.overlaps)),
        missing=tuple(entry for board in boards for entry in board.missing),
    )


def _whole(row: Row, placed: Iterable[_Placed], origins: Mapping[str, list[str]]) -> Row:
    name = row.system.name
    has_splits = any(item.rows[name].splits for item in placed if name in item.rows)
    return replace(
        row,
        cells=tuple(item.cell(name) for item in placed),
        splits=tuple(item.split(name) for item in placed) if has_splits else (),
        origin=", ".join(origins[name]),
    )


def _empty(system: str, column: Column) -> Cell:
    return Cell(f"{system}@{column.key}", None, format_value(None, 0))
