"""What the stick does in one video: irregular strokes, and the path of its tip through them.

Lengths are in pixels of a picture 256 high, times in seconds, speeds as a share of the fastest stroke.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.synthetic.settings import FPS

PLAN_HEIGHT = 256
"""Height of the picture that the pixels of this module belong to."""
PATH_RATE = 20 * FPS
"""Points a second of the tip's path; a frame falls on every twentieth."""
FULL_HIT_SPEED = 1200.0
"""Pixels a second of the tip when it lands at speed 1."""
FULL_SCRATCH_SPEED = 420.0
"""Pixels a second along the surface at speed 1."""
SCRATCH_RISE_S = 0.008
CONTACT_S = 0.045
"""The tip stays on the surface so long after a hit: every contact is in one frame at least."""
REST_HEIGHT = 34.0
_LEAD_S = 0.35
_SWAY = 3.0

Action = Literal["hit", "scratch", "air"]


@dataclass(frozen=True)
class Stroke:
    """One movement of the stick. ``air`` strokes stop above the surface and make no sound."""

    time_s: float
    """Contact: the sound starts here; for an air stroke, its lowest point."""
    action: Action
    speed: float
    """Speed of the tip at contact, or its highest speed along the surface; 0 to 1."""
    target: int
    """Number of the object that is struck."""
    x: float
    """Where the tip is at `time_s`, in pixels from the object's middle."""
    swing_s: float
    """How long the way down takes (hit, air) or the way along the surface (scratch)."""
    direction: int = 1
    """Which way a scratch goes."""

    @property
    def height(self) -> float:
        """How high the tip is lifted before a hit: it falls with constant acceleration."""
        return self.speed * FULL_HIT_SPEED * self.swing_s / 2

    @property
    def length(self) -> float:
        """Pixels that a scratch travels."""
        return self.speed * FULL_SCRATCH_SPEED * (self.swing_s * 2 / 3 - SCRATCH_RISE_S / 2)

    @property
    def end_s(self) -> float:
        """When the tip may leave the surface."""
        return self.time_s + (self.swing_s if self.action == "scratch" else CONTACT_S)


@dataclass(frozen=True)
class Path:
    """The tip of the stick at `PATH_RATE` points a second."""

    x: NDArray[np.float64]
    """Pixels from the left."""
    height: NDArray[np.float64]
    """Pixels above the surface."""
    surface: NDArray[np.float64]
    """Height of the surface below the tip, as pixels from the top of the picture."""
    slide: NDArray[np.float64]
    """Speed along the surface while scratching, 0 to 1; 0 elsewhere."""


def plan_strokes(rng: np.random.Generator, duration_s: float, half_widths: list[float]) -> list[Stroke]:
    """Draw the strokes of one video: its own tempo, bursts, rests, and strokes that miss on purpose.

    At least one of them can be heard.

    Parameters
    ----------
    rng : numpy.random.Generator
        For everything.
    duration_s : float
        Length of the video, 2 s or more.
    half_widths : list of float
        How far each object reaches to either side.
    """
    strokes: list[Stroke] = []
    while all(stroke.action == "air" for stroke in strokes):
        strokes = _draw_strokes(rng, duration_s, half_widths)
    return strokes


def _draw_strokes(rng: np.random.Generator, duration_s: float, half_widths: list[float]) -> list[Stroke]:
    rest = _long_rest(rng, duration_s)
    pace_s = rng.uniform(0.05, 0.45)
    scratch_share = rng.choice([0.0, 0.15, 0.35, 0.8], p=[0.3, 0.35, 0.2, 0.15])
    mean_speed = rng.uniform(0.35, 0.8)
    strokes: list[Stroke] = []
    time_s = _LEAD_S + rng.uniform(0.0, min(1.2, 0.2 * duration_s))
    target = 0
    while time_s < duration_s - 0.6:
        if rest is not None and time_s + 0.3 > rest[0]:
            time_s, rest = rest[1], None
            continue
        if rng.random() < 0.25:
            target = int(rng.integers(len(half_widths)))
        reach = half_widths[target]
        if rng.random() < scratch_share:
            new = _scratches(rng, time_s, target, reach, mean_speed)
        else:
            new = [_hit(rng, time_s, target, reach, mean_speed)]
        last_s = rest[0] if rest is not None else duration_s - 0.1
        strokes.extend(stroke for stroke in new if stroke.end_s < last_s)
        pause_s = rng.gamma(1.3, pace_s / 1.3) + (rng.uniform(0.8, 1.8) if rng.random() < 0.08 else 0.0)
        time_s = new[-1].end_s + 0.26 + pause_s
    return strokes


