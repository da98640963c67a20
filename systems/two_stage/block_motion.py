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
TOTALS = 8
"""Numbers about the whole picture: they do not depend on where things move."""
DIM = GROUPS * BLOCKS + TOTALS
_VERSION = 3
_GAIN = (8.0, 3.0, 10.0, 8.0, 8.0)
_TOTAL_GAINS = (10.0, 40.0, 40.0, 40.0, 0.5, 0.5, 2.0, 2.0)
"""Bring groups and totals to a similar spread."""
_MOVING = 0.02
"""Change of brightness from which a coarse pixel counts as moving."""


class BlockMotion:
    """Rows of block appearance and motion, the camera's own movement taken out."""

    @property
    def key(self) -> str:
        """Kind and version."""
        return f"block-motion-{_VERSION}"

    def rows(self, video: Path, start_s: float, frames: int, fps: float) -> Iterator[NDArray[np.float32]]:
        """Yield all rows at once: appearance is taken relative to the clip's mean picture.

        Frames are decoded one after another; a row is 448 numbers.
        """
        times_s = start_s + np.arange(frames) / fps
        blocks = np.empty((frames, GROUPS, BLOCKS))
        totals = np.empty((frames, TOTALS))
        previous: NDArray[np.float64] | None = None
        pictures = frames_at(video, times_s, height=HEIGHT, width=WIDTH, pixel_format="gray")
        for index, picture in enumerate(pictures):
            current = picture / 255.0
            blocks[index], totals[index] = _describe(current, current if previous is None else previous)
            previous = current
        blocks[:, 0] -= blocks[:, 0].mean(axis=0)
        blocks[:, 1:] = np.sign(blocks[:, 1:]) * np.sqrt(np.abs(blocks[:, 1:]))
        blocks *= np.asarray(_GAIN)[None, :, None]
        totals *= np.asarray(_TOTAL_GAINS)
        yield np.hstack([blocks.reshape(frames, GROUPS * BLOCKS), totals]).astype(np.float32)


def _describe(
    current: NDArray[np.float64], previous: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return block means of one frame, shape (GROUPS, BLOCKS), and totals, shape (TOTALS,)."""
    change, vertical, _ = _motion(current, previous)
    small, small_previous = _shrink(current, COARSE), _shrink(previous, COARSE)
    coarse_change, coarse_vertical, coarse_horizontal = _motion(small, small_previous)
    fine = [_shrink(plane, BLOCK) for plane in (current, np.abs(change), vertical)]
    coarse = [_shrink(plane, BLOCK // COARSE) for plane in (coarse_vertical, coarse_horizontal)]
    blocks = np.stack([*fine, *coarse]).reshape(GROUPS, BLOCKS)
    planes = (np.abs(change), vertical, coarse_vertical, coarse_horizontal)
    speeds = _speed((small + small_previous) / 2, coarse_change, coarse_vertical, coarse_horizontal)
    return blocks, np.array([*(plane.mean() for plane in planes), *speeds, *_centre(np.abs(change))])


def _speed(
    picture: NDArray[np.float64],
    change: NDArray[np.float64],
    vertical: NDArray[np.float64],
    horizontal: NDArray[np.float64],
) -> list[float]:
    """Return how fast what moves goes down and right, in coarse pixels a frame, at most 4."""
    moving = np.abs(change) > _MOVING
    down, right = np.gradient(picture)
    speeds = []
    for motion, slope in ((vertical, down), (horizontal, right)):
        steepness = float((slope[moving] ** 2).sum())
        speeds.append(float(np.clip(motion[moving].sum() / (steepness + 1e-3), -4, 4)))
    return speeds


def _centre(change: NDArray[np.float64]) -> list[float]:
    """Return where the change is, as shares of height and width from the middle."""
    weight = change.sum() + 1e-3
    down, right = (np.linspace(-0.5, 0.5, size) for size in change.shape)
    return [float(change.sum(axis=1) @ down / weight), float(change.sum(axis=0) @ right / weight)]


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
