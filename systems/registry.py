"""Finds systems: every TOML card in a folder of this package, of the user, or behind an entry point."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from clapstick.protocols.plugins import plugin_files
from clapstick.protocols.problems import fail, unknown_name
from clapstick.systems.base import Context, System
from clapstick.systems.card import FoundSystem, SystemCard, programs_by_name, read_card

ENTRY_POINT_GROUP = "clapstick.systems"


@cache
def built_in_systems() -> dict[str, FoundSystem]:
    """Return the systems of this package and of installed packages by name.

    An entry point of group ``clapstick.systems`` names a function that returns the folder with the cards.

    Raises
    ------
    ClapstickError
        If a card is not valid, two systems share a name, or an entry point does not load; names the package.
    """
    own = sorted(Path(__file__).parent.glob("*/*.toml"))
    return programs_by_name([*own, *plugin_files(ENTRY_POINT_GROUP, "system")], SystemCard, "system")


def find_system(name_or_path: str) -> FoundSystem:
    """Return the system with this name, or the one whose card lies in this folder or file.

    Raises
    ------
    ClapstickError
        If there is none; names the nearest known name.
    """
    known = built_in_systems()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if path.is_dir() and (path / "system.toml").is_file():
        path = path / "system.toml"
    if path.is_file() and path.suffix == ".toml":
        return FoundSystem(read_card(path, SystemCard), path.parent)
    raise unknown_name(
        "no such system",
        name_or_path,
        sorted(known),
        also="or a folder with system.toml",
        otherwise="List them with `clapstick systems`.",
    )


def build_system(found: FoundSystem, context: Context) -> System:
    """Build an in-process system from its card's entry point; raises as `find_entry`."""
    return find_entry(found)(context)


def find_entry(found: FoundSystem) -> Callable[[Context], System]:
    """Return the function that builds an in-process system.

    The entry is ``package.module:function``, or ``file.py:function`` with a file beside the card.

    Raises
    ------
    ClapstickError
        If the card has no entry point or it does not import.
    """
    entry = found.card.entry or ""
    module_name, _, function_name = entry.partition(":")
    if not (module_name and function_name):
        raise fail(
            "in-process system has no entry point",
            found.card.name,
            found=repr(found.card.entry),
            expected='entry = "package.module:function" or "file.py:function"',
            remedy="Add it to the card.",
        )
    try:
        build: Callable[[Context], System] = getattr(_load(module_name, found.folder), function_name)
    except Exception as error:  # whatever the module does while it is imported
        raise fail(
            "entry point does not import",
            found.card.name,
            found=f"{entry}: {type(error).__name__}: {error}",
            remedy="Correct the entry, or install what the system needs.",
        ) from error
    if not callable(build):
        raise fail(
            "entry point is no function",
            found.card.name,
            found=f"{entry}: {type(build).__name__}",
            expected="a function that takes a Context",
            remedy="Correct the entry.",
        )
    return build


def _load(module_name: str, folder: Path) -> ModuleType:
    """Import a module of a package, or a file that lies directly in the card's folder."""
    if not module_name.endswith(".py"):
        return importlib.import_module(module_name)
    path = folder / Path(module_name).name
    spec = importlib.util.spec_from_file_location(f"clapstick_system_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
