"""Makes small real media files for tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_CODECS = {".webm": ("libvpx", "libopus"), ".avi": ("mpeg4", "mp3")}


def make_video(
    path: Path,
    seconds: float,
    fps: int = 15,
    sample_rate: int | None = 16_000,
    size: int = 32,
    still: bool = False,
    volume: float = 0.3,
    sound_seconds: float | None = None,
) -> Path:
    """Write a moving (or still) grey gradient with a sine, or without sound where `sample_rate` is None."""
    video_codec, audio_codec = _CODECS.get(path.suffix, ("mpeg4", "aac"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(video_codec, rate=fps)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream(audio_codec, rate=sample_rate) if sample_rate else None
        for index in range(round(seconds * fps)):
            shift = 0 if still else 7 * index
            row = ((np.arange(size) * 8 + shift) % 256).astype(np.uint8)
            picture = np.repeat(np.tile(row, (size, 1))[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None and sample_rate is not None:
            _encode_sine(container, sound, sample_rate, sound_seconds or seconds, volume)
    return path


def make_sound_file(path: Path, seconds: float, sample_rate: int = 16_000) -> Path:
    """Write a container that holds sound alone."""
    with av.open(str(path), "w") as container:
        _encode_sine(container, container.add_stream("aac", rate=sample_rate), sample_rate, seconds, 0.3)
    return path


def _encode_sine(
    container: av.container.OutputContainer,
    stream: av.stream.Stream,
    sample_rate: int,
    seconds: float,
    volume: float,
) -> None:
    samples = (volume * np.sin(2 * np.pi * 440 * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(
        np.float32
    )
    chunk = sample_rate // 50
    for start in range(0, len(samples), chunk):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + chunk], format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        frame.pts = start
        frame.time_base = Fraction(1, sample_rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
