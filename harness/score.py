"""Scoring: statistics of all clips become values with intervals, paired comparisons and ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clapstick.harness.compare_systems import Tables, compare_systems, shared_clips_only
from clapstick.harness.embeddings import embed_run
from clapstick.harness.plan import score_requests
from clapstick.harness.provenance import generator_for
from clapstick.harness.signatures import signature_of
from clapstick.harness.statistics import ScoreRequest, Table, compute_statistics
from clapstick.metrics.base import NotComputableError
from clapstick.protocols.archive import (
    SPLITS,
    ErrorRecord,
    RunArchive,
    RunRecord,
    ScoreRecord,
    atomic,
    write_json,
)
from clapstick.protocols.clips import Clip

if TYPE_CHECKING:
    import pandas as pd

NO_SOUND = "the system has no sound for this clip"
EQUAL_N = "scored at equal n: on the clips that every system with this score has"


def score_run(
    archive: RunArchive, workers: int, device: str = "cpu", *, equal_n: bool = False
) -> list[ErrorRecord]:
    """Score everything that a run archive holds; write scores.parquet, summary.json, splits.json and
    comparisons.json.

    With `equal_n` every score is of the clips that all systems with that score have, and no others.

    Raises
    ------
    ClapstickError
        If the folder is no run archive.
    """
    run = archive.read_run()
    clips = archive.read_clips()
    systems = list(run.systems)
    requests = score_requests(run.protocol)
    embedded = embed_run(archive, clips, systems, requests, device)
    computable = [request for request in requests if request not in embedded.reasons]
    tables, errors = compute_statistics(archive, clips, systems, computable, embedded.files, workers)
    counted = shared_clips_only(systems, computable, tables) if equal_n else tables
    records = []
    for system in systems:
        for request in requests:
            reason = embedded.reasons.get(request)
            table = counted.get((system, request), {})
            record = _score(run, clips, system, request, table, embedded.weights, reason)
            if equal_n:
                record = record.model_copy(update={"warnings": (*record.warnings, EQUAL_N)})
            records.append(record)
    write_scores(archive, score_rows(clips, systems, requests, tables, embedded.reasons))
    compared = compare_systems(run, clips, computable, tables)
    write_json(archive.root / "comparisons.json", compared.model_dump())
    splits = score_splits(run, clips, computable, tables, embedded.weights)
    write_json(
        archive.root / "splits.json",
        {part: [record.model_dump() for record in of_part] for part, of_part in splits.items()},
    )
    write_json(archive.root / "summary.json", {"scores": [record.model_dump() for record in records]})
    return [*embedded.errors, *errors]


def score_splits(
    run: RunRecord,
    clips: Sequence[Clip],
    requests: Sequence[ScoreRequest],
    tables: Tables,
    weights: Mapping[ScoreRequest, Mapping[str, str]],
) -> dict[str, list[ScoreRecord]]:
    """Score systems that were trained on some of the clips on those and on the others.

    The statistics of the clips are those of the whole score, so nothing is computed from sound again.

    Returns
    -------
    dict
        ``seen`` and ``unseen`` -> one score a system and convention, with its own number of clips and interval.
    """
    splits: dict[str, list[ScoreRecord]] = {part: [] for part in SPLITS}
    for system in run.systems:
        seen = [clip for clip in clips if system in clip.seen_by]
        unseen = [clip for clip in clips if system not in clip.seen_by]
        for request in requests if seen else ():
            table = tables.get((system, request), {})
            for part, of_part in zip(SPLITS, (seen, unseen), strict=True):
                reason = None if of_part else "the system was trained on every clip"
                splits[part].append(_score(run, of_part, system, request, table, weights, reason))
    return splits


def _score(
    run: RunRecord,
    clips: Sequence[Clip],
    system: str,
    request: ScoreRequest,
    table: Table,
    weights: Mapping[ScoreRequest, Mapping[str, str]],
    reason: str | None,
) -> ScoreRecord:
    """Combine one system's statistics under one convention."""
    metric, convention = request.resolve()
    rules = run.protocol.statistics
    have = [clip for clip in clips if clip.id in table and table[clip.id].statistics is not None]
    statistics = [stats for clip in have if (stats := table[clip.id].statistics) is not None]
    missing = tuple(clip.id for clip in clips if clip not in have)
    value = low = high = method = None
    warnings: list[str] = []
    if reason is None and not statistics:
        reason = _why_nothing(table, clips)
    if reason is None:
        try:
            value = float(convention.combiner.value(statistics))
        except NotComputableError as error:
            reason = str(error)
    if value is not None:
        warnings += convention.combiner.warnings(statistics)
        try:
            rng = generator_for(rules.seed, "interval", request.label)
            interval = convention.combiner.interval(
                statistics, [clip.source for clip in have], rng, level=rules.level, resamples=rules.resamples
            )
            low, high, method = interval.low, interval.high, interval.method
        except NotComputableError as error:
            warnings.append(f"no interval: {error}")
    return ScoreRecord(
        system=system,
        metric=request.metric,
        convention=request.convention,
        value=value,
        ci_low=low,
        ci_high=high,
        n=len(statistics),
        direction=convention.direction or metric.direction,
        unit=metric.unit if convention.unit is None else convention.unit,
        signature=signature_of(run, request, have, weights.get(request, {})),
        reason=reason,
        missing=missing,
        interval_method=method,
        warnings=tuple(warnings),
    )


def _why_nothing(table: Table, clips: Sequence[Clip]) -> str:
    """Return the commonest reason, of the clips that have a reference where there are any."""
    if not clips:
        return "the run has no clip"
    telling = [clip for clip in clips if clip.reference is not None] or clips
    reasons = Counter(table[clip.id].reason if clip.id in table else _no_sound(clip) for clip in telling)
    return str(reasons.most_common(1)[0][0])


def _no_sound(clip: Clip) -> str:
    return NO_SOUND if clip.reference is not None else f"{NO_SOUND}: {clip.reference_missing}"


def score_rows(
    clips: Sequence[Clip],
    systems: Sequence[str],
    requests: Sequence[ScoreRequest],
    tables: Tables,
    reasons: Mapping[ScoreRequest, str],
) -> pd.DataFrame:
    """Return the long table: one row a system x clip x convention, with a value or a reason."""
    import pandas as pd

    rows = []
    for system in systems:
        for request in requests:
            combiner = request.resolve()[1].combiner
            table = tables.get((system, request), {})
            for clip in clips:
                result = table.get(clip.id)
                reason = reasons.get(request) or (_no_sound(clip) if result is None else result.reason)
                value = None
                if reason is None and result is not None and result.statistics is not None:
                    value = combiner.clip_value(result.statistics)
                    reason = None if value is not None else "defined for sets of clips only"
                rows.append((system, clip.id, request.metric, request.convention, value, reason))
    frame = pd.DataFrame(rows, columns=["system", "clip", "metric", "convention", "value", "reason"])
    return frame.astype({"value": "float64", "reason": "object"})


def write_scores(archive: RunArchive, frame: pd.DataFrame) -> None:
    """Write scores.parquet."""
    with atomic(archive.root / "scores.parquet") as temporary:
        frame.to_parquet(temporary, index=False)
