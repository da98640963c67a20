"""Training of stage 2: where no base is given, first the U-Net without RMS; then the ControlNet alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from clapstick.metrics.rms import rms_curve
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.drawn_envelopes import with_drawn_envelope
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.mel import FRAMES_PER_LATENT, HOP, SAMPLE_RATE, log_mel, rms_for_mel
from clapstick.systems.two_stage.processes import require_finite, share_of
from clapstick.systems.two_stage.rms2sound import (
    MEL_RATE,
    Order,
    RMS2Sound,
    RMS2SoundConfig,
    render,
    save_rms2sound,
)
from clapstick.systems.two_stage.sampling import TRAINING_STEPS, Branch, make_scheduler
from clapstick.systems.two_stage.stage_one_data import reference_samples
from clapstick.systems.two_stage.tiny_codec import PatchCodec, level_control
from clapstick.systems.two_stage.training_state import Stateful, keep_state, read_state

CHECKPOINT = "rms2sound.safetensors"
_STATE = "training-state.pt"
Phase = Literal["base", "control"]


class RMS2SoundTraining(BaseModel):
    """How stage 2 is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_steps: int = Field(ge=0)
    """Steps of the U-Net without RMS; 0 where the base is given."""
    control_steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    halve_every: int = 0
    """Steps after which the learning rate is halved, again and again; 0 warms up and decays linearly."""
    prompt_dropout: float = Field(default=0.1, ge=0, le=1)
    clip_gradient: float = 1.0
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    save_every: int = Field(default=100, ge=1)
    validation_clips: int = Field(default=4, ge=0)
    loudness_weight: float = Field(default=0.0, ge=0)
    """How much more a frame at full scale counts in the loss than one at -50 dB; 0 counts all alike."""
    drawn_copies: int = Field(default=0, ge=0)
    """Copies of every training sound with an envelope that is drawn: swells and ramps beside strokes."""
    precision: str = "no"


TRAININGS: Mapping[str, RMS2SoundTraining] = {
    "video-foley": RMS2SoundTraining(
        base_steps=0,
        control_steps=300_000,
        batch_size=8,
        learning_rate=1e-4,
        halve_every=10_000,
        ema_decay=0.9999,
        save_every=5000,
        precision="bf16",
    ),
    "tiny": RMS2SoundTraining(
        base_steps=1600,
        control_steps=2800,
        batch_size=8,
        learning_rate=1e-3,
        ema_decay=0.995,
        loudness_weight=4.0,
        drawn_copies=1,
    ),
}


@dataclass(frozen=True)
class Sound:
    """One recording as stage 2 learns it."""

    clip: Clip
    samples: NDArray[np.float32]
    mel: Tensor
    """Shape (frames, 64)."""
    rms: NDArray[np.float32]
    """Low-pass filtered RMS of every mel frame."""


@dataclass(frozen=True)
class StepReport:
    """Where training stands."""

    phase: Phase
    step: int
    loss: float
    validation_e_l1: float | None
    seconds: float


