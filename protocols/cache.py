"""Where Clapstick keeps what it made or fetched for the user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clapstick.protocols.problems import fail


def cache_dir() -> Path:
    """Return the cache folder: ``CLAPSTICK_CACHE`` where it is set, else the platform's place for caches."""
    import platformdirs

    chosen = os.environ.get("CLAPSTICK_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("clapstick")


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write into a problem that names the folder and the way out."""
    try:
        yield
    except OSError as error:
        raise fail(
            "cannot be written to",
            folder,
            found=error.strerror or error,
            expected="a folder with room that you may write to",
            remedy="Free some room, or name another folder (--out, or CLAPSTICK_CACHE for the cache).",
        ) from error
