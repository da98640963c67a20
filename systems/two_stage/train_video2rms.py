"""Training of stage 1: seeded, resumable, in the end one safetensors file that says how it was made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from clapstick.systems.two_stage.checkpoints import save_checkpoint
from clapstick.systems.two_stage.label_smoothing import Form, smoothed_cross_entropy
from clapstick.systems.two_stage.processes import require_finite, share_of
from clapstick.systems.two_stage.stage_one_data import Batch, Example, draw_batch
from clapstick.systems.two_stage.stage_one_windows import predict
from clapstick.systems.two_stage.training_state import Stateful, keep_state, resume
from clapstick.systems.two_stage.video2rms import Video2RMS, Video2RMSConfig

CHECKPOINT = "video2rms.safetensors"
_STATE = "training-state.pt"


class Video2RMSTraining(BaseModel):
    """How stage 1 is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_s: float
    """Length that recordings are cut to; 0 takes each whole."""
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    halve_every: int = 0
    """Epochs after which the learning rate is halved, again and again; 0 keeps it."""
    linear_decay: bool = False
    """Whether the learning rate falls in a straight line to 2 % over the second half."""
    smoothing_width: int = 2
    smoothing_form: Form = "official"
    onset_weight: float = 0.001
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the training recordings that is held out to watch E-L1."""
    validate_every: int = Field(default=50, ge=1)
    """Epochs from one validation, and one saved state, to the next."""
    precision: str = "no"
    """``no``, ``bf16`` or ``fp16``, as accelerate names it."""


TRAININGS: Mapping[str, Video2RMSTraining] = {
    "video-foley": Video2RMSTraining(
        clip_s=10.0, epochs=500, batch_size=512, betas=(0.5, 0.999), halve_every=100
    ),
    "fol-ai": Video2RMSTraining(
        clip_s=10.0, epochs=500, batch_size=64, weight_decay=1e-3, smoothing_form="paper"
    ),
    "tiny": Video2RMSTraining(
        clip_s=0.0,
        epochs=240,
        batch_size=32,
        learning_rate=2e-3,
        linear_decay=True,
        onset_weight=1.0,
        validate_every=20,
    ),
}


@dataclass(frozen=True)
class Progress:
    """Where training stands."""

    epoch: int
    loss: float
    validation_e_l1: float | None
    seconds: float


def train_video2rms(
    examples: Sequence[Example],
    config: Video2RMSConfig,
    training: Video2RMSTraining,
    out: Path,
    *,
    seed: int,
    device: str = "cpu",
    report: Callable[[Progress], None] = lambda progress: None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Train, or go on with what `out` holds; a run that was killed ends with the same weights.

    Parameters
    ----------
    examples : sequence of Example
        The training clips, in a stable order.
    config : Video2RMSConfig
    training : Video2RMSTraining
    out : Path
        Folder for the checkpoint, the state and TensorBoard logs.
    seed : int
        Decides initial weights, order, windows and dropout.
    device : str
        ``cpu`` or ``cuda``; under ``accelerate launch`` every process takes its share of each batch, gradients
        and the statistics of batch normalisation are those of the whole batch, and the first process writes.
    report : callable
        Called after every epoch, by the first process.
    facts : mapping, optional
        Goes into the checkpoint's header.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    ClapstickError
        If `out` holds the state of another configuration, training or seed, or the batch cannot be shared out
        evenly among the processes.
    """
    from accelerate import Accelerator
    from torch.utils.tensorboard import SummaryWriter

    accelerator = Accelerator(mixed_precision=training.precision, cpu=device == "cpu")
    torch.manual_seed(seed)
    network = Video2RMS(config)
    optimiser = torch.optim.Adam(
        network.parameters(),
        lr=training.learning_rate,
        betas=training.betas,
        weight_decay=training.weight_decay,
    )
    identity = f"{config.model_dump_json()} {training.model_dump_json()} seed {seed} clips {len(examples)}"
    parts: dict[str, Stateful] = {"network": network, "optimiser": optimiser}
    first = resume(out / _STATE, identity, parts)
    model, optimiser = accelerator.prepare(network, optimiser)
    train, held_out = split_by_source(examples, training.validation_share)
    started = time.monotonic()
    with ExitStack() as stack:
        writer: Any = None
        if accelerator.is_main_process:
            writer = stack.enter_context(SummaryWriter(str(out / "tensorboard"), purge_step=first))
        for epoch in range(first, training.epochs):
            rate = learning_rate(training, epoch)
            for group in optimiser.param_groups:
                group["lr"] = rate
            losses = [
                _step(model, optimiser, accelerator, batch, training)
                for batch in _epoch(train, config, training, seed, epoch, accelerator)
            ]
            mean = float(accelerator.reduce(torch.stack(losses).mean(), "mean"))
            loss = require_finite(mean, f"epoch {epoch + 1}")
            if writer is None:
                continue
            done = epoch + 1
            due = done % training.validate_every == 0 or done == training.epochs
            e_l1 = validation_e_l1(network, held_out) if due and held_out else None
            writer.add_scalar("loss/train", loss, done)
            writer.add_scalar("learning-rate", rate, done)
            if e_l1 is not None:
                writer.add_scalar("validation/e-l1", e_l1, done)
            report(Progress(done, loss, e_l1, time.monotonic() - started))
            if due:
                keep_state(out / _STATE, identity, done, parts)
    path = out / CHECKPOINT
    if accelerator.is_main_process:
        extra = {"training": training.model_dump(mode="json"), "seed": seed, **(facts or {})}
        save_checkpoint(path, network.state_dict(), config, extra)
    return path


