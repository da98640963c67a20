"""``clapstick train``: train the stages of the two-stage systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json

ConfigOption = Annotated[str, typer.Option("--config", help="Name of a configuration.")]
DataOption = Annotated[Path, typer.Option("--data", help="Folder in the format of Greatest Hits.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for checkpoint, state and TensorBoard logs.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same weights.")]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Instead of the configuration's number.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    train = typer.Typer(
        help="Train a stage of a two-stage system; a training that was cut off goes on where it stopped.",
        no_args_is_help=True,
    )
    train.command("video2rms")(video2rms)
    app.add_typer(train, name="train")


def video2rms(
    data: DataOption,
    out: OutOption,
    config: ConfigOption = "tiny",
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train stage 1, the RMS envelope from the picture.

    Example: clapstick train video2rms --config tiny --data synthetic-hits --out runs/video2rms-tiny
    """
    from clapstick.systems.two_stage.train_video2rms import Progress
    from clapstick.systems.two_stage.training_runs import run_video2rms

    def report(progress: Progress) -> None:
        if progress.validation_e_l1 is not None:
            note(
                f"epoch {progress.epoch}: loss {progress.loss:.4f}, validation E-L1 "
                f"{progress.validation_e_l1:.5f}, {progress.seconds:.0f} s"
            )

    done = run_video2rms(
        config, data=data, out=out, seed=seed, epochs=epochs, device=device, note=note, report=report
    )
    if as_json:
        print_json(done)
    else:
        typer.echo(done["checkpoint"])
