"""What a training that was cut off needs to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from clapstick.protocols.archive import atomic
from clapstick.protocols.problems import fail


class Stateful(Protocol):
    """Whatever has a state: a network, an optimiser, a moving average."""

    def state_dict(self) -> Any:
        """Return what it knows."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Take over what another one knew."""


def keep_state(path: Path, identity: str, done: int, parts: Mapping[str, Stateful], phase: str = "") -> None:
    """Save the states of `parts` after `done` steps or epochs; the file is whole or the one before.

    Parameters
    ----------
    identity : str
        Configuration, training and seed: what `read_state` compares.
    phase : str
        Where a training has several.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    with atomic(path) as temporary:
        torch.save({"identity": identity, "phase": phase, "done": done, **states}, temporary)


def read_state(path: Path, identity: str) -> dict[str, Any] | None:
    """Return what was kept, None where nothing was.

    Raises
    ------
    ClapstickError
        If it belongs to another training.
    """
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["identity"] != identity:
        raise fail(
            "folder holds another training",
            path,
            found=state["identity"],
            expected=identity,
            remedy="Name another --out, or remove this one.",
        )
    return state


def resume(path: Path, identity: str, parts: Mapping[str, Stateful]) -> int:
    """Load what was kept into `parts` and return the first step or epoch to do; raises as `read_state`."""
    state = read_state(path, identity)
    if state is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["done"])
