"""How much a picture moves from frame to frame, by dense optical flow.

Source: guyyariv/TempoTokens@bf0b1e3 av_align.py: Farneback flow on grey frames of native resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, NotComputableError

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Motion:
    """Mean flow magnitude in pixels a frame, shape (frames,), and the frame rate in Hz."""

    magnitude: Array
    frame_rate: float


def flow_magnitudes(frames: Iterable[Frame]) -> Array:
    """Return the mean flow magnitude of each frame against the one before; shape (frames,).

    The first value repeats the second, so a peak in frame 1 cannot be seen.

    Parameters
    ----------
    frames : iterable of uint8 arrays, shape (height, width, 3)
        In blue, green, red order.
    """
    import cv2

    magnitudes: list[float] = []
    previous = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if previous is not None:
            flow = cv2.calcOpticalFlowFarneback(previous, grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
            magnitudes.append(float(cv2.mean(cv2.magnitude(flow[..., 0], flow[..., 1]))[0]))
        previous = grey
    if not magnitudes:
        raise NotComputableError("the clip has fewer than two video frames, so nothing moves in it")
    return np.array([magnitudes[0], *magnitudes])


def video_motion(path: Path, start_s: float, duration_s: float) -> Motion:
    """Return the motion of a segment of a video file; kept for the next system that asks for the same clip.

    Raises
    ------
    NotComputableError
        If the file is missing, has no picture, or fewer than two frames in the segment.
    """
    if not path.is_file():
        raise NotComputableError(f"video {path.name} does not exist")
    return _video_motion(path, path.stat().st_mtime_ns, start_s, duration_s)


@lru_cache(maxsize=4096)
def _video_motion(path: Path, modified_ns: int, start_s: float, duration_s: float) -> Motion:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise NotComputableError(f"{path.name} has no picture")
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.base_rate
            if not rate:
                raise NotComputableError(f"{path.name} does not say its frame rate")
            frames = _segment(container, start_s, start_s + duration_s)
            return Motion(flow_magnitudes(frames), float(rate))
    except av.FFmpegError as error:
        raise NotComputableError(f"{path.name} cannot be decoded: {error}") from error


def _segment(container: object, start_s: float, end_s: float) -> Iterator[Frame]:
    half_frame_s = 1e-3
    for frame in container.decode(video=0):  # type: ignore[attr-defined]
        if frame.time is None or frame.time < start_s - half_frame_s:
            continue
        if frame.time >= end_s - half_frame_s:
            return
        yield frame.to_ndarray(format="bgr24")
