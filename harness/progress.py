"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(description: str, total: int) -> Iterator[Advance]:
    """Show how far a piece of work has come; yields a function that moves it on by a number of steps."""
    if total == 0:
        yield lambda steps: None
    elif sys.stderr.isatty():
        with _bar(description, total) as advance:
            yield advance
    else:
        yield _lines(description, total)


@contextmanager
def _bar(description: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def _lines(description: str, total: int) -> Advance:
    done = 0
    last = time.monotonic()

    def advance(steps: int) -> None:
        nonlocal done, last
        done += steps
        if done >= total or time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            sys.stderr.write(f"{description}: {done}/{total}\n")

    return advance
