"""A run's scores in the formats that papers, repositories and programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clapstick.protocols.archive import FINISH
from clapstick.protocols.problems import fail
from clapstick.reports.exports.bibtex import bibtex
from clapstick.reports.exports.latex import latex
from clapstick.reports.exports.markdown import markdown
from clapstick.reports.exports.model_index import model_index
from clapstick.reports.exports.tables import clip_frame, score_frame, to_csv, to_json, to_parquet
from clapstick.reports.run_data import RunData, read_run

__all__ = ["FORMATS", "clip_frame", "export_run", "score_frame"]

_DOCUMENTS: dict[str, Callable[[RunData], str]] = {
    "markdown": markdown,
    "latex": latex,
    "bibtex": bibtex,
    "model-index": model_index,
}
_TABLES = {"csv": to_csv, "json": to_json, "parquet": to_parquet}
FORMATS = (*_TABLES, *_DOCUMENTS)


def export_run(run_dir: Path, wanted: str, *, clips: bool = False) -> bytes:
    """Return a run's scores in a format.

    Parameters
    ----------
    run_dir : Path
        A run archive.
    wanted : str
        One of `FORMATS`.
    clips : bool
        One row a clip instead of one a system; for csv, json and parquet.

    Raises
    ------
    ClapstickError
        If the folder is no run archive, or the format is not known or has no clip-level form.
    """
    data = read_run(run_dir)
    if not data.scores:
        raise fail("run has no scores yet", run_dir, remedy=FINISH)
    if wanted in _TABLES:
        return _TABLES[wanted](clip_frame(data) if clips else score_frame(data))
    if wanted not in _DOCUMENTS:
        raise fail("no such format", wanted, expected=", ".join(FORMATS), remedy="Name one of these.")
    if clips:
        raise fail(
            "format has no clip-level form", wanted, expected=", ".join(_TABLES), remedy="Leave out --clips."
        )
    return _DOCUMENTS[wanted](data).encode("utf-8")
