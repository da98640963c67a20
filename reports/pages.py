"""The report: one page with its pictures and sounds beside it, from a run archive alone."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clapstick.metrics.signature import parse_signature
from clapstick.protocols.archive import SPLITS, write_text
from clapstick.reports.board import Cell, Column, Leaderboard, column_name
from clapstick.reports.breakdown import SMALL_CELL
from clapstick.reports.clip_index import make_clip_index
from clapstick.reports.figures import Figure, make_figures
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.media import chunk_script, json_for_script, make_media
from clapstick.reports.prompts import caution_of, prompt_rows
from clapstick.reports.published import published_rows
from clapstick.reports.run_data import RunData, read_run
from clapstick.reports.sounds import Codec
from clapstick.reports.tables import (
    breakdown_parts,
    clip_notes,
    comparison_rows,
    handling_rows,
    protocol_rows,
    system_rows,
)

HERE = Path(__file__).parent
STYLES = ("report.css",)
SCRIPTS = ("chunks.js", "drawer.js", "player.js", "envelopes.js", "browser.js")
EARLY_SCRIPT = "theme.js"
CLIP_INDEX = "data/clips.js"
FIGURES = "figures"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class PageParts:
    """How a page gets its styles, scripts and data: from files beside it, or from within."""

    policy: str
    styles: Markup
    early_script: Markup
    scripts: Markup
    inline_chunks: str | Markup = ""
    site_index: str | None = None
    figure_folder: str | None = None


def build_report(
    run_dir: Path,
    out: Path | None = None,
    *,
    codec: Codec = "flac",
    workers: int | None = None,
    site_index: str | None = None,
) -> Path:
    """Build the report of a run and return its page.

    Parameters
    ----------
    run_dir : Path
        A run archive.
    out : Path, optional
        Folder of the report; ``RUN/report`` where None.
    codec : {"flac", "opus"}
        Sounds as 16-bit FLAC, lossless, or as Opus, about a quarter of the size.
    workers : int, optional
        Processes that make pictures and sounds; all cores where None.
    site_index : str, optional
        Address of the index that the page links back to.

    Raises
    ------
    ClapstickError
        If the folder is no run archive of a known version.
    """
    data = read_run(run_dir)
    target = out or data.archive.report
    board = make_leaderboard(data)
    media = make_media(data, target, codec=codec, workers=workers or len(os.sched_getaffinity(0)))
    index = make_clip_index(data, board, media)
    write_text(target / CLIP_INDEX, chunk_script(CLIP_INDEX, index))
    figures = make_figures(data, board)
    for figure in figures:
        write_text(target / FIGURES / f"{figure.name}.svg", str(figure.svg))
    _copy_static(target)
    page = target / "index.html"
    write_text(page, render(data, board, figures, external_parts(site_index)))
    return page


def external_parts(site_index: str | None = None) -> PageParts:
    """Return parts that load files beside the page."""
    return PageParts(
        policy=POLICY,
        styles=Markup("\n").join(
            Markup('<link rel="stylesheet" href="static/{}">').format(name) for name in STYLES
        ),
        early_script=Markup('<script src="static/{}"></script>').format(EARLY_SCRIPT),
        scripts=Markup("\n").join(
            Markup('<script src="static/{}" defer></script>').format(name) for name in SCRIPTS
        ),
        site_index=site_index,
        figure_folder=FIGURES,
    )


def inline_parts(
    styles: Sequence[str], early_script: str, scripts: Sequence[str], chunks: Markup | str = ""
) -> PageParts:
    """Return parts that hold everything within the page, allowed by their hashes alone."""
    text = {
        name: (HERE / "static" / name).read_text(encoding="utf-8") for name in (*styles, early_script, *scripts)
    }
    script_hashes = _hashes(text[name] for name in (early_script, *scripts))
    policy = (
        f"default-src 'none'; script-src {script_hashes}; style-src {_hashes(text[name] for name in styles)}; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )
    newline = Markup("\n")
    return PageParts(
        policy=policy,
        styles=newline.join(Markup("<style>{}</style>").format(Markup(text[name])) for name in styles),
        early_script=Markup("<script>{}</script>").format(Markup(text[early_script])),
        scripts=newline.join(Markup("<script>{}</script>").format(Markup(text[name])) for name in scripts),
        inline_chunks=chunks,
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def render(data: RunData, board: Leaderboard, figures: list[Figure], parts: PageParts) -> str:
    """Return the page."""
    return (
        environment()
        .get_template("index.html")
        .render(
            **vars(parts),
            version=clapstick_version(),
            run=data.run,
            runs=(),
            clips=data.clips,
            systems=data.systems,
            source_count=len({clip.source for clip in data.clips}),
            competitor_count=len(data.competitors),
            board=board,
            comparisons=comparison_rows(data, board),
            figures=figures,
            published=published_rows(data, board),
            breakdowns=breakdown_parts(data, board),
            small_cell=SMALL_CELL,
            system_rows=system_rows(data),
            handling=handling_rows(data),
            protocol_rows=[*protocol_rows(data), *prompt_rows(data.run.protocol.prompt)],
            prompt_caution=caution_of(data.run.protocol.prompt.audio),
            errors=data.errors,
            clip_notes=clip_notes(data),
            cells_json=Markup(json_for_script(drawer_cells(data, board))),
        )
    )


def environment() -> Environment:
    """Return the template engine: everything is escaped unless it was made here."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def drawer_cells(data: RunData, board: Leaderboard) -> dict[str, dict[str, Any]]:
    """Return what the drawer says of every cell."""
    whole = {
        cell.id: _drawer_cell(data, row.system.title, column, cell, "")
        for row in board.rows
        for column, cell in zip(board.columns, row.cells, strict=True)
        if cell.score is not None
    }
    parts = {
        cell.id: _drawer_cell(data, row.system.title, column, cell, f"{part} clips")
        for row in board.rows
        for column, cells in zip(board.columns, row.splits, strict=False)
        for part, cell in zip(SPLITS, cells, strict=True)
        if cell.score is not None
    }
    return whole | parts


