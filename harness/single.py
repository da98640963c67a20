"""Sound for one video, outside of any run: generate, cut to the video's length, write wav or mux."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clapstick.harness.devices import check_device
from clapstick.harness.generate import build, check_output, make_request
from clapstick.harness.mux import mux
from clapstick.harness.plan import resolve_system
from clapstick.harness.provenance import seed_for
from clapstick.harness.settings import RunSettings
from clapstick.protocols.archive import atomic, require_writable
from clapstick.protocols.audio import Audio, require_finite, write_wav
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, fail
from clapstick.protocols.protocol import find_protocol
from clapstick.systems.base import NativeOutput, Request, System
from clapstick.systems.card import SystemCard
from clapstick.systems.registry import find_system


@dataclass(frozen=True)
class SingleRequest:
    """What the user asks for."""

    video: Path
    system: str
    output: Path
    text: str | None = None
    audio: Path | None = None
    envelope: Path | None = None
    envelope_out: Path | None = None
    plot: Path | None = None
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class SingleResult:
    """What was made."""

    seconds: float
    sample_rate: int
    duration_s: float
    warnings: tuple[str, ...]


def generate_single(wanted: SingleRequest) -> SingleResult:
    """Make sound for one video and write it.

    Raises
    ------
    ClapstickError
        If the video cannot be read, the system cannot run here or does not take the prompt or envelope, or
        the output cannot be written.
    """
    if wanted.output.suffix.lower() not in (".wav", ".mp4"):
        raise fail(
            "unknown output format",
            wanted.output,
            found=wanted.output.suffix,
            expected=".wav or .mp4",
            remedy="Change -o.",
        )
    _check_output(wanted)
    check_device(wanted.device)
    found = find_system(wanted.system)
    clip = clip_of(wanted, found.card)
    settings = RunSettings(
        find_protocol("folder"),
        wanted.video.parent,
        (found,),
        wanted.output.parent,
        seed=wanted.seed,
        device=wanted.device,
    )
    if found.card.runtime != "python":
        raise fail(
            "system does not run in this process",
            found.card.name,
            found=found.card.runtime,
            remedy=f"Use `clapstick run folder --data DIR --systems {found.card.name} --out RUN`.",
        )
    system, missing = resolve_system(settings, found)
    if missing:
        raise ClapstickError(*missing)
    started = time.perf_counter()
    output = _generate(build(system, (clip,), wanted.device), make_request(found.card, clip), wanted)
    check_output(found.card, clip, output)
    audio = cut_to(require_finite(output.audio, wanted.video), clip.duration_s)
    with atomic(wanted.output) as temporary:
        if wanted.output.suffix.lower() == ".wav":
            write_wav(temporary, audio)
        else:
            mux(wanted.video, audio, temporary)
    return SingleResult(
        round(time.perf_counter() - started, 3), audio.sample_rate, audio.duration_s, output.warnings
    )


def _check_output(wanted: SingleRequest) -> None:
    """Refuse an output that is the input or that cannot be written, before anything is computed."""
    if wanted.output.exists() and wanted.video.exists() and wanted.output.samefile(wanted.video):
        raise fail("output is the input", wanted.output, remedy="Name another file with -o.")
    require_writable(wanted.output, remedy="Name another file with -o.")


def clip_of(wanted: SingleRequest, card: SystemCard) -> Clip:
    """Describe the whole video as one clip with the user's prompt."""
    info = probe(wanted.video)
    if not info.has_video:
        raise fail("no video stream", wanted.video, remedy="Give a file with pictures.")
    if wanted.text is not None and wanted.audio is not None:
        raise fail("two prompts", wanted.video, found="--text and --audio", remedy="Give one of them.")
    prompt = Prompt()
    if wanted.text is not None:
        prompt = Prompt(kind="text", policy="user", text=wanted.text)
    elif wanted.audio is not None:
        prompt = Prompt(kind="audio", policy="user", path=wanted.audio)
    if prompt.kind not in (*card.prompts, "none"):
        raise fail(
            f"system takes no {prompt.kind} prompt",
            card.name,
            found=prompt.kind,
            expected=", ".join(card.prompts),
            remedy="Leave the prompt out, or use another system.",
        )
    if prompt.kind == "none" and "none" not in card.prompts:
        raise fail(
            "system needs a prompt",
            card.name,
            expected=" or ".join(f"--{kind}" for kind in card.prompts),
            remedy='Example: --text "wood hit"',
        )
    return Clip(
        id=wanted.video.stem,
        source=wanted.video.stem,
        video=wanted.video,
        duration_s=info.duration_s,
        prompt=prompt,
        reference=wanted.video if info.has_audio else None,
        reference_missing=None if info.has_audio else "the video has no sound",
    )


def cut_to(audio: Audio, duration_s: float) -> Audio:
    """Cut or zero-pad to the length of the video."""
    wanted = round(duration_s * audio.sample_rate)
    samples = audio.samples[:wanted]
    return Audio(np.pad(samples, ((0, wanted - samples.shape[0]), (0, 0))), audio.sample_rate)


def _generate(system: System, request: Request, wanted: SingleRequest) -> NativeOutput:
    """Generate, through the envelope where the user reads, writes or draws it."""
    from clapstick.systems.two_stage.envelope import (
        EnvelopeSystem,
        plot_envelopes,
        read_envelope,
        write_envelope,
    )

    rng = np.random.default_rng(seed_for(wanted.seed, wanted.system, request.clip.id))
    if wanted.envelope is None and wanted.envelope_out is None and wanted.plot is None:
        return system.generate(request, rng)
    if not isinstance(system, EnvelopeSystem):
        raise fail("system has no envelope to edit", wanted.system, remedy="Use one of the two-stage systems.")
    predicted = system.predict_envelope(request)
    used = predicted
    if wanted.envelope is not None:
        used = read_envelope(wanted.envelope, duration_s=request.clip.duration_s, rate=predicted.rate)
    output = system.generate_from_envelope(request, used, rng)
    if wanted.envelope_out is not None:
        write_envelope(wanted.envelope_out, used)
    if wanted.plot is not None:
        asked = {"predicted": predicted} if used is predicted else {"predicted": predicted, "edited": used}
        plot_envelopes(wanted.plot, asked)
    return output
