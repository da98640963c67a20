"""From a configuration's name and a data folder to a trained checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clapstick.metrics.embedders.laion_clap import ClapAudio, video_foley_window
from clapstick.metrics.rms import SAMPLE_RATE
from clapstick.protocols.problems import fail, unknown_name
from clapstick.systems.two_stage.dit_controlnet import SAMPLE_RATE as STEREO_RATE
from clapstick.systems.two_stage.extractors import BN_INCEPTION, RAFT, make_extractor
from clapstick.systems.two_stage.features import Extractor, default_cache
from clapstick.systems.two_stage.fol_ai_sound import CAVP_DIM, FolAISound
from clapstick.systems.two_stage.fol_ai_sound import CONFIGS as FOL_AI_CONFIGS
from clapstick.systems.two_stage.official import OfficialParts, load_audioldm_base, load_laion_clap
from clapstick.systems.two_stage.rms2sound import CONFIGS as RMS2SOUND_CONFIGS
from clapstick.systems.two_stage.rms2sound import RMS2Sound
from clapstick.systems.two_stage.stable_audio import load_stable_audio
from clapstick.systems.two_stage.stage_one_data import list_clips, load_examples
from clapstick.systems.two_stage.stage_one_table import Row, stage_one_table
from clapstick.systems.two_stage.supplied import SuppliedFeatures
from clapstick.systems.two_stage.tiny import WEIGHTS
from clapstick.systems.two_stage.train_fol_ai import FolAITraining, load_stereo_sounds, train_fol_ai
from clapstick.systems.two_stage.train_rms2sound import TRAININGS as RMS2SOUND_TRAININGS
from clapstick.systems.two_stage.train_rms2sound import (
    Sound,
    StepReport,
    fit_closed_forms,
    load_sounds,
    train_rms2sound,
    words_of,
)
from clapstick.systems.two_stage.train_video2rms import TRAININGS, Progress, train_video2rms
from clapstick.systems.two_stage.video2rms import CONFIGS, load_video2rms


def run_video2rms(
    name: str,
    *,
    data: Path,
    out: Path,
    seed: int,
    epochs: int | None,
    device: str,
    note: Callable[[str], None],
    report: Callable[[Progress], None],
    weights: Mapping[str, Path] | None = None,
    features: Path | None = None,
) -> dict[str, Any]:
    """Train stage 1 on the train split of a folder.

    Parameters
    ----------
    features : Path, optional
        Folder with the feature rows of every clip, for configurations whose features are not computed here.

    Returns
    -------
    dict
        ``checkpoint``, ``seconds`` of training, ``clips``, ``parameters``.

    Raises
    ------
    ClapstickError
        If there is no such configuration, or the data cannot be used.
    """
    if name not in CONFIGS:
        raise unknown_name("no such stage 1 configuration", name, CONFIGS)
    config, training = CONFIGS[name], TRAININGS[name]
    if epochs is not None:
        training = training.model_copy(update={"epochs": epochs})
    clips = list_clips(data, "train", training.clip_s)
    extractor: Extractor | SuppliedFeatures = (
        SuppliedFeatures(features, f"{config.features} features", "their own repository", (config.feature_dim,))
        if features is not None
        else make_extractor(config, weights or {}, device)
    )
    examples = load_examples(clips, config, extractor, default_cache(), note)
    started = time.monotonic()
    facts = {"data": data.name, "clips": len(examples), "features": extractor.key}
    checkpoint = train_video2rms(
        examples, config, training, out, seed=seed, device=device, report=report, facts=facts
    )
    return {
        "checkpoint": str(checkpoint),
        "seconds": round(time.monotonic() - started, 1),
        "clips": len(examples),
    }


def score_video2rms(
    checkpoint: Path | None, *, data: Path, split: str, seed: int, note: Callable[[str], None]
) -> list[Row]:
    """Score a stage 1 checkpoint, the one of ``two-stage-tiny`` where None, beside its bounds."""
    path = checkpoint or WEIGHTS / "video2rms-tiny.safetensors"
    network = load_video2rms(path)
    config = network.config
    extractor = make_extractor(config, {})
    clips = list_clips(data, split, 0.0)
    examples = load_examples(clips, config, extractor, default_cache(), note)
    return stage_one_table(network, examples, np.random.default_rng(seed))


def run_rms2sound(
    name: str,
    *,
    data: Path,
    out: Path,
    seed: int,
    steps: tuple[int, int] | None,
    device: str,
    note: Callable[[str], None],
    report: Callable[[StepReport], None],
    base: Path | None = None,
) -> dict[str, Any]:
    """Train stage 2 on the train split of a folder.

    Parameters
    ----------
    steps : (int, int), optional
        Base and control steps in place of the configuration's.
    base : Path, optional
        Checkpoint with a trained U-Net; needed by every configuration that trains the ControlNet alone.

    Returns
    -------
    dict
        ``checkpoint``, ``seconds`` of training, ``clips``.

    Raises
    ------
    ClapstickError
        If there is no such configuration, its base is missing, or the data cannot be used.
    """
    if name not in RMS2SOUND_TRAININGS:
        raise unknown_name("no such stage 2 configuration to train", name, RMS2SOUND_TRAININGS)
    torch.manual_seed(seed)
    training = RMS2SOUND_TRAININGS[name]
    if steps is not None:
        training = training.model_copy(update={"base_steps": steps[0], "control_steps": steps[1]})
    config = RMS2SOUND_CONFIGS[name]
    clips = list_clips(data, "train", 0.0)
    sounds = load_sounds(clips, config)
    note(f"{len(sounds)} of {len(clips)} recordings are long enough")
    if config.prompts == "timbre":
        words = sorted({word for sound in sounds for word in words_of(sound.clip)})
        model = RMS2Sound(config.model_copy(update={"vocabulary": tuple(words)}))
        fit_closed_forms(model, sounds, seed)
        prompt_of, null_prompt = timbre_prompts(model), None
    else:
        if base is None:
            raise fail(
                "training needs a base",
                name,
                found="no checkpoint",
                expected="AudioLDM-S, or the released stage 2",
                remedy="Give it with --base.",
            )
        parts = load_audioldm_base(base)
        model, prompt_of, null_prompt = parts.model, clap_prompts(parts), empty_text_prompt(parts)
    started = time.monotonic()
    checkpoint = train_rms2sound(
        sounds,
        model,
        training,
        out,
        seed=seed,
        prompt_of=prompt_of,
        null_prompt=null_prompt,
        device=device,
        report=report,
        facts={"data": data.name, "clips": len(sounds)},
    )
    return {
        "checkpoint": str(checkpoint),
        "seconds": round(time.monotonic() - started, 1),
        "clips": len(sounds),
    }


def weights_for_features(name: str) -> tuple[str, ...]:
    """Return which weights the feature extractor of a stage 1 configuration needs."""
    known = CONFIGS.get(name)
    return (BN_INCEPTION, RAFT) if known is not None and known.features == "bn-inception" else ()


def run_fol_ai(
    *,
    data: Path,
    out: Path,
    seed: int,
    steps: int | None,
    device: str,
    note: Callable[[str], None],
    report: Callable[[StepReport], None],
    base: Path | None,
    clap: Path,
    cavp: Path | None = None,
) -> dict[str, Any]:
    """Train FOL-AI's stage 2 on the train split of a folder.

    Parameters
    ----------
    steps : int, optional
        In place of the training's.
    base : Path, optional
        Stable Audio Open; an error where None.
    clap : Path
        LAION CLAP, whose audio tower embeds the training sounds.
    cavp : Path, optional
        Folder with the CAVP rows of every clip; without it the tokens have none.

    Returns
    -------
    dict
        ``checkpoint``, ``seconds`` of training, ``clips``.

    Raises
    ------
    ClapstickError
        If a file is missing or belongs to another network, or the data cannot be used.
    """
    if base is None:
        raise fail(
            "training needs a base",
            "fol-ai",
            found="no checkpoint",
            expected="Stable Audio Open: model.safetensors, model.ckpt or a folder in diffusers' layout",
            remedy="Give it with --base.",
        )
    torch.manual_seed(seed)
    config = FOL_AI_CONFIGS["fol-ai"].model_copy(update={"cavp": cavp is not None})
    training = FolAITraining() if steps is None else FolAITraining(steps=steps)
    rows = None if cavp is None else SuppliedFeatures(cavp, "CAVP features", "Diff-Foley", (CAVP_DIM,))
    clips = list_clips(data, "train", 0.0)
    sounds = load_stereo_sounds(clips, config, rows)
    note(f"{len(sounds)} of {len(clips)} recordings are long enough")
    model = FolAISound(config, load_stable_audio(base, config.dit, config.vae))
    started = time.monotonic()
    checkpoint = train_fol_ai(
        sounds,
        model,
        training,
        out,
        seed=seed,
        prompt_of=stereo_prompts(load_laion_clap(clap)[0]),
        device=device,
        report=report,
        facts={"data": data.name, "clips": len(sounds)},
    )
    return {
        "checkpoint": str(checkpoint),
        "seconds": round(time.monotonic() - started, 1),
        "clips": len(sounds),
    }


def stereo_prompts(tower: ClapAudio) -> Callable[[Sequence[NDArray[np.float32]]], Tensor]:
    """Return the function that embeds stereo windows at 44.1 kHz with CLAP's audio tower, mixed to mono."""

    def embed(windows: Sequence[NDArray[np.float32]]) -> Tensor:
        mono = [video_foley_window(window.mean(axis=0), STEREO_RATE) for window in windows]
        with torch.no_grad():
            points: Tensor = tower(torch.from_numpy(np.concatenate(mono)))["embedding"]
        return points

    return embed


def clap_prompts(parts: OfficialParts) -> Callable[[Tensor, Sequence[Sound]], Tensor]:
    """Return the function that embeds the sounds of training windows with CLAP's audio tower."""

    def embed(mels: Tensor, sounds: Sequence[Sound]) -> Tensor:
        windows = [video_foley_window(sound.samples, SAMPLE_RATE) for sound in sounds]
        points: Tensor = parts.clap_audio(torch.from_numpy(np.concatenate(windows)))["embedding"]
        return points

    return embed


def empty_text_prompt(parts: OfficialParts) -> Tensor:
    """Return CLAP's embedding of the empty text, which stands for no prompt; shape (512,)."""
    with torch.no_grad():
        point: Tensor = parts.clap_text(torch.tensor([[0, 2]]))["embedding"][0]
    return point


def timbre_prompts(model: RMS2Sound) -> Callable[[Tensor, Sequence[Sound]], Tensor]:
    """Return the function that embeds training windows with a tiny model's own prompt encoder."""
    encoder = model.timbre
    if encoder is None:
        raise ValueError(f"configuration {model.config.name} has no timbre encoder")
    return lambda mels, sounds: encoder.of_mel(mels)
