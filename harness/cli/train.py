"""``clapstick train``: train the stages of the two-stage systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

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
    train.command("rms2sound")(rms2sound)
    train.command("table")(table)
    app.add_typer(train, name="train")


def video2rms(
    data: DataOption,
    out: OutOption,
    config: ConfigOption = "tiny",
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    features: Annotated[
        Path | None, typer.Option(help="Folder with one .npy a clip, for features that are not computed here.")
    ] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train stage 1, the RMS envelope from the picture.

    Example: clapstick train video2rms --config tiny --data synthetic-hits --out runs/video2rms-tiny
    """
    from clapstick.harness.weights import find_weights
    from clapstick.systems.two_stage.processes import is_first_process
    from clapstick.systems.two_stage.train_video2rms import Progress
    from clapstick.systems.two_stage.training_runs import run_video2rms, weights_for_features

    def report(progress: Progress) -> None:
        if progress.validation_e_l1 is not None:
            note(
                f"epoch {progress.epoch}: loss {progress.loss:.4f}, validation E-L1 "
                f"{progress.validation_e_l1:.5f}, {progress.seconds:.0f} s"
            )

    done = run_video2rms(
        config,
        data=data,
        out=out,
        seed=seed,
        epochs=epochs,
        device=device,
        note=note if is_first_process() else _silent,
        report=report,
        weights={} if features else {name: find_weights(name) for name in weights_for_features(config)},
        features=features,
    )
    if is_first_process():
        _print(done, as_json)


def rms2sound(
    data: DataOption,
    out: OutOption,
    config: ConfigOption = "tiny",
    seed: SeedOption = 0,
    base_steps: Annotated[int | None, typer.Option(min=0, help="Steps of the U-Net without RMS.")] = None,
    control_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the ControlNet.")] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="AudioLDM, for fol-ai Stable Audio Open: file or folder. The tiny one needs none."),
    ] = None,
    cavp: Annotated[Path | None, typer.Option(help="Folder with CAVP rows a clip, for fol-ai.")] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train stage 2, sound from an envelope and a prompt.

    Example: clapstick train rms2sound --config tiny --data synthetic-hits --out runs/rms2sound-tiny
    """
    from clapstick.systems.two_stage.processes import is_first_process
    from clapstick.systems.two_stage.train_rms2sound import TRAININGS, StepReport
    from clapstick.systems.two_stage.training_runs import run_fol_ai, run_rms2sound

    def report(progress: StepReport) -> None:
        scored = progress.validation_e_l1
        tail = f"loss {progress.loss:.4f}" if scored is None else f"validation E-L1 {scored:.5f}"
        note(f"{progress.phase} step {progress.step}: {tail}, {progress.seconds:.0f} s")

    say = note if is_first_process() else _silent
    if config == "fol-ai":
        from clapstick.harness.weights import find_weights

        done = run_fol_ai(
            data=data,
            out=out,
            seed=seed,
            steps=control_steps,
            device=device,
            note=say,
            report=report,
            base=base,
            clap=find_weights("laion-clap-music-speech"),
            cavp=cavp,
        )
        if is_first_process():
            _print(done, as_json)
        return
    steps = None
    if config in TRAININGS and (base_steps is not None or control_steps is not None):
        usual = TRAININGS[config]
        steps = (
            usual.base_steps if base_steps is None else base_steps,
            usual.control_steps if control_steps is None else control_steps,
        )
    done = run_rms2sound(
        config,
        data=data,
        out=out,
        seed=seed,
        steps=steps,
        device=device,
        note=say,
        report=report,
        base=base,
    )
    if is_first_process():
        _print(done, as_json)


def _silent(message: str) -> None:
    """Say nothing: the first of several processes says it."""


def _print(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        typer.echo(done["checkpoint"])


def table(
    data: DataOption,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Of `train video2rms`; the one of two-stage-tiny where not given.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Score stage 1 beside its bounds: discretised reference, shuffled videos, constant mean, random classes.

    Example: clapstick train table --data synthetic-hits
    """
    from dataclasses import asdict

    from clapstick.systems.two_stage.training_runs import score_video2rms

    rows = [asdict(row) for row in score_video2rms(checkpoint, data=data, split=split, seed=seed, note=note)]
    if not as_json:
        for row in rows:
            row.update({key: f"{row[key]:.4f}" for key in ("e_l1", "acc_at_5", "correlation")})
    print_rows(rows, ["predictor", "e_l1", "acc_at_5", "correlation", "clips"], as_json=as_json)
