"""What runs a sweep, wherever its runs are: which are begun when, which are done, which failed."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Generic, TypeVar

from rpp_rl.errors import RunError
from rpp_rl.experiments.progress import Progress, State, has_done, is_locked, progress_of
from rpp_rl.experiments.run_folder import hold
from rpp_rl.experiments.sweeps.commands import note
from rpp_rl.experiments.sweeps.plan import Job
from rpp_rl.experiments.training.stopping import interrupted_when_asked

# Seconds between looks at the runs, and for which a run may write its checkpoint when it is asked to stop.
LOOK, FAREWELL = 0.2, 120.0
_KILL = 9

Handle = TypeVar("Handle")
# Is told what reads the progress of all runs, and whether all are over.
Show = Callable[[Callable[[], list[Progress]], bool], None]


class Engine(ABC, Generic[Handle]):
    """Runs jobs, some at a time.

    Its log is held as long as a run is at work, and a run whose log or folder somebody else holds is waited for: so two
    sweeps of one folder share the work.

    Args:
        jobs: the runs, in the order in which they are begun; those that are done are left alone.
        at_once: how many run at a time; None for no bound.
        trust: whether runs that are resumed may import modules that they name.

    Attributes:
        failed: jobs that failed.
        reasons: why, where this process knows; the log of a run says so where it can be written.
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
        """Run all that is not done; returns the jobs that failed.

        Args:
            show: called again and again.

        Raises:
            RunError: when interrupted, after the runs have written their checkpoints.
        """
        self._waiting = list(self.jobs)
        try:
            with interrupted_when_asked():
                while self._waiting or self._running:
                    self._begin_what_fits()
                    time.sleep(LOOK)
                    for job in list(self._running):
                        self._look(job)
                    show(self._progress, False)
        except KeyboardInterrupt:
            self._stop()
            raise RunError("interrupted; the runs have written checkpoints; the same command goes on") from None
        finally:
            self._stop()
            for job in list(self._held):
                self._let_go(job)
        show(self._progress, True)
        return self.failed

    def _progress(self) -> list[Progress]:
        """Of all jobs; what is done stays as it is."""
        found = [self._done.get(job) or self._state(job) for job in self.jobs]
        done = (pair for pair in zip(self.jobs, found, strict=True) if pair[1].state is State.DONE)
        self._done.update(done)
        return found

    def _begin_what_fits(self) -> None:
        for job in list(self._waiting):
            if self.at_once is not None and len(self._running) >= self.at_once:
                return
            # A folder that is no use is the matter of its run, not of those that are at work.
            try:
                if not self._may_begin(job) or not self._hold(job):
                    continue
            except RunError as error:
                self._waiting.remove(job)
                self._fail(job, str(error))
                continue
            self._waiting.remove(job)
            if self._state(job).state is State.DONE:
                self._let_go(job)
                continue
            try:
                self._running[job] = self._begin(job)
            except (RunError, OSError) as error:
                self._fail(job, str(error))
                self._let_go(job)

    def _fail(self, job: Job, why: str) -> None:
        self.failed.append(job)
        self.reasons[job] = why
        note(job, why)

    def _hold(self, job: Job) -> bool:
        """Hold the log of a run, so that no other sweep begins it; False where one has.

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

    def _let_go(self, job: Job) -> None:
        self._held.pop(job).close()

    def _state(self, job: Job) -> Progress:
        found = progress_of(job.folder, job.steps)
        if found.state is State.FAILED and job in self._waiting:
            found = replace(found, state=State.WAITING)  # that was another time
        if job in self.failed:
            return Progress(job.folder, State.FAILED, found.step, job.steps, found.last_return)
        if self._at_work(job) and found.state is not State.RUNNING:
            return Progress(job.folder, State.RUNNING, found.step, job.steps, found.last_return)
        return found

    def _is_well(self, job: Job, code: int) -> bool:
        """Whether a run that ended has done what it was to do, where it was to."""
        if code == 0 and not has_done(job.folder, job.steps):
            note(job, f"the run ended without an error, but {job.folder} does not hold its {job.steps} steps")
            return False
        if code < 0:
            note(job, ended_by(-code))
        return code == 0

    def _over(self, job: Job, well: bool) -> None:
        """A run has ended."""
        del self._running[job]
        self._let_go(job)
        if not well:
            self.failed.append(job)

    def _may_begin(self, job: Job) -> bool:
        """Whether nothing but room keeps a job from being begun."""
        return not is_locked(job.folder)

    def _at_work(self, job: Job) -> bool:
        """Whether a process is at a run, though its folder may not say so yet."""
        return job in self._running

    @abstractmethod
    def _begin(self, job: Job) -> Handle:
        """Begin a run, or go on with it."""

    @abstractmethod
    def _look(self, job: Job) -> None:
        """See whether a run is over."""

    @abstractmethod
    def _stop(self) -> None:
        """Ask all runs to write a checkpoint and stop; those that do not are ended."""


def ended_by(number: int) -> str:
    """What to say of a run that a signal has ended, which had no time to say anything itself."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    return f"the run was ended by the signal {name}" + (
        ", as a system does that is short of memory; try fewer --jobs" if number == _KILL else ""
    )


def threads(count: int) -> dict[str, str]:
    """The environment of a process with so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(max(1, count)))
