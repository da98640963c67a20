"""A system behind podman's Docker-compatible socket, on a service that this test starts and ends itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from clapstick.protocols.clips import Clip
from clapstick.systems.runtimes import docker as runtime
from clapstick.systems.runtimes.options import RuntimeOptions
from tests.systems.runtimes.engines import IMAGE, MIB, running_engine

Run = Callable[..., tuple[list[Any], list[Any]]]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The socket of a podman service of our own."""
    if shutil.which("catatonit") is None:
        pytest.skip("catatonit, podman's init, is not installed")

    def arguments(root: Path, host: str) -> list[str]:
        folders = ["--root", f"{root}/data", "--runroot", f"{root}/run", "--storage-driver", "vfs"]
        return [*folders, "--cgroup-manager", "cgroupfs", "system", "service", "--time", "0", host]

    with running_engine("podman", arguments, "data") as host:
        yield host


def _skip_where_limits_are_refused(host: str) -> None:
    """Skip where this machine refuses even root the limits that podman sets on every container."""
    client = runtime.connect(RuntimeOptions(docker_host=host))
    try:
        client.containers.run(IMAGE, ["python", "-c", "1"], ulimits=[{"Name": "core", "Soft": 0, "Hard": 0}])
    except docker.errors.APIError as error:
        if "rlimit" in str(error):
            pytest.skip(f"podman cannot start containers here: {str(error)[-120:]}")
        raise
    finally:
        client.close()


def test_podmans_socket_runs_a_system_behind_the_same_walls(
    run_stub: Run, service: str, clips: list[Clip]
) -> None:
    _skip_where_limits_are_refused(service)
    results, failed = run_stub(
        """
        import socket
        def attempt(deed):
            try:
                return deed()
            except OSError as error:
                return type(error).__name__
        def make(job, clip):
            if clip.id == "c000001w0":
                os._exit(3)
            sound = tone(clip)
            sound.warnings = [repr(answer) for answer in (
                attempt(lambda: socket.create_connection(("1.1.1.1", 53), timeout=3)),
                attempt(lambda: open("/job/x", "w")),
                attempt(lambda: open("/usr/x", "w")),
                sorted(os.listdir("/sys/class/net")),
                os.getuid(),
            )]
            return sound
        """,
        clips[:3],
        runtime="docker",
        docker_host=service,
        image=IMAGE,
        memory_bytes=256 * MIB,
        processes=64,
        start_timeout_s=60.0,
        clip_timeout_s=30.0,
    )
    assert [result.clip.id for result in results] == ["clip a", "clip c"]
    assert [one.clip.id for one in failed if one.clip] == ["clip b"]
    network, job, root, interfaces, user = results[0].output.warnings
    assert network == "'OSError'"
    assert (job, root) == ("'OSError'", "'OSError'")
    assert interfaces == "['lo']"
    assert user == "65534"
