"""Finds metrics: every module of this package with a METRIC or METRICS, and entry points of other packages."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from clapstick.metrics.base import Metric

ENTRY_POINT_GROUP = "clapstick.metrics"
_INFRASTRUCTURE = {"base", "registry"}


@cache
def metrics() -> dict[str, Metric]:
    """Return every known metric by name, in order of name.

    Raises
    ------
    ImportError
        If an outside package's entry point fails to load; the message names the package.
    ValueError
        If two modules claim the same name.
    """
    found: dict[str, Metric] = {}
    package = importlib.import_module("clapstick.metrics")
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.ispkg or module_info.name in _INFRASTRUCTURE:
            continue
        module = importlib.import_module(f"clapstick.metrics.{module_info.name}")
        for metric in _metrics_of(module):
            _add(found, metric, module.__name__)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        package_name = entry.dist.name if entry.dist else entry.value
        try:
            loaded = entry.load()
        except Exception as error:
            raise ImportError(
                f"metric {entry.name!r} of package {package_name} does not load: {error}. "
                f"Mend or uninstall {package_name}."
            ) from error
        for metric in _metrics_of(loaded):
            _add(found, metric, package_name)
    return dict(sorted(found.items()))


def _metrics_of(holder: object) -> tuple[Metric, ...]:
    if isinstance(holder, Metric):
        return (holder,)
    several = getattr(holder, "METRICS", None)
    if several is not None:
        return tuple(several)
    single = getattr(holder, "METRIC", None)
    return () if single is None else (single,)


def _add(found: dict[str, Metric], metric: Metric, origin: str) -> None:
    if metric.name in found:
        raise ValueError(f"two metrics are called {metric.name!r}; the second is in {origin}")
    found[metric.name] = metric
