"""What this machine has, and for each thing missing the command that provides it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked for."""

    name: str
    state: State
    """``optional`` where only some systems or commands need what is missing."""
    found: str
    remedy: str = ""

    def row(self) -> dict[str, Any]:
        """Return the check as a table row."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at Python, machine, programs, container engines, weights, metric adapters and data."""
    return [
        _python(),
        _memory(),
        _disk(),
        _gpu(),
        _program("ffmpeg", "media for reports of formats that browsers cannot play", "apt-get install ffmpeg"),
        _program("chromium", "tests of pages", "apt-get install chromium"),
        _engine("docker", "docker info", "apt-get install docker.io"),
        _engine("podman", "podman info", "apt-get install podman"),
        _engine("apptainer", "apptainer version", "see apptainer.org/docs"),
        _official_extra(),
        *_weights(),
        *_adapters(),
        *_data(),
    ]


def _python() -> Check:
    return Check("python", "ok", sys.version.split()[0])


def _memory() -> Check:
    import os

    total_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    text = f"{total_gib:.1f} GiB memory, {cores} cores"
    return Check(
        "machine", "ok" if total_gib >= 4 else "missing", text, "" if total_gib >= 4 else "4 GiB are needed"
    )


def _disk() -> Check:
    from clapstick.protocols.cache import cache_dir

    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    enough = free_gib >= 2
    return Check(
        "cache",
        "ok" if enough else "missing",
        f"{folder}, {free_gib:.1f} GiB free",
        "" if enough else "free space, or set CLAPSTICK_CACHE to another folder",
    )


def _gpu() -> Check:
    if shutil.which("nvidia-smi") is None:
        return Check("gpu", "optional", "no NVIDIA driver", "everything in process runs on the CPU too")
    import torch

    if not torch.cuda.is_available():
        return Check(
            "gpu",
            "optional",
            f"driver there, but torch {torch.__version__} sees no GPU",
            "install a torch build for this driver",
        )
    memory_gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Check("gpu", "ok", f"{torch.cuda.get_device_name(0)}, {memory_gib:.0f} GiB: use --device cuda")


def _program(name: str, purpose: str, remedy: str) -> Check:
    path = shutil.which(name)
    return Check(name, "ok", path) if path else Check(name, "optional", f"not installed; for {purpose}", remedy)


def _engine(name: str, command: str, remedy: str) -> Check:
    if shutil.which(name) is None:
        return Check(name, "optional", "not installed; for systems in containers", remedy)
    try:
        subprocess.run(command.split(), capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return Check(
            name,
            "optional",
            f"installed, but `{command}` fails: {_last_line(error)}",
            f"start the {name} service",
        )
    return Check(name, "ok", "answers")


def _last_line(error: Exception) -> str:
    text = (
        error.stderr.decode(errors="replace")
        if isinstance(error, subprocess.CalledProcessError)
        else str(error)
    )
    lines = text.strip().splitlines()
    return lines[-1] if lines else str(error)


def _official_extra() -> Check:
    missing = []
    for package in ("laion-clap", "msclap", "fadtk"):
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        return Check(
            "clapstick[official]",
            "optional",
            f"without {', '.join(missing)}; for parity checks",
            "pip install 'clapstick[official]'",
        )
    return Check("clapstick[official]", "ok", "installed")


def _weights() -> list[Check]:
    from clapstick.harness.weights import find_weights, known_weights
    from clapstick.protocols.problems import ClapstickError

    checks = []
    for name in known_weights():
        try:
            checks.append(Check(f"weights {name}", "ok", str(find_weights(name))))
        except ClapstickError:
            checks.append(Check(f"weights {name}", "optional", "not here", f"clapstick weights fetch {name}"))
    return checks


def _adapters() -> list[Check]:
    from clapstick.harness.adapters import adapter_options, adapters
    from clapstick.harness.weights import lacks

    checks = []
    for name, found in adapters().items():
        absent = lacks(found, adapter_options(found))
        text = f"without {', '.join(absent)}" if absent else "ready"
        remedy = f"clapstick adapters build {name}" if absent else ""
        checks.append(Check(f"adapter {name}", "optional" if absent else "ok", text, remedy))
    return checks


def _data() -> list[Check]:
    from clapstick.protocols.cache import cache_dir

    folder = cache_dir() / "synthetic-hits"
    there = folder.is_dir() and any(folder.iterdir())
    return [
        Check(
            "data synthetic-hits",
            "ok" if there else "optional",
            str(folder) if there else "not made yet",
            "" if there else "clapstick data synth",
        ),
        Check(
            "data greatest-hits", "optional", "wherever you keep it", "clapstick data verify greatest-hits DIR"
        ),
    ]