def load_sounds(clips: Sequence[Clip], config: RMS2SoundConfig) -> list[Sound]:
    """Read the reference sound of clips that are at least a window long.

    Raises
    ------
    ClapstickError
        If there is none.
    """
    sounds = []
    for clip in clips:
        samples = reference_samples(clip, SAMPLE_RATE).astype(np.float32)
        samples = samples[: samples.size // HOP * HOP]
        if samples.size // HOP >= config.window_frames:
            sounds.append(_sound_of(clip, samples))
    if not sounds:
        raise fail(
            "every clip is shorter than a training window",
            f"{len(clips)} clips",
            expected=f"{config.window_frames / MEL_RATE:g} s",
            remedy="Give longer recordings.",
        )
    return sounds


def _sound_of(clip: Clip, samples: NDArray[np.float32]) -> Sound:
    curve = rms_for_mel(samples.astype(np.float64)).astype(np.float32)
    return Sound(clip, samples, log_mel(torch.from_numpy(samples)[None])[0], curve)


def draw_copies(sounds: Sequence[Sound], copies: int, seed: int) -> list[Sound]:
    """Give every sound so many other envelopes; silent sounds have no timbre and are left out."""
    return [
        _sound_of(sound.clip, with_drawn_envelope(sound.samples, np.random.default_rng([seed, copy, index])))
        for copy in range(copies)
        for index, sound in enumerate(sounds)
        if sound.samples.any()
    ]


def words_of(clip: Clip, start_s: float = 0.0, end_s: float = float("inf")) -> list[str]:
    """Return the materials and actions of a clip's onsets within a stretch."""
    onsets = [onset for onset in clip.onsets or () if start_s <= onset.time_s < end_s]
    return [word for onset in onsets for word in (onset.material, onset.action) if word]


def fit_closed_forms(model: RMS2Sound, sounds: Sequence[Sound], seed: int) -> None:
    """Fit codec and prompt encoder of a tiny model on the training sounds."""
    if not isinstance(model.codec, PatchCodec) or model.timbre is None:
        return
    window = model.config.window_frames
    mels, labels = [], []
    for sound in sounds:
        for start in range(0, sound.mel.shape[0] - window + 1, window):
            words = words_of(sound.clip, start / MEL_RATE, (start + window) / MEL_RATE)
            if words:
                mels.append(sound.mel[start : start + window])
                labels.append(words)
    whole = torch.stack(mels)
    model.codec.fit(whole, torch.Generator().manual_seed(seed))
    model.timbre.fit(whole, labels)


def train_rms2sound(
    sounds: Sequence[Sound],
    model: RMS2Sound,
    training: RMS2SoundTraining,
    out: Path,
    *,
    seed: int,
    prompt_of: Callable[[Tensor, Sequence[Sound]], Tensor],
    null_prompt: Tensor | None = None,
    device: str = "cpu",
    report: Callable[[StepReport], None] = lambda report: None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Train, or go on with what `out` holds; a run that was killed ends with the same weights.

    Parameters
    ----------
    sounds : sequence of Sound
        The last `validation_clips` are held out.
    model : RMS2Sound
        Codec and prompt encoder fitted; U-Net trained already where there are no base steps.
    training : RMS2SoundTraining
    out : Path
    seed : int
        Decides windows, noise and dropped prompts.
    prompt_of : callable
        (log-mel windows, their sounds) -> embeddings of shape (batch, prompt_dim).
    null_prompt : Tensor, optional
        What stands for a dropped prompt, shape (prompt_dim,); zeros where None.
    device : str
        ``cpu`` or ``cuda``; under ``accelerate launch`` every process takes its share of each batch, gradients
        are averaged, and the first process writes and validates.
    report : callable
        Called after every tenth step and after each phase, by the first process.
    facts : mapping, optional
        Goes into the checkpoint's header.

    Raises
    ------
    ClapstickError
        If `out` holds the state of another training, or the batch cannot be shared out evenly among the
        processes.
    """
    from torch.utils.tensorboard import SummaryWriter

    held = training.validation_clips if len(sounds) > 2 * training.validation_clips else 0
    train, held_out = list(sounds[: len(sounds) - held]), sounds[len(sounds) - held :]
    train += draw_copies(train, training.drawn_copies, seed)
    null = torch.zeros(model.config.unet.prompt_dim) if null_prompt is None else null_prompt
    trainer = _Trainer(model, training, out, seed, prompt_of, null, device)
    started = time.monotonic()
    base: list[tuple[Phase, int]] = [("base", training.base_steps)] if training.base_steps else []
    phases: list[tuple[Phase, int]] = [*base, ("control", training.control_steps)]
    with ExitStack() as stack:
        writer: Any = None
        if trainer.writes:
            writer = stack.enter_context(SummaryWriter(str(out / "tensorboard")))
        for phase, steps in phases:
            for step in trainer.begin(phase, steps):
                loss = trainer.step(train, phase, step)
                if writer is not None:
                    writer.add_scalar(f"loss/{phase}", loss, step)
                    if step % 10 == 0:
                        report(StepReport(phase, step, loss, None, time.monotonic() - started))
                    if (step + 1) % training.save_every == 0:
                        trainer.keep(phase, step + 1)
            trainer.finish(phase, steps)
        path = out / CHECKPOINT
        if writer is None:
            return path
        e_l1 = validation_e_l1(model, held_out, prompt_of, null) if held_out else None
        if e_l1 is not None:
            writer.add_scalar("validation/e-l1", e_l1, training.control_steps)
        report(StepReport("control", training.control_steps, 0.0, e_l1, time.monotonic() - started))
    extra = {"training": training.model_dump(mode="json"), "seed": seed, **(facts or {})}
    save_rms2sound(path, model, extra, half=model.config.codec == "patches")
    return path


def validation_e_l1(
    model: RMS2Sound,
    sounds: Sequence[Sound],
    prompt_of: Callable[[Tensor, Sequence[Sound]], Tensor],
    null_prompt: Tensor,
) -> float:
    """Return the mean E-L1 of sounds made from their own envelope and prompt, in amplitude."""
    errors = []
    model.eval()
    for index, sound in enumerate(sounds):
        prompt = prompt_of(sound.mel[None, : model.config.window_frames], [sound])[0]
        envelope = Envelope(sound.rms.astype(np.float64), MEL_RATE)
        order = Order(prompt, envelope, sound.samples.size / SAMPLE_RATE, seed=index)
        made = render(model, order, null_prompt).samples
        errors.append(np.abs(rms_curve(made.astype(float)) - rms_curve(sound.samples.astype(float))).mean())
    return float(np.mean(errors))


class _Prediction(nn.Module):
    """The forward pass of training as one module, which accelerate can spread over processes."""

    def __init__(self, model: RMS2Sound) -> None:
        super().__init__()
        self._model = model

    def forward(self, noisy: Tensor, steps: Tensor, prompts: Tensor, control: Tensor | None) -> Tensor:
        told = Branch(prompted=True, controlled=True)
        return self._model.predict(noisy, steps, prompts, prompts, control, (told,))


class _Trainer:
    """One phase after another: which weights learn, their optimiser, their moving average."""

    def __init__(
        self,
        model: RMS2Sound,
        training: RMS2SoundTraining,
        out: Path,
        seed: int,
        prompt_of: Callable[[Tensor, Sequence[Sound]], Tensor],
        null_prompt: Tensor,
        device: str,
    ) -> None:
        from accelerate import Accelerator

        self._accelerator = Accelerator(mixed_precision=training.precision, cpu=device == "cpu")
        self._model = model.to(self._accelerator.device)
        self._training = training
        self._path = out / _STATE
        self._seed = seed
        self._prompt_of = prompt_of
        self._null = null_prompt.to(self._accelerator.device)
        self._scheduler = make_scheduler(model.config.sampling, model.config.prediction)
        self._identity = f"{model.config.model_dump_json()} {training.model_dump_json()} seed {seed}"
        self._state = self._read()

    def begin(self, phase: Phase, steps: int) -> range:
        """Return the steps of a phase that are still to do."""
        from diffusers.training_utils import EMAModel

        self._steps = steps
        if phase == "control" and self._training.base_steps and self._state.get("phase") != "control":
            self._copy_base()
        learning = self._model.unet if phase == "base" else self._model.controlnet
        self._model.requires_grad_(False)
        learning.requires_grad_(True)
        self._weights = [weight for weight in learning.parameters() if weight.requires_grad]
        settings = self._training
        self._optimiser = torch.optim.AdamW(
            self._weights,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
        )
        self._average = EMAModel(self._weights, decay=settings.ema_decay, use_ema_warmup=True)
        done = self._resume(phase, steps)
        # Wrapped anew each phase: what is averaged over processes are the gradients of what learns in it.
        self._accelerator.free_memory()
        self._predict, self._optimiser = self._accelerator.prepare(_Prediction(self._model), self._optimiser)
        return range(done, steps)

    @property
    def writes(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return bool(self._accelerator.is_main_process)

    def step(self, sounds: Sequence[Sound], phase: Phase, step: int) -> float:
        """Learn from one batch; everything random hangs on seed, phase and step."""
        loss = self._loss(sounds, phase, np.random.default_rng([self._seed, phase == "control", step]))
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self._training, step, self._steps)
        self._optimiser.zero_grad()
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self._weights, self._training.clip_gradient)
        self._optimiser.step()
        self._average.step(self._weights)
        told = float(self._accelerator.reduce(loss.detach(), "mean"))
        return require_finite(told, f"{phase} step {step}")

    def finish(self, phase: Phase, steps: int) -> None:
        """Put the moving average in the place of the weights."""
        self._average.copy_to(self._weights)
        if self.writes:
            self.keep(phase, steps)

    def keep(self, phase: Phase, done: int) -> None:
        """Save what is needed to go on."""
        parts: dict[str, Stateful] = {
            "model": self._model,
            "optimiser": self._optimiser,
            "average": self._average,
        }
        keep_state(self._path, self._identity, done, parts, phase)

    def _loss(self, sounds: Sequence[Sound], phase: Phase, rng: np.random.Generator) -> Tensor:
        model, device = self._model, self._accelerator.device
        window = model.config.window_frames
        # Everything is drawn for the whole batch, so that it does not depend on the number of processes.
        batch = self._training.batch_size
        chosen = [sounds[index] for index in rng.integers(len(sounds), size=batch)]
        starts = [int(rng.integers(sound.mel.shape[0] - window + 1)) for sound in chosen]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        share = share_of(batch, self._accelerator)
        cuts = list(zip(chosen, starts, strict=True))[share]
        mels = torch.stack([sound.mel[start : start + window] for sound, start in cuts]).to(device)
        curves = torch.from_numpy(np.stack([sound.rms[start : start + window] for sound, start in cuts]))
        with torch.no_grad():
            latents = model.codec.encode(mels)
            prompts = self._prompt_of(mels, chosen[share]).to(device)
            control = model.control_of(curves.to(device)) if phase == "control" else None
        dropped = torch.from_numpy(rng.random(batch) < self._training.prompt_dropout)[share].to(device)
        prompts = torch.where(dropped[:, None], self._null, prompts)
        noise = torch.randn((batch, *latents.shape[1:]), generator=generator)[share].to(device)
        steps = torch.randint(0, TRAINING_STEPS, (batch,), generator=generator)[share].to(device)
        noisy = self._scheduler.add_noise(latents, noise, steps)
        velocity = model.config.prediction == "v_prediction"
        target = self._scheduler.get_velocity(latents, noise, steps) if velocity else noise
        with self._accelerator.autocast():
            predicted = self._predict(noisy, steps, prompts, control)
        error = nn.functional.mse_loss(predicted.float(), target, reduction="none").mean(dim=(1, 3))
        weight = 1 + self._training.loudness_weight * level_control(curves.to(device))
        return (error * nn.functional.avg_pool1d(weight, FRAMES_PER_LATENT)).mean()

    def _copy_base(self) -> None:
        """Start the ControlNet from the U-Net that was just trained."""
        base = self._model.unet.state_dict()
        own = self._model.controlnet.state_dict()
        shared = {name: base[name] for name in own if name in base}
        self._model.controlnet.load_state_dict(shared, strict=False)

    def _read(self) -> dict[str, Any]:
        state = read_state(self._path, self._identity)
        if state is None:
            return {}
        self._model.load_state_dict(state["model"])
        return state

    def _resume(self, phase: Phase, steps: int) -> int:
        """Return how many steps of a phase are done; load optimiser and average where it was under way."""
        if self._state.get("phase") != phase:
            return steps if phase == "base" and self._state.get("phase") == "control" else 0
        self._optimiser.load_state_dict(self._state["optimiser"])
        self._average.load_state_dict(self._state["average"])
        self._average.to(self._accelerator.device)
        return int(self._state["done"])


def learning_rate(training: RMS2SoundTraining, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0.

    Halved again and again, or: 30 steps of warm-up, constant over the first half, then down to 5 % in a line.
    """
    if training.halve_every:
        return float(training.learning_rate * 0.5 ** (step // training.halve_every))
    warm = min(1.0, (step + 1) / 30)
    return training.learning_rate * warm * min(1.0, max(0.05, 2 * (steps - step) / steps))
