"""The reader interface: a folder on disk becomes clips, and a complete list of what is wrong with it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import Problem, fail, unknown_name
from clapstick.protocols.protocol import DatasetRules


@dataclass(frozen=True)
class Listing:
    """What a reader found: the usable clips in a stable order, and every problem, not only the first."""

    clips: tuple[Clip, ...]
    problems: tuple[Problem, ...] = ()
    subset: str = ""
    """Name of what is left of a data set whose videos vanish: size, full size and content; else empty."""


@dataclass(frozen=True)
class Reader:
    """A data set's folder format."""

    name: str
    title: str
    summary: str
    layout: str
    """The files it expects, in words."""
    source: str
    """Where the data comes from and under which terms."""
    splits: tuple[str, ...]
    read: Callable[[Path, DatasetRules], Listing]


def require_folder(folder: Path) -> None:
    """Raise `ClapstickError` where there is no such data folder."""
    if not folder.is_dir():
        raise fail(
            "data is a file, not a folder" if folder.exists() else "data folder is missing",
            folder,
            remedy="Name the folder that holds the data set; `clapstick data synth` makes one to try.",
        )


@cache
def readers() -> dict[str, Reader]:
    """Return every reader by name: each module of this package that has a READER."""
    found: dict[str, Reader] = {}
    package = importlib.import_module("clapstick.protocols.readers")
    for module_info in pkgutil.iter_modules(package.__path__):
        reader = getattr(importlib.import_module(f"{package.__name__}.{module_info.name}"), "READER", None)
        if isinstance(reader, Reader):
            found[reader.name] = reader
    return found


def find_reader(name: str) -> Reader:
    """Return the reader with this name; raise `ClapstickError` that names the nearest one."""
    known = readers()
    if name in known:
        return known[name]
    raise unknown_name("no such data set reader", name, known, otherwise="List them with `clapstick datasets`.")
