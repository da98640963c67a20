"""The reference sound itself."""

from __future__ import annotations

import numpy as np

from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import reference_of


class ReferenceSystem:
    """Hands back what it is handed."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return the reference at its own rate and length."""
        return NativeOutput(reference_of(request))


def build(context: Context) -> ReferenceSystem:
    """Build the system."""
    return ReferenceSystem()
