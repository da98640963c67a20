"""One run archive, read once and kept together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clapstick.protocols.archive import (
    ComparedRecord,
    ErrorRecord,
    NativeRecord,
    RunArchive,
    RunRecord,
    ScoreRecord,
    StandardRecord,
)
from clapstick.protocols.clips import Clip

REFERENCE = "reference"
"""Name under which the archive keeps the reference sounds."""

CEILINGS = frozenset({"reference", "disc-rms", "envelope-shaper"})
"""Controls that no system should beat; every other control is a floor: it does not follow the picture."""

_SCORE_COLUMNS = ["system", "clip", "metric", "convention", "value", "reason"]

Pair = tuple[str, str]
"""System name and clip id, or metric name and convention name."""


@dataclass(frozen=True)
class SystemFacts:
    """What a report says of a system, from its card in run.json."""

    name: str
    title: str
    summary: str
    role: str
    prompt: str
    """Kind of prompt that it used in this run."""
    sees_reference: bool
    has_training_list: bool
    """Whether it is known what it was trained on."""
    is_ceiling: bool
    """Whether it is a control that no system should beat."""
    card: dict[str, Any]

    @property
    def is_floor(self) -> bool:
        """Whether it is a control that does not follow the picture."""
        return self.is_control and not self.is_ceiling

    @property
    def is_ranked(self) -> bool:
        """Whether it competes without being given the reference sound."""
        return not self.is_control and not self.sees_reference

    @property
    def is_control(self) -> bool:
        """Whether the row brackets a metric and does not compete."""
        return self.role == "control"


@dataclass(frozen=True)
class RunData:
    """Everything that a report shows of one run, apart from pictures and sounds."""

    archive: RunArchive
    run: RunRecord
    clips: list[Clip]
    systems: list[SystemFacts]
    scores: list[ScoreRecord]
    splits: dict[str, list[ScoreRecord]]
    """``seen`` and ``unseen`` -> scores of systems that were trained on some of the clips."""
    clip_scores: pd.DataFrame
    compared: ComparedRecord
    errors: list[ErrorRecord]
    natives: dict[Pair, NativeRecord]
    standards: dict[Pair, StandardRecord]

    @cached_property
    def columns(self) -> list[Pair]:
        """Metric and convention of every score, in the order of the summary."""
        return list(dict.fromkeys((score.metric, score.convention) for score in self.scores))

    @cached_property
    def score_of(self) -> dict[tuple[str, str, str], ScoreRecord]:
        """(system, metric, convention) -> score."""
        return {(score.system, score.metric, score.convention): score for score in self.scores}

    @cached_property
    def split_score_of(self) -> dict[tuple[str, str, str, str], ScoreRecord]:
        """(part, system, metric, convention) -> score on the clips of that part."""
        return {
            (part, score.system, score.metric, score.convention): score
            for part, scores in self.splits.items()
            for score in scores
        }

    @cached_property
    def competitors(self) -> list[SystemFacts]:
        """Systems and ablations: every row that is no control."""
        return [system for system in self.systems if not system.is_control]

    @cached_property
    def ranked(self) -> list[SystemFacts]:
        """Competitors that are not given the reference sound."""
        return [system for system in self.systems if system.is_ranked]

    @cached_property
    def clip_values(self) -> dict[Pair, pd.DataFrame]:
        """(metric, convention) -> clips x systems of clip-level values; NaN where there is none.

        Left out are conventions that no single clip has a value for.
        """
        ids = [clip.id for clip in self.clips]
        names = [system.name for system in self.systems]
        tables: dict[Pair, pd.DataFrame] = {}
        for (metric, convention), rows in self.clip_scores.groupby(["metric", "convention"], sort=False):
            table = rows.pivot_table(index="clip", columns="system", values="value", aggfunc="first")
            table = table.reindex(index=ids, columns=names).astype(np.float64)
            if table.notna().to_numpy().any():
                tables[str(metric), str(convention)] = table
        return {column: tables[column] for column in self.columns if column in tables}


def read_run(run_dir: Path) -> RunData:
    """Read a run archive.

    Raises
    ------
    ClapstickError
        If the folder is no run archive of a known version.
    """
    archive = RunArchive(run_dir)
    run = archive.read_run()
    clips = archive.read_clips()
    systems = [system_facts(name, card, clips) for name, card in run.systems.items()]
    pairs = [(system.name, clip) for system in systems for clip in clips]
    natives = {(name, clip.id): archive.read_native(name, clip) for name, clip in pairs}
    standards = {(name, clip.id): archive.read_standard(name, clip) for name, clip in pairs}
    return RunData(
        archive=archive,
        run=run,
        clips=clips,
        systems=systems,
        scores=[*archive.read_summary(), *archive.read_ratings()],
        splits=archive.read_splits(),
        clip_scores=_read_clip_scores(archive),
        compared=archive.read_comparisons(),
        errors=archive.read_errors(),
        natives={pair: record for pair, record in natives.items() if record is not None},
        standards={pair: record for pair, record in standards.items() if record is not None},
    )


def _read_clip_scores(archive: RunArchive) -> pd.DataFrame:
    if not (archive.root / "scores.parquet").is_file():
        return pd.DataFrame(columns=_SCORE_COLUMNS).astype({"value": "float64"})
    return archive.read_scores()[_SCORE_COLUMNS].astype({"value": "float64"})


def system_facts(name: str, card: dict[str, Any], clips: Sequence[Clip]) -> SystemFacts:
    """Return what a row of a run is, from its card and the prompts of the clips."""
    prompts = tuple(card.get("prompts") or ("none",))
    return SystemFacts(
        name=name,
        title=str(card.get("title") or name),
        summary=str(card.get("summary") or ""),
        role=str(card.get("role") or "system"),
        prompt=_prompt_used(prompts, clips),
        sees_reference=bool(card.get("sees_reference")),
        has_training_list=bool(card.get("trained_on")),
        is_ceiling=card.get("role") == "control" and name in CEILINGS,
        card=card,
    )


def _prompt_used(prompts: tuple[str, ...], clips: Sequence[Clip]) -> str:
    """Return the kind that most clips offer, where the system takes it; otherwise the system's usual one."""
    offered = Counter(clip.prompt.kind for clip in clips if clip.prompt.kind != "none")
    for kind, _ in offered.most_common():
        if kind in prompts:
            return kind
    if "none" in prompts or not offered:
        return prompts[0] if prompts[0] in ("none", *offered) else "none"
    return prompts[0]
