"""Runs on the machines of a Ray cluster, each with its share of them; a lost worker's run goes on elsewhere."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.sweeps.commands import note, words_of
from rpp_rl.experiments.sweeps.engine import FAREWELL, Engine, Show, threads
from rpp_rl.experiments.sweeps.plan import Job
from rpp_rl.experiments.sweeps.ray_worker import Child

# How often the run of a lost worker is tried again, and how long it may hold its folder after its end.
_RETRIES, _LOCKED = 3, 60.0
# Seconds for which a worker waits for the end of a run before it says that it runs, and for a connection.
_LOOK, _CONNECT = 1.0, 5.0


@dataclass
class Attempt:
    """A run at a worker.

    Attributes:
        worker: the actor, a `Child`; without a machine until one has room.
        begun: becomes ready when the run is begun.
        look: becomes ready with its exit code, or None.
        words: that begin it.
    """

    worker: Any
    begun: Any
    look: Any
    words: list[str]


class RayEngine(Engine[Attempt]):
    """Runs jobs as processes on the machines of a Ray cluster, which share the folder of the runs with this one.

    Every run is a child process of a worker, the one that `LocalEngine` would have begun. It ends at once when its
    worker does, so also when this process is killed: then runs stop where they are, and the same sweep goes on from
    their checkpoints. The run of a worker that is lost, with its machine or alone, goes on from its newest checkpoint
    as soon as its folder is free, at most three times.

    Args:
        jobs: the runs, in the order in which they are begun; those that are done are left alone.
        address: of the cluster, or "auto".
        at_once: how many run at a time; None for as many as fit.
        cpus: of each run; its threads are as many.
        gpus: of each run; a part of one where several runs share one.
        trust: whether runs that are resumed may import modules that they name.

    Raises:
        RunError: if Ray is not installed, there is no such cluster, or none of its machines has room for a run.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        address: str,
        at_once: int | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        trust: bool = False,
    ) -> None:
        super().__init__(jobs, at_once, trust)
        for flag, share in (("--cpus-per-run", cpus), ("--gpus-per-run", gpus)):
            if not 0 <= share < float("inf") or (share > 1 and share != int(share)):
                raise RunError(f"{flag} is a part of one or a whole number, got {share:g}")
        self.cpus = cpus
        self._ray = connected(address)
        try:
            _check_room(self._ray, address, cpus, gpus)
        except RunError:
            self._ray.shutdown()
            raise
        self._worker = self._ray.remote(max_restarts=0)(Child).options(num_cpus=cpus, num_gpus=gpus)
        self._losses: Counter[Job] = Counter()
        self._free_at: dict[Job, float] = {}

    def run(self, show: Show) -> list[Job]:
        """Run all that is not done; returns the jobs that failed.

        Args:
            show: given the progress of all jobs, again and again.

        Raises:
            RunError: when interrupted, after the runs have written their checkpoints.
        """
        try:
            return super().run(show)
        finally:
            self._ray.shutdown()

    def _may_begin(self, job: Job) -> bool:
        # What a lost worker leaves behind may take a moment to end; after a while, the run itself says what is wrong.
        return super()._may_begin(job) or time.monotonic() > self._free_at.get(job, float("inf"))

    def _at_work(self, job: Job) -> bool:
        return job in self._running and self._is_ready(self._running[job].begun)

    def _begin(self, job: Job) -> Attempt:
        worker = self._worker.remote()
        words = words_of(job, self.trust)
        begun = worker.begin.remote(words, os.getcwd(), str(job.log), threads(int(self.cpus)))
        return Attempt(worker, begun, worker.look.remote(_LOOK), words)

    def _look(self, job: Job) -> None:
        attempt, errors = self._running[job], self._ray.exceptions
        if not self._is_ready(attempt.look):
            return
        try:
            self._ray.get(attempt.begun)
            code = self._ray.get(attempt.look)
            self._answered(job, attempt, code)
        except (errors.ActorUnavailableError, errors.GetTimeoutError):
            code = None  # the network; it is back, or the worker is lost soon
        except errors.RayActorError:
            self._lose(job)
            return
        except (errors.RayError, RunError) as error:
            note(job, str(getattr(error, "cause", None) or error))
            code = 2
        if code is None:
            attempt.look = attempt.worker.look.remote(_LOOK)
            return
        self._ray.kill(attempt.worker)
        self._over(job, self._is_well(job, code))

    def _lose(self, job: Job) -> None:
        """The worker of a run is gone: the run is to go on elsewhere."""
        self._losses[job] += 1
        again = self._losses[job] <= _RETRIES
        note(job, f"the worker was lost, {self._losses[job]} of {_RETRIES + 1} times")
        self._over(job, well=again)
        if again:
            self._free_at[job] = time.monotonic() + _LOCKED
            self._waiting.insert(0, job)

    def _stop(self) -> None:
        begun = {job: attempt for job, attempt in self._running.items() if self._is_ready(attempt.begun)}
        for attempt in begun.values():
            attempt.worker.ask.remote()
        # Asked first, and answered in turn: when this is answered, the run has ended.
        ended = {attempt.worker.look.remote(FAREWELL): job for job, attempt in begun.items()}
        if ended:
            for answer in self._ray.wait(list(ended), num_returns=len(ended), timeout=FAREWELL)[0]:
                with suppress(self._ray.exceptions.RayError, RunError, OSError):
                    self._stopped(ended[answer], begun[ended[answer]])
        for attempt in self._running.values():
            self._ray.kill(attempt.worker)
        self._running.clear()

    def _is_ready(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])

    def _answered(self, job: Job, attempt: Attempt, code: int | None) -> None:
        """A worker has said how its run is."""

    def _stopped(self, job: Job, attempt: Attempt) -> None:
        """A run has ended since it was asked to."""


def connected(address: str) -> Any:
    """The module `ray`, connected to a cluster.

    Args:
        address: of the cluster, or "auto".

    Raises:
        RunError: if Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ImportError:
        raise RunError("Ray is not installed; pip install 'rpp-rl[ray]' on every machine of the cluster") from None
    nowhere = f"there is no Ray cluster at {address!r}; begin one with: ray start --head"
    try:
        found = _found(ray) if address == "auto" else address
        if found is not None:
            _check_listens(found)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{nowhere} ({' '.join(str(error).split())[:200]})") from error
    return ray


def _found(ray: Any) -> str | None:
    """The address that "auto" stands for, of a cluster that may be over; None where Ray has no such function.

    Raises:
        ConnectionError: if there is none.
    """
    services = getattr(getattr(ray, "_private", None), "services", None)
    find = getattr(services, "canonicalize_bootstrap_address_or_die", None)
    return None if find is None else str(find("auto"))


def _check_listens(address: str) -> None:
    """Check that somebody is at an address: Ray itself would try for minutes.

    Raises:
        RunError: if it is none.
        OSError: if nobody is there.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise RunError(f"--ray is 'auto' or HOST:PORT, got {address!r}")
    with closing(socket.create_connection((host.strip("[]"), int(port)), _CONNECT)):
        return


def _check_room(ray: Any, address: str, cpus: float, gpus: float) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        return
    has = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes[:8])
    raise RunError(
        f"a run asks for {cpus:g} CPUs and {gpus:g} GPUs, and no machine of the cluster at {address!r} has them: {has}"
    )