def learning_rate(training: Video2RMSTraining, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 0."""
    rate = training.learning_rate
    if training.halve_every:
        rate *= 0.5 ** (epoch // training.halve_every)
    if training.linear_decay:
        left = (training.epochs - epoch) / training.epochs
        rate *= min(1.0, max(0.02, 2 * left))
    return rate


def split_by_source(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Hold out the last recordings, whole, so that no recording is on both sides."""
    sources = list(dict.fromkeys(example.clip.source for example in examples))
    held = set(sources[len(sources) - int(share * len(sources)) :])
    train = [example for example in examples if example.clip.source not in held]
    return train, [example for example in examples if example.clip.source in held]


def validation_e_l1(network: Video2RMS, examples: Sequence[Example]) -> float:
    """Return the mean absolute difference of predicted and target curves over clips, in amplitude."""
    errors = []
    for example in examples:
        prediction = predict(network, example.features, example.clip.duration_s, where=example.clip.id)
        frames = min(prediction.envelope.size, example.curve.size)
        errors.append(np.abs(prediction.envelope[:frames] - example.curve[:frames]).mean())
    return float(np.mean(errors))


def _epoch(
    examples: Sequence[Example],
    config: Video2RMSConfig,
    training: Video2RMSTraining,
    seed: int,
    epoch: int,
    accelerator: Any,
) -> Iterator[Batch]:
    """Yield this process's share of the batches.

    All randomness hangs on seed, epoch and step alone, but for dropout, which differs from process to process.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(examples))
    size = min(training.batch_size, len(examples))
    share = share_of(size, accelerator)
    for step in range(len(examples) // size):
        rng = np.random.default_rng([seed, epoch, step, 0])
        torch.manual_seed(int(rng.integers(2**62)) + accelerator.process_index)
        chosen = order[step * size : (step + 1) * size].tolist()
        yield draw_batch(examples, chosen, config, rng, share)


def _step(
    model: nn.Module, optimiser: Any, accelerator: Any, batch: Batch, training: Video2RMSTraining
) -> Tensor:
    model.train()
    device = accelerator.device
    with accelerator.autocast():
        output = model(torch.from_numpy(batch.features).to(device))
        loss = _loss(output.rms.float(), output.onsets, batch, training)
    optimiser.zero_grad()
    accelerator.backward(loss)
    optimiser.step()
    return loss.detach()


def _loss(rms: Tensor, onsets: Tensor | None, batch: Batch, training: Video2RMSTraining) -> Tensor:
    if rms.ndim == 3:
        targets = torch.from_numpy(batch.classes).to(rms.device)
        loss = smoothed_cross_entropy(
            rms, targets, width=training.smoothing_width, form=training.smoothing_form
        )
    else:
        loss = nn.functional.mse_loss(rms, torch.from_numpy(batch.curves).to(rms.device))
    if onsets is not None:
        wanted = torch.from_numpy(batch.onsets).to(rms.device)
        loss = loss + training.onset_weight * nn.functional.binary_cross_entropy_with_logits(
            onsets[..., 0].float(), wanted
        )
    return loss
