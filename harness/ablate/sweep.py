"""A sweep: which settings are varied, what is measured, what the papers report. One flat TOML."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail

Value = str | int | float | bool
Setting = tuple[tuple[str, Value], ...]
"""The varied keys of a point with their values, in the order of the grid."""


class PaperNumber(BaseModel):
    """A number that a paper prints for one setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: dict[str, Value]
    score: str
    """``metric:convention``."""
    value: float
    where: str


class Sweep(BaseModel):
    """A grid over settings, with seeds.

    Keys of `base`, `grid` and `tied` are dotted: ``video2rms.<field>`` of the stage-1 configuration,
    ``train.<option>`` of its training, ``<system>.<parameter>`` of a system's card, ``prompt.text`` and
    ``prompt.audio`` of the protocol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    question: str
    paper: str
    """Citation with figure or table."""
    protocol: str
    system: str
    """The system that is varied."""
    controls: tuple[str, ...] = ()
    """Rows that are run beside it in every point."""
    config: str = "tiny"
    """Stage-1 configuration that training starts from."""
    seeds: tuple[int, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    choose: str
    """Score that decides which setting is best; a mean over clips."""
    prefer: str = "smaller"
    """In words, why the first settings of the grid are preferred where scores tie."""
    base: dict[str, Value] = {}
    grid: dict[str, tuple[Value, ...]]
    tied: dict[str, str] = {}
    """Other keys that follow a key of the grid."""
    published: tuple[PaperNumber, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Sweep:
        if not self.grid or any(not values for values in self.grid.values()):
            raise ValueError("the grid needs at least one key, and every key a value")
        if self.choose not in self.metrics:
            raise ValueError(f"choose is {self.choose!r}, which is not among metrics")
        for key, source in self.tied.items():
            if source not in self.grid:
                raise ValueError(f"tied key {key!r} follows {source!r}, which is not in the grid")
        for values in self.grid.values():
            if len(set(map(repr, values))) != len(values):
                raise ValueError(f"a value comes twice in the grid: {values}")
        return self

    def settings(self) -> list[Setting]:
        """Return the combinations of the grid, the last key running fastest."""
        keys = list(self.grid)
        return [tuple(zip(keys, values, strict=True)) for values in itertools.product(*self.grid.values())]


@dataclass(frozen=True)
class Point:
    """One setting under one seed: trains or generates, is evaluated, and is archived under its content."""

    setting: Setting
    seed: int
    items: tuple[tuple[str, Value], ...]
    """Every key that the point sets, with its value: base, grid and tied."""

    @property
    def values(self) -> dict[str, Value]:
        """Every key that the point sets: base, grid and tied."""
        return dict(self.items)

    def with_value(self, key: str, value: Value) -> Point:
        """Return the same point with one key set to another value."""
        return replace(self, items=tuple({**self.values, key: value}.items()))

    @property
    def label(self) -> str:
        """The varied values, for people."""
        return label_of(self.setting)

    def room(self, prefix: str) -> dict[str, Value]:
        """Return the values of the keys ``prefix.<name>``, by name."""
        start = prefix + "."
        return {key[len(start) :]: value for key, value in self.values.items() if key.startswith(start)}


def label_of(setting: Setting) -> str:
    """Return ``key=value`` for each varied key, without its room."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in setting)


def points_of(sweep: Sweep) -> Iterator[Point]:
    """Yield every point: settings in order, the seeds of each."""
    for setting in sweep.settings():
        varied = dict(setting)
        tied = {key: varied[source] for key, source in sweep.tied.items()}
        for seed in sweep.seeds:
            yield Point(setting, seed, tuple({**sweep.base, **varied, **tied}.items()))


def built_in_sweeps() -> dict[str, Path]:
    """Return the shipped sweeps by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "sweeps").glob("*.toml"))}


def find_sweep(name_or_path: str) -> Sweep:
    """Return the sweep with this name, or the one in this TOML file.

    Raises
    ------
    ClapstickError
        If there is none, or a key is unknown or a value impossible; names it.
    """
    known = built_in_sweeps()
    path = known.get(name_or_path, Path(name_or_path))
    if path.suffix != ".toml" or not path.is_file():
        near = difflib.get_close_matches(name_or_path, known, n=1)
        raise fail(
            "no such sweep",
            name_or_path,
            expected=f"one of {', '.join(known)}, or a TOML file",
            remedy=f"Did you mean {near[0]}?" if near else "Name one of these.",
        )
    try:
        return Sweep.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise fail("sweep cannot be read", path, found=error, remedy="Mend the TOML file.") from error
    except ValidationError as error:
        raise explain_invalid(error, Sweep, path, "sweep") from error
