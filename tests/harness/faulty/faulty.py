"""A system that breaks its contract in a different way for each clip, by the order of the clips."""

import numpy as np

from clapstick.protocols.audio import Audio
from clapstick.systems.base import NativeOutput

FAULTS = ("none", "raises", "nan", "rate", "shape", "empty", "type", "short")


class Faulty:
    def __init__(self, clips):
        self.faults = {clip.id: FAULTS[index % len(FAULTS)] for index, clip in enumerate(clips)}

    def generate(self, request, rng):
        samples = rng.standard_normal((round(16_000 * request.clip.duration_s), 1)).astype(np.float32) / 10
        match self.faults[request.clip.id]:
            case "raises":
                raise RuntimeError("out of ideas")
            case "nan":
                samples[100] = np.nan
            case "rate":
                return NativeOutput(Audio(samples, 22_050))
            case "shape":
                return NativeOutput(Audio(np.zeros((2, 2, 2), np.float32), 16_000))
            case "empty":
                samples = samples[:0]
            case "type":
                return samples
            case "short":
                samples = samples[: len(samples) // 2]
        return NativeOutput(Audio(samples, 16_000))


def build(context):
    return Faulty(context.clips)
