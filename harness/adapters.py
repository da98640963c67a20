"""Metric adapters: folders with a card and a runner that calls an official network in its own environment.

``metrics/adapters/<name>/`` holds one TOML a card, the runner and the Dockerfile; other packages add folders
through the entry-point group ``clapstick.adapters``. A convention names an adapter among its `pair_embedders`;
docs/metric-adapters.md tells how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field

from clapstick import metrics
from clapstick.harness.weights import lacks, weights_dir
from clapstick.protocols.plugins import plugin_files
from clapstick.protocols.problems import fail, unknown_name
from clapstick.systems.card import Found, ProgramCard, programs_by_name, read_card
from clapstick.systems.runtimes.options import RuntimeOptions, options_path, read_options

ENTRY_POINT_GROUP = "clapstick.adapters"


class AdapterCard(ProgramCard):
    """Everything known of a metric adapter without running it."""

    output: str
    """What its rows are, in words."""
    rows: int | None = Field(default=None, gt=0)
    """Rows a clip; None where they depend on its length."""
    dimension: int = Field(gt=0)
    """Numbers a row."""


FoundAdapter = Found[AdapterCard]


@cache
def adapters() -> Mapping[str, FoundAdapter]:
    """Return the adapters of this package and of installed packages by name.

    An entry point of group ``clapstick.adapters`` names a function that returns the folder with the cards.

    Raises
    ------
    ClapstickError
        If a card is not valid, two adapters share a name, or an entry point does not load; names the package.
    """
    own = sorted((Path(metrics.__path__[0]) / "adapters").glob("*/*.toml"))
    plugins = plugin_files(ENTRY_POINT_GROUP, "metric adapter")
    return programs_by_name([*own, *plugins], AdapterCard, "metric adapter")


def find_adapter(name_or_path: str) -> FoundAdapter:
    """Return the adapter with this name, or the one whose only card lies in this folder or file.

    Raises
    ------
    ClapstickError
        If there is none; names the nearest known name.
    """
    known = adapters()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    cards = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if len(cards) == 1 and cards[0].is_file():
        return FoundAdapter(read_card(cards[0], AdapterCard), cards[0].parent)
    raise unknown_name(
        "no such metric adapter",
        name_or_path,
        known,
        also="or a folder with one card",
        otherwise="List them with `clapstick adapters`.",
    )


def adapter_options(found: FoundAdapter) -> RuntimeOptions:
    """Return what an adapter may use here; its checkpoints are those of ``clapstick weights``.

    Raises
    ------
    ClapstickError
        If its table in the user's systems file is wrong, or names a weights folder of its own.
    """
    options = read_options(found.card.name)
    if options.weights is not None:
        raise fail(
            "a metric adapter has no weights folder of its own",
            options_path(),
            found=f"weights in [{found.card.name}]",
            expected="checkpoints in the folder of `clapstick weights`",
            remedy="Remove the key; CLAPSTICK_WEIGHTS names another folder.",
        )
    return options.model_copy(update={"weights": weights_dir() if found.card.weights else None})


def require_adapter(found: FoundAdapter, options: RuntimeOptions) -> None:
    """Raise `ClapstickError` that names what an adapter lacks and the commands that provide it."""
    absent = lacks(found, options)
    if not absent:
        return
    name = found.card.name
    remedies = [f"`clapstick weights fetch {one.split()[1]}`" for one in absent if one.startswith("weights ")]
    if any(one == "official code" or one.startswith("image ") for one in absent):
        remedies.append(f"`clapstick adapters build {name}`")
    if any(one in ("container engine", "Python environment", "apptainer", "image") for one in absent):
        remedies.append(f"a runtime in [{name}] of {options_path()} (docs/metric-adapters.md)")
    raise fail(
        "the metric adapter is not set up here",
        name,
        found=f"no {', no '.join(absent)}",
        remedy="; ".join(remedies) + ".",
    )
