"""A light motion feature that needs no weights: what moves where, in blocks of a small grey picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.media import frames_at

HEIGHT, WIDTH, BLOCK = 64, 88, 8
"""Size of the grey picture and of a block, in pixels."""
BLOCKS = (HEIGHT // BLOCK) * (WIDTH // BLOCK)
COARSE = 4
"""Pixels of the small picture that make one of the coarse one, on which fast motion is seen."""
GROUPS = 5
"""Appearance, amount of change, vertical motion, and coarse vertical and horizontal motion of every block."""
DIM = GROUPS * BLOCKS
_VERSION = 2
_GAIN = (8.0, 3.0, 10.0, 8.0, 8.0)
"""Bring the groups to a similar spread."""


class BlockMotion:
    """Rows of block appearance and motion, the camera's own movement taken out."""

    @property
    def key(self) -> str:
        """Kind and version."""
        return f"block-motion-{_VERSION}"

    def rows(self, video: Path, start_s: float, frames: int, fps: float) -> Iterator[NDArray[np.float32]]:
        """Yield all rows at once: appearance is taken relative to the clip's mean picture.

        Frames are decoded one after another; a row is 440 numbers.
        """
        times_s = start_s + np.arange(frames) / fps
        rows = np.empty((frames, GROUPS, BLOCKS))
        previous: NDArray[np.float64] | None = None
        pictures = frames_at(video, times_s, height=HEIGHT, width=WIDTH, pixel_format="gray")
        for index, picture in enumerate(pictures):
            current = picture / 255.0
            rows[index] = _describe(current, current if previous is None else previous)
            previous = current
        rows[:, 0] -= rows[:, 0].mean(axis=0)
        rows[:, 1:] = np.sign(rows[:, 1:]) * np.sqrt(np.abs(rows[:, 1:]))
        rows *= np.asarray(_GAIN)[None, :, None]
        yield rows.reshape(frames, DIM).astype(np.float32)


def _describe(current: NDArray[np.float64], previous: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return block means of one frame, shape (GROUPS, BLOCKS)."""
    change, vertical, _ = _motion(current, previous)
    _, coarse_vertical, coarse_horizontal = _motion(_shrink(current, COARSE), _shrink(previous, COARSE))
    fine = [_shrink(plane, BLOCK) for plane in (current, np.abs(change), vertical)]
    coarse = [_shrink(plane, BLOCK // COARSE) for plane in (coarse_vertical, coarse_horizontal)]
    return np.stack([*fine, *coarse]).reshape(GROUPS, BLOCKS)


def _motion(
    current: NDArray[np.float64], previous: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return change, downward and rightward motion of every pixel.

    What one shift of the whole picture explains of the change, the camera's movement, is taken out first.
    """
    vertical, horizontal = np.gradient((current + previous) / 2)
    change = current - previous
    gradients = np.stack([vertical.ravel(), horizontal.ravel()], axis=1)
    shift = np.linalg.solve(gradients.T @ gradients + 1e-6 * np.eye(2), gradients.T @ change.ravel())
    change = change - (gradients @ shift).reshape(change.shape)
    return change, -change * vertical, -change * horizontal


def _shrink(plane: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    height, width = plane.shape
    shrunk: NDArray[np.float64] = plane.reshape(height // factor, factor, width // factor, factor).mean((1, 3))
    return shrunk
