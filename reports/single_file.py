"""The report as one HTML file below a size, with the sounds and pictures of chosen clips inside."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from clapstick.protocols.archive import write_text
from clapstick.protocols.problems import fail
from clapstick.reports.board import Leaderboard
from clapstick.reports.clip_index import make_clip_index
from clapstick.reports.figures import Figure, make_figures
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.media import ClipMedia, json_for_script, make_media
from clapstick.reports.pages import CLIP_INDEX, EARLY_SCRIPT, SCRIPTS, STYLES, inline_parts, render
from clapstick.reports.run_data import RunData, read_run

MOST_BYTES = 20_000_000
_LEFT_OUT = "left out of the single-file report"


def build_single_file(
    run_dir: Path, out: Path, *, clips: Sequence[str] | None = None, workers: int = 1
) -> Path:
    """Build one HTML file that needs nothing beside it.

    Parameters
    ----------
    clips : sequence of str, optional
        Ids of the clips whose pictures and sounds go in; as many of the first as fit where None.

    Raises
    ------
    ClapstickError
        If a clip is not in the run, or the file would be 20 MB or larger.
    """
    data = read_run(run_dir)
    board = make_leaderboard(data)
    wanted = _chosen(data, clips)
    with tempfile.TemporaryDirectory() as folder:
        figures = make_figures(data, board)
        media: dict[str, ClipMedia] = {}
        chunks: dict[str, str] = {}
        plain = len(_page(data, board, figures, _without(data), {}).encode())
        used = plain
        for clip in wanted:
            made = make_media(data, Path(folder), codec="opus", workers=workers, only={clip})[clip]
            inside, own_chunks = _inlined(made, Path(folder))
            size = len(inside.video or "") + sum(map(len, own_chunks.values()))
            if clips is None and used + size >= MOST_BYTES * 0.95:
                break
            used += size
            media[clip] = inside
            chunks |= own_chunks
        page = _page(data, board, figures, _without(data) | media, chunks)
    if len(page.encode()) >= MOST_BYTES:
        raise fail(
            "single-file report is too large",
            out,
            found=f"{len(page.encode()) / 1e6:.1f} MB",
            expected=f"below {MOST_BYTES / 1e6:g} MB",
            remedy="Choose fewer clips.",
        )
    write_text(out, page)
    return out


def _chosen(data: RunData, clips: Sequence[str] | None) -> list[str]:
    known = [clip.id for clip in data.clips]
    for clip in clips or ():
        if clip not in known:
            raise fail("no such clip in the run", clip, remedy="Name a clip of the report's list.")
    return known if clips is None else list(dict.fromkeys(clips))


def _without(data: RunData) -> dict[str, ClipMedia]:
    return {clip.id: ClipMedia(None, _LEFT_OUT, {}, {}) for clip in data.clips}


def _inlined(made: ClipMedia, folder: Path) -> tuple[ClipMedia, dict[str, str]]:
    """Return the clip's media with the video as a data URI, and its sound chunks as JSON."""
    video = made.video
    if video is not None:
        content = base64.b64encode((folder / video).read_bytes()).decode("ascii")
        video = f"data:video/mp4;base64,{content}"
    chunks = {}
    for chunk in made.sounds.values():
        script = (folder / chunk).read_text(encoding="utf-8")
        chunks[chunk] = script.removeprefix(f"clapstick.put({json_for_script(chunk)}, ").removesuffix(");\n")
    return ClipMedia(video, made.video_problem, made.sounds, made.sound_problems), chunks


def _page(
    data: RunData,
    board: Leaderboard,
    figures: list[Figure],
    media: dict[str, ClipMedia],
    chunks: dict[str, str],
) -> str:
    index = json_for_script(make_clip_index(data, board, media))
    inline = [_chunk(CLIP_INDEX, index), *(_chunk(name, text) for name, text in chunks.items())]
    return render(data, board, figures, inline_parts(STYLES, EARLY_SCRIPT, SCRIPTS, Markup("\n").join(inline)))


def _chunk(name: str, text: str) -> Markup:
    """Return a data block; the text is JSON that `json_for_script` made."""
    json.loads(text)
    return Markup('<script type="application/json" data-chunk="{}">{}</script>').format(name, Markup(text))
