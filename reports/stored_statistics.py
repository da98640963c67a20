"""Per-clip statistics of a run, as its archive keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Statistics
from clapstick.protocols.archive import RunArchive
from clapstick.reports.run_data import RunData


def read_statistics(data: RunData, system: str, metric: str, convention: str) -> dict[str, Statistics]:
    """Return clip id -> statistics of one system under one convention; empty where the archive has none."""
    path = statistics_path(data.archive, system, metric, convention)
    if not path.is_file():
        return {}
    from safetensors import safe_open

    ids = {clip.file_stem: clip.id for clip in data.clips}
    found: dict[str, dict[str, NDArray[np.generic]]] = {}
    with safe_open(path, framework="numpy") as file:
        for full_name in file.keys():  # noqa: SIM118 - not a mapping
            stem, _, name = full_name.rpartition("/")
            if stem in ids:
                found.setdefault(ids[stem], {})[name] = file.get_tensor(full_name)
    return dict(found)


def statistics_path(archive: RunArchive, system: str, metric: str, convention: str) -> Path:
    """Return where the archive keeps them."""
    return archive.root / "statistics" / system / f"{metric}@{convention}.safetensors"
