"""Cards: what a system or a metric adapter is, what it reads and writes, who may use it. One TOML each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clapstick.protocols.clips import PromptKind
from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail
from clapstick.systems.lengths import LengthRule

Role = Literal["system", "control", "ablation"]
Runtime = Literal["python", "docker", "apptainer", "env", "files"]
ParameterValue = str | int | float | bool


class Published(BaseModel):
    """A number that a paper prints for the system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    value: float
    source: str


class TrainedOn(BaseModel):
    """A training list that the system's authors published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    split_of: str
    """Name of the split family in the data set's list (``syncfusion``, ``condfoleygen``, ``video-foley``)."""
    splits: tuple[str, ...]
    note: str = ""


class Checkpoint(BaseModel):
    """A file that a system outside this process reads from its weights folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the weights folder."""
    source: str
    """Where its authors publish it."""
    md5: str | None = None
    """Digest that the authors state."""
    licence: str = "not stated"
    note: str = ""


class ProgramCard(BaseModel):
    """What is known of anything that runs on official code: a system, or a metric adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str
    """As papers print it."""
    summary: str
    runtime: Runtime = "docker"
    runner: str = "runner.py"
    """Program in the card's folder that it is started with outside this process."""
    repository: str = ""
    commit: str = ""
    submodules: dict[str, str] = {}
    """Folder in the official code -> ``address@commit`` of what belongs there."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Files that the runner reads from the weights folder."""
    weights: tuple[str, ...] = ()
    """Names of checkpoints that ``clapstick weights`` keeps."""
    parameters: dict[str, ParameterValue] = {}
    """Named options with their values; part of the run record."""
    paper: str = ""
    licence_code: str = ""
    licence_weights: str = ""
    pitfalls: tuple[str, ...] = ()
    card_note: str = ""
    """For systems without public code: what is known and where sounds would come from."""


class SystemCard(ProgramCard):
    """Everything known of a system without running it."""

    role: Role = "system"
    """``control`` rows bracket a metric, ``ablation`` rows take something away from a system."""
    runtime: Runtime = "python"
    entry: str | None = None
    """``package.module:function`` that builds an in-process system from a `Context`."""
    prompts: tuple[PromptKind, ...] = ("none",)
    """Prompt kinds it can use; the first is its usual one."""
    sees_reference: bool = False
    """Whether it is handed the reference sound; such rows are never competitors."""
    needs_reference: bool = False
    """Whether it cannot run for a clip without reference sound."""
    sample_rate: int | None = None
    """Native rate in Hz; None where it follows the reference or the protocol."""
    channels: int | None = None
    native_length: str = ""
    """What length it emits, in words and exact sample counts."""
    length_protocol: str = ""
    """How other lengths are made from native ones, in words."""
    length: LengthRule | None = None
    """The same as a rule, for systems outside this process; None where any clip is taken whole."""
    staging_fps: float | None = Field(default=None, gt=0)
    """Frame rate of the video copy that a system outside this process is given; None for the clip's own."""
    human_control: str = ""
    """What a person can edit by hand: an RMS curve, onset times."""
    device: Literal["cpu", "cuda"] = "cpu"
    """``cuda`` where it cannot run without a GPU."""
    trained_on: tuple[TrainedOn, ...] = ()
    published: tuple[Published, ...] = ()


Card = TypeVar("Card", bound=ProgramCard, covariant=True)


@dataclass(frozen=True)
class Found(Generic[Card]):
    """A card and the folder it lies in."""

    card: Card
    folder: Path


FoundProgram = Found[ProgramCard]
FoundSystem = Found[SystemCard]


def read_card(path: Path, form: type[Card]) -> Card:
    """Read a card of one form.

    Raises
    ------
    ClapstickError
        If the file is not TOML, a key is unknown (names the nearest valid one) or a value has the wrong form.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise fail("card cannot be read", path, found=error, remedy="Mend the TOML file.") from error
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise explain_invalid(error, form, path, "card") from error


def programs_by_name(paths: Iterable[Path], form: type[Card], kind: str) -> dict[str, Found[Card]]:
    """Read cards of one form; `kind` names what they describe.

    Raises
    ------
    ClapstickError
        If a card is not valid or two have the same name.
    """
    found: dict[str, Found[Card]] = {}
    for path in paths:
        card = read_card(path, form)
        if card.name in found:
            raise fail(
                f"two {kind}s have the same name",
                card.name,
                found=f"{found[card.name].folder} and {path.parent}",
                remedy="Rename one of them.",
            )
        found[card.name] = Found(card, path.parent)
    return found
