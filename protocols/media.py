"""Reading videos with PyAV: what a file holds, its sound on the video's clock, its frames at given times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.audio import Audio, read_wav, require_finite
from clapstick.protocols.problems import fail

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg"})

_HALF_TICK_S = 6e-4
"""Matroska and WebM round times to milliseconds: a frame may be stated up to half of one late."""
_GAP_S = 0.03
"""Sound frames whose times differ by less from the samples before them follow without a gap."""
_CUT_OFF_S = 0.5
"""A stream that ends so much before its stated length was cut off."""
_ENCODE_AGAIN = "Download or encode it again."


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
        video = _picture_stream(container)
        audio = container.streams.audio[0] if container.streams.audio else None
        video_s = _stream_duration_s(video)
        audio_s = _stream_duration_s(audio)
        container_s = None if container.duration is None else container.duration / 1e6
        if not (video_s or container_s) and video is not None:
            video_s = _last_packet_end_s(container, video)
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


def shown_size(path: Path) -> tuple[int, int]:
    """Return height and width of the picture as it is shown: telephones film lying on their side.

    `MediaInfo` holds the size as it is coded; how a picture is turned is only told by its first frame.

    Raises
    ------
    ClapstickError
        If the file cannot be decoded, has no video stream, or not one frame.
    """
    with _opened(path) as container:
        stream = _require_pictures(container, path)
        for _, frame in _decode_pictures(container, stream, 0.0, path):
            turned = _quarter_turns(frame) % 2
            return (frame.width, frame.height) if turned else (frame.height, frame.width)
    raise fail("video has no frame", path, remedy=_ENCODE_AGAIN)


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
    if path.suffix.lower() in SOUND_SUFFIXES:
        stretch = read_wav(path, start_s, duration_s)
    else:
        whole = _decode_audio(path, start_s, duration_s)
        first = round(start_s * whole.sample_rate)
        last = None if duration_s is None else first + round(duration_s * whole.sample_rate)
        stretch = Audio(np.ascontiguousarray(whole.samples[first:last]), whole.sample_rate)
    if stretch.samples.shape[0] == 0:
        raise fail(
            "sound ends before the clip starts",
            path,
            expected=f"sound at {start_s:.3f} s",
            remedy="Check the clip's start time.",
        )
    return require_finite(stretch, path)


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
    remaining = iter(times_s)
    time_s = next(remaining, None)
    current: NDArray[np.uint8] | None = None
    with _opened(path) as container:
        stream = _require_pictures(container, path)
        end_s = 0.0
        for frame_s, frame in _decode_pictures(container, stream, time_s or 0.0, path):
            while time_s is not None and current is not None and frame_s > time_s + _HALF_TICK_S:
                yield current
                time_s = next(remaining, None)
            if time_s is None:
                return
            current = _pixels(frame, height, width, pixel_format)
            end_s = frame_s + float((frame.duration or 0) * (frame.time_base or 0))
        stated_s = _stream_duration_s(stream)
    if current is None:
        raise fail("video has no frame", path, remedy=_ENCODE_AGAIN)
    if len(times_s) and times_s[-1] > end_s:
        _require_whole("video", end_s, stated_s, path)
    while time_s is not None:
        yield current
        time_s = next(remaining, None)


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
        raise fail("not a media file, or cut off", path, found=error, remedy=_ENCODE_AGAIN) from error


def _picture_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """Return the first stream of moving pictures; a cover picture is none."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def _require_pictures(container: av.container.InputContainer, path: Path) -> av.video.stream.VideoStream:
    stream = _picture_stream(container)
    if stream is None:
        raise fail("no video stream", path, remedy="Give a file with pictures.")
    return stream


def _stream_duration_s(stream: av.stream.Stream | None) -> float | None:
    """Return the stated length of a stream; Matroska states it in a tag ``HH:MM:SS.fraction``."""
    if stream is None:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")
    if tag.count(":") != 2:
        return None
    hours, minutes, seconds = tag.split(":")
    length_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    start_s = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
    return length_s - max(0.0, start_s)


def _require_whole(kind: str, end_s: float, stated_s: float | None, path: Path) -> None:
    if stated_s is not None and end_s < stated_s - _CUT_OFF_S:
        raise fail(
            f"{kind} is cut off",
            path,
            found=f"{end_s:.3f} s",
            expected=f"{stated_s:.3f} s, as the file states",
            remedy=_ENCODE_AGAIN,
        )


