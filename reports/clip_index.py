"""The clip browser's table: one entry a clip, with every clip-level score."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from clapstick.protocols.clips import Clip
from clapstick.reports.board import Leaderboard
from clapstick.reports.media import ClipMedia, sound_names
from clapstick.reports.prompts import prompt_entry
from clapstick.reports.run_data import REFERENCE, RunData

_DIGITS = 6


def make_clip_index(data: RunData, board: Leaderboard, media: dict[str, ClipMedia]) -> dict[str, Any]:
    """Return what the page needs to list, sort and filter clips; sounds and pictures are named, not held."""
    titles = {system.name: system.title for system in data.systems}
    systems = [
        {
            "name": name,
            "title": titles.get(name, "Reference"),
            "control": name == REFERENCE or any(s.name == name and s.is_control for s in data.systems),
        }
        for name in sound_names(data)
    ]
    metrics = [
        {
            "key": column.key,
            "title": column.title if column.is_default else f"{column.title} ({column.convention})",
            "direction": column.direction,
            "unit": column.unit,
            "decimals": column.decimals,
            "values": {
                str(name): [_number(value) for value in values]
                for name, values in data.clip_values[column.metric, column.convention].items()
            },
        }
        for column in board.columns
        if (column.metric, column.convention) in data.clip_values
    ]
    reasons = _reasons(data.clip_scores)
    failures: dict[str, dict[str, str]] = {}
    for error in data.errors:
        if error.clip is not None:
            failures.setdefault(error.clip, {})[error.system or ""] = f"{error.stage}: {error.problem}"
    return {
        "systems": systems,
        "metrics": metrics,
        "clips": [
            _entry(data, clip, media[clip.id], failures.get(clip.id, {}), reasons.get(clip.id, {}))
            for clip in data.clips
        ],
    }


def _entry(
    data: RunData, clip: Clip, media: ClipMedia, failures: dict[str, str], reasons: dict[str, str]
) -> dict[str, Any]:
    return {
        "id": clip.id,
        "stem": clip.file_stem,
        "source": clip.source,
        "start_s": clip.start_s,
        "duration_s": clip.duration_s,
        "material": clip.material,
        "action": clip.action,
        "caption": clip.caption,
        "prompt": prompt_entry(clip.prompt),
        "seen_by": list(clip.seen_by),
        "annotated": clip.onsets is not None,
        "onsets": [
            {"time_s": onset.time_s, "label": " ".join(part for part in (onset.material, onset.action) if part)}
            for onset in clip.onsets or ()
        ],
        "reference_missing": clip.reference_missing,
        "warnings": list(clip.warnings),
        "video": media.video,
        "video_problem": media.video_problem,
        "sounds": media.sounds,
        "sound_problems": {**media.sound_problems, **failures},
        "reasons": reasons,
        "handling": {
            system.name: text for system in data.systems if (text := handling(data, system.name, clip.id))
        },
    }


def handling(data: RunData, system: str, clip: str) -> str:
    """Say in words what standardisation did to one sound; empty where nothing."""
    record = data.standards.get((system, clip))
    if record is None:
        return ""
    rate = data.run.protocol.audio.sample_rate
    parts = []
    if record.padded_samples:
        parts.append(f"padded by {record.padded_samples / rate:.3f} s")
    if record.cut_samples:
        parts.append(f"cut by {record.cut_samples / rate:.3f} s")
    if record.resampled_from:
        parts.append(f"resampled from {record.resampled_from} Hz")
    if record.mixed_from_channels:
        parts.append(f"mixed from {record.mixed_from_channels} channels")
    if record.gain_db:
        parts.append(f"gain {record.gain_db:+.1f} dB")
    if record.clipped_samples:
        parts.append(f"{record.clipped_samples} samples beyond full scale")
    return ", ".join(parts)


def _reasons(clip_scores: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Clip -> ``system@metric@convention`` -> why there is no value, apart from scores of sets."""
    empty = clip_scores[clip_scores["value"].isna() & clip_scores["reason"].notna()]
    with_values = clip_scores[clip_scores["value"].notna()][["metric", "convention"]].drop_duplicates()
    kept = empty.merge(with_values, on=["metric", "convention"])
    reasons: dict[str, dict[str, str]] = {}
    for row in kept.itertuples(index=False):
        key = f"{row.system}@{row.metric}@{row.convention}"
        reasons.setdefault(str(row.clip), {})[key] = str(row.reason)
    return reasons


def _number(value: float) -> float | None:
    """Shorten a float for the page; None where there is none."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
