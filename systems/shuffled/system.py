"""The reference of another clip: real sound that does not belong to the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request


class Shuffled:
    """Gives every clip the sound of another one; among clips with sound, each is used once."""

    def __init__(self, clips: Sequence[Clip], load_reference: Callable[[Clip], Audio], seed: int) -> None:
        self._donors = derangement([clip for clip in clips if clip.reference is not None], seed)
        self._load_reference = load_reference

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return the other clip's reference; a clip without sound of its own gets any."""
        donor = self._donors.get(request.clip.id)
        if donor is None:
            known = [clip for clip in self._donors.values() if clip.id != request.clip.id]
            if not known:
                raise fail(
                    "no other clip with sound",
                    request.clip.id,
                    found=f"{len(self._donors)} clips with sound in the run",
                    expected="2 or more",
                    remedy="Run with more clips, or without the system shuffled.",
                )
            donor = known[int(rng.integers(len(known)))]
        return NativeOutput(self._load_reference(donor))


def derangement(clips: Sequence[Clip], seed: int) -> dict[str, Clip]:
    """Return a donor for every clip: never itself, and never of the same source where that can be.

    Clips are put in random order, those of one source next to each other, and turned by the size of the largest
    source: a clip then falls on its own source only if that source holds more than half of all clips.

    Parameters
    ----------
    clips : sequence of Clip
        Clips with sound, in any order.
    seed : int
        Same seed and same clips, same donors.

    Returns
    -------
    dict of str to Clip
        Clip id -> donor; empty for fewer than two clips.
    """
    if len(clips) < 2:
        return {}
    rng = np.random.default_rng(seed)
    listed = sorted(clips, key=lambda clip: clip.id)
    sources = Counter(clip.source for clip in listed)
    names = sorted(sources)
    place = dict(zip(names, rng.permutation(len(names)), strict=True))
    mixed = sorted((listed[number] for number in rng.permutation(len(listed))), key=lambda c: place[c.source])
    turn = max(sources.values()) % len(mixed) or 1
    return {clip.id: mixed[(number + turn) % len(mixed)] for number, clip in enumerate(mixed)}


def build(context: Context) -> Shuffled:
    """Build the system."""
    return Shuffled(context.clips, context.load_reference, int(context.parameters["seed"]))
