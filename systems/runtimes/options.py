"""What a system outside this process may use on this machine: one TOML file of the user, one table a system."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail

OPTIONS_VARIABLE = "CLAPSTICK_SYSTEMS_FILE"


class RuntimeOptions(BaseModel):
    """Where a system's parts lie here, and the limits it runs under.

    The file is ``systems.toml`` in the user's configuration folder, or the one that the environment variable
    ``CLAPSTICK_SYSTEMS_FILE`` names::

        [diff-foley]
        python = "~/envs/diff-foley/bin/python"
        repository = "~/src/Diff-Foley"
        weights = "~/weights/diff-foley"
        gpus = ["0"]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str | None = None
    """``docker``, ``apptainer``, ``env`` or ``files``; None for the card's own."""
    python: Path | None = None
    """``env``: the Python of the environment that holds what the official code imports."""
    folder: Path | None = None
    """``files``: folder with one audio or video file a clip."""
    repository: Path | None = None
    """Checkout of the official repository; None for the one that ``clapstick systems build`` makes."""
    weights: Path | None = None
    """Folder with the checkpoints that the card lists."""
    image: str | None = None
    """``docker``: image name; None for ``clapstick-<system>``. ``apptainer``: path of the .sif file."""
    docker_host: str | None = None
    """Socket of the engine (Docker, or podman's compatible one); None for the environment's."""
    gpus: tuple[str, ...] = ()
    """Indices or UUIDs of the GPUs that the system may use; none: CPU."""
    memory_bytes: int = Field(default=32 * 1024**3, gt=0)
    processes: int = Field(default=512, gt=0)
    cpus: float | None = Field(default=None, gt=0)
    shared_memory_bytes: int = Field(default=1024**3, gt=0)
    output_bytes: int = Field(default=4 * 1024**3, gt=0)
    """Bytes that the output folder may hold at one time."""
    start_timeout_s: float = Field(default=1800.0, gt=0)
    """Seconds until models must be loaded."""
    clip_timeout_s: float = Field(default=1800.0, gt=0)
    """Seconds that one pass may take."""


def options_path() -> Path:
    """Return the path of the user's file, whether or not it is there."""
    named = os.environ.get(OPTIONS_VARIABLE)
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_config_path("clapstick") / "systems.toml"


def read_options(name: str, path: Path | None = None) -> RuntimeOptions:
    """Return the options of one system; the defaults where the user has set none.

    Raises
    ------
    ClapstickError
        If the file cannot be read, or a key or value in the system's table is wrong; names it.
    """
    path = path or options_path()
    if not path.is_file():
        return RuntimeOptions()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise fail("systems file cannot be read", path, found=error, remedy="Mend the TOML file.") from error
    try:
        options = RuntimeOptions.model_validate(tables.get(name, {}))
    except ValidationError as error:
        raise explain_invalid(error, RuntimeOptions, f"{path}, [{name}]", "options") from error
    places = {
        key: value.expanduser()
        for key in ("python", "folder", "repository", "weights")
        if (value := getattr(options, key)) is not None
    }
    return options.model_copy(update=places)
