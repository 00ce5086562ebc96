"""Runs as processes of this machine, a few at a time, with threads shared out among them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rpp_rl.agents.checkpoints.archive import checkpoints
from rpp_rl.errors import RunError
from rpp_rl.scripts.sweeping.plan import Job
from rpp_rl.scripts.sweeping.progress import Progress, State, is_locked, progress_of

# Seconds between looks at the processes, and for which a run may write its checkpoint when it is asked to stop.
_LOOK, _FAREWELL = 0.2, 120.0
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalEngine:
    """Runs jobs as processes.

    Args:
        jobs: the runs, in the order in which they are begun; those that are done are left alone.
        at_once: how many run at a time.
        trust: whether runs that are resumed may import modules that they name.
    """

    def __init__(self, jobs: Sequence[Job], at_once: int, trust: bool = False) -> None:
        if at_once < 1:
            raise RunError(f"--jobs must be at least 1, got {at_once}")
        self.jobs, self.at_once, self.trust = list(jobs), at_once, trust
        self.failed: list[Job] = []
        self._running: dict[Job, subprocess.Popen[bytes]] = {}

    def run(self, show: Callable[[list[Progress]], None]) -> list[Job]:
        """Run all that is not done; returns the jobs that failed.

        Args:
            show: given the progress of all jobs, again and again.

        Raises:
            RunError: when interrupted, after the runs have written their checkpoints.
        """
        waiting = [job for job in self.jobs if self._state(job).state is not State.DONE]
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.at_once:
                    self._start(waiting.pop(0))
                time.sleep(_LOOK)
                self._look()
                show([self._state(job) for job in self.jobs])
        except KeyboardInterrupt:
            self._stop()
            raise RunError("interrupted; the runs have written checkpoints; the same command goes on") from None
        finally:
            self._stop()
        show([self._state(job) for job in self.jobs])
        return self.failed

    def _state(self, job: Job) -> Progress:
        found = progress_of(job.folder, job.steps)
        if job in self.failed:
            return Progress(job.folder, State.FAILED, found.step, job.steps, found.last_return)
        if job in self._running and found.state is not State.RUNNING:
            return Progress(job.folder, State.RUNNING, found.step, job.steps, found.last_return)
        return found

    def _start(self, job: Job) -> None:
        command = [sys.executable, "-m", "rpp_rl.scripts.main", *self._words(job)]
        threads = str(max(1, (os.cpu_count() or 1) // self.at_once))
        environment = {**dict.fromkeys(_THREADS, threads), **os.environ}
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            # A group of its own: Ctrl-C is for this process, which asks the runs to stop.
            self._running[job] = subprocess.Popen(  # noqa: S603
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    def _words(self, job: Job) -> list[str]:
        """The words that begin a run, or go on with one."""
        if checkpoints(job.folder / "checkpoints") or is_locked(job.folder):
            trusted = ["--trust"] if self.trust else []
            return ["train", "--resume", str(job.folder), "-n", str(job.steps), *trusted]
        # Killed before its first checkpoint: there is nothing in it to go on from.
        shutil.rmtree(job.folder, ignore_errors=True)
        return job.command()

    def _look(self) -> None:
        for job, process in list(self._running.items()):
            if process.poll() is not None:
                del self._running[job]
                if process.returncode != 0:
                    self.failed.append(job)

    def _stop(self) -> None:
        """Ask all runs to write a checkpoint and stop; those that do not are ended."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _FAREWELL
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
