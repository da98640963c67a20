"""A system's log: everything it prints, bounded, with the end kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

_HEAD_BYTES = 4 * 1024 * 1024
_TAIL_BYTES = 256 * 1024


class LogWriter:
    """Copies a stream of bytes to a file in a thread: its first 4 MiB and its last 256 KiB."""

    def __init__(self, chunks: Iterable[bytes], path: Path) -> None:
        self._thread = threading.Thread(target=_copy, args=(chunks, path), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until the stream has ended."""
        self._thread.join(timeout=10)


def _copy(chunks: Iterable[bytes], path: Path) -> None:
    written = 0
    tail: deque[bytes] = deque()
    tail_bytes = 0
    dropped = 0
    with path.open("ab", buffering=0) as handle:
        for chunk in chunks:
            if written < _HEAD_BYTES:
                handle.write(chunk)
                written += len(chunk)
                continue
            tail.append(chunk)
            tail_bytes += len(chunk)
            while tail_bytes > _TAIL_BYTES and len(tail) > 1:
                gone = len(tail.popleft())
                tail_bytes -= gone
                dropped += gone
        if dropped:
            handle.write(b"\n[... %d bytes left out ...]\n" % dropped)
        for chunk in tail:
            handle.write(chunk)


def last_lines(path: Path, count: int = 5) -> str:
    """Return the last lines of a log in one line; empty where there is no log."""
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - 8192))
        text = handle.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:])
