"""Networks of both stages in a size of seconds, and made-up data to train them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clapstick.protocols.clips import Clip, Onset
from clapstick.systems.two_stage.audioldm import UNetShape
from clapstick.systems.two_stage.mel import log_mel, rms_for_mel
from clapstick.systems.two_stage.rms2sound import CONFIGS as STAGE_TWO_CONFIGS
from clapstick.systems.two_stage.rms2sound import RMS2Sound
from clapstick.systems.two_stage.sampling import Sampling
from clapstick.systems.two_stage.stage_one_data import Example
from clapstick.systems.two_stage.train_rms2sound import RMS2SoundTraining, Sound, fit_closed_forms
from clapstick.systems.two_stage.train_video2rms import Video2RMSTraining
from clapstick.systems.two_stage.video2rms import CONFIGS as STAGE_ONE_CONFIGS

STAGE_ONE = STAGE_ONE_CONFIGS["tiny"].model_copy(
    update={
        "name": "nano",
        "window_frames": 24,
        "window_hop_frames": 12,
        "rms_frames": 100,
        "feature_dim": 3,
        "channels": 16,
        "lstm_hidden": 8,
        "dropout": 0.1,
    }
)
STAGE_ONE_TRAINING = Video2RMSTraining(clip_s=0.0, epochs=6, batch_size=4, learning_rate=5e-3, validate_every=2)
STAGE_TWO = STAGE_TWO_CONFIGS["tiny"].model_copy(
    update={
        "name": "nano",
        "unet": UNetShape(
            latent_channels=16, widths=(8, 16, 16), heads=(1, 2, 2), layers=1, prompt_dim=16, groups=4
        ),
        "window_frames": 64,
        "fade_frames": 16,
        "vocabulary": ("hit", "wood"),
        "sampling": Sampling(steps=3, eta=0.0, guidance=2.0),
        "output_gain": "none",
    }
)
STAGE_TWO_TRAINING = RMS2SoundTraining(
    base_steps=4,
    control_steps=6,
    batch_size=4,
    learning_rate=1e-3,
    save_every=2,
    validation_clips=0,
    ema_decay=0.9,
)


def make_examples(count: int = 10) -> list[Example]:
    """Clips whose first feature is the loudness to come."""
    rng = np.random.default_rng(4)
    examples = []
    for number in range(count):
        loud = np.repeat(rng.uniform(0, 0.5, 12) * (rng.random(12) < 0.5), 5)[:60]
        features = np.stack([loud * 4, rng.standard_normal(60), np.ones(60)], axis=1).astype(np.float32)
        curve = np.interp(np.arange(250) / 125, np.arange(60) / 30, loud)
        clip = Clip(id=str(number), source=str(number), video=Path("none.mp4"), duration_s=2.0)
        examples.append(Example(clip, features, curve, (loud > 0).astype(np.float32)))
    return examples


def make_sounds() -> list[Sound]:
    """Noise in four loudnesses that beats twice a second."""
    rng = np.random.default_rng(0)
    sounds = []
    for number in range(4):
        beat = (np.arange(32_000) % 8000 < 1200) * (0.05 + 0.1 * number)
        samples = (rng.standard_normal(32_000) * beat).astype(np.float32)
        clip = Clip(
            id=str(number),
            source=str(number),
            video=Path("none.mp4"),
            duration_s=2.0,
            onsets=tuple(Onset(time_s=0.5 * k, material="wood", action="hit") for k in range(4)),
        )
        mel = log_mel(torch.from_numpy(samples)[None])[0]
        sounds.append(Sound(clip, samples, mel, rms_for_mel(samples.astype(float)).astype(np.float32)))
    return sounds


def make_model(sounds: list[Sound]) -> RMS2Sound:
    """Stage 2 with its closed forms fitted."""
    torch.manual_seed(0)
    model = RMS2Sound(STAGE_TWO)
    fit_closed_forms(model, sounds, 0)
    return model
