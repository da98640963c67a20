"""The runner protocol, version 1: how a program outside this process is asked for sound and answers.

A runner is any program that is started as ``RUNNER JOB OUTPUT``. ``JOB`` is a JSON file of the form `Job`;
paths in it are relative to its folder. For each clip, in the order of the job, the runner writes the native
sound to ``OUTPUT/<clip id>.wav`` (float32) and then appends one line to ``OUTPUT/results.jsonl``: a `Done` or a
`Failed`. Before the first clip it appends one `Ready`. It exits with 0 when every clip has a line.

A metric adapter is such a program too: it is given a sound with each clip, writes no wav, and its line is a
`Measured`.

docs/runner-protocol.md tells it to authors in any language.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clapstick.protocols.clips import PromptKind
from clapstick.protocols.problems import fail

PROTOCOL_VERSION = 1
JOB_NAME = "job.json"
RESULTS_NAME = "results.jsonl"
LONGEST_LINE_BYTES = 8 * 1024 * 1024

Numbers = list[float] | list[list[float]]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class JobPrompt(_Message):
    """What the system is told besides the picture."""

    kind: PromptKind = "none"
    text: str | None = None
    audio: str | None = None
    """wav file, float32, at its own rate."""
    video: str | None = None
    """Silent video that goes with `audio` in an audio-visual prompt."""


class JobClip(_Message):
    """One pass: a stretch of video to make sound for."""

    id: str = Field(pattern=r"^[a-z0-9]+$")
    """Names the output file; says nothing about the clip."""
    video: str
    """Silent mp4, exactly the stretch to make sound for."""
    sound: str | None = None
    """wav file, float32: the sound that a metric adapter judges together with the picture."""
    duration_s: float = Field(gt=0)
    fps: float = Field(gt=0)
    prompt: JobPrompt
    seed: int = Field(ge=0, lt=2**31)
    """All of the clip's randomness is to come from it."""


class Job(_Message):
    """What a runner is asked for."""

    protocol: Literal[1] = 1
    system: str
    sample_rate: int | None
    """Native rate that the card states; None where the system decides."""
    device: str
    """``cpu`` or ``cuda``."""
    parameters: dict[str, str | int | float | bool]
    repository: str | None
    """Folder with the official code, where the card names one."""
    weights: str | None
    """Folder with the checkpoints, where the card names some."""
    clips: tuple[JobClip, ...]


class Ready(_Message):
    """First line: models are loaded, clips follow."""

    kind: Literal["ready"]
    protocol: int
    versions: dict[str, str] = {}
    """Whatever identifies what runs: library versions, commit, checkpoint digests."""


class Done(_Message):
    """A clip's sound is written and closed."""

    kind: Literal["done"]
    clip: str
    samples: int = Field(ge=0)
    sample_rate: int = Field(gt=0)
    seconds: float = Field(ge=0)
    """Wall seconds that the clip took."""
    peak_memory_bytes: int | None = Field(default=None, ge=0)
    """Of the GPU, or of the process where there is none."""
    warnings: tuple[str, ...] = ()
    predictions: dict[str, Numbers] = {}
    """What a person could edit: ``envelope`` (frames,), ``onset_times_s`` (onsets,), ..."""


class Measured(_Message):
    """What a metric adapter makes of a clip's sound and picture."""

    kind: Literal["measured"]
    clip: str
    rows: list[list[float]]
    seconds: float = Field(ge=0)
    """Wall seconds that the clip took."""
    peak_memory_bytes: int | None = Field(default=None, ge=0)


class Failed(_Message):
    """A clip could not be done."""

    kind: Literal["failed"]
    clip: str
    error: str
    traceback: str = ""


ResultLine = Annotated[Ready | Done | Measured | Failed, Field(discriminator="kind")]
_LINE: TypeAdapter[Ready | Done | Measured | Failed] = TypeAdapter(ResultLine)


def parse_line(line: bytes | str) -> Ready | Done | Measured | Failed:
    """Read one line of the results stream.

    Raises
    ------
    ClapstickError
        If it is not JSON or not of the form of `Ready`, `Done`, `Measured` or `Failed`; names the key.
    """
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        shown = line if isinstance(line, str) else line.decode("utf-8", "replace")
        raise fail(
            f"results line is not of protocol version {PROTOCOL_VERSION}: {first['msg']}",
            ".".join(str(part) for part in first["loc"]) or RESULTS_NAME,
            found=shown[:200],
            expected='{"kind": "ready" | "done" | "measured" | "failed", ...}',
            remedy="Compare the runner with docs/runner-protocol.md.",
        ) from error
