"""From noise to a latent: guidance on the prompt, the official DDIM and a faster multistep solver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

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


class Predict(Protocol):
    """A network that predicts noise (or velocity), with or without prompt and control."""

    def __call__(self, sample: Tensor, timestep: Tensor, *, prompted: bool, controlled: bool) -> Tensor:
        """Return the prediction, shape as `sample`."""


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
    """Return the guided prediction: null + guidance * (prompted - null).

    Source: Video-Foley (Lee et al., 2024), equation 5.
    """
    keeps_control = sampling.guided == "prompt"
    null = predict(sample, timestep, prompted=False, controlled=keeps_control)
    return null + sampling.guidance * (predict(sample, timestep, prompted=True, controlled=True) - null)


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
    sample = _noise(shape, generators, device) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        guided = guide(predict, sample, timestep.to(device), sampling)
        if sampling.solver == "ddim":
            noise = _noise(shape, generators, device) if sampling.eta > 0 else None
            sample = scheduler.step(
                guided, timestep, sample, eta=sampling.eta, variance_noise=noise
            ).prev_sample
        else:
            sample = scheduler.step(guided, timestep, sample).prev_sample
    drawn: Tensor = sample
    return drawn


def _noise(shape: Sequence[int], generators: Sequence[torch.Generator], device: torch.device | str) -> Tensor:
    drawn = torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])
    return drawn.to(device)
