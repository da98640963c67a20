"""The picture of one video: room, objects, arm and stick, what a blow sets in motion, what moves silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.synthetic.looks import Sprite, draw_object, smooth_noise
from clapstick.protocols.synthetic.materials import Material
from clapstick.protocols.synthetic.settings import FPS
from clapstick.protocols.synthetic.strokes import PATH_RATE, PLAN_HEIGHT, Path, Stroke

Image = NDArray[np.uint8]

_STICK_LENGTH = 128.0
_SHAKE_LIMIT = 4


@dataclass(frozen=True)
class Object:
    """A thing on the table."""

    material: Material
    sprite: Sprite
    left: int
    top: int
    """Pixels of the picture, before camera shake."""

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the upper side, in pixels from the left and from the top."""
        height, width = self.sprite.alpha.shape
        return self.left + width / 2, self.top + height * self.sprite.contact

    @property
    def half_width(self) -> float:
        """Half the width in pixels."""
        return self.sprite.alpha.shape[1] / 2


@dataclass(frozen=True)
class Splinter:
    """One drop or pebble that a blow throws up."""

    start_s: float
    x: float
    y: float
    speed_x: float
    speed_y: float
    radius: float
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Distractor:
    """Something in the background that moves and makes no sound."""

    kind: str
    x: float
    y: float
    size: float
    period_s: float
    phase: float
    colour: tuple[int, int, int]


def place_objects(
    materials: Sequence[Material], sizes: Sequence[float], width: int, height: int, rng: np.random.Generator
) -> list[Object]:
    """Draw the objects and put them side by side on the table."""
    scale = height / PLAN_HEIGHT
    share = width / len(materials)
    objects = []
    for number, (material, size) in enumerate(zip(materials, sizes, strict=True)):
        wide = round((150 if len(materials) == 1 else 118) * size * scale * _SLIM.get(material.name, 1.0))
        sprite = draw_object(material, wide, rng)
        middle = share * (number + 0.5) + rng.uniform(-8, 8) * scale - 22 * scale
        floor = rng.uniform(0.86, 0.93) * height
        left = int(np.clip(middle - wide / 2, 4, width - wide - 4))
        objects.append(Object(material, sprite, left, round(floor - sprite.alpha.shape[0])))
    return objects


_SLIM = {"glass": 0.55, "metal": 0.85, "ceramic": 0.85}