def _long_rest(rng: np.random.Generator, duration_s: float) -> tuple[float, float] | None:
    if rng.random() > 0.35:
        return None
    length_s = rng.uniform(0.3, 0.55) * duration_s
    start_s = rng.uniform(0.0, duration_s - length_s)
    return start_s, start_s + length_s


def _hit(rng: np.random.Generator, time_s: float, target: int, reach: float, mean_speed: float) -> Stroke:
    speed = float(np.clip(mean_speed + rng.normal(0.0, 0.25), 0.12, 1.0))
    action: Action = "air" if rng.random() < 0.12 else "hit"
    return Stroke(time_s, action, speed, target, rng.uniform(-0.7, 0.7) * reach, rng.uniform(0.09, 0.15))


def _scratches(
    rng: np.random.Generator, time_s: float, target: int, reach: float, mean_speed: float
) -> list[Stroke]:
    strokes = []
    direction = int(rng.choice([-1, 1]))
    x = -direction * rng.uniform(0.3, 0.7) * reach
    for _ in range(int(rng.integers(1, 6))):
        speed = float(np.clip(mean_speed + rng.normal(0.0, 0.25), 0.15, 1.0))
        room = 0.85 * reach - direction * x
        longest_s = room / (speed * FULL_SCRATCH_SPEED) * 1.5
        swing_s = float(min(rng.uniform(0.14, 0.5), longest_s))
        if swing_s < 0.08:
            break
        stroke = Stroke(time_s, "scratch", speed, target, x, swing_s, direction)
        strokes.append(stroke)
        x += direction * stroke.length
        direction = -direction
        time_s = stroke.end_s + rng.uniform(0.05, 0.25)
    return strokes


def follow(
    strokes: list[Stroke],
    duration_s: float,
    centres: list[tuple[float, float]],
    rng: np.random.Generator,
) -> Path:
    """Lead the tip through the strokes.

    Parameters
    ----------
    strokes : list of Stroke
        In time order.
    duration_s : float
        Length of the video.
    centres : list of (float, float)
        Middle of each object's upper side: pixels from the left and from the top.
    rng : numpy.random.Generator
        For the sway of the hand.
    """
    times = np.arange(round(duration_s * PATH_RATE) + 1) / PATH_RATE
    first_x, first_y = centres[strokes[0].target if strokes else 0]
    keys = [_Key(-1.0, first_x + rng.uniform(-30, 30), REST_HEIGHT, first_y)]
    swings: list[tuple[Stroke, float]] = []
    for stroke in strokes:
        middle, surface = centres[stroke.target]
        floor = float(rng.uniform(14, 26)) if stroke.action == "air" else 0.0
        x = middle + stroke.x
        if stroke.action == "scratch":
            _approach(keys, stroke.time_s, x, 0.0, surface)
            keys.append(_Key(stroke.time_s, x, 0.0, surface))
            keys.append(_Key(stroke.end_s, x + stroke.direction * stroke.length, 0.0, surface))
        else:
            top = stroke.height + floor
            _approach(keys, stroke.time_s - stroke.swing_s, x, top, surface)
            keys.append(_Key(stroke.time_s - stroke.swing_s, x, top, surface))
            keys.append(_Key(stroke.time_s, x, floor, surface))
            keys.append(_Key(stroke.end_s, x, floor, surface))
        swings.append((stroke, middle))
    _rest(keys, keys[-1].time_s + 0.3)
    keys.append(_Key(duration_s + 1.0, keys[-1].x, REST_HEIGHT, keys[-1].surface))
    across, height, surface_y = _ease(keys, times)
    slide = np.zeros_like(times)
    for stroke, middle in swings:
        _swing(stroke, middle, times, across, height, slide)
    sway = _SWAY * _smooth_noise(rng, times, 1.3)
    height = height + sway * np.minimum(1.0, height / 20.0) ** 2
    return Path(across, height, surface_y, slide)