def _drawer_cell(data: RunData, system: str, column: Column, cell: Cell, part: str) -> dict[str, Any]:
    """Return what the drawer says of one cell; `part` names the clips where they are not all.

    Lines are name and text; numbers have every digit as a third part.
    """
    score = cell.score
    assert score is not None
    level = f"{data.run.protocol.statistics.level * 100:g} %"
    lines: list[tuple[str, ...]] = [("Convention", column.convention)]
    if score.value is None:
        lines.append(("Not computed", score.reason or "no reason was recorded"))
    else:
        lines.append(("Value", f"{cell.text} {score.unit}".strip(), repr(score.value)))
        if cell.interval:
            lines.append((f"{level} interval", cell.interval, f"{score.ci_low!r} to {score.ci_high!r}"))
        if score.interval_method:
            lines.append(("Interval by", score.interval_method))
        lines.append(("Clips", f"{score.n} of {score.n + len(score.missing)}{' ' + part if part else ''}"))
    if cell.rank:
        lines.append(("Rank", f"{cell.rank} among systems; controls are not ranked"))
    lines += [(f"Checkpoint {name}", f"SHA-256 {digest}…") for name, digest in _checkpoints(score.signature)]
    lines += [("Note", note) for note in cell.notes]
    if cell.beaten_by:
        lines.append(("Warning", f"a control does better: {', '.join(cell.beaten_by)}"))
    return {
        "title": " · ".join(filter(None, (column_name(column), system, part))),
        "lines": lines,
        "missing": list(score.missing),
        "signature": score.signature,
        "method": f"method-{column.metric}@{column.convention}",
    }


def _checkpoints(signature: str) -> list[tuple[str, str]]:
    """Return (checkpoint, start of its hash) for those behind a score."""
    try:
        return [(name, str(digest)) for name, digest in parse_signature(signature).weights.items()]
    except ValueError:
        return []  # written by another program: the signature itself stands below


def clapstick_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("clapstick")
    except PackageNotFoundError:
        return "unknown"


def _copy_static(target: Path) -> None:
    folder = target / "static"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*STYLES, *SCRIPTS, EARLY_SCRIPT):
        shutil.copyfile(HERE / "static" / name, folder / name)
