"""A manifest that survives dead videos: what a data folder held, what is left of it, and what went when.

`checksums.csv` lists every video and sound file with its size and SHA-256. What is missing or changed against
it is attrition: it is logged in `attrition.csv`, line by line as it is noticed, and scores belong to the
named surviving subset.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal

from clapstick.protocols.archive import write_text
from clapstick.protocols.media import SOUND_SUFFIXES, VIDEO_SUFFIXES
from clapstick.protocols.problems import Problem, fail
from clapstick.protocols.readers.base import require_folder

CHECKSUMS = "checksums.csv"
ATTRITION = "attrition.csv"
_COLUMNS = ("name", "bytes", "sha256")
_ATTRITION_COLUMNS = ("noticed", "name", "state", "sha256")

State = Literal["missing", "changed"]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class FileRecord:
    """One file of a data folder: its path in the folder, with ``/``, its size and its SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Attrition:
    """A data folder against its manifest."""

    listed: int
    present: tuple[FileRecord, ...]
    """Files that are as the manifest says."""
    missing: tuple[FileRecord, ...]
    changed: tuple[FileRecord, ...]
    """What the manifest says of files that now have other content."""
    unlisted: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every listed file is there, unchanged."""
        return not self.missing and not self.changed


def media_files(folder: Path) -> list[Path]:
    """Return the video and sound files of a folder and its sub-folders in order of path, no hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES | SOUND_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def write_checksums(folder: Path, advance: Advance = lambda steps: None) -> tuple[FileRecord, ...]:
    """List every media file of a folder in its `checksums.csv` and return what was written.

    Raises
    ------
    ClapstickError
        If the folder is missing or holds no media.
    """
    paths = _require_media(folder)
    records = []
    for path in paths:
        records.append(_record(folder, path))
        advance(1)
    _write_csv(folder / CHECKSUMS, _COLUMNS, [vars(record) for record in records])
    return tuple(records)


def read_checksums(folder: Path) -> tuple[FileRecord, ...] | None:
    """Return the manifest of a folder, None where there is none.

    Raises
    ------
    ClapstickError
        If it does not parse, or lists a name that leaves the folder.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return None
    records = []
    for number, row in enumerate(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))), 2):
        try:
            record = FileRecord(row["name"], int(row["bytes"]), row["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise fail(
                "manifest line does not parse",
                f"{path}:{number}",
                found=",".join(str(value) for value in row.values()),
                expected=",".join(_COLUMNS),
                remedy="Restore the file, or write it again with `clapstick data checksums`.",
            ) from error
        if not _is_inside(record.name):
            raise fail(
                "manifest name leaves the folder",
                f"{path}:{number}",
                found=repr(record.name),
                expected="a path inside the folder",
                remedy="Remove the line.",
            )
        records.append(record)
    return tuple(records)


def compare(folder: Path, advance: Advance = lambda steps: None, *, hashes: bool = True) -> Attrition:
    """Hold a folder against its manifest.

    Parameters
    ----------
    folder : Path
        Data folder with a `checksums.csv`.
    advance : callable
        Told of each file that is done.
    hashes : bool
        Whether contents are hashed; sizes are always compared.

    Raises
    ------
    ClapstickError
        If there is no manifest.
    """
    records = read_checksums(folder)
    if records is None:
        raise fail(
            "folder has no manifest",
            folder / CHECKSUMS,
            remedy="Write one with `clapstick data checksums` while the data is whole.",
        )
    present: list[FileRecord] = []
    missing: list[FileRecord] = []
    changed: list[FileRecord] = []
    for record in records:
        path = folder / record.name
        if not path.is_file():
            missing.append(record)
        elif path.stat().st_size != record.bytes or (hashes and _record(folder, path) != record):
            changed.append(record)
        else:
            present.append(record)
        advance(1)
    names = {record.name for record in records}
    unlisted = [path.relative_to(folder).as_posix() for path in media_files(folder)]
    return Attrition(
        len(records),
        tuple(present),
        tuple(missing),
        tuple(changed),
        tuple(name for name in unlisted if name not in names),
    )


def log_attrition(folder: Path, attrition: Attrition, noticed: str) -> int:
    """Add what is newly missing or changed to the folder's `attrition.csv`; return how many lines were added.

    `noticed` is the day to write, in ISO form.
    """
    path = folder / ATTRITION
    known = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))) if path.is_file() else []
    seen = {(row["name"], row["state"]) for row in known}
    states: Iterable[tuple[State, tuple[FileRecord, ...]]] = (
        ("missing", attrition.missing),
        ("changed", attrition.changed),
    )
    new = [
        {"noticed": noticed, "name": record.name, "state": state, "sha256": record.sha256}
        for state, records in states
        for record in records
        if (record.name, state) not in seen
    ]
    if new:
        _write_csv(path, _ATTRITION_COLUMNS, [*known, *new])
    return len(new)


def subset_name(dataset: str, present: Iterable[FileRecord], listed: int) -> str:
    """Name a surviving subset by its size and content: ``walking-the-maps-871-of-893-3fa94c1d``."""
    records = sorted(present, key=lambda record: record.name)
    digest = sha256("".join(f"{record.name}\0{record.sha256}\n" for record in records).encode()).hexdigest()
    return f"{dataset}-{len(records)}-of-{listed}-{digest[:8]}"


def survivors(folder: Path, dataset: str) -> tuple[str, tuple[Problem, ...]]:
    """Return the name of the folder's surviving subset and a problem for each file that is gone.

    Sizes are compared and contents are not: hashing a large folder belongs to `clapstick data verify`.
    Without a manifest the name is empty.
    """
    if read_checksums(folder) is None:
        return "", ()
    found = compare(folder, hashes=False)
    gone = [(record, "is missing") for record in found.missing]
    gone += [(record, "has another size") for record in found.changed]
    problems = tuple(
        Problem(
            what=f"file of the manifest {how}",
            where=str(folder / record.name),
            expected=f"{record.bytes} bytes, SHA-256 {record.sha256[:12]}",
            remedy="Fetch it again; scores belong to the surviving subset until then.",
        )
        for record, how in gone
    )
    return subset_name(dataset, found.present, found.listed), problems


def _record(folder: Path, path: Path) -> FileRecord:
    with path.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return FileRecord(path.relative_to(folder).as_posix(), path.stat().st_size, digest)


def _require_media(folder: Path) -> list[Path]:
    require_folder(folder)
    paths = media_files(folder)
    if not paths:
        raise fail("no media", folder, expected="video or sound files", remedy="Check the path.")
    return paths


def _is_inside(name: str) -> bool:
    parts = Path(name).parts
    return bool(parts) and not Path(name).is_absolute() and ".." not in parts


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
