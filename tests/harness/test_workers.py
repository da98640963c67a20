"""Tasks in worker processes: results for any number of workers, and no task takes another down."""

from __future__ import annotations

import pytest
from worker_tasks import work

from clapstick.harness.workers import StorageError, run_tasks
from clapstick.protocols.problems import Problem


def outcomes(tasks, workers=2):
    return dict(run_tasks(work, tasks, name_of=str, workers=workers))


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_comes_back_with_its_result(workers):
    tasks = [f"task {number}" for number in range(7)]
    assert outcomes(tasks, workers) == {task: task.upper() for task in tasks}


def test_failures_are_problems_and_the_others_go_on():
    found = outcomes(["a", "named", "raises", "b"])
    assert (found["a"], found["b"]) == ("A", "B")
    assert str(found["named"]) == "clip 7: no picture; found nothing. Give one."
    assert found["raises"].what == "ZeroDivisionError: third-party fault"
    assert "worker_tasks.py" in found["raises"].where


def test_a_killed_worker_costs_its_own_task_only():
    found = outcomes(["a", "dies", "b", "c", "d"])
    assert isinstance(found.pop("dies"), Problem)
    assert found == {"a": "A", "b": "B", "c": "C", "d": "D"}


def test_a_full_disk_stops_everything_with_the_way_out():
    with pytest.raises(StorageError, match=r"out\.wav: cannot write; found No space left.*Free space"):
        outcomes(["a", "disk", "b"])


def test_workers_compute_on_one_thread():
    assert outcomes(["threads"]) == {"threads": "1"}


def test_no_task_is_no_work():
    assert outcomes([]) == {}
