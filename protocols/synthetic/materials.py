"""The materials of synthetic-hits: how each sounds when struck and scratched, and how it reacts.

Names and reactions are those of the Greatest Hits annotations. Mode ratios follow the textbook shapes (free
bar, plate, bell, membrane); decays, which include a small room, and bands are set by ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reaction = Literal["deform", "static", "rigid-motion", "splash", "scatter"]


@dataclass(frozen=True)
class Material:
    """Sound and look of one material."""

    name: str
    reaction: Reaction
    level: float
    """Peak amplitude of a hit at full stick speed."""
    modes_hz: tuple[float, ...]
    """Frequencies of the modes of a mid-sized object."""
    decay_s: float
    """Time in which the lowest mode falls by 60 dB; higher ones fall faster."""
    click: float
    """Share of the contact noise in a hit, 0 to 1."""
    click_band_hz: tuple[float, float]
    click_decay_s: float
    """Time in which the contact noise falls by 60 dB."""
    grain: float
    """0 for smooth noise; towards 1 it breaks up into crackles."""
    scratch_level: float
    """RMS amplitude of a scratch at full stick speed."""
    scratch_band_hz: tuple[float, float]


def _modes(lowest_hz: float, *ratios: float) -> tuple[float, ...]:
    return tuple(lowest_hz * ratio for ratio in ratios)


MATERIALS: tuple[Material, ...] = (
    Material(
        name="wood",
        reaction="static",
        level=0.8,
        modes_hz=_modes(290, 1, 2.76, 5.40, 8.93),
        decay_s=0.55,
        click=0.25,
        click_band_hz=(800, 5000),
        click_decay_s=0.062,
        grain=0.0,
        scratch_level=0.14,
        scratch_band_hz=(500, 3500),
    ),
    Material(
        name="metal",
        reaction="rigid-motion",
        level=0.7,
        modes_hz=_modes(640, 1, 1.51, 1.99, 2.44, 3.01, 3.90, 5.10),
        decay_s=1.4,
        click=0.15,
        click_band_hz=(3000, 12000),
        click_decay_s=0.05,
        grain=0.0,
        scratch_level=0.15,
        scratch_band_hz=(2500, 9000),
    ),
    Material(
        name="glass",
        reaction="rigid-motion",
        level=0.65,
        modes_hz=_modes(1850, 1, 2.32, 4.25, 6.63),
        decay_s=0.9,
        click=0.15,
        click_band_hz=(4000, 14000),
        click_decay_s=0.037,
        grain=0.0,
        scratch_level=0.1,
        scratch_band_hz=(4000, 12000),
    ),
    Material(
        name="ceramic",
        reaction="rigid-motion",
        level=0.75,
        modes_hz=_modes(1150, 1, 1.70, 2.63, 3.90, 5.43),
        decay_s=0.6,
        click=0.3,
        click_band_hz=(2000, 9000),
        click_decay_s=0.05,
        grain=0.0,
        scratch_level=0.13,
        scratch_band_hz=(1500, 6000),
    ),
    Material(
        name="plastic",
        reaction="rigid-motion",
        level=0.8,
        modes_hz=_modes(210, 1, 1.59, 2.14, 2.92, 3.60),
        decay_s=0.45,
        click=0.45,
        click_band_hz=(600, 4000),
        click_decay_s=0.3,
        grain=0.0,
        scratch_level=0.13,
        scratch_band_hz=(800, 4500),
    ),
    Material(
        name="cloth",
        reaction="deform",
        level=0.75,
        modes_hz=_modes(95, 1, 1.59),
        decay_s=0.45,
        click=0.5,
        click_band_hz=(100, 900),
        click_decay_s=0.35,
        grain=0.0,
        scratch_level=0.1,
        scratch_band_hz=(300, 2200),
    ),
    Material(
        name="carpet",
        reaction="deform",
        level=0.7,
        modes_hz=_modes(130, 1, 2.10),
        decay_s=0.35,
        click=0.6,
        click_band_hz=(150, 1800),
        click_decay_s=0.35,
        grain=0.2,
        scratch_level=0.12,
        scratch_band_hz=(700, 5000),
    ),
    Material(
        name="gravel",
        reaction="scatter",
        level=0.8,
        modes_hz=_modes(420, 1, 1.83),
        decay_s=0.05,
        click=0.9,
        click_band_hz=(900, 8000),
        click_decay_s=0.5,
        grain=0.8,
        scratch_level=0.2,
        scratch_band_hz=(1200, 8000),
    ),
    Material(
        name="leaf",
        reaction="scatter",
        level=0.7,
        modes_hz=_modes(260, 1, 1.40),
        decay_s=0.04,
        click=0.95,
        click_band_hz=(2500, 11000),
        click_decay_s=0.55,
        grain=0.55,
        scratch_level=0.16,
        scratch_band_hz=(2500, 12000),
    ),
    Material(
        name="water",
        reaction="splash",
        level=0.75,
        modes_hz=_modes(430, 1, 1.35, 1.86),
        decay_s=0.4,
        click=0.65,
        click_band_hz=(500, 6500),
        click_decay_s=0.7,
        grain=0.35,
        scratch_level=0.16,
        scratch_band_hz=(400, 3500),
    ),
)
