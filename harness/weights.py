"""Checkpoint files: which there are, where they lie, whether they are whole. Nothing here fetches any."""

from __future__ import annotations

import hashlib
import os
import tomllib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clapstick.protocols.archive import write_text
from clapstick.protocols.cache import cache_dir
from clapstick.protocols.problems import ClapstickError, fail, unknown_name

if TYPE_CHECKING:
    from clapstick.systems.card import FoundProgram
    from clapstick.systems.runtimes.options import RuntimeOptions

_LIST = Path(__file__).with_name("weights.toml")


class WeightFile(BaseModel):
    """What is known of a checkpoint file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    file: str
    """Path inside the weights folder."""
    url: str = ""
    """Empty where nobody publishes the file."""
    made_by: str = ""
    """Command that makes a file that nobody publishes."""
    licence: str
    size_bytes: int | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    sha256_prefix: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,63}$")
    hash_source: str = ""
    """Who states the hash."""
    layout: str
    """How the tensors lie in the file."""
    needed_by: tuple[str, ...] = ()
    """Embedders and systems."""

    @field_validator("file")
    @classmethod
    def _inside_the_folder(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must lie inside the weights folder")
        return value


class FileRecord(BaseModel):
    """What was found in a file when it was last read whole; lies beside it as ``.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    md5: str
    size_bytes: int
    mtime_ns: int
    """A file of other size or time is read again."""
    source: str
    """URL it was fetched from, or ``put there by hand``."""


def weights_dir() -> Path:
    """Return the weights folder: ``CLAPSTICK_WEIGHTS`` where set, else ``weights`` in the cache folder."""
    chosen = os.environ.get("CLAPSTICK_WEIGHTS")
    return Path(chosen).expanduser() if chosen else cache_dir() / "weights"


@cache
def known_weights() -> dict[str, WeightFile]:
    """Return every known checkpoint file by name."""
    entries = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    return {name: WeightFile(name=name, **entry) for name, entry in entries.items()}


def weight_file(name: str) -> WeightFile:
    """Return what is known of one file; raise `ClapstickError` that suggests names where there is none."""
    known = known_weights()
    if name not in known:
        raise unknown_name("no such weights", name, known, otherwise="`clapstick weights list` shows all.")
    return known[name]


def find_weights(name: str) -> Path:
    """Return the local file of a checkpoint, known to be whole.

    A file that was put into the folder by hand is read once and its hash recorded.

    Raises
    ------
    ClapstickError
        If the name is unknown, the file is not here (with the command that fetches it), or it is not what its
        source states.
    """
    return _checked(name)[0]


def lacks(found: FoundProgram, options: RuntimeOptions) -> list[str]:
    """Return what a system or metric adapter lacks here, checkpoints included; empty where it can run."""
    from clapstick.systems.missing import missing_here

    absent = missing_here(found, options)
    for name in found.card.weights:
        try:
            find_weights(name)
        except ClapstickError:
            absent.append(f"weights {name}")
    return absent


def weights_sha256(name: str) -> str:
    """Return the SHA-256 of a checkpoint's local file; raises as `find_weights`."""
    return _checked(name)[1].sha256


def verify_weights(name: str) -> FileRecord:
    """Read the whole local file again and compare it with its record and with what its source states.

    Raises
    ------
    ClapstickError
        If it is not here or differs.
    """
    known, path = _local(name)
    earlier = read_record(path)
    record = measure(path, earlier.source if earlier else "put there by hand")
    require_as_stated(known, path, record)
    if earlier is not None and earlier.sha256 != record.sha256:
        raise fail(
            "the file has changed since it was recorded",
            path,
            found=f"SHA-256 {record.sha256}",
            expected=earlier.sha256,
            remedy=f"Remove it and `clapstick weights fetch {name}`.",
        )
    write_record(path, record)
    return record


def measure(path: Path, source: str) -> FileRecord:
    """Read a whole file and return its hashes, size and time."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            sha256.update(block)
            md5.update(block)
    status = path.stat()
    return FileRecord(
        sha256=sha256.hexdigest(),
        md5=md5.hexdigest(),
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        source=source,
    )


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256: from its record where that is up to date, else by reading it."""
    status = path.stat()
    record = read_record(path)
    if record is not None and (record.size_bytes, record.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return record.sha256
    return _measured_sha256(path, status.st_size, status.st_mtime_ns)


@cache
def _measured_sha256(path: Path, size_bytes: int, mtime_ns: int) -> str:
    return measure(path, "").sha256


def require_as_stated(known: WeightFile, where: Path, record: FileRecord) -> None:
    """Raise `ClapstickError` where a file is not what its source states."""
    stated = (
        ("size in bytes", known.size_bytes, record.size_bytes),
        ("SHA-256", known.sha256, record.sha256),
        ("MD5", known.md5, record.md5),
        (
            "start of the SHA-256",
            known.sha256_prefix,
            record.sha256[: len(known.sha256_prefix or "")],
        ),
    )
    for what, expected, found in stated:
        if expected is not None and expected != found:
            raise fail(
                f"is not the file that its source states: another {what}",
                where,
                found=found,
                expected=f"{expected} ({known.hash_source})" if known.hash_source else expected,
                remedy=f"Remove it and `clapstick weights fetch {known.name}`.",
            )


def read_record(path: Path) -> FileRecord | None:
    """Return the record beside a file; None where there is none that can be read."""
    try:
        return FileRecord.model_validate_json(_record_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_record(path: Path, record: FileRecord) -> None:
    """Write the record beside a file."""
    write_text(_record_path(path), record.model_dump_json(indent=1) + "\n")


def local_path(known: WeightFile) -> Path:
    """Return where a checkpoint lies or would lie."""
    return weights_dir() / known.file


def _checked(name: str) -> tuple[Path, FileRecord]:
    _, path = _local(name)
    status = path.stat()
    record = read_record(path)
    if record is None or (record.size_bytes, record.mtime_ns) != (status.st_size, status.st_mtime_ns):
        record = verify_weights(name)
    return path, record


def _local(name: str) -> tuple[WeightFile, Path]:
    known = weight_file(name)
    path = local_path(known)
    if not path.is_file():
        how = (
            f"`clapstick weights fetch {name}` ({known.licence})"
            if known.url
            else f"`{known.made_by}` makes it"
        )
        raise fail(
            f"the weights of {known.title} are not here",
            name,
            expected=path,
            remedy=f"{how}, or put the file there.",
        )
    return known, path


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
