"""How the objects look: one sprite a material, drawn once a video.

Sprites are drawn three times as large and averaged down, so that edges are smooth. Coordinates in a sprite go
from -1 to 1 over its width (`u`) and from 0 at its top to 1 at its bottom (`v`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.synthetic.materials import Material

Plane = NDArray[np.float64]
Colour = tuple[float, float, float]

_OVERSAMPLE = 3


@dataclass(frozen=True)
class Sprite:
    """A picture with transparency."""

    colour: NDArray[np.uint8]
    """Shape (height, width, 3)."""
    alpha: NDArray[np.uint8]
    """Shape (height, width), 0 for clear to 255 for solid."""
    contact: float
    """Where its upper side is, as a share of its height from the top."""


@dataclass(frozen=True)
class _Canvas:
    u: Plane
    v: Plane
    aspect: float
    """Height over half the width: multiplies v to give the scale of u."""
    rng: np.random.Generator

    def texture(self, across: int, down: int) -> Plane:
        """Smooth noise between 0 and 1 with so many bumps across and down."""
        return smooth_noise(self.rng, self.u.shape, down, across)


_Paint = Callable[[_Canvas], tuple[NDArray[np.float64], Plane, float]]


def draw_object(material: Material, width: int, rng: np.random.Generator) -> Sprite:
    """Draw an object of this material, `width` pixels wide.

    Parameters
    ----------
    material : Material
        What it is made of.
    width : int
        Pixels.
    rng : numpy.random.Generator
        For texture and tint.
    """
    paint, height_share = _PAINTERS[material.name]
    height = round(width * height_share)
    rows, columns = height * _OVERSAMPLE, width * _OVERSAMPLE
    u, v = np.meshgrid(2 * (np.arange(columns) + 0.5) / columns - 1, (np.arange(rows) + 0.5) / rows)
    canvas = _Canvas(u, v, 2 * height / width, rng)
    colour, alpha, contact = paint(canvas)
    colour = colour * rng.uniform(0.92, 1.06, 3)
    blocks = (height, _OVERSAMPLE, width, _OVERSAMPLE)
    weight = alpha.reshape(blocks).sum(axis=(1, 3))
    shaded = (colour * alpha[..., None]).reshape(*blocks, 3).sum(axis=(1, 3))
    flat = shaded / np.maximum(weight, 1e-9)[..., None]
    return Sprite(_bytes(flat), _bytes(weight / _OVERSAMPLE**2), contact)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], down: int, across: int) -> Plane:
    """Return noise between 0 and 1 that is interpolated from a grid of `down` by `across` bumps."""
    grid = rng.random((down + 2, across + 2))
    y = np.linspace(0, down, shape[0])
    x = np.linspace(0, across, shape[1])
    top, left = y.astype(int), x.astype(int)
    y, x = (y - top)[:, None], (x - left)[None, :]
    y, x = y * y * (3 - 2 * y), x * x * (3 - 2 * x)
    upper = grid[top][:, left] * (1 - x) + grid[top][:, left + 1] * x
    lower = grid[top + 1][:, left] * (1 - x) + grid[top + 1][:, left + 1] * x
    return np.asarray(upper * (1 - y) + lower * y)


def _bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8))


def _mix(first: Colour, second: Colour, share: Plane) -> NDArray[np.float64]:
    return np.asarray(np.array(first) * (1 - share[..., None]) + np.array(second) * share[..., None])


def _ellipse(canvas: _Canvas, middle: float, radius: float, flatness: float) -> Plane:
    """Squared distance from an ellipse's middle at height `middle`: 1 on its edge."""
    return (canvas.u / radius) ** 2 + ((canvas.v - middle) / flatness) ** 2


def _box(canvas: _Canvas, lid: float) -> tuple[Plane, Plane]:
    """A box seen a little from above: masks of its upper side and its front."""
    slope = 1 - 0.16 * (1 - canvas.v / lid)
    upper = (canvas.v < lid) & (np.abs(canvas.u) < slope)
    front = (canvas.v >= lid) & (np.abs(canvas.u) < 1.0)
    return upper.astype(float), front.astype(float)


def _cylinder(canvas: _Canvas, lid: float, taper: float) -> tuple[Plane, Plane]:
    """A pot seen a little from above: masks of its upper side and its wall."""
    upper = _ellipse(canvas, lid, 0.98, lid) < 1
    bottom = 1 - taper * canvas.v
    floor = 1 - lid * 0.9 * (1 - np.sqrt(np.clip(1 - (canvas.u / bottom) ** 2, 0, 1)))
    wall = (np.abs(canvas.u) < bottom) & (canvas.v >= lid) & (canvas.v < floor) & ~upper
    return upper.astype(float), wall.astype(float)


