"""Watches one started system: passes on its results as they come, ends it when it hangs or takes too much."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.runner_protocol import RESULTS_NAME, Done, Failed, Measured, Ready, parse_line
from clapstick.systems.runtimes.collect import ResultsTail, folder_bytes
from clapstick.systems.runtimes.options import RuntimeOptions

_LOOK_S = 0.1
_DISK_LOOK_S = 1.0
_MOST_COMPLAINTS = 20


class Process(Protocol):
    """A started system."""

    def exit_code(self) -> int | None:
        """Return the exit code; None while it runs."""

    def stop(self) -> None:
        """End it and all its children; do nothing where it has ended."""

    def breach(self) -> str | None:
        """Return which limit it broke (``memory``, ...), as far as its runtime can tell."""


Cause = Literal["ended", "start timeout", "clip timeout", "output limit", "protocol", "memory limit"]


@dataclass(frozen=True)
class Ending:
    """How one start of a system ended."""

    cause: Cause
    exit_code: int | None
    was_ready: bool
    detail: str = ""
    complaints: tuple[str, ...] = ()
    """Results for clips that were not asked for, and second results."""


def supervise(
    process: Process,
    output: Path,
    asked: Sequence[str],
    options: RuntimeOptions,
    on_line: Callable[[Done | Measured | Failed], None],
) -> Ending:
    """Follow a system until it has answered for every clip, has ended, or has to be ended.

    Parameters
    ----------
    process : Process
        The started system.
    output : Path
        Its output folder.
    asked : sequence of str
        Ids of the clips in the job.
    options : RuntimeOptions
        Timeouts and the bound on the output folder.
    on_line : callable
        Called at once with the first answer for each clip of `asked`.
    """
    watch = _Watch(set(asked), on_line)
    tail = ResultsTail(output / RESULTS_NAME)
    deadline = time.monotonic() + options.start_timeout_s
    next_disk_look = 0.0
    try:
        while True:
            exit_code = process.exit_code()
            before = watch.progress
            try:
                while lines := tail.new_lines():
                    for line in lines:
                        watch.read(line)
            except ClapstickError as error:
                return watch.ending("protocol", exit_code, str(error))
            if watch.answered == watch.asked:
                return watch.ending("ended", exit_code, "")
            if exit_code is not None:
                return watch.ending(*_how_it_ended(process, exit_code))
            now = time.monotonic()
            if watch.progress != before:
                deadline = now + options.clip_timeout_s
                continue
            if now > deadline:
                limit = options.clip_timeout_s if watch.was_ready else options.start_timeout_s
                return watch.ending(
                    "clip timeout" if watch.was_ready else "start timeout", None, f"{limit:g} s"
                )
            if now > next_disk_look:
                next_disk_look = now + _DISK_LOOK_S
                if folder_bytes(output, options.output_bytes) > options.output_bytes:
                    return watch.ending("output limit", None, f"more than {options.output_bytes} bytes")
                if process.breach() is not None:
                    return watch.ending("memory limit", None, process.breach() or "")
            time.sleep(_LOOK_S)
    finally:
        process.stop()
        tail.close()


def _how_it_ended(process: Process, exit_code: int) -> tuple[Cause, int, str]:
    breach = process.breach()
    return ("memory limit", exit_code, breach) if breach else ("ended", exit_code, "")


class _Watch:
    """What was said so far."""

    def __init__(self, asked: set[str], on_line: Callable[[Done | Measured | Failed], None]) -> None:
        self.asked = asked
        self.on_line = on_line
        self.was_ready = False
        self.answered: set[str] = set()
        self.complaints: list[str] = []

    @property
    def progress(self) -> int:
        return len(self.answered) + self.was_ready

    def read(self, line: bytes) -> None:
        message = parse_line(line)
        if isinstance(message, Ready):
            self.was_ready = True
        elif message.clip not in self.asked:
            self._complain(f"result for {message.clip[:80]!r}, which was not asked for")
        elif message.clip in self.answered:
            self._complain(f"second result for {message.clip!r}; the first one counts")
        else:
            self.was_ready = True
            self.answered.add(message.clip)
            self.on_line(message)

    def _complain(self, text: str) -> None:
        if len(self.complaints) < _MOST_COMPLAINTS:
            self.complaints.append(text)

    def ending(self, cause: Cause, exit_code: int | None, detail: str) -> Ending:
        return Ending(cause, exit_code, self.was_ready, detail, tuple(self.complaints))
