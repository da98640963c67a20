"""What several processes of one training share out among themselves."""

from __future__ import annotations

import math
import os
from typing import Any

from clapstick.protocols.problems import fail


def share_of(batch: int, accelerator: Any) -> slice:
    """Return the part of a batch that belongs to this process.

    Raises
    ------
    ClapstickError
        If the batch cannot be shared out evenly: gradients are averaged over processes, so each must stand for
        the same number of examples.
    """
    processes = accelerator.num_processes
    if batch % processes:
        raise fail(
            "batch does not divide among the processes",
            "accelerate launch",
            found=f"a batch of {batch} on {processes} processes",
            expected="a whole number of examples a process",
            remedy="Launch another number of processes.",
        )
    return slice(accelerator.process_index, None, processes)


def require_finite(loss: float, where: str) -> float:
    """Return a loss; raise `ClapstickError` where it is not a number, before it spoils what was learned."""
    if not math.isfinite(loss):
        raise fail(
            "loss is not a number",
            where,
            found=loss,
            remedy="Look for bad recordings, lower the learning rate, or train without mixed precision.",
        )
    return loss


def is_first_process() -> bool:
    """Return whether this is the process that talks, of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"