class Scene:
    """Everything that is decided before the first frame."""

    def __init__(
        self,
        objects: Sequence[Object],
        strokes: Sequence[Stroke],
        path: Path,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        self.height, self.width = size
        self.scale = self.height / PLAN_HEIGHT
        self._objects = objects
        self._path = path
        self._strokes = [stroke for stroke in strokes if stroke.action != "air"]
        self._room = _room(self.height, self.width, rng)
        for thing in objects:
            _cast_shadow(self._room, thing, _margin(self.height))
        self._canvas = self._room.copy()
        self._distractors = _distractors(self.height, self.width, rng)
        self._splinters = _splinters(objects, self._strokes, self.scale, rng)
        self._shake = _shake(rng, path.x.size, self.scale)
        self._skin = np.array((0.80, 0.60, 0.48)) * rng.uniform(0.45, 1.1) * 255
        self._sleeve = rng.uniform(40, 190, 3)
        self._flicker = rng.uniform(0.0, 0.04)

    def frames(self, count: int) -> Iterator[Image]:
        """Yield RGB frames of shape (height, width, 3); frame k shows time ``k / FPS``."""
        for number in range(count):
            yield self._frame(number)

    def _frame(self, number: int) -> Image:
        time_s = number / FPS
        image = self._canvas
        np.copyto(image, self._room)
        for distractor in self._distractors:
            _draw_distractor(image, distractor, time_s)
        for index, thing in enumerate(self._objects):
            self._draw_object(image, index, thing, time_s)
        self._draw_splinters(image, time_s)
        self._draw_arm(image, number * PATH_RATE // FPS)
        if self._flicker > 0.02:
            level = 256 - int(256 * self._flicker * (0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time_s)))
            dimmed = bytes((shade * level) >> 8 for shade in range(256))
            image = np.frombuffer(image.tobytes().translate(dimmed), np.uint8).reshape(image.shape)
        return self._through_camera(image, number * PATH_RATE // FPS)

    def _through_camera(self, image: Image, point: int) -> Image:
        margin = _margin(self.height)
        left = margin + int(np.clip(round(self._shake[point, 0]), -margin, margin))
        top = margin + int(np.clip(round(self._shake[point, 1]), -margin, margin))
        return np.ascontiguousarray(image[top : top + self.height, left : left + self.width])

    def _draw_object(self, image: Image, index: int, thing: Object, time_s: float) -> None:
        """Shake or squash the object after a blow, as its reaction says."""
        offset, squash = 0.0, 0.0
        for stroke in self._strokes:
            since_s = time_s - stroke.time_s
            if stroke.target != index or stroke.action != "hit" or not 0 <= since_s < 0.5:
                continue
            ringing = stroke.speed * np.exp(-since_s / 0.09)
            if thing.material.reaction == "rigid-motion":
                offset += 4 * ringing * np.cos(2 * np.pi * 9 * since_s)
            elif thing.material.reaction == "deform":
                squash += 0.22 * ringing
        margin = _margin(self.height)
        rows = thing.sprite.alpha.shape[0]
        kept = max(4, round(rows * (1 - min(squash, 0.3))))
        pick = (np.arange(kept) * rows) // kept
        _paste(
            image,
            thing.sprite.colour[pick],
            thing.sprite.alpha[pick],
            thing.left + margin + round(offset * self.scale),
            thing.top + margin + rows - kept,
        )

    def _draw_splinters(self, image: Image, time_s: float) -> None:
        margin = _margin(self.height)
        for splinter in self._splinters:
            since_s = time_s - splinter.start_s
            if 0 <= since_s < 0.45:
                x = splinter.x + splinter.speed_x * since_s + margin
                y = splinter.y + splinter.speed_y * since_s + 450 * self.scale * since_s**2 + margin
                _draw_capsule(image, (x, y), (x, y), splinter.radius, splinter.radius, splinter.colour)

    def _draw_arm(self, image: Image, point: int) -> None:
        margin = _margin(self.height)
        scale = self.scale
        surface = self._path.surface[point] * scale + margin
        height = self._path.height[point] * scale
        tip = np.array((self._path.x[point] * scale + margin, surface - height))
        rise = (46 * scale) + 0.30 * height
        run = np.sqrt((_STICK_LENGTH * scale) ** 2 - rise**2)
        hand = tip + np.array((run, -rise))
        butt = hand + 18 * scale * (hand - tip) / np.linalg.norm(hand - tip)
        elbow = hand + np.array((230.0, 48.0)) * scale
        radius = 3.2 * scale
        bead = tip - np.array((0.0, radius))
        _draw_capsule(image, hand, elbow, 11 * scale, 23 * scale, self._sleeve)
        _draw_capsule(image, bead, butt, 2.6 * scale, 4.6 * scale, (214, 176, 122))
        _draw_capsule(image, bead, bead, radius, radius, (236, 204, 152))
        _draw_capsule(image, hand, hand + np.array((15, 2)) * scale, 11 * scale, 10 * scale, self._skin)
        _draw_capsule(
            image,
            hand + np.array((-4, 4)) * scale,
            hand + np.array((3, 8)) * scale,
            5 * scale,
            5 * scale,
            self._skin * 0.86,
        )


def _margin(height: int) -> int:
    return round(_SHAKE_LIMIT * height / PLAN_HEIGHT)


def _paste(image: Image, colour: Image, alpha: Image, left: int, top: int) -> None:
    """Lay a sprite over the image; what hangs out is cut off."""
    first_row, first_column = max(0, -top), max(0, -left)
    last_row = min(alpha.shape[0], image.shape[0] - top)
    last_column = min(alpha.shape[1], image.shape[1] - left)
    if first_row >= last_row or first_column >= last_column:
        return
    here = image[top + first_row : top + last_row, left + first_column : left + last_column]
    weight = alpha[first_row:last_row, first_column:last_column, None].astype(np.uint16)
    over = colour[first_row:last_row, first_column:last_column].astype(np.uint16)
    here[:] = ((over * weight + here.astype(np.uint16) * (255 - weight) + 127) // 255).astype(np.uint8)


def _draw_capsule(
    image: Image,
    start: tuple[float, float] | NDArray[np.float64],
    end: tuple[float, float] | NDArray[np.float64],
    start_radius: float,
    end_radius: float,
    colour: tuple[int, int, int] | NDArray[np.float64],
) -> None:
    """Draw a rounded bar from `start` to `end`, with smooth edges and shaded like a round body."""
    reach = max(start_radius, end_radius) + 1
    left = max(0, int(min(start[0], end[0]) - reach))
    right = min(image.shape[1], int(max(start[0], end[0]) + reach) + 1)
    top = max(0, int(min(start[1], end[1]) - reach))
    bottom = min(image.shape[0], int(max(start[1], end[1]) + reach) + 1)
    if left >= right or top >= bottom:
        return
    x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(start[0])
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(start[1])
    along_x, along_y = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    length = max(float(along_x**2 + along_y**2), 1e-6)
    share = np.maximum(np.minimum((x * along_x + y * along_y) / np.float32(length), 1), 0)
    away_x, away_y = x - share * along_x, y - share * along_y
    radius = start_radius + share * np.float32(end_radius - start_radius)
    distance = np.sqrt(away_x**2 + away_y**2)
    weight = np.maximum(np.minimum(radius - distance + 0.5, 1), 0)[..., None]
    light = (0.92 - 0.25 * away_y / np.maximum(radius, 1))[..., None]
    here = image[top:bottom, left:right]
    body = np.maximum(np.minimum(np.asarray(colour, dtype=np.float32) * light, 255), 0)
    here[:] = (here + (body - here) * weight + 0.5).astype(np.uint8)


def _room(height: int, width: int, rng: np.random.Generator) -> Image:
    """Wall above, table below, with a margin for the camera's shake."""
    margin = _margin(height)
    shape = (height + 2 * margin, width + 2 * margin)
    v = np.linspace(0, 1, shape[0])[:, None]
    edge = rng.uniform(0.52, 0.62)
    wall = rng.uniform(0.45, 0.85) * rng.uniform(0.85, 1.1, 3)
    table = rng.uniform(0.25, 0.6) * rng.uniform(0.8, 1.2, 3)
    mottled = smooth_noise(rng, shape, 5, 6) * 0.10 + smooth_noise(rng, shape, 40, 50) * 0.05 - 0.08
    streaks = smooth_noise(rng, shape, 60, 5) * 0.14 - 0.07
    on_wall = wall * (1 + mottled - 0.25 * v)[..., None]
    on_table = table * (0.85 + streaks + 0.35 * v)[..., None]
    below = np.clip((v - edge) * shape[0] + 0.5, 0, 1)[..., None]
    picture = on_wall * (1 - below) + on_table * below
    skirting = np.exp(-(((v - edge) * shape[0] / 2.5) ** 2))[..., None]
    picture = picture * (1 - 0.35 * skirting)
    return np.asarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))


def _cast_shadow(room: Image, thing: Object, margin: int) -> None:
    """Darken the table where the object stands."""
    height, width = thing.sprite.alpha.shape
    middle, floor = thing.centre[0] + margin, thing.top + height + margin - 0.04 * width
    x = (np.arange(room.shape[1]) - middle - 0.04 * width) / (0.60 * width)
    y = (np.arange(room.shape[0]) - floor) / (0.14 * width)
    depth = 0.55 * np.clip(1.25 - x[None, :] ** 4 - y[:, None] ** 2, 0, 1)
    room[:] = room * (1 - depth[..., None])


def _shake(rng: np.random.Generator, points: int, scale: float) -> NDArray[np.float64]:
    """Pixels that a hand-held camera wanders, shape (points, 2); a third of the cameras stand on a tripod."""
    strength = 0.0 if rng.random() < 0.33 else rng.uniform(0.5, 2.0) * scale
    times = np.arange(points) / PATH_RATE
    rates_hz = rng.uniform(0.3, 2.2, (4, 2))
    phases = rng.uniform(0, 2 * np.pi, (4, 2))
    waves = np.sin(2 * np.pi * times[:, None, None] * rates_hz + phases)
    return np.asarray(strength * waves.mean(axis=1) * 1.6)


def _splinters(
    objects: Sequence[Object], strokes: Sequence[Stroke], scale: float, rng: np.random.Generator
) -> list[Splinter]:
    colours = {"water": (190, 228, 246), "gravel": (150, 142, 132), "leaf": (90, 140, 44)}
    splinters = []
    for stroke in strokes:
        thing = objects[stroke.target]
        if thing.material.reaction not in ("splash", "scatter"):
            continue
        for _ in range(round(10 * stroke.speed)):
            splinters.append(
                Splinter(
                    start_s=stroke.time_s + rng.uniform(0, 0.02),
                    x=thing.centre[0] + stroke.x * scale + rng.uniform(-5, 5) * scale,
                    y=thing.centre[1],
                    speed_x=rng.normal(0, 60) * scale,
                    speed_y=-stroke.speed * rng.uniform(80, 260) * scale,
                    radius=rng.uniform(1.2, 2.6) * scale,
                    colour=colours[thing.material.name],
                )
            )
    return splinters


def _distractors(height: int, width: int, rng: np.random.Generator) -> list[Distractor]:
    kinds = rng.permutation(["pendulum", "ball", "passer-by"])[: rng.choice([0, 1, 2], p=[0.4, 0.4, 0.2])]
    return [
        Distractor(
            kind=str(kind),
            x=rng.uniform(0.12, 0.88) * width,
            y=rng.uniform(0.0, 0.06) * height,
            size=rng.uniform(0.8, 1.3) * height / PLAN_HEIGHT,
            period_s=rng.uniform(1.1, 2.6),
            phase=rng.uniform(0, 1),
            colour=(int(rng.integers(40, 230)), int(rng.integers(40, 230)), int(rng.integers(40, 230))),
        )
        for kind in kinds
    ]


def _draw_distractor(image: Image, thing: Distractor, time_s: float) -> None:
    turn = time_s / thing.period_s + thing.phase
    if thing.kind == "pendulum":
        angle = 0.5 * np.sin(2 * np.pi * turn)
        pivot = (thing.x, thing.y)
        bob = (thing.x + 70 * thing.size * np.sin(angle), thing.y + 70 * thing.size * np.cos(angle))
        _draw_capsule(image, pivot, bob, 1.0, 1.0, (40, 40, 40))
        _draw_capsule(image, bob, bob, 9 * thing.size, 9 * thing.size, thing.colour)
    elif thing.kind == "ball":
        hop = 1 - (2 * (turn % 1.0) - 1) ** 2
        at = (thing.x, image.shape[0] * 0.56 - (10 + 60 * hop) * thing.size)
        _draw_capsule(image, at, at, 10 * thing.size, 10 * thing.size, thing.colour)
    else:
        x = int((turn / 4 % 1.0) * (image.shape[1] + 120)) - 60
        left, right = max(0, x - 26), min(image.shape[1], x + 26)
        if left < right:
            shade = image[: round(image.shape[0] * 0.55), left:right]
            shade[:] = shade - (shade >> 2)
