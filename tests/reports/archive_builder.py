"""Writes small real run archives: mp4 videos, wav sounds and every record that a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save_file

from clapstick.metrics.signature import Signature
from clapstick.protocols.archive import (
    SPLITS,
    ComparedRecord,
    ComparisonRecord,
    ErrorRecord,
    NativeRecord,
    RankRecord,
    RunArchive,
    RunRecord,
    ScoreRecord,
    StandardRecord,
    atomic,
    write_json,
)
from clapstick.protocols.audio import Audio, write_wav
from clapstick.protocols.clips import Clip, Onset, Prompt
from clapstick.protocols.problems import Problem
from clapstick.protocols.protocol import AudioRules, DatasetRules, PromptRules, Protocol, StatisticsRules
from clapstick.reports.run_data import CEILINGS

SAMPLE_RATE = 16_000
FPS = 30
MATERIALS = ("metal", "wood", "cloth")


@dataclass(frozen=True)
class BuiltSystem:
    """One row of the run: how far its scores and sounds lie from the reference."""

    name: str
    title: str
    role: str = "system"
    prompts: tuple[str, ...] = ("none",)
    error: float = 0.1
    """Added to the reference envelope; also the clip-level E-L1."""
    sees_reference: bool = False


@dataclass(frozen=True)
class BuiltColumn:
    """A clip-level score: ``offset + slope * (the system's error + noise)``."""

    metric: str
    convention: str
    direction: str
    unit: str
    offset: float
    slope: float


COLUMNS = (
    BuiltColumn("e-l1", "v2s", "lower", "amplitude", 0.0, 1.0),
    BuiltColumn("e-l1", "tfoley", "lower", "amplitude", 0.0, 0.5),
    BuiltColumn("envelope-correlation", "rms", "higher", "", 1.0, -5.0),
)

SYSTEMS = (
    BuiltSystem("video-foley", "Video-Foley", prompts=("audio",), error=0.02),
    BuiltSystem("syncfusion", "SyncFusion", prompts=("audio",), error=0.05),
    BuiltSystem("two-stage-tiny", "Two-stage tiny", error=0.03),
    BuiltSystem("spec-vqgan", "SpecVQGAN", error=0.09),
    BuiltSystem("reference", "Reference", role="control", error=0.0, sees_reference=True),
    BuiltSystem("silence", "Silence", role="control", error=0.08),
)
"""``silence`` beats ``spec-vqgan`` on E-L1, as it can on real data."""


def protocol(title: str = "Test protocol", duration_s: float = 2.0) -> Protocol:
    """Return a protocol with every value explicit."""
    return Protocol(
        name="test-protocol",
        title=title,
        summary="A small comparison.",
        paper="A. Author, A Paper, 2026",
        table="Table 2",
        version=1,
        dataset=DatasetRules(
            reader="folder", split="all", clip_start_s=0, clip_duration_s=duration_s, clip_hop_s=0
        ),
        audio=AudioRules(
            sample_rate=SAMPLE_RATE,
            channels=1,
            resampler="soxr_hq",
            too_long="cut-end",
            too_short="pad-end",
            gain="none",
            gain_target_db=0.0,
        ),
        prompt=PromptRules(text="none", audio="reference"),
        metrics=("e-l1", "e-l1:tfoley", "envelope-correlation", "fad-p"),
        systems=tuple(system.name for system in SYSTEMS),
        statistics=StatisticsRules(level=0.95, resamples=100, seed=0),
    )


def write_video(
    path: Path, duration_s: float, flashes_s: Sequence[float], size: tuple[int, int] = (160, 120)
) -> None:
    """Write an H.264 video: a moving grey bar, and one white frame at each flash."""
    import av

    width, height = size
    path.parent.mkdir(parents=True, exist_ok=True)
    white = {round(time_s * FPS) for time_s in flashes_s}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(duration_s * FPS)):
            picture = np.zeros((height, width, 3), dtype=np.uint8)
            picture[:, (index * 3) % width : (index * 3) % width + 8] = 96
            if index in white:
                picture[:] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def strokes(duration_s: float, times_s: Sequence[float], seed: int = 0) -> NDArray[np.float32]:
    """Return decaying noise bursts at the given times, shape (samples, 1)."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(duration_s * SAMPLE_RATE))
    for time_s in times_s:
        first = round(time_s * SAMPLE_RATE)
        length = min(SAMPLE_RATE // 4, sound.size - first)
        decay = np.exp(-np.arange(length) / (0.03 * SAMPLE_RATE))
        sound[first : first + length] += 0.5 * rng.standard_normal(length).clip(-2, 2) / 2 * decay
    return sound.astype(np.float32)[:, None]


def build_archive(
    root: Path,
    *,
    clip_ids: Sequence[str] = ("one", "two", "three", "four"),
    systems: Sequence[BuiltSystem] = SYSTEMS,
    duration_s: float = 2.0,
    media: bool = True,
    title: str = "Test protocol",
    onsets_s: Sequence[float] = (0.5, 1.2),
    prompt_text: str | None = None,
    errors: Sequence[ErrorRecord] = (),
    failed: Sequence[tuple[str, str]] = (),
    without_reference: Sequence[str] = (),
    seed: int = 0,
) -> RunArchive:
    """Write a run archive and return it.

    Parameters
    ----------
    root : Path
        The run folder; videos go to ``root / "data"``.
    failed : sequence of (system name, clip id)
        Pairs that have neither sound nor score.
    without_reference : sequence of str
        Clips without reference sound.
    media : bool
        False writes the records alone, without a video or a sound file.
    """
    archive = RunArchive(root)
    clips = [
        _clip(root, index, clip_id, duration_s, onsets_s, prompt_text, clip_id in without_reference)
        for index, clip_id in enumerate(clip_ids)
    ]
    archive.write_clips(clips, {"video_sha256": ["0" * 64 for _ in clips]})
    _write_run(archive, title, duration_s, systems, len(clips), seed)
    gone = set(failed)
    for clip in clips:
        if media:
            write_video(clip.video, duration_s, onsets_s)
        for system in systems:
            if (system.name, clip.id) not in gone and not (
                clip.reference_missing and system.name == "reference"
            ):
                _write_sound(archive, clip, system, duration_s, onsets_s, media)
        if media and clip.reference is not None:
            path = archive.audio_wav("reference", clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, Audio(strokes(duration_s, onsets_s), SAMPLE_RATE))
    _write_scores(archive, clips, systems, gone, seed)
    archive.write_errors(
        [
            *errors,
            *(
                ErrorRecord(
                    system=system,
                    clip=clip,
                    stage="generate",
                    problem=Problem(what="raised ValueError", where=clip, found="x", remedy="Mend the system."),
                )
                for system, clip in failed
            ),
        ]
    )
    return archive


def _clip(
    root: Path,
    index: int,
    clip_id: str,
    duration_s: float,
    onsets_s: Sequence[float],
    prompt_text: str | None,
    silent: bool,
) -> Clip:
    video = root / "data" / f"clip-{index}.mp4"
    material = MATERIALS[index % len(MATERIALS)]
    onsets = tuple(Onset(time_s=time_s, material=material, action="hit") for time_s in onsets_s)
    prompt = (
        Prompt(kind="audio", policy="reference")
        if prompt_text is None
        else Prompt(kind="text", policy="material", text=prompt_text)
    )
    return Clip(
        id=clip_id,
        source=f"source-{index // 2}",
        video=video,
        duration_s=duration_s,
        reference=None if silent else video,
        reference_missing="the video has no audio stream" if silent else None,
        onsets=onsets,
        material=material,
        action="hit" if index % 2 == 0 else "scratch",
        prompt=prompt,
        seen_by=("syncfusion",) if index == 0 else (),
    )


def _write_run(
    archive: RunArchive,
    title: str,
    duration_s: float,
    systems: Sequence[BuiltSystem],
    clip_count: int,
    seed: int,
) -> None:
    cards: dict[str, dict[str, Any]] = {
        system.name: {
            "name": system.name,
            "title": system.title,
            "summary": f"Made for tests: {system.title}.",
            "role": system.role,
            "prompts": list(system.prompts),
            "sees_reference": system.sees_reference,
            "paper": "A. Author, A Paper, 2026",
            "weights": {},
            "parameters": {},
        }
        for system in systems
    }
    record = RunRecord(
        protocol=protocol(title, duration_s),
        data="data",
        systems=cards,
        seed=seed,
        clips_listed=clip_count,
        libraries={"numpy": "1.26"},
        machine={"cpu": "test"},
        git_revision=None,
        started="2026-11-21T10:00:00+00:00",
        finished="2026-11-21T10:05:00+00:00",
    )
    write_json(archive.root / "run.json", record.model_dump(mode="json"))


def _write_sound(
    archive: RunArchive,
    clip: Clip,
    system: BuiltSystem,
    duration_s: float,
    onsets_s: Sequence[float],
    media: bool,
) -> None:
    samples = round(duration_s * SAMPLE_RATE)
    late = [time_s + system.error for time_s in onsets_s]
    sound = (
        np.zeros((samples, 1), dtype=np.float32)
        if system.name == "silence"
        else strokes(duration_s, late, seed=1)
    )
    for path in (archive.native_wav(system.name, clip), archive.audio_wav(system.name, clip)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if media:
            write_wav(path, Audio(sound, SAMPLE_RATE))
    native = NativeRecord(
        system=system.name,
        clip=clip.id,
        seed=0,
        seconds=0.5 + system.error,
        samples=samples,
        sample_rate=SAMPLE_RATE,
        channels=1,
        sha256="1" * 64,
        peak_memory_bytes=200_000_000,
    )
    standard = StandardRecord(
        system=system.name,
        clip=clip.id,
        native_sha256="1" * 64,
        sha256="2" * 64,
        resampled_from=22_050,
        mixed_from_channels=2,
        padded_samples=160,
        cut_samples=0,
        gain_db=None,
        clipped_samples=0,
    )
    archive.native_wav(system.name, clip).with_suffix(".json").write_text(native.model_dump_json())
    archive.audio_wav(system.name, clip).with_suffix(".json").write_text(standard.model_dump_json())


def _write_scores(
    archive: RunArchive,
    clips: Sequence[Clip],
    systems: Sequence[BuiltSystem],
    gone: set[tuple[str, str]],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    summary: list[ScoreRecord] = []
    splits: dict[str, list[ScoreRecord]] = {part: [] for part in SPLITS}
    for system in systems:
        reasons = {clip.id: _reason(system, clip, gone) for clip in clips}
        missing = tuple(clip_id for clip_id, reason in reasons.items() if reason)
        for column in COLUMNS:
            noise = rng.uniform(0, 0.01, len(clips))
            values = {}
            for clip, extra in zip(clips, noise, strict=True):
                reason = reasons[clip.id]
                value = None if reason else column.offset + column.slope * (system.error + float(extra))
                if value is not None:
                    values[clip.id] = value
                rows.append(
                    {
                        "system": system.name,
                        "clip": clip.id,
                        "metric": column.metric,
                        "convention": column.convention,
                        "value": value,
                        "reason": reason,
                    }
                )
            summary.append(_mean_score(system, column, list(values.values()), missing))
            for part, of_part in zip(SPLITS, _seen_and_unseen(system, clips), strict=True):
                here = [values[clip] for clip in of_part if clip in values]
                if any(system.name in clip.seen_by for clip in clips) and here:
                    lacking = tuple(clip for clip in of_part if clip not in values)
                    splits[part].append(_mean_score(system, column, here, lacking))
            _write_statistics(archive, system, column, clips, values)
        summary.append(_not_computed(system, tuple(clip.id for clip in clips)))
    with atomic(archive.root / "scores.parquet") as temporary:
        pd.DataFrame(rows).to_parquet(temporary)
    write_json(
        archive.root / "summary.json", {"scores": [record.model_dump(mode="json") for record in summary]}
    )
    write_json(
        archive.root / "splits.json",
        {part: [record.model_dump(mode="json") for record in records] for part, records in splits.items()},
    )
    _write_comparisons(archive, systems, len(clips))


def _seen_and_unseen(system: BuiltSystem, clips: Sequence[Clip]) -> tuple[list[str], list[str]]:
    seen = [clip.id for clip in clips if system.name in clip.seen_by]
    return seen, [clip.id for clip in clips if clip.id not in seen]


def _write_statistics(
    archive: RunArchive,
    system: BuiltSystem,
    column: BuiltColumn,
    clips: Sequence[Clip],
    values: Mapping[str, float],
) -> None:
    stems = {clip.id: clip.file_stem for clip in clips}
    arrays = {f"{stems[clip]}/value": np.array(value) for clip, value in values.items()}
    known = {stem: ("key", None if clip in values else "no sound") for clip, stem in stems.items()}
    path = archive.root / "statistics" / system.name / f"{column.metric}@{column.convention}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, {"clips": json.dumps(known)})


def _reason(system: BuiltSystem, clip: Clip, gone: set[tuple[str, str]]) -> str | None:
    if (system.name, clip.id) in gone:
        return "the system has no sound for this clip"
    return clip.reference_missing


def _mean_score(
    system: BuiltSystem, column: BuiltColumn, values: list[float], missing: tuple[str, ...]
) -> ScoreRecord:
    mean = float(np.mean(values))
    return ScoreRecord(
        system=system.name,
        metric=column.metric,
        convention=column.convention,
        value=mean,
        ci_low=mean - 0.004,
        ci_high=mean + 0.005,
        n=len(values),
        direction=column.direction,
        unit=column.unit,
        signature=str(
            Signature(
                metric=column.metric,
                convention=column.convention,
                n=len(values),
                rate=SAMPLE_RATE,
                resampler="soxr_hq",
                seed=0,
                version="0.1.0",
            )
        ),
        missing=missing,
        interval_method="bootstrap of 2 source videos, 1000 resamples, percentile expanded",
    )


def _not_computed(system: BuiltSystem, missing: tuple[str, ...]) -> ScoreRecord:
    return ScoreRecord(
        system=system.name,
        metric="fad-p",
        convention="paper",
        value=None,
        ci_low=None,
        ci_high=None,
        n=0,
        direction="lower",
        unit="distance squared",
        signature="metric:fad-p|convention:paper",
        reason="needs the PANNs checkpoint: `clapstick weights fetch panns-wavegram-logmel`",
        missing=missing,
    )


def _write_comparisons(archive: RunArchive, systems: Sequence[BuiltSystem], n: int) -> None:
    competitors = sorted((s for s in systems if s.role == "system"), key=lambda system: system.error)
    comparisons = [
        _comparison(a, b, n, p_holm=0.03 if abs(a.error - b.error) > 0.01 else 0.4)
        for index, a in enumerate(competitors)
        for b in competitors[index + 1 :]
    ]
    controls = [
        _comparison(system, control, n, p_holm=0.03 if system.error - control.error > 0.007 else 0.4)
        for system in competitors
        for control in systems
        if control.role == "control" and control.name not in CEILINGS and control.error < system.error
    ]
    ranks = [
        RankRecord(
            metric="e-l1",
            convention="v2s",
            system=system.name,
            rank_low=max(1, position),
            rank_high=min(len(competitors), position + 1),
            tie_group=1 if position <= 1 else position,
        )
        for position, system in enumerate(competitors)
    ]
    compared = ComparedRecord(comparisons=comparisons, ranks=ranks, controls=controls)
    write_json(archive.root / "comparisons.json", compared.model_dump(mode="json"))


def _comparison(a: BuiltSystem, b: BuiltSystem, n: int, *, p_holm: float) -> ComparisonRecord:
    return ComparisonRecord(
        metric="e-l1",
        convention="v2s",
        system_a=a.name,
        system_b=b.name,
        difference=a.error - b.error,
        ci_low=a.error - b.error - 0.01,
        ci_high=a.error - b.error + 0.01,
        p=0.01,
        p_holm=p_holm,
        n=n,
        method="sign-flip permutation over sources",
    )
