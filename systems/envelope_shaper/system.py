"""The prompt's timbre in the reference's envelope, without a network."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.rms import SAMPLE_RATE, rms_curve
from clapstick.protocols.audio import Audio
from clapstick.protocols.problems import fail
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import frames_of, mono_16k, reference_of, samples_of
from clapstick.systems.envelope_shaper.shaping import shape_to_envelope, sounding_texture


class EnvelopeShaper:
    """A second stage that is told the true envelope."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Return the sounding parts of the prompt, scaled to the RMS envelope of the reference."""
        frames_of(request)
        samples = samples_of(request)
        envelope = rms_curve(mono_16k(reference_of(request), samples))
        shaped = shape_to_envelope(prompt_texture(request, samples), envelope)
        return NativeOutput(
            Audio(shaped[:, None].astype(np.float32), SAMPLE_RATE), predictions={"envelope": envelope}
        )


def prompt_texture(request: Request, samples: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the sounding parts of the request's audio prompt, joined up to a length at 16 kHz.

    Raises
    ------
    ClapstickError
        If the clip has no audio prompt, or the prompt is silent.
    """
    if request.prompt_audio is None:
        raise fail(
            "no audio prompt",
            request.clip.id,
            found=f"prompt of kind {request.clip.prompt.kind}",
            expected="audio",
            remedy="Use a protocol whose [prompt] names an audio policy, or give --audio.",
        )
    prompt = request.prompt_audio
    mono = mono_16k(prompt, max(1, round(prompt.duration_s * SAMPLE_RATE)))
    try:
        return sounding_texture(mono, samples, SAMPLE_RATE)
    except ValueError as error:
        raise fail(
            "audio prompt is silent",
            request.clip.prompt.path or request.clip.id,
            found=error,
            expected="a prompt with sound",
            remedy="Give another prompt.",
        ) from error


def build(context: Context) -> EnvelopeShaper:
    """Build the system."""
    return EnvelopeShaper()
