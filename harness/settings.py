"""What the user asked a run for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clapstick.protocols.protocol import Protocol
from clapstick.systems.card import FoundSystem, ParameterValue

REFERENCE = "reference"
"""The control that emits the reference sound; part of every run, because scores are taken against it."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides a run's result, and how it is carried out."""

    protocol: Protocol
    data: Path
    systems: tuple[FoundSystem, ...]
    out: Path
    seed: int = 0
    limit: int | None = None
    workers: int = 1
    """Processes; 0 computes in this one."""
    device: str = "cpu"
    parameters: Mapping[str, Mapping[str, ParameterValue]] = field(default_factory=dict)
    """System name -> parameter -> value, over the card's."""
