"""The materials of synthetic-hits: how each sounds when struck and scratched, and how it reacts.

Names and reactions are those of the Greatest Hits annotations. Mode ratios follow the textbook shapes (free
bar, plate, bell, membrane); decays and bands are set by ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reaction = Literal["deform", "static", "rigid-motion", "splash", "scatter"]
Shape = Literal["box", "cylinder", "cushion", "heap", "basin"]


@dataclass(frozen=True)
class Material:
    """Sound and look of one material."""

    name: str
    shape: Shape
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
        "wood",
        "box",
        "static",
        0.70,
        _modes(290, 1, 2.76, 5.40, 8.93),
        0.22,
        0.25,
        (800, 5000),
        0.03,
        0.0,
        0.08,
        (500, 3500),
    ),
    Material(
        "metal",
        "cylinder",
        "rigid-motion",
        0.55,
        _modes(640, 1, 1.51, 1.99, 2.44, 3.01, 3.90, 5.10),
        1.10,
        0.15,
        (3000, 12000),
        0.02,
        0.0,
        0.09,
        (2500, 9000),
    ),
    Material(
        "glass",
        "cylinder",
        "rigid-motion",
        0.50,
        _modes(1850, 1, 2.32, 4.25, 6.63),
        0.55,
        0.15,
        (4000, 14000),
        0.015,
        0.0,
        0.05,
        (4000, 12000),
    ),
    Material(
        "ceramic",
        "cylinder",
        "rigid-motion",
        0.60,
        _modes(1150, 1, 1.70, 2.63, 3.90, 5.43),
        0.20,
        0.3,
        (2000, 9000),
        0.02,
        0.0,
        0.07,
        (1500, 6000),
    ),
    Material(
        "plastic",
        "box",
        "rigid-motion",
        0.65,
        _modes(210, 1, 1.59, 2.14, 2.92, 3.60),
        0.12,
        0.45,
        (600, 4000),
        0.04,
        0.0,
        0.07,
        (800, 4500),
    ),
    Material(
        "cloth",
        "cushion",
        "deform",
        0.60,
        _modes(95, 1, 1.59),
        0.14,
        0.5,
        (100, 900),
        0.08,
        0.0,
        0.05,
        (300, 2200),
    ),
    Material(
        "carpet",
        "box",
        "deform",
        0.50,
        _modes(130, 1, 2.10),
        0.09,
        0.6,
        (150, 1800),
        0.06,
        0.2,
        0.06,
        (700, 5000),
    ),
    Material(
        "gravel",
        "heap",
        "scatter",
        0.60,
        _modes(420, 1, 1.83),
        0.05,
        0.9,
        (900, 8000),
        0.22,
        0.8,
        0.13,
        (1200, 8000),
    ),
    Material(
        "leaf",
        "heap",
        "scatter",
        0.45,
        _modes(260, 1, 1.40),
        0.04,
        0.95,
        (2500, 11000),
        0.28,
        0.55,
        0.09,
        (2500, 12000),
    ),
    Material(
        "water",
        "basin",
        "splash",
        0.60,
        _modes(430, 1, 1.35, 1.86),
        0.30,
        0.65,
        (500, 6500),
        0.40,
        0.35,
        0.09,
        (400, 3500),
    ),
)
