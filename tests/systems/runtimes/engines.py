"""Container engines that tests start and end themselves, on sockets and folders of their own."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.runtimes import docker as runtime
from clapstick.systems.runtimes.options import RuntimeOptions

IMAGE = "clapstick-test-python"
MIB = 1024**2


@contextmanager
def running_engine(program: str, arguments: Callable[[Path, str], list[str]], mounts: str) -> Iterator[str]:
    """Give the socket of an engine with an image that holds Python and nothing else; skip where there is none.

    Parameters
    ----------
    program : str
        Name of the engine's program.
    arguments : callable
        (its folder, socket) -> its arguments.
    mounts : str
        Folder beneath its own where it leaves mounts behind.
    """
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    if os.getuid() != 0:
        pytest.skip(f"{program} without root needs a user's own set-up")
    root = Path(tempfile.mkdtemp(prefix="clapstick-engine-"))
    host = f"unix://{root}/engine.sock"
    with (root / "log.txt").open("wb") as log:
        started = subprocess.Popen([path, *arguments(root, host)], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(host, started, root / "log.txt")
        _import_python(host)
        yield host
    finally:
        started.terminate()
        started.wait(timeout=60)
        subprocess.run(["umount", "--recursive", "--quiet", root / mounts], check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)


def _wait_for(host: str, started: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if started.poll() is not None:
            break
        try:
            runtime.connect(RuntimeOptions(docker_host=host)).close()
        except ClapstickError:
            time.sleep(0.1)
        else:
            return
    pytest.skip(f"no engine can be had: {log.read_text()[-300:]}")


def _import_python(host: str) -> None:
    """Make an image of this Python and the libraries that it is linked with."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix)
    left_out = {
        "test",
        "idlelib",
        "tkinter",
        "site-packages",
        "ensurepip",
        "lib2to3",
        "__pycache__",
        "turtledemo",
    }
    binary = (prefix / "bin" / version).resolve()
    linked = [binary, *(prefix / "lib" / version / "lib-dynload").glob("*.so")]
    listing = subprocess.run(["ldd", *map(str, linked)], capture_output=True, text=True, check=False).stdout
    words = {word for word in listing.split() if word.startswith("/") and not word.endswith(":")}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:

        def add(source: Path, name: str) -> None:
            def open_to_all(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
                parts = member.name.split("/")
                if left_out & set(parts) or "config-3" in member.name:
                    return None
                member.mode |= 0o555 if member.isdir() or member.mode & 0o100 else 0o444
                return member

            tar.add(source, name, filter=open_to_all)

        parents = {parent for library in words for parent in Path(library.lstrip("/")).parents}
        parents |= {Path("usr"), Path("usr/local"), Path("usr/local/bin"), Path("usr/local/lib")}
        mounted = ["tmp", "job", "kit", "system", "output", "proc", "dev", "sys", "etc"]
        for folder in [*mounted, *sorted(map(str, parents - {Path()}))]:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        add(prefix / "lib" / version, f"usr/local/lib/{version}")
        add(binary, "usr/local/bin/python")
        for library in sorted(words):
            add(Path(library).resolve(), library.lstrip("/"))
    client = runtime.connect(RuntimeOptions(docker_host=host))
    client.api.import_image_from_data(packed.getvalue(), repository=IMAGE, changes=["ENV PATH=/usr/local/bin"])
    client.close()
