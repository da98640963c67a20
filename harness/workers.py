"""Many small tasks in worker processes: same results for any number of workers, no task takes another down.

Each worker computes on one thread, because the number of threads changes the last bits of a sum. A task that
fails is a `Problem`; a task that kills its worker is one too, and the others go on.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from clapstick.protocols.problems import ClapstickError, Problem, fail

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_IN_FLIGHT_PER_WORKER = 2


class StorageError(ClapstickError):
    """Nothing can be written any more: the run has to stop."""


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    name_of: Callable[[Task], str],
    workers: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[object, ...] = (),
) -> Iterator[tuple[Task, Result | Problem]]:
    """Yield every task with its result, or with what went wrong, as they finish.

    Parameters
    ----------
    function : callable
        Module-level function of one task; both are pickled to the workers.
    tasks : sequence
        What to do; the order of the results is not theirs.
    name_of : callable
        Names a task in problems.
    workers : int
        Number of processes; 0 computes here, for tasks that are already in a process of their own.
    initializer, initargs
        Called once in each worker.

    Raises
    ------
    StorageError
        If a task could not write: the disk is full or not writable.
    """
    if workers == 0:
        yield from _run_here(function, tasks, initializer, initargs)
        return
    pending = list(tasks)
    for attempt_alone in (False, True):
        finished = 0
        left: list[Task] = []
        groups = [[task] for task in pending] if attempt_alone else [pending]
        for group in groups:
            if not group:
                continue
            count = 1 if attempt_alone else min(workers, len(group))
            for task, outcome in _run_pool(function, group, count, initializer, initargs):
                if isinstance(outcome, BrokenProcessPool):
                    left.append(task)
                    continue
                finished += 1
                if isinstance(outcome, StorageError):
                    raise outcome
                yield task, outcome
        pending = left
    for task in pending:
        yield (
            task,
            Problem(
                what="the worker process died",
                where=name_of(task),
                found="a crash in native code, or too little memory",
                remedy="Try fewer --workers; if it dies alone, the fault is in the system or the file.",
            ),
        )


def _run_here(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    initializer: Callable[..., None] | None,
    initargs: tuple[object, ...],
) -> Iterator[tuple[Task, Result | Problem]]:
    if initializer is not None and tasks:
        initializer(*initargs)
    for task in tasks:
        outcome = _guarded(function, task)
        if isinstance(outcome, StorageError):
            raise outcome
        yield task, outcome


def _run_pool(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    initializer: Callable[..., None] | None,
    initargs: tuple[object, ...],
) -> Iterator[tuple[Task, Result | Problem | StorageError | BrokenProcessPool]]:
    context = multiprocessing.get_context("spawn")
    with _single_threaded_children(), _pool(workers, context, initializer, initargs) as pool:
        waiting: dict[Future[Result | Problem | StorageError], Task] = {}
        queue = iter(tasks)
        broken = False
        try:
            while True:
                while not broken and len(waiting) < workers * _IN_FLIGHT_PER_WORKER:
                    task = next(queue, None)
                    if task is None:
                        break
                    try:
                        waiting[pool.submit(_guarded, function, task)] = task
                    except BrokenProcessPool as error:
                        broken = True
                        yield task, error
                if not waiting:
                    break
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    task = waiting.pop(future)
                    failure = future.exception()
                    if isinstance(failure, BrokenProcessPool):
                        broken = True
                        yield task, failure
                    else:
                        yield task, future.result()
            for task in queue:
                yield task, BrokenProcessPool("a worker died before this task")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((pool._processes or {}).values()):
                process.kill()
            raise


def _pool(
    workers: int, context: Any, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]
) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, context, _start_worker, (initializer, initargs))


def _start_worker(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    """End this worker when its parent is gone: a killed command must not go on writing behind the next one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _guarded(function: Callable[[Task], Result], task: Task) -> Result | Problem | StorageError:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output belongs to the command's own result
            return function(task)
    except ClapstickError as error:
        return error.problems[0]
    except OSError as error:
        if error.errno in _STORAGE_ERRORS:
            return StorageError(_storage_problem(error))
        return _problem_of(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary to code of others: its fault is a result
        return _problem_of(error)


def _storage_problem(error: OSError) -> Problem:
    return Problem(
        what="cannot write",
        where=str(error.filename or "the run folder"),
        found=error.strerror or str(error),
        remedy="Free space or change the permissions, and start the same command again: what is done is kept.",
    )


def _problem_of(error: BaseException) -> Problem:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Problem(
        what=f"{type(error).__name__}: {error}",
        where=f"{os.path.basename(last.filename)}:{last.lineno}",  # noqa: PTH119
        remedy="Nothing was kept for it; correct what is named and start the same command again.",
    )


class _single_threaded_children:  # noqa: N801 - reads as a state: ``with _single_threaded_children():``
    """Processes started in the block compute on one thread each."""

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def as_storage_error(error: OSError) -> ClapstickError:
    """Turn a failed write of the main process into the error that stops the run."""
    return (
        StorageError(_storage_problem(error))
        if error.errno in _STORAGE_ERRORS
        else fail(
            "cannot be used for writing",
            error.filename or "the run folder",
            found=error.strerror or error,
            remedy="Name another --out.",
        )
    )
