"""What a system needs that is not on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.card import FoundProgram
from clapstick.systems.runtimes import docker
from clapstick.systems.runtimes.files import sounds_folder
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import code_folder


def missing_here(found: FoundProgram, options: RuntimeOptions, *, checkpoints: bool = True) -> list[str]:
    """Return what a system outside this process lacks here; empty where it can run.

    In-process systems name weights only: whether those are here is the weights registry's to say. With
    `checkpoints` false, those of the card are not asked for.
    """
    runtime = options.runtime or found.card.runtime
    if runtime == "python":
        return []
    if runtime == "files":
        return [] if sounds_folder(found, options).is_dir() else ["folder with generated files"]
    lacks = {"docker": _docker, "apptainer": _apptainer, "env": _env}[runtime](found, options)
    code = code_folder(found, options)
    if code is not None and not code.is_dir():
        lacks.append("official code")
    return lacks + (_checkpoints(found, options) if checkpoints else [])


def _docker(found: FoundProgram, options: RuntimeOptions) -> list[str]:
    import docker as sdk

    try:
        client = docker.connect(options)
    except ClapstickError:
        return ["container engine"]
    image = docker.image_name(found.card.name, options)
    try:
        client.images.get(image)
    except sdk.errors.ImageNotFound:
        return [f"image {image}"]
    finally:
        client.close()
    return []


def _apptainer(found: FoundProgram, options: RuntimeOptions) -> list[str]:
    lacks = [] if shutil.which("apptainer") or shutil.which("singularity") else ["apptainer"]
    image = options.image
    return lacks if image and Path(image).expanduser().is_file() else [*lacks, "image"]


def _env(found: FoundProgram, options: RuntimeOptions) -> list[str]:
    return [] if options.python is not None and options.python.exists() else ["Python environment"]


def _checkpoints(found: FoundProgram, options: RuntimeOptions) -> list[str]:
    if not found.card.checkpoints:
        return []
    if options.weights is None:
        return ["checkpoints"]
    absent = [one.path for one in found.card.checkpoints if not (options.weights / one.path).exists()]
    return [f"checkpoint {path}" for path in absent]