@dataclass(frozen=True)
class _Key:
    time_s: float
    x: float
    height: float
    surface: float


def _approach(keys: list[_Key], time_s: float, x: float, height: float, surface: float) -> None:
    """Lift to the rest height and wait there where there is time before the next key."""
    gap_s = time_s - keys[-1].time_s
    if keys[-1].height == 0.0 and height == 0.0 and gap_s < 0.26:
        return
    if gap_s > 0.5:
        _rest(keys, keys[-1].time_s + min(0.3, gap_s / 3))
        keys.append(_Key(time_s - min(0.3, gap_s / 3), (keys[-1].x + x) / 2, REST_HEIGHT, surface))
    elif height == 0.0:
        keys.append(_Key(time_s - gap_s / 2, (keys[-1].x + x) / 2, REST_HEIGHT / 2, surface))
        keys.append(_Key(time_s - 0.03, x, 0.0, surface))


def _rest(keys: list[_Key], time_s: float) -> None:
    keys.append(_Key(time_s, keys[-1].x, REST_HEIGHT, keys[-1].surface))


def _ease(
    keys: list[_Key], times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Interpolate the keys, standing still at each of them."""
    key_times = np.array([key.time_s for key in keys])
    values = np.array([(key.x, key.height, key.surface) for key in keys])
    left = np.clip(np.searchsorted(key_times, times, side="right") - 1, 0, len(keys) - 2)
    share = (times - key_times[left]) / np.maximum(key_times[left + 1] - key_times[left], 1e-9)
    share = (share**2 * (3 - 2 * share))[:, None]
    path = values[left] * (1 - share) + values[left + 1] * share
    return path[:, 0], path[:, 1], path[:, 2]


def _swing(
    stroke: Stroke,
    middle: float,
    times: NDArray[np.float64],
    x: NDArray[np.float64],
    height: NDArray[np.float64],
    slide: NDArray[np.float64],
) -> None:
    """Write the part of a stroke that is no easing: the fall of a hit, the slide of a scratch."""
    if stroke.action == "hit":
        falling = (times >= stroke.time_s - stroke.swing_s) & (times < stroke.time_s)
        since = (times[falling] - stroke.time_s + stroke.swing_s) / stroke.swing_s
        height[falling] = stroke.height * (1 - since**2)
    elif stroke.action == "scratch":
        sliding = (times >= stroke.time_s) & (times < stroke.end_s)
        since_s = times[sliding] - stroke.time_s
        slide[sliding] = slide_speed(stroke, since_s)
        travelled = np.cumsum(slide[sliding]) * FULL_SCRATCH_SPEED / PATH_RATE
        if travelled.size:
            travelled *= stroke.length / travelled[-1]
        x[sliding] = middle + stroke.x + stroke.direction * travelled


def slide_speed(stroke: Stroke, since_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the speed along the surface `since_s` seconds into a scratch: a quick start, then slowing."""
    share = np.clip(since_s / stroke.swing_s, 0.0, 1.0)
    start = np.clip(since_s / SCRATCH_RISE_S, 0.0, 1.0)
    return np.asarray(stroke.speed * start * (1 - share**2))


def _smooth_noise(rng: np.random.Generator, times: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    """Return a wandering curve of unit size without sudden moves."""
    knots = rng.normal(0.0, 1.0, int(times[-1] * rate_hz) + 4)
    at = times * rate_hz
    left = at.astype(int)
    share = at - left
    share = share**2 * (3 - 2 * share)
    return np.asarray(knots[left] * (1 - share) + knots[left + 1] * share)
