"""Reading videos with PyAV: what a file holds, its sound on the video's clock, its frames at given times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio, read_wav, require_finite
from clapstick.protocols.problems import ClapstickError, fail

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg"})


@dataclass(frozen=True)
class MediaInfo:
    """What a media file holds. Video fields are None where there is no video stream, audio fields likewise."""

    path: Path
    duration_s: float
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    video_duration_s: float | None = None
    audio_duration_s: float | None = None
    sample_rate: int | None = None
    channels: int | None = None

    @property
    def has_video(self) -> bool:
        """Whether there is a video stream."""
        return self.fps is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio stream."""
        return self.sample_rate is not None


def probe(path: Path) -> MediaInfo:
    """Look into a media file without decoding it.

    Raises
    ------
    ClapstickError
        If the file is missing, empty, truncated or not media.
    """
    with _opened(path) as container:
        video = container.streams.video[0] if container.streams.video else None
        audio = container.streams.audio[0] if container.streams.audio else None
        video_s = _stream_duration_s(video)
        audio_s = _stream_duration_s(audio)
        container_s = None if container.duration is None else container.duration / 1e6
        known = [seconds for seconds in (video_s, audio_s, container_s) if seconds]
        rate = video.average_rate or video.guessed_rate if video is not None else None
        return MediaInfo(
            path=path,
            duration_s=video_s or container_s or max(known, default=0.0),
            fps=float(rate) if rate else (25.0 if video is not None else None),
            width=video.codec_context.width if video is not None else None,
            height=video.codec_context.height if video is not None else None,
            video_duration_s=video_s or (container_s if video is not None else None),
            audio_duration_s=audio_s or (container_s if audio is not None else None),
            sample_rate=audio.codec_context.sample_rate if audio is not None else None,
            channels=audio.codec_context.channels if audio is not None else None,
        )


def read_audio(path: Path, start_s: float = 0.0, duration_s: float | None = None) -> Audio:
    """Decode a stretch of a file's sound, at its own rate and channels, on the file's presentation clock.

    A stream that starts late is preceded by silence; a stretch that reaches past the end comes back shorter.

    Parameters
    ----------
    path : Path
        wav, flac, ogg, or any container that FFmpeg knows.
    start_s : float
        First second that is wanted.
    duration_s : float, optional
        Length in seconds; to the end where None.

    Raises
    ------
    ClapstickError
        If the file cannot be decoded, has no audio stream, ends before `start_s`, or holds NaN.
    """
    whole = (
        read_wav(path) if path.suffix.lower() in SOUND_SUFFIXES else _decode_audio(path, start_s, duration_s)
    )
    first = round(start_s * whole.sample_rate)
    last = whole.samples.shape[0] if duration_s is None else first + round(duration_s * whole.sample_rate)
    samples = whole.samples[first:last]
    if samples.shape[0] == 0:
        raise fail(
            "sound ends before the clip starts",
            path,
            found=f"{whole.duration_s:.3f} s of sound",
            expected=f"sound at {start_s:.3f} s",
            remedy="Check the clip's start time.",
        )
    return require_finite(Audio(np.ascontiguousarray(samples), whole.sample_rate), path)


