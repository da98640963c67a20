"""The public functions of `import clapstick`: the commands' work from Python, as pandas frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from clapstick.harness import run as running
from clapstick.harness.leaderboard import leaderboard as _leaderboard
from clapstick.harness.settings import RunSettings
from clapstick.harness.workers import default_workers
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import ComparisonRecord, RunArchive
from clapstick.protocols.protocol import built_in_protocols, find_protocol
from clapstick.systems.card import ParameterValue
from clapstick.systems.registry import built_in_systems, find_system


def run(
    protocol: str,
    *,
    data: str | Path,
    out: str | Path,
    systems: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    device: str = "cpu",
    parameters: Mapping[str, Mapping[str, ParameterValue]] | None = None,
) -> pd.DataFrame:
    """Run a protocol over systems and score it; started again, it goes on where it stopped.

    Scripts that call this need ``if __name__ == "__main__":`` around it, as work is done in processes.

    Parameters
    ----------
    protocol : str
        Name of a protocol, or the path of a TOML file.
    data, out : path
        Folder of the data set; folder of the run archive.
    systems : sequence of str, optional
        Names or folders; the protocol's own rows where left out.
    limit : int, optional
        Use the first clips only.
    seed : int
        Same seed, same bytes.
    workers : int, optional
        Processes; all cores where left out.
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    parameters : mapping, optional
        System name -> parameter -> value, over the systems' cards.

    Returns
    -------
    DataFrame
        As `leaderboard`. What failed is in ``RUN/errors.jsonl``.

    Raises
    ------
    ClapstickError
        If something is unknown, missing or contradicts what the archive holds.
    """
    resolved = find_protocol(protocol)
    settings = RunSettings(
        protocol=resolved,
        data=Path(data).resolve(),
        systems=tuple(find_system(name) for name in (systems or resolved.systems)),
        out=Path(out).resolve(),
        seed=seed,
        limit=limit,
        workers=workers or default_workers(),
        device=device,
        parameters=parameters or {},
    )
    return _leaderboard(running.run(settings).archive)


def score(run_folder: str | Path, *, workers: int | None = None, device: str = "cpu") -> pd.DataFrame:
    """Score a run archive again, computing only what has changed; returns the `leaderboard`."""
    return _leaderboard(running.score_again(Path(run_folder), workers or default_workers(), device).archive)


def leaderboard(run_folder: str | Path) -> pd.DataFrame:
    """Return every score of a run: one row a system x metric x convention, with interval, n and signature."""
    return _leaderboard(_archive(run_folder))


def scores(run_folder: str | Path) -> pd.DataFrame:
    """Return the long table: columns system, clip, metric, convention, value (NaN where none), reason."""
    return _archive(run_folder).read_scores()


def comparisons(run_folder: str | Path) -> pd.DataFrame:
    """Return the paired tests between systems, with Holm-adjusted p values."""
    found = _archive(run_folder).read_comparisons().comparisons
    return pd.DataFrame([record.model_dump() for record in found], columns=list(ComparisonRecord.model_fields))


def clips(run_folder: str | Path) -> pd.DataFrame:
    """Return the clips of a run with their annotations and prompts."""
    return pd.DataFrame([clip.model_dump(mode="json") for clip in _archive(run_folder).read_clips()])


def list_systems() -> pd.DataFrame:
    """Return the cards of all known systems."""
    return pd.DataFrame([found.card.model_dump(mode="json") for found in built_in_systems().values()])


def list_protocols() -> pd.DataFrame:
    """Return name, title, paper and table of all known protocols."""
    found = [find_protocol(name).model_dump(mode="json") for name in built_in_protocols()]
    return pd.DataFrame(found)[["name", "title", "paper", "table", "version", "summary"]]


def list_metrics() -> pd.DataFrame:
    """Return one row a metric and convention."""
    return pd.DataFrame(
        [
            {
                "metric": metric.name,
                "convention": convention.name,
                "default": convention.name == metric.default,
                "direction": convention.direction or metric.direction,
                "unit": metric.unit if convention.unit is None else convention.unit,
                "summary": convention.summary,
                "source": convention.source,
                "official": convention.official,
            }
            for metric in metrics().values()
            for convention in metric.conventions
        ]
    )


def _archive(run_folder: str | Path) -> RunArchive:
    """Open a run archive; raise `ClapstickError` where the folder is none."""
    archive = RunArchive(Path(run_folder))
    archive.read_run()
    return archive
