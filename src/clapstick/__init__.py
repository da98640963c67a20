"""Clapstick: a benchmark and evaluation harness for video-to-sound (Foley) systems.

>>> import clapstick
>>> run = clapstick.run("folder", data="videos", systems=["silence", "noise"], out="runs/mine")  # doctest: +SKIP
>>> clapstick.leaderboard("runs/mine")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clapstick.harness.api import (
        clips,
        comparisons,
        leaderboard,
        list_metrics,
        list_protocols,
        list_systems,
        run,
        score,
        scores,
    )

__all__ = [
    "clips",
    "comparisons",
    "leaderboard",
    "list_metrics",
    "list_protocols",
    "list_systems",
    "run",
    "score",
    "scores",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used: `import clapstick` alone stays light."""
    if name in __all__:
        return getattr(importlib.import_module("clapstick.harness.api"), name)
    raise AttributeError(f"module 'clapstick' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
