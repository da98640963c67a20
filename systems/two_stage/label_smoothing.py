"""Cross entropy against RMS classes that are smeared into their neighbours."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Form = Literal["paper", "official"]


def smooth_labels(targets: Tensor, classes: int, *, width: int = 2, form: Form = "official") -> Tensor:
    """Return the weight of every class for every frame.

    The weights are not normalised. Silence (class 0) stays one-hot, and no other class spills into it.

    Parameters
    ----------
    targets : Tensor of int64, shape (batch, frames)
        Classes from 0 to ``classes - 1``.
    classes : int
    width : int
        How many classes away a weight reaches.
    form : "paper" or "official"
        At distance d, the paper's weight is ``exp(-d**2 / 2)``; the released code's is ``exp(-2**d / 4)``,
        with 1 at the target itself.

    Returns
    -------
    Tensor of float32, shape (batch, classes, frames)

    Notes
    -----
    Sources: Video-Foley (Lee et al., 2024), equation 3; jnwnlee/video-foley@0afd45a, criterion.py.
    """
    every = torch.arange(classes, device=targets.device)[None, :, None]
    distance = (every - targets[:, None, :]).abs()
    if form == "paper":
        weight = torch.exp(-0.5 * distance.float() ** 2)
    else:
        weight = torch.where(distance == 0, 1.0, torch.exp(-(2.0 ** distance.float()) / 4))
    silent = targets[:, None, :] == 0
    reached = (distance <= width) & (every > 0) & ~silent
    return torch.where(silent & (every == 0), 1.0, torch.where(reached, weight, 0.0))


def smoothed_cross_entropy(
    logits: Tensor, targets: Tensor, *, width: int = 2, form: Form = "official"
) -> Tensor:
    """Return the cross entropy against smoothed labels, averaged over frames.

    Parameters
    ----------
    logits : Tensor, shape (batch, classes, frames)
    targets : Tensor of int64, shape (batch, frames)
    width, form
        As `smooth_labels`; width 0 is the plain cross entropy.
    """
    if width == 0:
        return torch.nn.functional.cross_entropy(logits, targets)
    labels = smooth_labels(targets, logits.shape[1], width=width, form=form)
    return -(labels * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
