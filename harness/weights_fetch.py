"""Fetching a checkpoint file: resumed where it was broken off, checked, then renamed into place."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict

from clapstick.harness.weights import (
    FileRecord,
    WeightFile,
    find_weights,
    local_path,
    measure,
    read_record,
    require_as_stated,
    weight_file,
    write_record,
)
from clapstick.protocols.archive import write_text
from clapstick.protocols.cache import writable
from clapstick.protocols.problems import ClapstickError, fail

Progress = Callable[[int, int | None], None]
"""Called with the bytes here and the bytes in all, where the server says how many."""
_BLOCK = 1 << 18


class _Part(BaseModel):
    """What a partial download is a part of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    validator: str | None
    """Strong ETag or date; without one a download cannot be resumed safely."""


def fetch_weights(
    name: str, *, url: str | None = None, attempts: int = 3, progress: Progress = lambda done, total: None
) -> FileRecord:
    """Fetch a checkpoint file unless it is here already.

    Parameters
    ----------
    name
        As `known_weights` has it.
    url
        A mirror to fetch from instead of the stated source; the hash is checked all the same.
    attempts
        How often a connection that breaks off is taken up again.
    progress
        Told of the bytes as they come.

    Raises
    ------
    ClapstickError
        If nobody publishes the file, the server refuses, the connection breaks off for good (what came is
        kept), the disk is full, or the file is not what its source states (it is removed).
    """
    from filelock import FileLock

    known = weight_file(name)
    path = local_path(known)
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if path.is_file():
                find_weights(name)
                record = read_record(path)
                assert record is not None
                return record
            if not (url or known.url):
                raise fail("nobody publishes these weights", name, remedy=f"`{known.made_by}` makes them.")
            return _fetch(known, path, url or known.url, attempts, progress)


def _fetch(known: WeightFile, path: Path, url: str, attempts: int, progress: Progress) -> FileRecord:
    part = path.with_name(f"{path.name}.part")
    for left in reversed(range(attempts)):
        try:
            _download(known, url, part, progress)
            break
        except httpx.TransportError as error:
            if left == 0:
                raise _broken_off(known, url, part, error) from error
    record = measure(part, url)
    try:
        require_as_stated(known, part, record)
    except ClapstickError:
        _forget(part)
        raise
    part.replace(path)
    _forget(part)
    record = record.model_copy(update={"mtime_ns": path.stat().st_mtime_ns})
    write_record(path, record)
    return record


def _download(known: WeightFile, url: str, part: Path, progress: Progress) -> None:
    """Take up or start the download of `url` into `part`; return when all of it is there."""
    earlier = _read_part(part)
    here = part.stat().st_size if part.is_file() else 0
    resumable = here > 0 and earlier is not None and earlier.url == url and earlier.validator is not None
    headers = {"Accept-Encoding": "identity"}
    if resumable and earlier is not None and earlier.validator is not None:
        headers |= {"Range": f"bytes={here}-", "If-Range": earlier.validator}
    with (
        httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30.0)) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        start, total = _extent(known, url, response, here)
        _require_room(part, start, total)
        validator = _validator(response)
        write_text(_part_record(part), _Part(url=url, validator=validator).model_dump_json())
        with part.open("r+b" if start else "wb") as handle:
            handle.truncate(start)
            handle.seek(start)
            progress(start, total)
            for block in response.iter_bytes(_BLOCK):
                handle.write(block)
                progress(handle.tell(), total)
            done = handle.tell()
    if total is not None and done != total:
        raise httpx.RemoteProtocolError(f"{done} of {total} bytes came")


def _extent(known: WeightFile, url: str, response: httpx.Response, here: int) -> tuple[int, int | None]:
    """Return where the answer's bytes start and how long the whole file is."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != here:
            raise fail(
                "the server answered with another range than asked for",
                url,
                found=response.headers.get("Content-Range", "none"),
                expected=f"bytes {here}-",
                remedy="Name a mirror with --url.",
            )
        return here, int(match[2])
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        match = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        if match is not None and int(match[1]) == here:
            return here, here
    if response.status_code != httpx.codes.OK:
        raise fail(
            f"the server does not give the weights of {known.title}",
            url,
            found=f"HTTP status {response.status_code}",
            expected="200",
            remedy=f"Put the file at {local_path(known)} by other means, or name a mirror with --url.",
        )
    length = response.headers.get("Content-Length")
    return 0, int(length) if length is not None else None


def _validator(response: httpx.Response) -> str | None:
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return str(etag)
    modified = response.headers.get("Last-Modified")
    return None if modified is None else str(modified)


def _require_room(part: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise fail(
            "the disk has no room for the weights",
            part.parent,
            found=f"{free} bytes free",
            expected=f"{total - start} bytes",
            remedy="Free some room, or set CLAPSTICK_WEIGHTS to another folder.",
        )


def _broken_off(known: WeightFile, url: str, part: Path, error: httpx.TransportError) -> ClapstickError:
    here = part.stat().st_size if part.is_file() else 0
    return fail(
        "the download broke off",
        url,
        found=str(error) or type(error).__name__,
        expected="an open connection until the end",
        remedy=f"{here} bytes are kept; `clapstick weights fetch {known.name}` goes on from there.",
    )


def _part_record(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_part(part: Path) -> _Part | None:
    try:
        return _Part.model_validate_json(_part_record(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _part_record(part).unlink(missing_ok=True)
