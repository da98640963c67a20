"""A job: a program outside this process is kept running until everything that was asked has an answer.

A program that hangs, crashes or breaks a limit costs the item that it was busy with; it is started again for
the items behind that one. What the answers are is the business of a subclass: sound of a system (`run`),
numbers of a metric adapter (`measure`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

from clapstick.protocols.archive import write_text
from clapstick.systems.card import FoundProgram, ParameterValue
from clapstick.systems.runner_protocol import JOB_NAME, Done, Failed, Job, JobClip, Measured
from clapstick.systems.runtimes import apptainer, docker, env
from clapstick.systems.runtimes.collect import remove
from clapstick.systems.runtimes.log import last_lines
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import Inside, Place
from clapstick.systems.runtimes.supervise import Ending, Process, supervise

_MOST_FALLS_IN_A_ROW = 5

STARTS: dict[str, tuple[Callable[[Place], Process], Callable[[Place], Inside]]] = {
    "env": (env.start, env.inside),
    "docker": (docker.start, docker.inside),
    "apptainer": (apptainer.start, apptainer.inside),
}
"""Runtime -> what starts a program there, and how the program sees its folders."""


class JobRun(ABC):
    """One program's job: which items are open. Everything in `job_dir` but ``job`` and ``log.txt`` goes."""

    called = "system"
    """What messages call the program."""

    def __init__(
        self,
        found: FoundProgram,
        options: RuntimeOptions,
        runtime: str,
        job_dir: Path,
        parameters: dict[str, ParameterValue],
        items: Iterable[JobClip],
        sample_rate: int | None = None,
    ) -> None:
        self.found, self.options, self.runtime = found, options, runtime
        self.job_dir, self.parameters, self.sample_rate = job_dir, parameters, sample_rate
        self.open = {one.id: one for one in items}

    @property
    def log(self) -> Path:
        """What the program printed."""
        return self.job_dir / "log.txt"

    @abstractmethod
    def take(self, line: Done | Measured | Failed, output: Path) -> None:
        """Take the answer for one open item and remove the item from `open`."""

    @abstractmethod
    def fail_item(self, item: str, what: str, found: str) -> None:
        """Give up one open item and whatever stands or falls with it; remove them from `open`."""

    @abstractmethod
    def complain(self, what: str, found: str) -> None:
        """Note what the program did besides."""

    def until_all_are_answered(self) -> None:
        """Start the program as often as it takes.

        Raises
        ------
        ClapstickError
            If it cannot be started at all for want of a Python, an engine or an image.
        """
        falls = start_number = 0
        while self.open:
            before = len(self.open)
            ending = self._start_once(start_number)
            start_number += 1
            for complaint in ending.complaints:
                self.complain(f"{self.called} answered what it was not asked", complaint)
            if not self.open:
                return
            falls = 0 if len(self.open) < before else falls + 1
            if not ending.was_ready:
                self._fail_open(f"{self.called} did not start", ending)
            elif ending.cause == "ended" and ending.exit_code == 0:
                self._fail_open(f"{self.called} ended without an answer for the clip", ending)
            elif falls >= _MOST_FALLS_IN_A_ROW:
                self._fail_open(f"given up after {falls} falls in a row", ending)
            else:
                self.fail_item(next(iter(self.open)), f"{self.called} fell on the clip", self._describe(ending))

    def _start_once(self, number: int) -> Ending:
        output = self.job_dir / f"output{number}"
        output.mkdir(parents=True)
        place = Place(self.found, self.options, self.job_dir / "job", output, self.log)
        start, look_inside = STARTS[self.runtime]
        seen = look_inside(place)
        job = Job(
            system=self.found.card.name,
            sample_rate=self.sample_rate,
            device="cuda" if self.options.gpus else "cpu",
            parameters=self.parameters,
            repository=seen.repository,
            weights=seen.weights,
            clips=tuple(self.open.values()),
        )
        write_text(place.job / JOB_NAME, job.model_dump_json(indent=1))
        try:
            process = start(place)
            return supervise(
                process, output, list(self.open), self.options, lambda line: self.take(line, output)
            )
        finally:
            remove(output)

    def _fail_open(self, what: str, ending: Ending) -> None:
        found = self._describe(ending)
        while self.open:
            self.fail_item(next(iter(self.open)), what, found)

    def _describe(self, ending: Ending) -> str:
        how = {
            "ended": f"exit code {ending.exit_code}",
            "start timeout": f"models were not loaded within {ending.detail}",
            "clip timeout": f"no answer within {ending.detail}",
            "output limit": f"its output folder held {ending.detail}",
            "memory limit": ending.detail,
            "protocol": ending.detail,
        }[ending.cause]
        said = last_lines(self.log)
        return f"{how}; its log ends: {said}" if said else how
