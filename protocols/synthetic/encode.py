"""Writing one video: H.264 pictures and AAC sound in an mp4, the same sound as wav."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    sound: NDArray[np.float32],
    *,
    fps: int,
    sample_rate: int,
    crf: int = 23,
) -> None:
    """Write an mp4 whose bytes depend on the arguments and the FFmpeg build alone.

    Parameters
    ----------
    path : Path
        File to write.
    frames : iterable of ndarray of uint8, shape (height, width, 3)
        RGB pictures; frame k is shown from ``k / fps``.
    sound : ndarray of float32, shape (samples,)
        Mono, in [-1, 1].
    fps, sample_rate : int
        Frames and samples a second.
    crf : int
        x264 quality; lower is better.
    """
    import av

    with av.open(str(path), "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=fps)
        picture.pix_fmt = "yuv420p"
        picture.options = {"preset": "ultrafast", "crf": str(crf)}
        picture.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        audio.bit_rate = 128_000
        for number, pixels in enumerate(frames):
            if number == 0:
                picture.height, picture.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = number
            frame.time_base = Fraction(1, fps)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        block = 1024
        for first in range(0, sound.size, block):
            piece = av.AudioFrame.from_ndarray(sound[None, first : first + block], format="fltp", layout="mono")
            piece.sample_rate = sample_rate
            piece.pts = first
            piece.time_base = Fraction(1, sample_rate)
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
