"""Training of stage 1: it learns, and a killed run ends with the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nano_two_stage import STAGE_ONE, STAGE_ONE_TRAINING, make_examples

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.two_stage.checkpoints import load_strictly, read_checkpoint, save_checkpoint
from clapstick.systems.two_stage.stage_one_windows import join_windows, predict
from clapstick.systems.two_stage.train_video2rms import (
    TRAININGS,
    Progress,
    Video2RMSTraining,
    learning_rate,
    split_by_source,
    train_video2rms,
)
from clapstick.systems.two_stage.video2rms import CONFIGS, Video2RMS, Video2RMSConfig, load_official_video2rms


class KilledError(Exception):
    """Stands for a kill."""


def _train(
    out: Path, *, training: Video2RMSTraining = STAGE_ONE_TRAINING, kill_after: int | None = None
) -> Path:
    def report(progress: Progress) -> None:
        if kill_after is not None and progress.epoch > kill_after:
            raise KilledError

    return train_video2rms(make_examples(), STAGE_ONE, training, out, seed=3, report=report)


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    _, whole, _ = read_checkpoint(_train(tmp_path / "whole"), Video2RMSConfig)
    with pytest.raises(KilledError):
        _train(tmp_path / "killed", kill_after=3)
    config, again, extra = read_checkpoint(_train(tmp_path / "killed"), Video2RMSConfig)
    assert config == STAGE_ONE
    assert extra["seed"] == 3
    assert extra["training"]["epochs"] == 6
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_it_learns(tmp_path: Path) -> None:
    heard: list[Progress] = []
    training = STAGE_ONE_TRAINING.model_copy(update={"epochs": 60, "validate_every": 10})
    train_video2rms(make_examples(), STAGE_ONE, training, tmp_path, seed=3, report=heard.append)
    scores = [progress.validation_e_l1 for progress in heard if progress.validation_e_l1 is not None]
    assert scores[-1] < 0.6 * scores[0]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    _train(tmp_path)
    with pytest.raises(ClapstickError, match="folder holds another training"):
        _train(tmp_path, training=STAGE_ONE_TRAINING.model_copy(update={"batch_size": 2}))


def test_a_loss_that_is_not_a_number_stops_the_training(tmp_path: Path) -> None:
    examples = make_examples()
    examples[0].features[:] = np.nan
    with pytest.raises(ClapstickError, match="epoch 1: loss is not a number; found nan"):
        train_video2rms(examples, STAGE_ONE, STAGE_ONE_TRAINING, tmp_path, seed=3)
    assert not (tmp_path / "training-state.pt").exists()


def test_no_recording_is_on_both_sides() -> None:
    examples = make_examples()
    train, held = split_by_source([*examples, *examples], 0.2)
    assert len(train) == 16
    assert len(held) == 4
    assert not {example.clip.source for example in train} & {example.clip.source for example in held}


def test_learning_rates_of_the_papers() -> None:
    # Halved every 100 epochs: 1e-3, then 5e-4 from epoch 100, 2.5e-4 from 200.
    rates = [learning_rate(TRAININGS["video-foley"], epoch) for epoch in (0, 99, 100, 250)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4])
    assert learning_rate(TRAININGS["fol-ai"], 499) == 1e-3


def test_overlaps_by_hand() -> None:
    # Two windows of three, weights 1 2 1, overlapping in one frame: (1 * 1 + 1 * 5) / 2 = 3.
    joined = join_windows([np.full((3, 1), 1.0), np.full((3, 1), 5.0)], [0, 2], 6)
    assert joined[:, 0].tolist() == [1, 1, 3, 5, 5, 5]


@pytest.mark.parametrize("rows", [10, 24, 25, 60, 111])
def test_any_length_gives_its_frames(rows: int) -> None:
    features = np.zeros((rows, 3), dtype=np.float32)
    prediction = predict(Video2RMS(STAGE_ONE), features, rows / 30, where="clip")
    assert prediction.envelope.shape == (round(rows / 30 * 16_000) // 128,)
    assert prediction.onset_logits is not None
    assert prediction.onset_logits.shape == (rows,)
    assert bool(prediction.warnings) == (rows < 24)


def test_a_checkpoint_of_another_configuration_is_named(tmp_path: Path) -> None:
    network = Video2RMS(STAGE_ONE)
    save_checkpoint(tmp_path / "nano.safetensors", network.state_dict(), STAGE_ONE)
    _, tensors, _ = read_checkpoint(tmp_path / "nano.safetensors", Video2RMSConfig)
    other = Video2RMS(STAGE_ONE.model_copy(update={"channels": 8}))
    with pytest.raises(ClapstickError, match=r"another configuration; found encoder.conv"):
        load_strictly(other, tensors, tmp_path / "nano.safetensors")
    with pytest.raises(ClapstickError, match="another kind of network"):
        read_checkpoint(tmp_path / "nano.safetensors", Video2RMSTraining)
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(ClapstickError, match="checkpoint cannot be read"):
        read_checkpoint(tmp_path / "text.safetensors", Video2RMSConfig)


def test_a_file_without_the_official_key_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 500}, tmp_path / "other.pt")
    with pytest.raises(ClapstickError, match="not a Video2RMS checkpoint"):
        load_official_video2rms(tmp_path / "other.pt")


def test_official_layouts_have_their_sizes() -> None:
    with torch.device("meta"):
        sizes = {
            name: sum(w.numel() for w in Video2RMS(CONFIGS[name]).parameters())
            for name in ("video-foley", "fol-ai")
        }
    assert sizes == {"video-foley": 80_168_442, "fol-ai": 19_973_184}
