"""Runtime ``env``: the runner as a subprocess of the Python that the user names (conda, venv, ...).

It runs with the user's rights: there are limits on time, memory and output, and no other walls. Use ``docker``
for code that is not trusted.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from pathlib import Path

from clapstick.protocols.problems import fail
from clapstick.systems.runner_protocol import JOB_NAME
from clapstick.systems.runtimes.log import LogWriter
from clapstick.systems.runtimes.place import KIT, Inside, Place, quiet_environment

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_HOME", "TMPDIR", "OMP_NUM_THREADS")


def inside(place: Place) -> Inside:
    """Return the folders as the runner sees them: here, as they are."""
    return Inside(
        None if place.repository is None else str(place.repository.resolve()),
        None if place.weights is None else str(place.weights.resolve()),
    )


def start(place: Place) -> EnvProcess:
    """Start the runner.

    Raises
    ------
    ClapstickError
        If no Python is named or the program cannot be started.
    """
    python = place.options.python
    name = place.found.card.name
    if python is None:
        raise fail(
            "no Python environment is named",
            name,
            expected=f'python = "/path/to/bin/python" in [{name}]',
            remedy="Add it to the systems file, see docs/official-systems.md.",
        )
    runner = place.found.folder / place.found.card.runner
    command = [str(python), str(runner), str(place.job / JOB_NAME), str(place.output)]
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= quiet_environment()
    environment["PATH"] = f"{python.absolute().parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["HOME"] = str(place.output)
    environment["PYTHONPATH"] = str(KIT)
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(place.options.gpus)
    try:
        process = start_limited(command, environment, place.options.output_bytes, place.output)
    except OSError as error:
        raise fail("system cannot be started", name, found=error, remedy=f"Check {command[0]}.") from error
    return EnvProcess(process, place.log, place.options.memory_bytes)


def start_limited(
    command: list[str], environment: dict[str, str], file_bytes: int, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, no file of which may grow beyond `file_bytes`."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(ProcessLookupError):  # has ended already
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    return process


class EnvProcess:
    """A subprocess and its children."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, memory_bytes: int | None) -> None:
        if process.stdout is None:
            raise ValueError("process was started without a pipe")
        self._process = process
        self._pipe = process.stdout
        self._log = LogWriter(iter(lambda: os.read(self._pipe.fileno(), 65536), b""), log)
        self._memory_bytes = memory_bytes
        self._breach: str | None = None

    def exit_code(self) -> int | None:
        """Return the exit code, below 0 for a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End the whole session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of it is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.finish()
        self._pipe.close()

    def breach(self) -> str | None:
        """Return that it took more memory than it may, once it was seen to."""
        if self._memory_bytes is not None and self._breach is None and self._process.poll() is None:
            taken = session_memory_bytes(self._process.pid)
            if taken > self._memory_bytes:
                self._breach = f"took {taken} bytes of memory, {self._memory_bytes} allowed"
        return self._breach


def session_memory_bytes(session: int) -> int:
    """Return the resident memory of all processes of a session; 0 where the system has no /proc."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                total += int(fields[21]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            continue  # ended between two looks
    return total
