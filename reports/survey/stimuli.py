"""Media for listening tests: a cut of the picture with one sound, bare of anything that tells whose it is."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.media import frames_at, probe, shown_size
from clapstick.reports.survey.design import StimulusRules

if TYPE_CHECKING:
    import av

PEAK_CEILING = 10 ** (-1 / 20)
"""No gain takes a peak above -1 dBFS."""
MAX_FPS = 30.0
_H264 = {
    "crf": "21",
    "preset": "veryfast",
    # With macroblock trees and weighted prediction x264 reads memory that it never wrote: other bytes on
    # every run.
    "x264-params": "threads=1:sync-lookahead=0:mbtree=0:weightp=0",
}


@dataclass(frozen=True)
class Prepared:
    """A sound ready to be played."""

    audio: Audio
    gain_db: float
    clipped_samples: int
    """Samples beyond full scale, which 16-bit media cannot hold."""


def prepare_sound(audio: Audio, rules: StimulusRules, duration_s: float) -> Prepared:
    """Cut a sound to its length, filling up with silence, and bring it to the level that the design states.

    A sound without energy, or too short for a loudness to be measured (below 0.4 s), stays as it is.
    """
    wanted = round(duration_s * audio.sample_rate)
    samples = audio.samples[:wanted].astype(np.float64)
    samples = np.pad(samples, ((0, wanted - samples.shape[0]), (0, 0)))
    gain = _gain(samples, audio.sample_rate, rules)
    samples = samples * gain
    clipped = int((np.abs(samples) > 1).sum())
    return Prepared(
        Audio(np.clip(samples, -1, 1).astype(np.float32), audio.sample_rate),
        20 * float(np.log10(gain)),
        clipped,
    )


def _gain(samples: NDArray[np.float64], sample_rate: int, rules: StimulusRules) -> float:
    peak = float(np.abs(samples).max(initial=0.0))
    if rules.loudness == "none" or peak == 0.0:
        return 1.0
    if rules.loudness == "peak":
        gain = 10 ** (rules.loudness_target_db / 20) / peak
    else:
        import pyloudnorm

        if samples.shape[0] < 0.4 * sample_rate:
            return 1.0
        loudness = pyloudnorm.Meter(sample_rate).integrated_loudness(samples)
        if not np.isfinite(loudness):
            return 1.0
        gain = 10 ** ((rules.loudness_target_db - loudness) / 20)
    return float(min(gain, PEAK_CEILING / peak))


@dataclass(frozen=True)
class Picture:
    """Frames of a clip, small and even-sized."""

    frames: Sequence[NDArray[np.uint8]]
    fps: Fraction


def read_picture(clip: Clip, rules: StimulusRules, duration_s: float) -> Picture:
    """Read the cut of a clip's video that raters see."""
    info = probe(clip.video)
    fps = Fraction(min(info.fps or 25.0, MAX_FPS)).limit_denominator(1001)
    shown_height, shown_width = shown_size(clip.video)
    height = min(shown_height, rules.height_px)
    width = round(shown_width * height / shown_height)
    times_s = clip.start_s + np.arange(round(duration_s * fps)) / float(fps)
    frames = frames_at(clip.video, times_s, height=height // 2 * 2, width=width // 2 * 2)
    return Picture(list(frames), fps)


def encode_picture(picture: Picture) -> bytes:
    """Encode frames as H.264 in a silent mp4; done once a clip, so that all its sounds share the same
    picture."""
    import av

    height, width = picture.frames[0].shape[:2]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=picture.fps, options=_H264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        for index, pixels in enumerate(picture.frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / picture.fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def mux(picture_mp4: bytes, audio: Audio) -> bytes:
    """Put a sound beside an encoded picture: 16-bit FLAC in mp4, sample-exact and starting with the first
    frame.

    Nothing in the file tells when, where or from what it was made.
    """
    import av

    buffer = io.BytesIO()
    options = {"fflags": "+bitexact"}
    with (
        av.open(io.BytesIO(picture_mp4), "r") as source,
        av.open(buffer, "w", format="mp4", options=options) as container,
    ):
        pictures = source.streams.video[0]
        video = container.add_stream_from_template(pictures)
        layout = "mono" if audio.samples.shape[1] == 1 else "stereo"
        sound = container.add_stream("flac", rate=audio.sample_rate, layout=layout)
        sound.format = "s16"
        for packet in source.demux(pictures):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
        for frame in _sound_frames(audio, layout):
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return buffer.getvalue()


def _sound_frames(audio: Audio, layout: str, size: int = 4096) -> Iterator[av.AudioFrame]:
    import av

    whole = np.round(audio.samples * 32767).astype(np.int16)
    for start in range(0, whole.shape[0], size):
        piece = np.ascontiguousarray(whole[start : start + size]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
        frame.sample_rate, frame.pts = audio.sample_rate, start
        frame.time_base = Fraction(1, audio.sample_rate)
        yield frame


def pad_mp4(data: bytes, size: int) -> bytes:
    """Append a ``free`` box so that a file has exactly `size` bytes; players pass over it (ISO/IEC 14496-12,
    8.1.2)."""
    missing = size - len(data)
    if missing == 0:
        return data
    if missing < 8:
        raise ValueError(f"a free box takes 8 bytes at least, found room for {missing}")
    return data + missing.to_bytes(4, "big") + b"free" + bytes(missing - 8)


def beeps(count: int, duration_s: float, sample_rate: int) -> Audio:
    """Return `count` beeps of 1 kHz spread over the middle of a sound."""
    total = round(duration_s * sample_rate)
    samples = np.zeros(total)
    slot = 0.9 * duration_s / count
    length_s = min(0.15, 0.5 * slot)
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(round(length_s * sample_rate)) / sample_rate)
    tone *= np.hanning(tone.size)
    for index in range(count):
        first = round((0.05 * duration_s + index * slot) * sample_rate)
        samples[first : first + tone.size] += tone[: total - first]
    return Audio(samples[:, None].astype(np.float32), sample_rate)


def flash_and_click(offset_s: float, sample_rate: int = 48_000) -> bytes:
    """Return an mp4 of 3 s: the picture flashes at 0.48, 1.48 and 2.48 s, the click comes `offset_s` later."""
    fps = Fraction(25)
    frames = []
    for index in range(75):
        value = 235 if (index % 25) in (12, 13) else 24
        frames.append(np.full((180, 320, 3), value, dtype=np.uint8))
    samples = np.zeros(3 * sample_rate)
    click = np.exp(-np.arange(sample_rate // 50) / (0.002 * sample_rate)) * 0.8
    click *= np.sin(2 * np.pi * 2000 * np.arange(click.size) / sample_rate)
    for index in range(3):
        first = round((index + 12 / 25 + offset_s) * sample_rate)
        samples[first : first + click.size] += click
    return mux(encode_picture(Picture(frames, fps)), Audio(samples[:, None].astype(np.float32), sample_rate))
