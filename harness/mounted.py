"""What a system outside this process reads besides its own folder, as digests: checkpoints, generated files.

A file's digest is kept in the cache folder with its size and time, so that only new and changed files are read
at the next start: checkpoints of gigabytes are read once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from clapstick.harness.provenance import file_sha256, text_sha256
from clapstick.protocols.archive import write_text
from clapstick.protocols.cache import cache_dir, writable
from clapstick.systems.card import FoundSystem
from clapstick.systems.runtimes.files import sounds_folder
from clapstick.systems.runtimes.options import RuntimeOptions


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    mtime_ns: int
    sha256: str


class _Digests(BaseModel):
    model_config = ConfigDict(extra="forbid")

    files: dict[str, _Seen] = {}
    """Absolute path -> what was found when it was last read."""


def mounted_sha256(found: FoundSystem, options: RuntimeOptions) -> dict[str, str]:
    """Return a digest of each thing that the system is handed from this machine, by name.

    Parameters
    ----------
    found : FoundSystem
        A system outside this process.
    options : RuntimeOptions
        Where its parts lie here.

    Returns
    -------
    dict of str to str
        For generated files ``sounds``; else one entry a checkpoint of the card, or ``weights`` where the card
        lists none and a folder is named. The digest of a folder covers names and content of its files. What
        is not there has no entry.
    """
    if (options.runtime or found.card.runtime) == "files":
        named = {"sounds": sounds_folder(found, options)}
    elif options.weights is None:
        return {}
    elif found.card.checkpoints:
        named = {one.path: options.weights / one.path for one in found.card.checkpoints}
    else:
        named = {"weights": options.weights}
    return {name: tree_sha256(path) for name, path in named.items() if path.exists()}


def tree_sha256(path: Path) -> str:
    """Return a digest of a file's content, or of the names and contents of a folder's files."""
    kept_in = cache_dir() / "digests" / f"{text_sha256(str(path.resolve()))[:24]}.json"
    before = _read(kept_in)
    now = _Digests(files={str(file): _look(file, before.files.get(str(file))) for file in _files(path)})
    if now != before:
        with writable(kept_in.parent):
            write_text(kept_in, now.model_dump_json())
    if path.is_file():
        return now.files[str(path)].sha256
    return text_sha256(*(f"{Path(file).relative_to(path)} {one.sha256}" for file, one in now.files.items()))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, inner, names in os.walk(path):
        inner.sort()
        yield from (file for name in sorted(names) if (file := Path(folder) / name).is_file())


def _look(file: Path, before: _Seen | None) -> _Seen:
    state = file.stat()
    if before is not None and (before.size_bytes, before.mtime_ns) == (state.st_size, state.st_mtime_ns):
        return before
    return _Seen(size_bytes=state.st_size, mtime_ns=state.st_mtime_ns, sha256=file_sha256(file))


def _read(kept_in: Path) -> _Digests:
    try:
        return _Digests.model_validate_json(kept_in.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return _Digests()  # never written, or by another version: everything is read again
