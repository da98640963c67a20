"""Scores as data frames, and these as CSV, JSON and Parquet. Numbers keep every digit."""

from __future__ import annotations

import io

import pandas as pd

from clapstick.protocols.archive import SPLITS, ScoreRecord
from clapstick.reports.run_data import RunData

_RANKS = ("rank_low", "rank_high", "tie_group")
_SPLIT_NUMBERS = ("value", "ci_low", "ci_high")


def score_frame(data: RunData) -> pd.DataFrame:
    """Return one row a system x metric x convention, with rank, tie group and seen and unseen clips where
    they were computed.
    """
    ranks = {(r.system, r.metric, r.convention): r for r in data.compared.ranks}
    titles = {system.name: (system.title, system.role, system.prompt) for system in data.systems}
    rows = []
    for score in data.scores:
        rank = ranks.get((score.system, score.metric, score.convention))
        title, role, prompt = titles.get(score.system, (score.system, "", ""))
        values = score.model_dump()
        values["missing"] = list(score.missing)
        values["warnings"] = list(score.warnings)
        rows.append(
            {
                "protocol": data.run.protocol.name,
                "title": title,
                "role": role,
                "prompt": prompt,
                **values,
                "rank_low": None if rank is None else rank.rank_low,
                "rank_high": None if rank is None else rank.rank_high,
                "tie_group": None if rank is None else rank.tie_group,
                **_split_values(data, score),
            }
        )
    columns = ["protocol", "title", "role", "prompt", *ScoreRecord.model_fields]
    frame = pd.DataFrame(rows, columns=[*columns, *_RANKS, *_split_columns()])
    whole = dict.fromkeys((*_RANKS, *(f"{part}_n" for part in SPLITS)), "Int64")
    numbers = ("value", "ci_low", "ci_high", *(f"{p}_{name}" for p in SPLITS for name in _SPLIT_NUMBERS))
    return frame.astype({**dict.fromkeys(numbers, "float64"), **whole})


def _split_columns() -> list[str]:
    return [f"{part}_{name}" for part in SPLITS for name in (*_SPLIT_NUMBERS, "n")]


def _split_values(data: RunData, score: ScoreRecord) -> dict[str, float | int | None]:
    """Return the value on seen and on unseen clips; nothing where the system saw none."""
    values: dict[str, float | int | None] = {}
    for part in SPLITS:
        split = data.split_score_of.get((part, score.system, score.metric, score.convention))
        for name in (*_SPLIT_NUMBERS, "n"):
            values[f"{part}_{name}"] = None if split is None else getattr(split, name)
    return values


def clip_frame(data: RunData) -> pd.DataFrame:
    """Return one row a system x clip x metric x convention, with what is known of the clip."""
    clips = pd.DataFrame(
        [
            {
                "clip": clip.id,
                "source": clip.source,
                "start_s": clip.start_s,
                "duration_s": clip.duration_s,
                "material": clip.material,
                "action": clip.action,
            }
            for clip in data.clips
        ]
    )
    return data.clip_scores.merge(clips, on="clip", how="left")


def to_csv(frame: pd.DataFrame) -> bytes:
    """Return CSV; lists become text with `` | `` between."""
    flat = frame.copy()
    for name in ("missing", "warnings"):
        if name in flat:
            flat[name] = [" | ".join(values) for values in flat[name]]
    return flat.to_csv(index=False, lineterminator="\n").encode("utf-8")


def to_json(frame: pd.DataFrame) -> bytes:
    """Return a JSON list of records."""
    text: str = frame.to_json(orient="records", force_ascii=False, double_precision=15, indent=1)
    return (text + "\n").encode("utf-8")


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
