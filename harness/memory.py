"""How much memory is free."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int:
    """Return the memory that new processes can take: the kernel's estimate, within the container's limit."""
    free = _from_meminfo() or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    used = Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        return min(free, max(0, int(text) - int(used.read_text())))
    return free


def _from_meminfo() -> int | None:
    path = Path("/proc/meminfo")
    if not path.is_file():
        return None
    for line in path.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
