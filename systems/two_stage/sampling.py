"""From noise to a latent: guidance on the prompt, the official DDIM and a faster multistep solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from clapstick.protocols.problems import fail

TRAINING_STEPS = 1000
_SCHEDULE = {
    "num_train_timesteps": TRAINING_STEPS,
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
}

Prediction = Literal["epsilon", "v_prediction"]


class Sampling(BaseModel):
    """How a latent is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    solver: Literal["ddim", "dpm++"] = "ddim"
    steps: int = Field(default=200, ge=1, le=TRAINING_STEPS)
    eta: float = Field(default=1.0, ge=0, le=1)
    """Noise of DDIM; the released code has 1."""
    guidance: float = Field(default=3.5, ge=0)
    guided: Literal["prompt", "prompt-and-control"] = "prompt"
    """What the null branch goes without. Video-Foley guides the prompt alone, ReWaS both."""
    temperature: float = Field(default=1.0, ge=0, le=1)
    """Factor on all noise that is drawn. Below 1, latents keep nearer to the middle of what the network thinks
    possible: less variety, and less to spoil the envelope."""
    branches: Literal["together", "one-by-one"] = "together"
    """Whether the two branches of the guidance are one call of the network; the released code makes two calls,
    which takes half the memory and gives the same numbers but for rounding."""


Settings = TypeVar("Settings", bound=BaseModel)


def settings_of(kind: type[Settings], parameters: Mapping[str, str | int | float | bool]) -> Settings:
    """Return the sampling settings among a card's parameters.

    Raises
    ------
    ClapstickError
        If one has an impossible value; names it.
    """
    try:
        return kind.model_validate(
            {key: value for key, value in parameters.items() if key in kind.model_fields}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise fail(
            f"impossible sampling: {first['msg']}",
            ".".join(str(part) for part in first["loc"]),
            found=first["input"],
            remedy="Change the system's parameter.",
        ) from error


@dataclass(frozen=True)
class Branch:
    """What the network is told in one branch of the guidance."""

    prompted: bool
    controlled: bool


class Predict(Protocol):
    """A network that predicts noise (or velocity), with or without prompt and control."""

    def __call__(self, sample: Tensor, timestep: Tensor, branches: Sequence[Branch]) -> Tensor:
        """Return the predictions of all branches one after another, shape (branches * batch, ...)."""


def make_scheduler(sampling: Sampling, prediction: Prediction) -> Any:
    """Return AudioLDM's noise schedule as a diffusers scheduler, its steps set.

    The 200 steps of DDIM visit timesteps 996, 991, ..., 1 and end at the first alpha, as upstream.
    """
    kinds: dict[str, Any] = {"ddim": DDIMScheduler, "dpm++": DPMSolverMultistepScheduler}
    make = kinds[sampling.solver]
    if sampling.solver == "ddim":
        scheduler = make(
            **_SCHEDULE,
            steps_offset=1,
            clip_sample=False,
            set_alpha_to_one=False,
            prediction_type=prediction,
        )
    else:
        scheduler = make(**_SCHEDULE, algorithm_type="dpmsolver++", solver_order=2, prediction_type=prediction)
    scheduler.set_timesteps(sampling.steps)
    return scheduler


def guide(predict: Predict, sample: Tensor, timestep: Tensor, sampling: Sampling) -> Tensor:
    """Return the guided prediction: null + guidance * (prompted - null); a guidance of 1 needs no null branch.

    Source: Video-Foley (Lee et al., 2024), equation 5.
    """
    null = Branch(prompted=False, controlled=sampling.guided == "prompt")
    full = Branch(prompted=True, controlled=True)
    if sampling.guidance == 1:
        return predict(sample, timestep, (full,))
    if sampling.branches == "together":
        without, told = predict(sample, timestep, (null, full)).chunk(2)
    else:
        without, told = (predict(sample, timestep, (branch,)) for branch in (null, full))
    return without + sampling.guidance * (told - without)


@torch.no_grad()
def draw(
    predict: Predict,
    shape: Sequence[int],
    sampling: Sampling,
    prediction: Prediction,
    generators: Sequence[torch.Generator],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw one latent for every generator.

    Each clip has its own generator, so a clip's latent does not depend on the batch that it is drawn in.

    Parameters
    ----------
    predict : Predict
    shape : sequence of int
        Of one latent, without the batch.
    sampling : Sampling
    prediction : "epsilon" or "v_prediction"
    generators : sequence of torch.Generator
        On the CPU.

    Returns
    -------
    Tensor, shape (len(generators), *shape)
    """
    scheduler = make_scheduler(sampling, prediction)
    sample = _noise(shape, sampling, generators, device) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        guided = guide(predict, sample, timestep.to(device), sampling)
        if sampling.solver == "ddim":
            noise = _noise(shape, sampling, generators, device) if sampling.eta > 0 else None
            sample = scheduler.step(
                guided, timestep, sample, eta=sampling.eta, variance_noise=noise
            ).prev_sample
        else:
            sample = scheduler.step(guided, timestep, sample).prev_sample
    drawn: Tensor = sample
    return drawn


def _noise(
    shape: Sequence[int], sampling: Sampling, generators: Sequence[torch.Generator], device: torch.device | str
) -> Tensor:
    drawn = torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])
    return drawn.to(device) * sampling.temperature