def _wood(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, front = _box(canvas, 0.45)
    warp = canvas.texture(5, 4) * 1.6
    rings = 0.5 + 0.5 * np.sin(40 * canvas.v + 9 * warp + 2 * canvas.u)
    share = 0.65 * rings + 0.35 * canvas.texture(14, 90)
    colour = _mix((0.50, 0.29, 0.13), (0.80, 0.56, 0.32), share) * (1 - 0.35 * front)[..., None]
    return colour, upper + front, 0.25


def _metal(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, wall = _cylinder(canvas, 0.16, 0.12)
    bands = 0.5 + 0.35 * np.cos(5.5 * canvas.u - 1.0) + 0.15 * np.cos(13 * canvas.u + 2)
    brushed = 0.06 * canvas.texture(4, 160)
    radius = np.sqrt(_ellipse(canvas, 0.16, 0.98, 0.16))
    sheen = 0.66 + 0.16 * np.cos(2 * np.arctan2(canvas.v - 0.16, 0.16 * canvas.u) + 0.6)
    turned = 0.06 * np.sin(60 * radius) + 0.2 * (np.abs(radius - 0.94) < 0.04)
    share = np.where(upper > 0, sheen + turned, bands) + brushed
    return _mix((0.24, 0.26, 0.30), (0.90, 0.92, 0.95), np.clip(share, 0, 1)), upper + wall, 0.16


def _glass(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, wall = _cylinder(canvas, 0.10, 0.06)
    edge = np.clip(np.abs(canvas.u) / (1 - 0.06 * canvas.v), 0, 1) ** 6
    streak = np.exp(-(((canvas.u + 0.45) / 0.09) ** 2)) + 0.6 * np.exp(-(((canvas.u - 0.6) / 0.05) ** 2))
    rim = (np.abs(_ellipse(canvas, 0.10, 0.98, 0.10) - 0.88) < 0.14).astype(float)
    colour = _mix((0.45, 0.75, 0.78), (0.95, 1.0, 1.0), np.clip(streak + rim, 0, 1))
    alpha = wall * np.clip(0.32 + 0.4 * edge + 0.6 * streak, 0, 0.95) + upper * np.clip(0.55 + rim, 0, 0.95)
    return colour, np.clip(alpha, 0, 1), 0.10


def _ceramic(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, wall = _cylinder(canvas, 0.15, 0.03)
    shade = np.clip(0.80 - 0.30 * canvas.u - 0.45 * np.abs(canvas.u) ** 3, 0.1, 1)
    curve = canvas.v - 0.12 * np.sqrt(np.clip(1 - canvas.u**2, 0, 1))
    stripe = ((np.abs(curve - 0.33) < 0.035) | (np.abs(curve - 0.68) < 0.06)) * wall
    foot = np.abs(_ellipse(canvas, 0.15, 0.98, 0.15) - 0.6) < 0.1
    gloss = np.exp(-(((canvas.u + 0.55) / 0.10) ** 2 + ((canvas.v - 0.5) / 0.30) ** 4)) * wall
    base = _mix((0.66, 0.64, 0.62), (0.97, 0.96, 0.93), shade)
    colour = base * (1 - stripe[..., None]) + np.array((0.16, 0.27, 0.60)) * stripe[..., None]
    colour = colour * (1 - 0.05 * upper - 0.12 * upper * foot)[..., None] + 0.3 * gloss[..., None]
    return colour, upper + wall, 0.15


def _plastic(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, front = _box(canvas, 0.28)
    ribs = (np.sin(canvas.u * 30) > 0.75) * front
    holes = (np.abs(canvas.v - 0.52) < 0.07) * (np.abs(canvas.u) < 0.30) * front
    tone = 0.85 - 0.2 * front + 0.10 * (1 - canvas.v) - 0.18 * ribs - 0.55 * holes
    base = np.array((0.88, 0.16, 0.14)) if canvas.rng.random() < 0.5 else np.array((0.10, 0.42, 0.85))
    return base * (tone + 0.15 * upper)[..., None], upper + front, 0.16


def _cloth(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    body = np.abs(canvas.u) ** 3.2 + np.abs((canvas.v - 0.5) / 0.5) ** 2.6 < 1
    weave = 0.5 + 0.25 * np.sin(canvas.u * 120) + 0.25 * np.sin(canvas.v * canvas.aspect * 120)
    checks = (np.sin(canvas.u * 14) > 0).astype(float) * 0.5 + (np.sin(canvas.v * 9) > 0) * 0.5
    shade = 1.05 - 0.5 * canvas.v - 0.12 * np.abs(canvas.u)
    colour = _mix((0.42, 0.12, 0.30), (0.86, 0.60, 0.66), 0.75 * checks + 0.25 * weave) * shade[..., None]
    seam = np.abs(canvas.v - 0.5) < 0.015
    return colour * (1 - 0.4 * seam)[..., None], body.astype(float), 0.10


def _carpet(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, front = _box(canvas, 0.62)
    fuzz = canvas.rng.random(canvas.u.shape)
    pattern = (np.abs(np.abs(canvas.u) - 0.72) < 0.05) | (np.abs(canvas.v - 0.12) < 0.05)
    medallion = np.abs((np.abs(canvas.u) + np.abs((canvas.v - 0.32) * 2.2)) - 0.35) < 0.09
    colour = _mix((0.20, 0.30, 0.22), (0.46, 0.58, 0.40), 0.4 + 0.6 * fuzz)
    trim = ((pattern | medallion) & (upper > 0)).astype(float)[..., None]
    colour = colour * (1 - trim) + np.array((0.85, 0.75, 0.45)) * trim
    fringe = front * (np.sin(canvas.u * 150) > -0.2)
    colour = colour * (1 - 0.45 * front)[..., None]
    return colour, upper + np.where(canvas.v > 0.86, fringe, front), 0.31


def _gravel(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    stones = 420
    centres = np.column_stack((canvas.rng.uniform(-1, 1, stones), canvas.rng.uniform(0, canvas.aspect, stones)))
    nearest, second, which = _cells(canvas, centres)
    tone = canvas.rng.uniform(0.35, 0.85, stones)[which]
    warmth = canvas.rng.uniform(-0.06, 0.06, stones)[which]
    edge = np.clip((second - nearest) / 0.022, 0, 1)
    lit = (tone * (0.25 + 0.75 * edge))[..., None] * np.ones(3)
    lit = lit + np.stack((warmth, 0 * warmth, -warmth), axis=-1)
    bump = 0.10 * (canvas.texture(16, 1) - 0.5)
    heap = canvas.v > 0.12 + 0.80 * np.abs(canvas.u) ** 5 + bump
    return lit * (1.05 - 0.35 * canvas.v)[..., None], heap.astype(float), 0.20


def _cells(canvas: _Canvas, centres: NDArray[np.float64]) -> tuple[Plane, Plane, NDArray[np.intp]]:
    """Distance to the nearest and the second nearest centre, and which is nearest, at every pixel."""
    from scipy.spatial import cKDTree

    points = np.column_stack((canvas.u.ravel(), (canvas.v * canvas.aspect).ravel()))
    found = cKDTree(centres).query(points, k=2)
    distances, which = np.asarray(found[0]), np.asarray(found[1])
    shape = canvas.u.shape
    return distances[:, 0].reshape(shape), distances[:, 1].reshape(shape), which[:, 0].reshape(shape)


def _leaf(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    colour = np.zeros((*canvas.u.shape, 3))
    alpha = np.zeros(canvas.u.shape)
    for _ in range(300):
        u, v = canvas.rng.uniform(-0.92, 0.92), canvas.rng.uniform(0.08, 0.94)
        if v < 0.14 + 0.72 * abs(u) ** 5:
            continue
        angle, length = canvas.rng.uniform(0, np.pi), canvas.rng.uniform(0.08, 0.14)
        columns = _span(canvas.u[0], u, length)
        rows = _span(canvas.v[:, 0], v, length / canvas.aspect)
        right, down = canvas.u[rows, columns] - u, (canvas.v[rows, columns] - v) * canvas.aspect
        along = right * np.cos(angle) + down * np.sin(angle)
        aside = down * np.cos(angle) - right * np.sin(angle)
        inside = (along / length) ** 2 + (aside / (0.42 * length)) ** 2 < 1
        green = canvas.rng.uniform(0.28, 0.62) * (1.15 - 0.45 * v)
        vein = np.abs(aside[inside]) < 0.006
        tint = np.array((canvas.rng.uniform(0.35, 0.95) * green, green, 0.22 * green))
        colour[rows, columns][inside] = tint * np.where(vein, 1.3, 1.0)[:, None]
        alpha[rows, columns][inside] = 1
    return colour, alpha, 0.20


def _span(positions: Plane, middle: float, reach: float) -> slice:
    first, last = np.searchsorted(positions, [middle - reach, middle + reach])
    return slice(int(first), int(last))


def _water(canvas: _Canvas) -> tuple[NDArray[np.float64], Plane, float]:
    upper, wall = _cylinder(canvas, 0.30, 0.25)
    pool = _ellipse(canvas, 0.30, 0.90, 0.24) < 1
    waves = 0.5 + 0.5 * np.sin(26 * np.sqrt(_ellipse(canvas, 0.30, 1.0, 0.30)) + 5 * canvas.texture(6, 6))
    basin = _mix((0.28, 0.30, 0.34), (0.56, 0.58, 0.62), np.clip(0.6 - 0.4 * canvas.u, 0, 1))
    water = _mix((0.08, 0.32, 0.52), (0.62, 0.86, 0.96), waves**3 * 0.8 + 0.1)
    return np.where(pool[..., None], water, basin), upper + wall, 0.30


_PAINTERS: dict[str, tuple[_Paint, float]] = {
    "wood": (_wood, 0.36),
    "metal": (_metal, 0.58),
    "glass": (_glass, 0.95),
    "ceramic": (_ceramic, 0.56),
    "plastic": (_plastic, 0.55),
    "cloth": (_cloth, 0.42),
    "carpet": (_carpet, 0.24),
    "gravel": (_gravel, 0.36),
    "leaf": (_leaf, 0.44),
    "water": (_water, 0.42),
}
"""How each material is painted, and the height of the object as a share of its width."""
