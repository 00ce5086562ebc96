"""Runs as processes of this machine, a few at a time, with threads shared out among them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from rpp_rl.experiments.sweeps.commands import words_of
from rpp_rl.experiments.sweeps.engine import FAREWELL, Engine, threads
from rpp_rl.experiments.sweeps.plan import Job


def processors() -> int:
    """How many processors this process may use, which a batch system or `taskset` can make fewer than there are."""
    with suppress(AttributeError):  # only Linux tells
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalEngine(Engine["subprocess.Popen[bytes]"]):
    """Runs jobs as processes.

    Args:
        jobs: the runs, in the order in which they are begun; those that are done are left alone.
        at_once: how many run at a time.
        trust: whether runs that are resumed may import modules that they name.
    """

    def __init__(self, jobs: Sequence[Job], at_once: int = 1, trust: bool = False) -> None:
        super().__init__(jobs, at_once, trust)
        self._threads = threads(processors() // max(1, min(at_once, len(jobs))))

    def _begin(self, job: Job) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rpp_rl.scripts.main", *words_of(job, self.trust)]
        with job.log.open("ab") as log:
            # A group of its own: Ctrl-C is for this process, which asks the runs to stop.
            return subprocess.Popen(  # noqa: S603
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._threads, **os.environ},
                start_new_session=True,
            )

    def _look(self, job: Job) -> None:
        code = self._running[job].poll()
        if code is not None:
            self._over(job, self._is_well(job, code))

    def _stop(self) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + FAREWELL
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