def frames_at(
    path: Path, times_s: NDArray[np.float64], *, height: int, width: int, pixel_format: str = "rgb24"
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frame on screen at each time, resized with bilinear filtering.

    Past the end the last frame stays; before the first, the first. One frame is held in memory at a time.

    Parameters
    ----------
    path : Path
        Video file.
    times_s : ndarray of float64, shape (n,)
        Rising presentation times in seconds.
    height, width : int
        Size of the frames that are yielded; the aspect ratio is not kept.
    pixel_format : str
        ``rgb24`` yields (height, width, 3), ``gray`` yields (height, width).

    Raises
    ------
    ClapstickError
        If the file cannot be decoded, has no video stream, or not one frame.
    """
    import av

    with _opened(path) as container:
        if not container.streams.video:
            raise fail("no video stream", path, remedy="Give a file with pictures.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        origin_s = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
        if len(times_s) and times_s[0] > 1.0 and stream.time_base:
            container.seek(int((times_s[0] - 0.5 + origin_s) / stream.time_base), stream=stream, backward=True)
        wanted = iter(times_s)
        time_s = next(wanted, None)
        current: NDArray[np.uint8] | None = None
        half_tick_s = 1e-4
        try:
            for frame in container.decode(stream):
                if time_s is None:
                    return
                frame_s = (frame.time or 0.0) - origin_s
                while time_s is not None and current is not None and frame_s > time_s + half_tick_s:
                    yield current
                    time_s = next(wanted, None)
                resized = frame.reformat(
                    width=width, height=height, format=pixel_format, interpolation="BILINEAR"
                )
                current = np.asarray(resized.to_ndarray(), dtype=np.uint8)
        except av.error.FFmpegError as error:
            raise fail("video is damaged", path, found=error, remedy="Download or encode it again.") from error
        if current is None:
            raise fail("video has no frame", path, remedy="Download or encode it again.")
        while time_s is not None:
            yield current
            time_s = next(wanted, None)


def read_frames(
    path: Path,
    *,
    start_s: float,
    duration_s: float,
    fps: float,
    height: int,
    width: int,
    pixel_format: str = "rgb24",
) -> NDArray[np.uint8]:
    """Read ``round(duration_s * fps)`` frames, frame k being the one on screen at ``start_s + k / fps``.

    Returns
    -------
    ndarray of uint8, shape (frames, height, width, 3), or (frames, height, width) for ``gray``

    Raises
    ------
    ClapstickError
        As `frames_at`.
    """
    times_s = start_s + np.arange(max(1, round(duration_s * fps))) / fps
    return np.stack(list(frames_at(path, times_s, height=height, width=width, pixel_format=pixel_format)))


def _opened(path: Path) -> av.container.InputContainer:
    import av

    if not path.is_file():
        raise fail("file is missing", path, remedy="Check the path.")
    if path.stat().st_size == 0:
        raise fail("file is empty", path, found="0 bytes", remedy="Download it again.")
    try:
        return av.open(str(path), mode="r")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise fail(
            "not a media file, or cut off", path, found=error, remedy="Download or encode it again."
        ) from error


def _stream_duration_s(stream: av.stream.Stream | None) -> float | None:
    if stream is None or stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _decode_audio(path: Path, start_s: float, duration_s: float | None) -> Audio:
    """Decode from time zero of the file's clock up to the end of the stretch."""
    import av

    with _opened(path) as container:
        if not container.streams.audio:
            raise fail("no audio stream", path, remedy="What needs sound is not computed for it.")
        stream = container.streams.audio[0]
        sample_rate = stream.codec_context.sample_rate
        end_s = None if duration_s is None else start_s + duration_s + 1.0
        origin_s = _clock_origin_s(container)
        pieces: list[tuple[int, NDArray[np.float32]]] = []
        resampler = av.AudioResampler(format="fltp", rate=sample_rate)
        try:
            for frame in container.decode(stream):
                at_s = (frame.time or 0.0) - origin_s
                if end_s is not None and at_s > end_s:
                    break
                position = round(at_s * sample_rate)
                for piece in resampler.resample(frame):
                    samples = np.asarray(piece.to_ndarray().T, dtype=np.float32)
                    pieces.append((position, samples))
                    position += samples.shape[0]
        except av.error.FFmpegError as error:
            raise fail("sound is damaged", path, found=error, remedy="Download or encode it again.") from error
    if not pieces:
        raise fail("audio stream holds no sample", path, remedy="Download or encode it again.")
    return Audio(_assemble(pieces, path), sample_rate)


def _clock_origin_s(container: av.container.InputContainer) -> float:
    """Seconds at which the picture starts on the container's clock: the clips' zero."""
    if container.streams.video:
        video = container.streams.video[0]
        if video.start_time is not None and video.time_base is not None:
            return float(video.start_time * video.time_base)
    return 0.0


def _assemble(pieces: list[tuple[int, NDArray[np.float32]]], path: Path) -> NDArray[np.float32]:
    channels = pieces[0][1].shape[1]
    if any(samples.shape[1] != channels for _, samples in pieces):
        raise ClapstickError(
            fail("number of channels changes within the file", path, remedy="Encode it again.").problems[0]
        )
    length = max(position + samples.shape[0] for position, samples in pieces)
    whole = np.zeros((max(length, 0), channels), dtype=np.float32)
    for position, samples in pieces:
        skipped = max(0, -position)
        if skipped < samples.shape[0]:
            whole[position + skipped : position + samples.shape[0]] = samples[skipped:]
    return whole
