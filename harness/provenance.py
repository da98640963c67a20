"""Where a number comes from: library versions, machine, revision, seeds."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

_LIBRARIES = (
    "clapstick",
    "numpy",
    "scipy",
    "librosa",
    "soxr",
    "soundfile",
    "av",
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
    "diffusers",
    "pandas",
    "scikit-learn",
)


_CONTENT_SUFFIXES = {".py", ".toml", ".json", ".safetensors"}


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of every library that can change a number."""
    return versions_of(_LIBRARIES)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Return what is known of the machine without naming it."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }


def git_revision() -> str | None:
    """Return the revision of the checkout that the package runs from; None outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@cache
def folder_key(folder: Path) -> str:
    """Return what identifies a system's files: content of code and weights, size and time of the rest.

    Computed once a process: a folder that changes during a run is seen by the next.
    """
    parts = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or {"__pycache__", ".git"} & set(path.relative_to(folder).parts):
            continue
        status = path.stat()
        exact = path.suffix in _CONTENT_SUFFIXES
        content = file_sha256(path) if exact else f"{status.st_size} {status.st_mtime_ns}"
        parts.append(f"{path.relative_to(folder)} {content}")
    return text_sha256(*parts)


def text_sha256(*parts: str) -> str:
    """Return one SHA-256 of several texts; no two different lists of texts collide."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def seed_for(seed: int, *labels: str) -> int:
    """Return the seed of one piece of work: it depends on run seed and labels, not on order or workers."""
    return int(text_sha256(str(seed), *labels)[:15], 16)


def generator_for(seed: int, *labels: str) -> np.random.Generator:
    """Return the random generator of one piece of work."""
    return np.random.default_rng(seed_for(seed, *labels))