def _decode_pictures(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, first_s: float, path: Path
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield frames with their times from the picture's start, beginning shortly before `first_s`."""
    import av

    stream.thread_type = "AUTO"
    origin_s = _clock_origin_s(container)
    if first_s > 1.0 and stream.time_base:
        container.seek(int((first_s - 0.5 + origin_s) / stream.time_base), stream=stream, backward=True)
    period_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
    frame_s = -period_s
    try:
        for frame in container.decode(stream):
            frame_s = frame_s + period_s if frame.time is None else frame.time - origin_s
            yield frame_s, frame
    except av.error.FFmpegError as error:
        raise fail("video is damaged", path, found=error, remedy=_ENCODE_AGAIN) from error


def _pixels(frame: av.VideoFrame, height: int, width: int, pixel_format: str) -> NDArray[np.uint8]:
    """Resize a frame, and turn it as the file's display matrix says."""
    quarter_turns = _quarter_turns(frame)
    if quarter_turns % 2:
        height, width = width, height
    resized = frame.reformat(width=width, height=height, format=pixel_format, interpolation="BILINEAR")
    return np.ascontiguousarray(np.rot90(resized.to_ndarray(), quarter_turns), dtype=np.uint8)


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _last_packet_end_s(container: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Find the length of a file that states none, as browsers record them, by walking its packets."""
    if stream.time_base is None:
        return None
    ends = [packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None]
    return float((max(ends) - (stream.start_time or 0)) * stream.time_base) if ends else None


def _decode_audio(path: Path, start_s: float, duration_s: float | None) -> Audio:
    """Decode from time zero of the file's clock up to the end of the stretch."""
    import av

    wanted_s = np.inf if duration_s is None else start_s + duration_s
    with _opened(path) as container:
        if not container.streams.audio:
            raise fail("no audio stream", path, remedy="What needs sound is not computed for it.")
        stream = container.streams.audio[0]
        origin_s = _clock_origin_s(container)
        pieces: list[tuple[float, NDArray[np.float32]]] = []
        to_float = av.AudioResampler(format="fltp")
        sample_rate = 0
        try:
            for frame in container.decode(stream):
                at_s = np.nan if frame.time is None else frame.time - origin_s
                if at_s > wanted_s + 1.0:
                    break
                sample_rate = sample_rate or frame.sample_rate
                pieces.extend(
                    (at_s, np.asarray(piece.to_ndarray().T, dtype=np.float32))
                    for piece in to_float.resample(frame)
                )
        except (av.error.FFmpegError, ValueError) as error:
            raise fail("sound is damaged", path, found=error, remedy=_ENCODE_AGAIN) from error
        stated_s = _stream_duration_s(stream)
    if not pieces:
        raise fail("audio stream holds no sample", path, remedy=_ENCODE_AGAIN)
    whole = Audio(_assemble(pieces, sample_rate, path), sample_rate)
    if whole.duration_s < wanted_s:
        _require_whole("sound", whole.duration_s, stated_s, path)
    return whole


def _clock_origin_s(container: av.container.InputContainer) -> float:
    """Seconds at which the picture starts on the container's clock: the clips' zero."""
    stream = _picture_stream(container)
    if stream is None or stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


def _assemble(
    pieces: list[tuple[float, NDArray[np.float32]]], sample_rate: int, path: Path
) -> NDArray[np.float32]:
    """Lay pieces on the clock. Times are rounded in many containers: only a real gap opens one."""
    channels = pieces[0][1].shape[1]
    if any(samples.shape[1] != channels for _, samples in pieces):
        raise fail("number of channels changes within the file", path, remedy="Encode it again.")
    starts: list[int] = []
    expected = 0
    for at_s, samples in pieces:
        stated = expected if np.isnan(at_s) else round(at_s * sample_rate)
        follows = bool(starts) and abs(stated - expected) < _GAP_S * sample_rate
        starts.append(expected if follows else stated)
        expected = starts[-1] + samples.shape[0]
    whole = np.zeros((max(0, expected), channels), dtype=np.float32)
    for start, (_, samples) in zip(starts, pieces, strict=True):
        kept = samples[max(0, -start) :]
        whole[max(0, start) : max(0, start) + kept.shape[0]] = kept
    return whole
