"""What a synthetic-hits data set is made from; the settings and the seed decide every sample and pixel."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clapstick.protocols.problems import fail

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
FPS = 30
SAMPLE_RATE = 44_100
GENERATOR_VERSION = 3
"""Raised whenever the same settings give other samples or pixels."""


class SyntheticSettings(BaseModel):
    """Size and seed of a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    train_videos: int = Field(default=120, ge=0, le=9999)
    test_videos: int = Field(default=24, ge=0, le=9999)
    duration_s: float = Field(default=10.0, ge=2.0, le=120.0)
    """Length of every video in seconds; rounded to whole frames."""
    height: int = Field(default=256, ge=256, le=1080, multiple_of=16)
    """Picture height in pixels; the width is 4/3 of it, rounded to a multiple of 16."""
    seed: int = Field(default=0, ge=0)

    @property
    def width(self) -> int:
        """Picture width in pixels."""
        return 16 * round(self.height * 4 / 3 / 16)

    @property
    def frames(self) -> int:
        """Pictures of one video."""
        return round(self.duration_s * FPS)

    @property
    def samples(self) -> int:
        """Sound samples of one video: the length of its frames."""
        return self.frames * SAMPLE_RATE // FPS

    def videos(self, split: Split) -> int:
        """Return the number of videos of a split."""
        return self.train_videos if split == "train" else self.test_videos

    def names(self, split: Split) -> list[str]:
        """Return the names of a split's videos."""
        return [f"{split}-{index:04d}" for index in range(1, self.videos(split) + 1)]

    @property
    def key(self) -> str:
        """Twelve digits that differ where the files differ."""
        text = f"{GENERATOR_VERSION} {self.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def settings_of_size(
    videos: int | None = None, duration_s: float | None = None, seed: int = 0
) -> SyntheticSettings:
    """Return settings for so many videos in all, a sixth of them (one at least) for testing.

    Raises
    ------
    ClapstickError
        If a value is out of range; names it.
    """
    values: dict[str, float] = {"seed": seed}
    if videos is not None:
        values["test_videos"] = max(1, round(videos / 6))
        values["train_videos"] = videos - values["test_videos"]
    if duration_s is not None:
        values["duration_s"] = duration_s
    try:
        return SyntheticSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise fail(
            f"setting of synthetic-hits is out of range: {first['msg']}",
            name,
            found=first["input"],
            remedy=f"Change {name}.",
        ) from error
