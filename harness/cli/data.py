"""``clapstick data``: making and checking data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clapstick.harness.cli.output import JsonOption, print_json, print_rows

app = typer.Typer(help="Make and check data sets.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the group."""
    root.add_typer(app, name="data")


@app.command()
def synth(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; the user's cache where it is left out.")
    ] = None,
    videos: Annotated[int | None, typer.Option(min=1, help="Videos of both splits, a sixth for test.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds a video.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same samples.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all processors by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make synthetic-hits, videos of a drumstick. Example: clapstick data synth --out hits --videos 12"""
    from clapstick.protocols.synthetic.make import make_synthetic_hits, synthetic_hits_folder
    from clapstick.protocols.synthetic.settings import SPLITS, settings_of_size

    settings = settings_of_size(videos, duration, seed)
    if out is None:
        folder = synthetic_hits_folder(settings, workers)
    else:
        folder = make_synthetic_hits(settings, out, workers)
    rows = [{"split": split, "videos": settings.videos(split), "folder": str(folder)} for split in SPLITS]
    if as_json:
        print_json({"folder": str(folder), "settings": settings.model_dump(), "splits": rows})
    else:
        print_rows(rows, ["split", "videos", "folder"], as_json=False)
