"""A task for worker processes that succeeds or fails as its text says; in a module that workers can import."""

from __future__ import annotations

import errno
import os
import signal

from clapstick.protocols.problems import fail


def work(task: str) -> str:
    match task:
        case "named":
            raise fail("no picture", "clip 7", found="nothing", remedy="Give one.")
        case "raises":
            raise ZeroDivisionError("third-party fault")
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "out.wav")
        case "threads":
            return os.environ["OMP_NUM_THREADS"]
    return task.upper()
