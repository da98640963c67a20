"""Trains both stages in the smallest size. Run by itself or under ``torchrun``: OUT BATCH.

Prints how many processes there are. Dropout is left out, because its masks differ from process to process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from accelerate import PartialState
from nano_two_stage import (
    STAGE_ONE,
    STAGE_ONE_TRAINING,
    STAGE_TWO_TRAINING,
    make_examples,
    make_model,
    make_sounds,
)

from clapstick.systems.two_stage.train_rms2sound import train_rms2sound
from clapstick.systems.two_stage.train_video2rms import train_video2rms


def main(out: Path, batch: int) -> None:
    """Train with a batch of `batch` over all processes."""
    training = STAGE_ONE_TRAINING.model_copy(update={"epochs": 3, "validate_every": 3, "batch_size": batch})
    config = STAGE_ONE.model_copy(update={"dropout": 0.0})
    train_video2rms(make_examples(), config, training, out / "one", seed=3)
    sounds = make_sounds()
    model = make_model(sounds)
    steps = STAGE_TWO_TRAINING.model_copy(update={"base_steps": 2, "control_steps": 3, "batch_size": batch})
    timbre = model.timbre
    assert timbre is not None
    train_rms2sound(
        sounds, model, steps, out / "two", seed=5, prompt_of=lambda mels, chosen: timbre.of_mel(mels)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(f"{PartialState().num_processes}\n")
