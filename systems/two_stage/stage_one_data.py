"""Training examples of stage 1: feature rows, RMS curves and onsets of whole clips; windows drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.clips import Clip
from clapstick.protocols.media import read_audio
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.base import find_reader
from clapstick.systems.two_stage.features import Extractor, FeatureCache, extract
from clapstick.systems.two_stage.rms_codec import encode, target_curve
from clapstick.systems.two_stage.supplied import SuppliedFeatures
from clapstick.systems.two_stage.video2rms import Video2RMSConfig


@dataclass(frozen=True)
class Example:
    """One clip as stage 1 learns it."""

    clip: Clip
    features: NDArray[np.float32]
    """Shape (video frames, feature_dim)."""
    curve: NDArray[np.float64]
    """Target RMS curve, shape (RMS frames,)."""
    onsets: NDArray[np.float32]
    """1 in video frames with an onset, shape (video frames,)."""


@dataclass(frozen=True)
class Batch:
    """Windows of several clips."""

    features: NDArray[np.float32]
    curves: NDArray[np.float32]
    classes: NDArray[np.int64]
    onsets: NDArray[np.float32]


def list_clips(folder: Path, split: str, clip_s: float, reader: str = "greatest-hits") -> list[Clip]:
    """Return the clips of a split that have sound.

    Parameters
    ----------
    folder : Path
        Data set in the reader's format.
    split : str
    clip_s : float
        Length of a clip; recordings are cut one clip after another. 0 takes each recording whole.
    reader : str

    Raises
    ------
    ClapstickError
        If there is not one usable clip; carries every problem that the reader found.
    """
    rules = DatasetRules(reader=reader, split=split, clip_start_s=0, clip_duration_s=clip_s, clip_hop_s=clip_s)
    listing = find_reader(reader).read(folder, rules)
    clips = [clip for clip in listing.clips if clip.reference is not None]
    if not clips:
        found = ClapstickError(*listing.problems) if listing.problems else "no clips"
        raise fail(
            "no clip with sound to train on",
            folder,
            found=found,
            expected=f"a {split} split in the format of {reader}",
            remedy="Check --data and the split.",
        )
    return clips


def load_example(
    clip: Clip, config: Video2RMSConfig, extractor: Extractor | SuppliedFeatures, cache: FeatureCache
) -> Example:
    """Extract features and target of one clip, or take its supplied features.

    Raises
    ------
    ClapstickError
        If picture or sound cannot be read, the clip is shorter than a window, or supplied features have another
        length than the clip.
    """
    if clip.duration_s < config.window_s - 1e-6:
        raise fail(
            "clip is shorter than a training window",
            clip.id,
            found=f"{clip.duration_s:.3f} s",
            expected=f"{config.window_s:g} s",
            remedy="Leave it out, or train a configuration with a shorter window.",
        )
    features = _features(clip, config, extractor, cache)
    onsets = np.zeros(features.shape[0], dtype=np.float32)
    for onset in clip.onsets or ():
        onsets[min(onsets.size - 1, int(onset.time_s * config.fps))] = 1.0
    return Example(clip, features, target_curve(reference_samples(clip, config.sample_rate), config), onsets)


def _features(
    clip: Clip, config: Video2RMSConfig, extractor: Extractor | SuppliedFeatures, cache: FeatureCache
) -> NDArray[np.float32]:
    if not isinstance(extractor, SuppliedFeatures):
        return extract(
            extractor,
            clip.video,
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            fps=config.fps,
            cache_in=cache,
        )
    features, expected = extractor.of(clip), round(clip.duration_s * config.fps)
    if features.shape[0] != expected:
        raise fail(
            f"{extractor.kind} have another length than the clip",
            clip.id,
            found=f"{features.shape[0]} rows",
            expected=f"{expected} rows: {config.fps:g} a second",
            remedy="Compute them for this clip.",
        )
    return features


def reference_samples(clip: Clip, sample_rate: int) -> NDArray[np.float64]:
    """Return a clip's reference as mono at a rate, cut or padded to the clip's exact length."""
    import soxr

    if clip.reference is None:
        raise fail("clip has no reference sound", clip.id, remedy="Leave it out of the training data.")
    audio = read_audio(clip.reference, clip.reference_start_s, clip.duration_s)
    samples = audio.mono.astype(np.float64)
    if audio.sample_rate != sample_rate:
        samples = soxr.resample(samples, audio.sample_rate, sample_rate, quality="HQ")
    wanted = round(clip.duration_s * sample_rate)
    return np.pad(samples[:wanted], (0, max(0, wanted - samples.size)))


def load_examples(
    clips: Sequence[Clip],
    config: Video2RMSConfig,
    extractor: Extractor | SuppliedFeatures,
    cache: FeatureCache,
    report: Callable[[str], None],
) -> list[Example]:
    """Extract every clip; clips that cannot be used are reported and left out.

    Raises
    ------
    ClapstickError
        If not one clip can be used.
    """
    examples: list[Example] = []
    problems: list[Problem] = []
    for number, clip in enumerate(clips, 1):
        try:
            examples.append(load_example(clip, config, extractor, cache))
        except ClapstickError as error:
            problems += error.problems
            report(f"left out: {error}")
        if number % 50 == 0:
            report(f"features of {number} of {len(clips)} clips")
    if not examples:
        raise ClapstickError(*problems)
    return examples


def draw_batch(
    examples: Sequence[Example],
    chosen: Sequence[int],
    config: Video2RMSConfig,
    rng: np.random.Generator,
    share: slice = slice(None),
) -> Batch:
    """Cut one window at a random place out of each chosen example.

    `share` is the part of the batch that is wanted; the places do not depend on it.
    """
    latest = [max(0, examples[index].features.shape[0] - config.window_frames) for index in chosen]
    starts = [int(rng.integers(last + 1)) if last else 0 for last in latest]
    features, curves, onsets = [], [], []
    for index, start in list(zip(chosen, starts, strict=True))[share]:
        example = examples[index]
        features.append(_rows(example.features, start, config.window_frames))
        onsets.append(_rows(example.onsets, start, config.window_frames))
        curves.append(_rows(example.curve, round(start / config.fps * config.rms_rate), config.rms_frames))
    curve = np.stack(curves)
    classes = encode(curve, config) if config.classes else np.zeros(curve.shape, dtype=np.int64)
    return Batch(np.stack(features), curve.astype(np.float32), classes, np.stack(onsets))


def _rows(values: NDArray[Any], start: int, count: int) -> NDArray[Any]:
    """Cut rows out; where rounding asks for a row past the end, the last one is repeated."""
    rows = values[start : start + count]
    missing = count - rows.shape[0]
    return rows if missing == 0 else np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
