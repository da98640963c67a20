"""``clapstick generate``: sound for one video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)


def generate(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="mp4, mkv, mov, avi or webm of any length.")],
    system: Annotated[str, typer.Option(help="Name of an in-process system, or a folder with system.toml.")],
    output: Annotated[
        Path, typer.Option("-o", "--out", help="OUT.wav: the sound; OUT.mp4: the video with it.")
    ],
    text: Annotated[str | None, typer.Option(help="Text prompt.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Audio prompt: a wav or anything with sound.")] = None,
    envelope: Annotated[
        Path | None,
        typer.Option(help="CSV with columns time_s, amplitude: used instead of the predicted curve."),
    ] = None,
    envelope_out: Annotated[Path | None, typer.Option(help="Write the curve that was used, as CSV.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the predicted curve, and the edited one beside it, as SVG or PNG.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Make sound for one video with an in-process system.

    Example: clapstick generate door.mp4 --system two-stage-tiny --text "wood hit" -o door-with-sound.mp4
    """
    from clapstick.harness.single import SingleRequest, generate_single

    done = generate_single(
        SingleRequest(
            video=video,
            system=system,
            output=output,
            text=text,
            audio=audio,
            envelope=envelope,
            envelope_out=envelope_out,
            plot=plot,
            seed=seed,
            device=device,
        )
    )
    for warning in done.warnings:
        note(f"clapstick: {warning}")
    if as_json:
        print_json(
            {
                "output": str(output),
                "seconds": done.seconds,
                "sample_rate": done.sample_rate,
                "duration_s": done.duration_s,
                "warnings": list(done.warnings),
            }
        )
    else:
        typer.echo(str(output))
