"""Paired comparisons of the systems of a run with each other and with its controls.

Controls bracket a metric, and what is given the reference sound shows what is possible: neither is ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clapstick.harness.provenance import generator_for
from clapstick.harness.statistics import ScoreRequest, Table
from clapstick.metrics.base import Statistics
from clapstick.protocols.archive import ComparedRecord, RunRecord
from clapstick.protocols.clips import Clip
from clapstick.reports.ranking import compare_rows, rows_by_role
from clapstick.reports.run_data import system_facts

Tables = Mapping[tuple[str, ScoreRequest], Table]


def compare_systems(
    run: RunRecord,
    clips: Sequence[Clip],
    requests: Sequence[ScoreRequest],
    tables: Tables,
) -> ComparedRecord:
    """Rank the systems of a run under every convention, and test them against its controls."""
    systems = [system_facts(name, card, clips) for name, card in run.systems.items()]
    rules = run.protocol.statistics
    compared = ComparedRecord()
    for request in requests:
        of = {name: _statistics(tables.get((name, request), {})) for name in run.systems}
        compared += compare_rows(
            *request.resolve(),
            rows_by_role(of, systems),
            {clip.id: clip.source for clip in clips},
            generator_for(rules.seed, "compare", request.label),
            level=rules.level,
            resamples=rules.resamples,
        )
    return compared


def shared_clips_only(systems: Sequence[str], requests: Sequence[ScoreRequest], tables: Tables) -> Tables:
    """Return the tables with those clips alone that every system with any score under the request has.

    Scores of sets grow or shrink with the number of clips: at equal n they compare.
    """
    shared: dict[tuple[str, ScoreRequest], Table] = {}
    for request in requests:
        of_request = {name: tables.get((name, request), {}) for name in systems}
        scored = [set(found) for table in of_request.values() if (found := _statistics(table))]
        kept = set.intersection(*scored) if scored else set()
        shared |= {
            (name, request): {clip: result for clip, result in table.items() if clip in kept or not scored}
            for name, table in of_request.items()
        }
    return shared


def _statistics(table: Table) -> dict[str, Statistics]:
    return {clip: result.statistics for clip, result in table.items() if result.statistics is not None}
