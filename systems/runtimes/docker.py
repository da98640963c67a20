"""Runtime ``docker``: the runner in a container that sees its job and can reach nothing else.

No network, read-only root, inputs read-only, one writable output folder, no root rights, no capabilities,
limits on memory, processes, file size and time, chosen GPUs. Speaks to Docker or to podman's compatible socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clapstick.protocols.problems import fail
from clapstick.systems.runner_protocol import JOB_NAME
from clapstick.systems.runtimes.log import LogWriter
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import KIT, Inside, Place, quiet_environment

_NOBODY = 65534
_TEMPORARY_BYTES = 4 * 1024**3
_LOG_SIZE = "16m"


def image_name(name: str, options: RuntimeOptions) -> str:
    """Return the image of a system."""
    return options.image or f"clapstick-{name}"


def connect(options: RuntimeOptions) -> Any:
    """Return a client of the engine.

    Raises
    ------
    ClapstickError
        If no engine answers.
    """
    import docker

    host = options.docker_host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        if host.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(host.removeprefix("unix://"))
        client = docker.from_env() if options.docker_host is None else docker.DockerClient(base_url=host)
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise fail(
            "no container engine answers",
            host,
            found=error,
            expected="Docker, or podman with its compatible socket",
            remedy='Start one, or set runtime = "env" for the system in the systems file.',
        ) from error
    return client


def inside(place: Place) -> Inside:
    """Return the folders as the container sees them."""
    return Inside(
        None if place.repository is None else "/repository", None if place.weights is None else "/weights"
    )


def start(place: Place) -> ContainerProcess:
    """Create and start the container.

    Raises
    ------
    ClapstickError
        If no engine answers, the image is not there or the engine refuses the container.
    """
    import docker

    client = connect(place.options)
    name = place.found.card.name
    image = image_name(name, place.options)
    user = _hand_over(place.output)
    try:
        client.images.get(image)
        container = client.containers.create(image, **container_settings(place, user))
        container.start()
    except docker.errors.ImageNotFound as error:
        client.close()
        raise fail(
            "image is missing", name, found=f"no image {image}", remedy=f"clapstick systems build {name}"
        ) from error
    except docker.errors.APIError as error:
        client.close()
        raise fail(
            "engine refuses the container",
            name,
            found=error.explanation or error,
            remedy="Check the limits and GPUs in the systems file.",
        ) from error
    return ContainerProcess(container, place.log, place.options.memory_bytes)


def container_settings(place: Place, user: str) -> dict[str, Any]:
    """Return the walls around a system, as arguments of the docker SDK."""
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

    options = place.options
    folders = {"/job": place.job, "/kit": KIT, "/system": place.found.folder}
    folders |= {"/repository": place.repository} if place.repository is not None else {}
    folders |= {"/weights": place.weights} if place.weights is not None else {}
    mounts = [
        Mount(target, str(Path(source).resolve()), type="bind", read_only=True)
        for target, source in folders.items()
    ]
    mounts.append(Mount("/output", str(place.output.resolve()), type="bind", read_only=False))
    arguments = [f"/job/{JOB_NAME}", "/output"]
    runner = place.found.card.runner
    settings: dict[str, Any] = {
        "command": arguments if not runner else [f"/system/{runner}", *arguments],
        "user": user,
        "network_mode": "none",
        "read_only": True,
        "mounts": mounts,
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,size={_TEMPORARY_BYTES}"},
        "working_dir": "/output",
        "environment": quiet_environment() | {"HOME": "/tmp", "PYTHONPATH": "/kit"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "ipc_mode": "private",
        "init": True,
        "mem_limit": options.memory_bytes,
        "memswap_limit": options.memory_bytes,
        "pids_limit": options.processes,
        "shm_size": options.shared_memory_bytes,
        "ulimits": [
            Ulimit(name="fsize", soft=options.output_bytes, hard=options.output_bytes),
            Ulimit(name="core", soft=0, hard=0),
        ],
        "log_config": LogConfig(type="json-file", config={"max-size": _LOG_SIZE, "max-file": "1"}),
        "labels": {"clapstick.system": place.found.card.name},
    }
    if runner:
        settings["entrypoint"] = ["python"]
    if options.cpus is not None:
        settings["nano_cpus"] = round(options.cpus * 1e9)
    if options.gpus:
        settings["device_requests"] = [DeviceRequest(device_ids=list(options.gpus), capabilities=[["gpu"]])]
    return settings


def _hand_over(output: Path) -> str:
    """Make the output folder writable for the container's user and return that user: never root."""
    if os.getuid() != 0:
        return f"{os.getuid()}:{os.getgid()}"
    os.chown(output, _NOBODY, _NOBODY)
    return f"{_NOBODY}:{_NOBODY}"


class ContainerProcess:
    """A started container."""

    def __init__(self, container: Any, log: Path, memory_bytes: int) -> None:
        self._container = container
        self._memory_bytes = memory_bytes
        self._log = LogWriter(_log_chunks(container), log)
        self._gone = False

    def exit_code(self) -> int | None:
        """Return the exit code; None while it runs."""
        self._container.reload()
        state = self._container.attrs["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def breach(self) -> str | None:
        """Return that the engine ended it for its memory."""
        if self._container.attrs["State"].get("OOMKilled"):
            return f"took more than the {self._memory_bytes} bytes of memory it may"
        return None

    def stop(self) -> None:
        """End and remove the container."""
        import docker

        if self._gone:
            return
        self._gone = True
        with contextlib.suppress(docker.errors.APIError):  # has ended already
            self._container.kill()
        self._log.finish()
        with contextlib.suppress(docker.errors.NotFound):
            self._container.remove(force=True)
        self._container.client.close()


def _log_chunks(container: Any) -> Iterator[bytes]:
    import docker
    import requests

    try:
        yield from container.logs(stream=True, follow=True, stdout=True, stderr=True)
    except (docker.errors.APIError, requests.RequestException) as error:
        yield f"\n[log ends: {error}]\n".encode()
