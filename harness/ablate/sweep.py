"""A sweep: which settings are varied, what is measured, what the papers report. One flat TOML."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail, unknown_name
from clapstick.systems.card import FoundSystem
from clapstick.systems.registry import find_system

Value = str | int | float | bool
Setting = tuple[tuple[str, Value], ...]
"""The varied keys of a point with their values, in the order of the grid."""


class PaperRow(BaseModel):
    """A row of a published table that stands beside one setting, with the numbers of `published_results`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    """As `protocol` in `clapstick.protocols.results`, such as ``video-foley-table1``."""
    row: str
    """What the paper calls it."""
    setting: dict[str, Value] = {}
    """The varied keys with their values; empty for a control that does not vary."""
    system: str
    """Which of our rows it stands beside."""


class Variant(BaseModel):
    """A system under another name, with parameters of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    parameters: dict[str, Value]


class FigureOrder(BaseModel):
    """A figure that the page shows: one score of some systems over the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    score: str
    systems: tuple[str, ...] = Field(min_length=1)


class Sweep(BaseModel):
    """A grid over settings, with seeds.

    Keys of `base`, `grid` and `tied` are dotted: ``video2rms.<field>`` of the stage-1 configuration,
    ``train.<option>`` of its training, ``<system>.<parameter>`` of a system's card, ``prompt.text`` and
    ``prompt.audio`` of the protocol. A key of `grid` may also name a bundle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    question: str
    paper: str
    """Citation with figure or table."""
    paper_says: str
    """What the paper found, or that it varies nothing, in our words."""
    protocol: str
    system: str
    """The system that is varied."""
    controls: tuple[str, ...] = ()
    """Rows beside it: in every point where a key of the sweep reaches them, else once a seed."""
    variants: dict[str, Variant] = {}
    """Name among controls -> what it is."""
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
    bundles: dict[str, dict[str, dict[str, Value]]] = {}
    """Key of the grid -> value -> the keys that it sets together."""
    axes: dict[str, str] = {}
    """Key of the grid -> what people call it."""
    words: dict[str, dict[str, str]] = {}
    """Key of the grid -> value -> what people call it."""
    figures: tuple[FigureOrder, ...] = ()
    """Empty: one figure a score, of all systems."""
    published: tuple[PaperRow, ...] = ()
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
        for key, values in self.grid.items():
            if len(set(map(repr, values))) != len(values):
                raise ValueError(f"a value comes twice in the grid: {values}")
            lacking = [value for value in values if str(value) not in self.bundles.get(key, map(str, values))]
            if lacking:
                raise ValueError(f"bundle {key!r} has no {lacking[0]!r}")
        for key in self.bundles:
            if key not in self.grid:
                raise ValueError(f"bundle {key!r} is not in the grid")
        for order in self.figures:
            if order.score not in self.metrics or not set(order.systems) <= {self.system, *self.controls}:
                raise ValueError(f"figure {order.title!r} shows a score or system that the sweep has not")
        return self

    def find(self, name: str) -> FoundSystem:
        """Return a system of this sweep; raise `ClapstickError` where there is none of that name."""
        if name not in self.variants:
            return find_system(name)
        variant = self.variants[name]
        found = find_system(variant.system)
        changes = {"name": name, "parameters": found.card.parameters | variant.parameters}
        return replace(found, card=found.card.model_copy(update=changes))

    def settings(self) -> list[Setting]:
        """Return the combinations of the grid, the last key running fastest."""
        keys = list(self.grid)
        return [tuple(zip(keys, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def axis(self, key: str) -> str:
        """Return what people call a key of the grid."""
        return self.axes.get(key, key.rpartition(".")[2])

    def word(self, key: str, value: Value) -> str:
        """Return what people call a value of a key."""
        return self.words.get(key, {}).get(str(value), str(value))

    def label(self, setting: Setting) -> str:
        """Return a setting for people: ``RMS bins 64, form paper``."""
        return ", ".join(f"{self.axis(key)} {self.word(key, value)}" for key, value in setting) or EVERY_SETTING

    @property
    def varied_keys(self) -> frozenset[str]:
        """Every key whose value is not the same in all settings."""
        plain = {key for key in self.grid if key not in self.bundles}
        bundled = {key for choices in self.bundles.values() for keys in choices.values() for key in keys}
        return frozenset(plain | bundled | set(self.tied))

    @property
    def constant_controls(self) -> tuple[str, ...]:
        """The controls that no varied key reaches: they are run once a seed, not once a point."""
        rooms = {key.partition(".")[0] for key in self.varied_keys}
        return () if "prompt" in rooms else tuple(name for name in self.controls if name not in rooms)

    @property
    def varied_systems(self) -> tuple[str, ...]:
        """The system and the controls that are run in every point."""
        return (self.system, *(name for name in self.controls if name not in self.constant_controls))

    def narrowed(self, grid: Mapping[str, Sequence[str]]) -> Sweep:
        """Return the same sweep over fewer values of some keys, which are given as they are printed.

        Raises
        ------
        ClapstickError
            If a key or a value is not in the grid.
        """
        kept = dict(self.grid)
        for key, wanted in grid.items():
            names = {
                name: value for value in self.grid.get(key, ()) for name in (str(value), self.word(key, value))
            }
            unknown = [name for name in wanted if name not in names]
            if key not in self.grid or unknown:
                raise fail(
                    "value is not in the grid",
                    self.name,
                    found=f"{key}={unknown[0] if key in self.grid else ','.join(wanted)}",
                    expected="; ".join(f"{k}={','.join(map(str, v))}" for k, v in self.grid.items()),
                    remedy="Correct --grid, or write a sweep of your own.",
                )
            chosen = {repr(names[name]) for name in wanted}
            kept[key] = tuple(value for value in self.grid[key] if repr(value) in chosen)
        return self.model_copy(update={"grid": kept})

    def with_base(self, changes: Mapping[str, Value]) -> Sweep:
        """Return the same sweep with other values of keys that it does not vary.

        Raises
        ------
        ClapstickError
            If the sweep varies one of them.
        """
        for key in changes:
            if key in self.varied_keys:
                raise fail(
                    "the sweep varies this key itself",
                    self.name,
                    found=key,
                    expected="a key that is the same in all settings",
                    remedy="Narrow it with --grid.",
                )
        return self.model_copy(update={"base": self.base | dict(changes)})


EVERY_SETTING = "every setting"
"""Label of points that no varied key reaches."""


@dataclass(frozen=True)
class Point:
    """One setting under one seed: trains or generates, is evaluated, and is archived under its content."""

    setting: Setting
    label: str
    """The setting, for people."""
    seed: int
    systems: tuple[str, ...]
    """What is run and scored in it."""
    items: tuple[tuple[str, Value], ...]
    """Every key that the point sets, with its value: base, grid, bundles and tied."""

    @property
    def values(self) -> dict[str, Value]:
        """Every key that the point sets: base, grid, bundles and tied."""
        return dict(self.items)

    def with_value(self, key: str, value: Value) -> Point:
        """Return the same point with one key set to another value."""
        return replace(self, items=tuple({**self.values, key: value}.items()))

    def room(self, prefix: str) -> dict[str, Value]:
        """Return the values of the keys ``prefix.<name>``, by name."""
        start = prefix + "."
        return {key[len(start) :]: value for key, value in self.values.items() if key.startswith(start)}


def points_of(sweep: Sweep) -> Iterator[Point]:
    """Yield every point: settings in order, the seeds of each; last what no varied key reaches."""
    for setting in sweep.settings():
        varied = dict(setting)
        values = {key: value for key, value in varied.items() if key not in sweep.bundles}
        for key in sweep.bundles:
            values |= sweep.bundles[key][str(varied[key])]
        values |= {key: varied[source] for key, source in sweep.tied.items()}
        items = tuple({**sweep.base, **values}.items())
        for seed in sweep.seeds:
            yield Point(setting, sweep.label(setting), seed, sweep.varied_systems, items)
    if constant := sweep.constant_controls:
        reached = ("prompt", *constant)
        items = tuple((key, value) for key, value in sweep.base.items() if key.partition(".")[0] in reached)
        for seed in sweep.seeds:
            yield Point((), EVERY_SETTING, seed, constant, items)


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
        raise unknown_name(
            "no such sweep", name_or_path, known, also="or a TOML file", otherwise="Name one of these."
        )
    try:
        return Sweep.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise fail("sweep cannot be read", path, found=error, remedy="Mend the TOML file.") from error
    except ValidationError as error:
        raise explain_invalid(error, Sweep, path, "sweep") from error
