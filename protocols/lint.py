"""What is wrong with a clip's media: still pictures, silence, too little of either, sound out of step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.clips import Clip
from clapstick.protocols.media import frames_at, probe, read_audio

FRAMES_A_SECOND = 4
FRAME_SIDE = 64
STILL_LEVELS = 6
"""A picture that never changes by more than this many of 256 grey levels, at 64 x 64 pixels, stands still."""
MUTE_PEAK = 1e-3
"""-60 dBFS."""
SHORT_S = 0.05
OFFSET_S = 0.02
"""Sound and picture apart by more than this is seen or heard by some; two frames at 100 fps."""
LEAST_CORRELATION = 0.2
LONGEST_OFFSET_S = 2.0

Fault = Literal["still", "mute", "short", "offset", "other-sound"]


@dataclass(frozen=True)
class Finding:
    """One fault of one clip."""

    fault: Fault
    found: str


def lint_media(
    *,
    duration_s: float,
    frames: NDArray[np.uint8],
    reference: NDArray[np.float32] | None,
    video_sound: NDArray[np.float32] | None,
    sample_rate: int,
) -> tuple[Finding, ...]:
    """Look for faults in a clip that is decoded.

    Parameters
    ----------
    duration_s : float
        Length that the clip should have.
    frames : ndarray of uint8, shape (n, FRAME_SIDE, FRAME_SIDE)
        Grey pictures at `FRAMES_A_SECOND`.
    reference : ndarray of float32, shape (samples,), optional
        The reference sound, mono; None where the clip has none, which is no fault.
    video_sound : ndarray of float32, shape (samples,), optional
        The sound of the video file itself, where the reference lies in another file.
    sample_rate : int
        Of both sounds, in Hz.
    """
    findings: list[Finding] = []
    if _stands_still(frames):
        findings.append(Finding("still", f"{len(frames)} pictures change by at most {STILL_LEVELS} levels"))
    shown_s = len(frames) / FRAMES_A_SECOND
    if shown_s < duration_s - SHORT_S - 1 / FRAMES_A_SECOND:
        findings.append(Finding("short", f"{shown_s:.2f} s of picture for {duration_s:.2f} s"))
    if reference is None:
        return tuple(findings)
    sounds_s = len(reference) / sample_rate
    if sounds_s < duration_s - SHORT_S:
        findings.append(Finding("short", f"{sounds_s:.2f} s of sound for {duration_s:.2f} s"))
    peak = float(np.abs(reference).max(initial=0.0))
    if peak < MUTE_PEAK:
        findings.append(Finding("mute", f"peak {peak:.1e}"))
    elif video_sound is not None and np.abs(video_sound).max(initial=0.0) >= MUTE_PEAK:
        findings += _misalignment(reference, video_sound, sample_rate)
    return tuple(findings)


def lint_clip(clip: Clip) -> tuple[Finding, ...]:
    """Decode a clip and look for faults.

    Raises
    ------
    ClapstickError
        If its media cannot be decoded.
    """
    times = clip.start_s + np.arange(round(clip.duration_s * FRAMES_A_SECOND)) / FRAMES_A_SECOND
    info = probe(clip.video)
    shown = times[times < (info.video_duration_s or info.duration_s)]
    pictures = frames_at(clip.video, shown, height=FRAME_SIDE, width=FRAME_SIDE, pixel_format="gray")
    frames = np.stack([np.zeros((FRAME_SIDE, FRAME_SIDE), np.uint8), *pictures])[1:]
    if clip.reference is None:
        return lint_media(
            duration_s=clip.duration_s, frames=frames, reference=None, video_sound=None, sample_rate=1
        )
    reference = read_audio(clip.reference, clip.reference_start_s, clip.duration_s)
    video_sound = None
    if clip.reference != clip.video and info.has_audio:
        own = read_audio(clip.video, clip.start_s, clip.duration_s)
        video_sound = own.mono
        if own.sample_rate != reference.sample_rate:
            import soxr

            video_sound = soxr.resample(own.mono, own.sample_rate, reference.sample_rate)
    return lint_media(
        duration_s=clip.duration_s,
        frames=frames,
        reference=reference.mono,
        video_sound=video_sound,
        sample_rate=reference.sample_rate,
    )


def sound_offset(
    reference: NDArray[np.float32], other: NDArray[np.float32], sample_rate: int
) -> tuple[float, float]:
    """Return by how many seconds `other` comes later than `reference`, and how well the two correlate (0 to 1).

    Offsets of up to two seconds are tried.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    length = min(len(reference), len(other))
    first, second = (np.asarray(sound[:length], dtype=np.float32) for sound in (reference, other))
    first, second = first - first.mean(), second - second.mean()
    size = next_fast_len(2 * length)
    correlation = irfft(rfft(second, size) * np.conj(rfft(first, size)), size)
    reach = min(length - 1, round(LONGEST_OFFSET_S * sample_rate))
    around = np.concatenate([correlation[-reach:], correlation[: reach + 1]])
    best = int(np.abs(around).argmax())
    energy = float(np.sqrt(np.sum(first**2, dtype=np.float64) * np.sum(second**2, dtype=np.float64)))
    return (best - reach) / sample_rate, float(abs(around[best]) / energy) if energy else 0.0


def _stands_still(frames: NDArray[np.uint8]) -> bool:
    if len(frames) < 2:
        return True
    changes = np.ptp(frames.reshape(len(frames), -1), axis=0)
    return bool(changes.max() <= STILL_LEVELS)


def _misalignment(
    reference: NDArray[np.float32], video_sound: NDArray[np.float32], sample_rate: int
) -> list[Finding]:
    offset_s, correlation = sound_offset(reference, video_sound, sample_rate)
    if correlation < LEAST_CORRELATION:
        return [
            Finding("other-sound", f"the video's own sound correlates with the reference at {correlation:.2f}")
        ]
    if abs(offset_s) > OFFSET_S:
        return [Finding("offset", f"the video's own sound comes {offset_s * 1000:+.0f} ms after the reference")]
    return []
