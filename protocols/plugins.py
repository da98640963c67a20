"""Folders that other installed packages add: systems, metric adapters, protocols."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from clapstick.protocols.problems import fail


def plugin_files(group: str, kind: str) -> list[Path]:
    """Return the TOML files in the folders of other packages.

    Parameters
    ----------
    group : str
        Entry-point group, such as ``clapstick.systems``; an entry point names a function that returns a folder.
    kind : str
        What the files describe, for the error.

    Raises
    ------
    ClapstickError
        If an entry point does not load; names its package.
    """
    files: list[Path] = []
    for entry in entry_points(group=group):
        package_name = entry.dist.name if entry.dist else entry.value
        try:
            folder = Path(entry.load()())
        except Exception as error:  # whatever the other package does while it is imported
            raise fail(
                f"{kind} plug-in does not load",
                package_name,
                found=f"{type(error).__name__}: {error}",
                remedy=f"Mend or uninstall {package_name}.",
            ) from error
        files += sorted(folder.glob("*.toml"))
    return files
