"""Runtime ``apptainer``: the runner in an Apptainer (Singularity) image, where there is no Docker engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from clapstick.protocols.problems import fail
from clapstick.systems.runner_protocol import JOB_NAME
from clapstick.systems.runtimes.env import EnvProcess, start_limited
from clapstick.systems.runtimes.place import KIT, Inside, Place, quiet_environment


def inside(place: Place) -> Inside:
    """Return the folders as the container sees them."""
    return Inside(
        None if place.repository is None else "/repository", None if place.weights is None else "/weights"
    )


def apptainer_command(place: Place, program: str, image: Path) -> list[str]:
    """Return the command line that starts the runner behind the same walls as Docker's.

    Apptainer runs as the user who calls it and mounts the image read-only; ``--containall`` hides home,
    ``/tmp`` and the host's variables. Its limit options need cgroups that clusters seldom grant, so memory is
    watched from outside.
    """
    runner = place.found.card.runner
    options = place.options
    command = [program, "exec" if runner else "run", "--containall", "--no-home", "--cleanenv"]
    command += ["--net", "--network", "none", "--no-privs", "--pwd", "/output"]
    command += ["--nv"] if options.gpus else []
    folders = {"/job": place.job, "/kit": KIT, "/system": place.found.folder}
    folders |= {"/repository": place.repository} if place.repository is not None else {}
    folders |= {"/weights": place.weights} if place.weights is not None else {}
    for target, source in folders.items():
        command += ["--bind", f"{_bindable(Path(source))}:{target}:ro"]
    command += ["--bind", f"{_bindable(place.output)}:/output:rw"]
    variables = quiet_environment() | {"PYTHONPATH": "/kit", "CUDA_VISIBLE_DEVICES": ",".join(options.gpus)}
    for key, value in variables.items():
        command += ["--env", f"{key}={value}"]
    command.append(str(image))
    command += ["python", f"/system/{runner}"] if runner else []
    return [*command, f"/job/{JOB_NAME}", "/output"]


def _bindable(path: Path) -> str:
    text = str(path.resolve())
    if ":" in text or "," in text:
        raise fail(
            "folder cannot be handed to Apptainer",
            text,
            expected="no colon or comma in the path",
            remedy="Run in another folder.",
        )
    return text


def start(place: Place) -> EnvProcess:
    """Start the container.

    Raises
    ------
    ClapstickError
        If Apptainer or the image is not there.
    """
    name = place.found.card.name
    program = shutil.which("apptainer") or shutil.which("singularity")
    if program is None:
        raise fail("Apptainer is not installed", name, remedy="Install it, or use docker or env.")
    image = place.options.image
    if image is None or not Path(image).expanduser().is_file():
        raise fail(
            "Apptainer image is missing",
            name,
            found=image or "no image named",
            expected=f'image = "/path/to/{name}.sif" in [{name}]',
            remedy=f"Make it from the Docker image: apptainer build {name}.sif docker-daemon://clapstick-{name}",
        )
    command = apptainer_command(place, program, Path(image).expanduser().resolve())
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    process = start_limited(command, environment, place.options.output_bytes, place.output)
    return EnvProcess(process, place.log, place.options.memory_bytes)
