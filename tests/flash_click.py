"""Videos whose picture flashes and whose sound clicks at known times, in any container: for timing tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "pcm_s16le"),
    ".mkv": ("libx264", "flac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
}
TICKS = 90_000
"""Time base of the pictures handed to the encoder."""


@dataclass(frozen=True)
class FlashClick:
    """What to write. Times are seconds on the file's clock."""

    seconds: float = 2.0
    fps: float = 30.0
    events_s: tuple[float, ...] = (0.5, 1.2)
    frame_times_s: tuple[float, ...] | None = None
    """Presentation times for a variable frame rate; every 1 / fps where None."""
    video_start_s: float = 0.0
    sound_start_s: float = 0.0
    sound_seconds: float | None = None
    """As the picture where None; no sound stream where 0."""
    sample_rate: int = 48_000
    layout: str = "mono"
    codecs: tuple[str, str] | None = None
    size: tuple[int, int] = (48, 64)
    gop: int = 12


def write_flash_click(path: Path, spec: FlashClick = FlashClick()) -> Path:
    """Write the file: white frames are those on screen at an event, clicks last 2 ms from the event on."""
    video_codec, audio_codec = spec.codecs or CODECS[path.suffix]
    times = spec.frame_times_s or tuple(np.arange(round(spec.seconds * spec.fps)) / spec.fps)
    with av.open(str(path), "w") as container:
        picture = container.add_stream(video_codec, rate=Fraction(spec.fps).limit_denominator(1001))
        picture.height, picture.width = spec.size
        picture.pix_fmt = "yuv420p"
        picture.gop_size = spec.gop
        if spec.frame_times_s is not None:
            picture.codec_context.time_base = Fraction(1, TICKS)
        sound_s = spec.seconds if spec.sound_seconds is None else spec.sound_seconds
        sound = None
        if sound_s:
            sound = container.add_stream(audio_codec, rate=spec.sample_rate, layout=spec.layout)
        for number, time_s in enumerate(times):
            after = times[number + 1] if number + 1 < len(times) else spec.seconds
            white = any(time_s - 1e-6 <= event < after - 1e-6 for event in spec.events_s)
            frame = av.VideoFrame.from_ndarray(
                np.full((*spec.size, 3), 255 if white else 0, dtype=np.uint8), format="rgb24"
            )
            frame.pts = round((time_s + spec.video_start_s) * TICKS)
            frame.time_base = Fraction(1, TICKS)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if sound is not None:
            _write_sound(container, sound, clicks(spec, sound_s), spec)
    return path


def clicks(spec: FlashClick, sound_s: float) -> NDArray[np.float32]:
    """Return the sound, shape (channels, samples): silence, and 2 ms of a loud tone from each event on."""
    samples = np.zeros(round(sound_s * spec.sample_rate), dtype=np.float32)
    tone = 0.8 * np.sin(2 * np.pi * 3000 * np.arange(round(0.002 * spec.sample_rate)) / spec.sample_rate)
    for event in spec.events_s:
        first = round(event * spec.sample_rate)
        part = tone[: max(0, samples.size - first)]
        samples[first : first + part.size] += part.astype(np.float32)
    return np.tile(samples, (av.AudioLayout(spec.layout).nb_channels, 1))


def _write_sound(
    container: av.container.OutputContainer,
    stream: av.audio.stream.AudioStream,
    samples: NDArray[np.float32],
    spec: FlashClick,
) -> None:
    block = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.codec_context.format, spec.layout, spec.sample_rate, block)
    shift = round(spec.sound_start_s * spec.sample_rate)
    for first in range(0, samples.shape[1], block):
        piece = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[:, first : first + block]), format="fltp", layout=spec.layout
        )
        piece.sample_rate = spec.sample_rate
        piece.pts = first + shift
        piece.time_base = Fraction(1, spec.sample_rate)
        for ready in resampler.resample(piece):
            container.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def click_times_s(samples: NDArray[np.float32], sample_rate: int) -> list[float]:
    """Return where sound starts after at least 0.1 s without any, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    starts: Sequence[int] = loud[np.diff(loud, prepend=-sample_rate) > 0.1 * sample_rate]
    return [float(start / sample_rate) for start in starts]
