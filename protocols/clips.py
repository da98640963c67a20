"""The data model: a clip, its annotations and its prompt."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

PromptKind = Literal["none", "text", "audio", "audio-visual"]


class Onset(BaseModel):
    """One annotated event of a clip."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time_s: float
    """Seconds from the start of the clip."""
    material: str | None = None
    """What was struck; None where the annotator did not say."""
    action: str | None = None
    """hit or scratch; None where the annotator did not say."""
    reaction: str | None = None
    """deform, static, rigid-motion, splash or scatter; None where not said."""


class Prompt(BaseModel):
    """What a system is told besides the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: PromptKind = "none"
    policy: str = "none"
    """The named rule that made the prompt (a template or an audio policy)."""
    text: str | None = None
    path: Path | None = None
    """Audio or audio-visual prompt file."""
    start_s: float = 0.0
    duration_s: float | None = None
    video: Path | None = None
    """Picture of the same stretch, for systems that take audio-visual prompts."""
    video_start_s: float = 0.0


class Clip(BaseModel):
    """A video segment with, where there is one, its reference audio and annotations."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field(min_length=1)
    """Unique within a run; any text. `file_stem` is its name on disk."""
    source: str
    """The recording that the clip was cut from: clips of one source are not independent."""
    video: Path
    start_s: float = Field(default=0.0, ge=0)
    duration_s: float = Field(gt=0)
    reference: Path | None = None
    """File that holds the reference sound (a wav, or the video itself); None where there is none."""
    reference_start_s: float = Field(default=0.0, ge=0)
    reference_missing: str | None = None
    """Why there is no reference."""
    onsets: tuple[Onset, ...] | None = None
    """Annotated events in time order; None where the clip was never annotated, empty where nothing happens."""
    material: str | None = None
    action: str | None = None
    caption: str | None = None
    prompt: Prompt = Prompt()
    seen_by: tuple[str, ...] = ()
    """Systems whose published training list holds this clip or its source."""
    warnings: tuple[str, ...] = ()

    @property
    def file_stem(self) -> str:
        """The clip's name on disk: safe on every file system, different for different ids."""
        return safe_stem(self.id)


def safe_stem(text: str, limit: int = 120) -> str:
    """Turn any text into a file stem without separators, reserved characters or leading dots.

    Names of letters, digits, ``.``, ``_``, ``~`` and ``-`` stay as they are. Whatever has to be encoded or
    shortened ends in eight digits of its SHA-256, so distinct texts give distinct stems.
    """
    encoded = quote(text, safe="").replace("%", "=")
    if encoded.startswith("."):
        encoded = "=2E" + encoded[1:]
    if encoded == text and len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{encoded[:limit]}~{digest}"
