"""The engine of a sweep: starts its jobs, a few at a time, and tells which are done and which failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO, Generic, TypeVar

from rpp_rl.errors import RunError
from rpp_rl.experiments.progress import Progress, State
from rpp_rl.experiments.run import hold
from rpp_rl.experiments.signals import interrupted_when_asked
from rpp_rl.experiments.sweeps.jobs import Job
from rpp_rl.experiments.sweeps.worker import COMMAND

# Seconds between two looks at the runs, and seconds that a run may take to write its last checkpoint.
LOOK, STOP_WITHIN = 0.2, 120.0
_KILL = 9

Handle = TypeVar("Handle")
# Called with a function that reads the progress of all runs, and with whether the sweep is over.
Show = Callable[[Callable[[], list[Progress]], bool], None]


class Engine(ABC, Generic[Handle]):
    """Runs jobs, some at a time.

    The log of a running job is locked, and a job whose log or folder another process holds waits. So two sweeps of one
    folder share the work.

    Args:
        jobs: the jobs, in the order in which they start; finished ones are skipped.
        at_once: number of jobs that run at a time; None for no bound.
        trust: whether resumed runs may import the modules that they name.

    Attributes:
        failed: jobs that failed.
        reasons: why they failed, where this process knows; the log of a job says so otherwise.
    """

    def __init__(self, jobs: Sequence[Job], at_once: int | None, trust: bool = False) -> None:
        if at_once is not None and at_once < 1:
            raise RunError(f"--jobs must be at least 1, got {at_once}")
        self.jobs, self.at_once, self.trust = list(jobs), at_once, trust
        self.failed: list[Job] = []
        self.reasons: dict[Job, str] = {}
        self._waiting: list[Job] = []
        self._running: dict[Job, Handle] = {}
        self._held: dict[Job, IO[bytes]] = {}
        self._done: dict[Job, Progress] = {}

    def run(self, show: Show) -> list[Job]:
        """Run all jobs that are not done; returns those that failed.

        Args:
            show: called repeatedly with the progress of all jobs.

        Raises:
            RunError: when interrupted, after the runs have written their checkpoints.
        """
        self._waiting = list(self.jobs)
        try:
            with interrupted_when_asked():
                while self._waiting or self._running:
                    self._start_jobs()
                    time.sleep(LOOK)
                    for job in list(self._running):
                        self._look(job)
                    show(self.progress, False)
        except KeyboardInterrupt:
            self._stop()
            raise RunError("interrupted; the runs have written checkpoints; the same command resumes them") from None
        finally:
            self._stop()
            for job in list(self._held):
                self._release(job)
        show(self.progress, True)
        return self.failed

    def progress(self) -> list[Progress]:
        """The progress of all jobs; a finished run is read once."""
        found = [self._done.get(job) or self._progress_of(job) for job in self.jobs]
        self._done.update(pair for pair in zip(self.jobs, found, strict=True) if pair[1].state is State.DONE)
        return found

    def _start_jobs(self) -> None:
        for job in list(self._waiting):
            if self.at_once is not None and len(self._running) >= self.at_once:
                return
            # An unusable folder fails its own job only.
            try:
                if not self._may_start(job) or not self._hold(job):
                    continue
            except RunError as error:
                self._waiting.remove(job)
                self._fail(job, str(error))
                continue
            self._waiting.remove(job)
            if self._progress_of(job).state is State.DONE:
                self._release(job)
                continue
            try:
                self._running[job] = self._start(job)
            except (RunError, OSError) as error:
                self._fail(job, str(error))
                self._release(job)

    def _fail(self, job: Job, why: str) -> None:
        self.failed.append(job)
        self.reasons[job] = why
        job.note(why)

    def _hold(self, job: Job) -> bool:
        """Lock the log of a job, so that no other sweep starts it; False where another process holds it.

        Raises:
            RunError: if it cannot be written.
        """
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            held = hold(job.log)
        except OSError as error:
            raise RunError(f"{job.log} cannot be written: {error.strerror}; choose another folder with -f") from error
        if held is not None:
            self._held[job] = held
        return held is not None

    def _release(self, job: Job) -> None:
        self._held.pop(job).close()

    def _progress_of(self, job: Job) -> Progress:
        found = job.run.progress_to(job.steps)
        if found.state is State.FAILED and job in self._waiting:
            found = replace(found, state=State.WAITING)  # an earlier sweep's failure
        if job in self.failed:
            return Progress(job.run.path, State.FAILED, found.step, job.steps, found.last_return)
        if self._is_running(job) and found.state is not State.RUNNING:
            return Progress(job.run.path, State.RUNNING, found.step, job.steps, found.last_return)
        return found

    def _succeeded(self, job: Job, code: int) -> bool:
        """Whether a process ended well and its run has done its steps."""
        if code == 0 and not job.run.has_done(job.steps):
            job.note(f"the run ended without an error, but {job.run.path} does not hold its {job.steps} steps")
            return False
        if code < 0:
            job.note(ended_by(-code))
        return code == 0

    def _finish(self, job: Job, succeeded: bool) -> None:
        del self._running[job]
        self._release(job)
        if not succeeded:
            self.failed.append(job)

    def _may_start(self, job: Job) -> bool:
        return not job.run.is_locked()

    def _is_running(self, job: Job) -> bool:
        """Whether a process works on a job, even if its folder does not show it yet."""
        return job in self._running

    @abstractmethod
    def _start(self, job: Job) -> Handle:
        """Start or resume the run of a job."""

    @abstractmethod
    def _look(self, job: Job) -> None:
        """Finish a job whose process has ended."""

    @abstractmethod
    def _stop(self) -> None:
        """Ask all runs to write a checkpoint and stop, and kill those that do not."""


class LocalEngine(Engine["subprocess.Popen[bytes]"]):
    """Runs jobs as processes of this machine, which share its threads.

    Args:
        jobs: the jobs, in the order in which they start; finished ones are skipped.
        at_once: number of jobs that run at a time.
        trust: whether resumed runs may import the modules that they name.
    """

    def __init__(self, jobs: Sequence[Job], at_once: int = 1, trust: bool = False) -> None:
        super().__init__(jobs, at_once, trust)
        self._threads = threads(processors() // max(1, min(at_once, len(jobs))))

    def _start(self, job: Job) -> subprocess.Popen[bytes]:
        work = json.dumps(job.work(self.trust)).encode() + b"\n"
        with job.log.open("ab") as log, tempfile.TemporaryFile() as given:
            given.write(work)
            given.seek(0)
            # In a session of its own, the run does not get Ctrl-C: the sweep asks it to stop.
            return subprocess.Popen(  # noqa: S603
                COMMAND,
                stdin=given,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._threads, **os.environ},
                start_new_session=True,
            )

    def _look(self, job: Job) -> None:
        code = self._running[job].poll()
        if code is not None:
            self._finish(job, self._succeeded(job, code))

    def _stop(self) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def processors() -> int:
    """Number of processors that this process may use; a batch system or `taskset` can allow fewer than there are."""
    with suppress(AttributeError):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(count: int) -> dict[str, str]:
    """Environment variables for a process with so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(max(1, count)))


def ended_by(number: int) -> str:
    """A sentence on a run that a signal ended before it could print one."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    hint = ", as happens when the machine is short of memory; try fewer --jobs" if number == _KILL else ""
    return f"the run was ended by the signal {name}{hint}"
