"""A protocol: how a comparison is set up. One flat TOML, every value explicit, no includes."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.plugins import plugin_files
from clapstick.protocols.problems import fail, unknown_name

ENTRY_POINT_GROUP = "clapstick.protocols"

Resampler = Literal["soxr_hq", "soxr_vhq", "scipy_polyphase", "torchaudio_kaiser_best", "torchaudio_hann"]
Gain = Literal["none", "peak", "rms", "lufs"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetRules(_Table):
    """Which clips of which data set."""

    reader: str
    """Name of the reader: ``greatest-hits``, ``folder``, ``walking-the-maps``, ``vggsound``, ``manifest``."""
    split: str
    """Named list of the data set (``test``, ``video-foley-test``), or ``all``."""
    clip_start_s: float = Field(ge=0)
    """Seconds of each recording that are passed over before the first clip."""
    clip_duration_s: float = Field(ge=0)
    """Length of a clip; 0 takes each recording whole."""
    clip_hop_s: float = Field(ge=0)
    """Seconds from the start of one clip to the next; 0 takes one clip a recording."""
    annotated_only: bool = False
    """Whether windows without any annotated onset are left out."""
    clip_count: int = Field(default=0, ge=0)
    """How many clips are taken: those with the smallest SHA-256 of their id; 0 takes all."""


class AudioRules(_Table):
    """What standardised audio is."""

    sample_rate: int = Field(ge=1000, le=192_000)
    channels: Literal[1, 2]
    resampler: Resampler
    too_long: Literal["cut-end", "cut-centre"]
    """Which end of too long native audio goes."""
    too_short: Literal["pad-end", "loop"]
    """What fills the rest of too short native audio: silence, or the sound again."""
    gain: Gain
    gain_target_db: float
    """Level for the gain policy: dBFS for peak and rms, LUFS for lufs; unused for none."""


class PromptRules(_Table):
    """What systems are told besides the picture."""

    text: str
    """Named text template, or ``none``."""
    audio: str
    """Named audio policy, or ``none``."""


class StatisticsRules(_Table):
    """How uncertainty is computed."""

    level: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100)
    seed: int = Field(ge=0)


class Source(_Table):
    """Where a value comes from."""

    key: str
    says: str
    where: str


class Protocol(_Table):
    """One comparison: clips, lengths, rates, prompts, metrics, systems."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    summary: str
    paper: str
    """Citation; empty where the protocol is ours."""
    table: str
    """Table of the paper it stands for; empty where there is none."""
    version: int = Field(ge=1)
    dataset: DatasetRules
    audio: AudioRules
    prompt: PromptRules
    metrics: tuple[str, ...]
    """``metric`` or ``metric:convention``."""
    systems: tuple[str, ...]
    """Rows that are run when the user names none."""
    statistics: StatisticsRules
    sources: tuple[Source, ...] = ()
    open_questions: tuple[str, ...] = ()
    """What the paper leaves open, and what is done about it."""


def read_protocol(path: Path) -> Protocol:
    """Read a protocol file.

    Raises
    ------
    ClapstickError
        If it is not TOML, or a key is unknown (names the nearest valid one), missing or of the wrong form.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise fail("protocol cannot be read", path, found=error, remedy="Mend the TOML file.") from error
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise explain_invalid(error, Protocol, path, "protocol") from error


@cache
def built_in_protocols() -> dict[str, Path]:
    """Return the protocol files of this package and of installed packages by name.

    An entry point of group ``clapstick.protocols`` names a function that returns the folder with the files.

    Raises
    ------
    ClapstickError
        If an outside package's entry point does not load; names the package.
    """
    own = sorted((Path(__file__).parent / "published").glob("*.toml"))
    return {path.stem: path for path in [*own, *plugin_files(ENTRY_POINT_GROUP, "protocol")]}


def find_protocol(name_or_path: str) -> Protocol:
    """Return the protocol with this name, or the one in this TOML file.

    Raises
    ------
    ClapstickError
        If there is none; names the nearest known name.
    """
    known = built_in_protocols()
    if name_or_path in known:
        return read_protocol(known[name_or_path])
    path = Path(name_or_path)
    if path.suffix == ".toml" and path.is_file():
        return read_protocol(path)
    raise unknown_name(
        "no such protocol",
        name_or_path,
        known,
        also="or a TOML file",
        otherwise="List them with `clapstick protocols`.",
    )
