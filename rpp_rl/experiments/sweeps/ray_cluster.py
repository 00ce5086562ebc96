"""Sweeps on a Ray cluster whose machines share the folder of the runs; a lost worker's run is resumed elsewhere."""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.sweeps.engine import STOP_WITHIN, Engine, Show, threads
from rpp_rl.experiments.sweeps.jobs import Job
from rpp_rl.experiments.sweeps.worker import COMMAND, LIFELINE

# How often the run of a lost worker is tried again, and seconds for which it may hold its folder after its end.
_RETRIES, _LOCKED = 3, 60.0
# Seconds that a worker waits for the end of its run before it answers, and seconds for a connection.
_LOOK, _CONNECT = 1.0, 5.0
# Seconds that a network drive may take to show a new file.
_PATIENCE = 10.0


class Child:
    """An actor of Ray: it has one run as a child process, which ends when the actor does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, work: Mapping[str, Any], folder: str, log: str, environment: Mapping[str, str]) -> str:
        """Start the run; returns the name of this machine.

        Args:
            work: see `Job.work`.
            folder: working folder.
            log: file for what the run prints. It must exist, which shows that storage is shared.
            environment: variables of the process that are added to those of this one.

        Raises:
            RunError: if the log does not exist.
        """
        path = Path(folder) / log
        deadline = time.monotonic() + _PATIENCE
        while not path.is_file():
            if time.monotonic() > deadline:
                raise RunError(
                    f"{platform.node()} does not see {path}; give all machines of the cluster a shared folder for the "
                    "runs, and name it with -f"
                )
            time.sleep(0.2)
        with path.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **environment, LIFELINE: "1"},
                start_new_session=True,
            )
        if self._process.stdin is not None:
            # It stays open as a lifeline: the system closes it when this process ends.
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(work).encode() + b"\n")
                self._process.stdin.flush()
        return platform.node()

    def look(self, patience: float) -> int | None:
        """The exit code of the run, or None if it still runs after `patience` seconds."""
        if self._process is None:
            return None
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """Ask the run to write a checkpoint and stop."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)


@dataclass
class Attempt:
    """A run at a worker.

    Attributes:
        worker: the actor, a `Child`; it has no machine until one has room.
        started: becomes ready when the run has started.
        look: becomes ready with its exit code, or None.
    """

    worker: Any
    started: Any
    look: Any


class RayEngine(Engine[Attempt]):
    """Runs jobs as processes on the machines of a Ray cluster, which share the folder of the runs with this one.

    A run ends at once when its worker does, so also when this process is killed; the same sweep then resumes it from
    its checkpoints. The run of a lost worker is resumed from its newest checkpoint as soon as its folder is free, at
    most three times.

    Args:
        jobs: the jobs, in the order in which they start; finished ones are skipped.
        address: address of the cluster, or "auto".
        at_once: number of jobs that run at a time; None for as many as fit.
        cpus: CPUs of each run; it has as many threads.
        gpus: GPUs of each run; a fraction lets several runs share one.
        trust: whether resumed runs may import the modules that they name.

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
                raise RunError(f"{flag} must be a fraction of one or a whole number, got {share:g}")
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
        """Run all jobs that are not done, see `Engine.run`, and leave the cluster."""
        try:
            return super().run(show)
        finally:
            self._ray.shutdown()

    def _may_start(self, job: Job) -> bool:
        # The process of a lost worker may take a moment to end.
        return super()._may_start(job) or time.monotonic() > self._free_at.get(job, float("inf"))

    def _is_running(self, job: Job) -> bool:
        return job in self._running and self._is_ready(self._running[job].started)

    def _start(self, job: Job) -> Attempt:
        worker, work = self._worker.remote(), job.work(self.trust)
        started = worker.start.remote(work, os.getcwd(), str(job.log), threads(int(self.cpus)))
        return Attempt(worker, started, worker.look.remote(_LOOK))

    def _look(self, job: Job) -> None:
        attempt, errors = self._running[job], self._ray.exceptions
        if not self._is_ready(attempt.look):
            return
        try:
            self._ray.get(attempt.started)
            code = self._ray.get(attempt.look)
        except (errors.ActorUnavailableError, errors.GetTimeoutError):
            code = None  # the network: it recovers, or the worker is lost soon
        except errors.RayActorError:
            self._lose(job)
            return
        except (errors.RayError, RunError) as error:
            job.note(str(getattr(error, "cause", None) or error))
            code = 2
        if code is None:
            attempt.look = attempt.worker.look.remote(_LOOK)
            return
        self._ray.kill(attempt.worker)
        self._finish(job, self._succeeded(job, code))

    def _lose(self, job: Job) -> None:
        """The worker of a run is lost: another one resumes the run."""
        self._losses[job] += 1
        again = self._losses[job] <= _RETRIES
        job.note(f"the worker was lost, {self._losses[job]} of {_RETRIES + 1} times")
        self._finish(job, succeeded=again)
        if again:
            self._free_at[job] = time.monotonic() + _LOCKED
            self._waiting.insert(0, job)

    def _stop(self) -> None:
        started = [attempt for attempt in self._running.values() if self._is_ready(attempt.started)]
        for attempt in started:
            attempt.worker.ask_to_stop.remote()
        # An actor answers in turn: when it answers this, the run has ended.
        ended = [attempt.worker.look.remote(STOP_WITHIN) for attempt in started]
        if ended:
            self._ray.wait(ended, num_returns=len(ended), timeout=STOP_WITHIN)
        for attempt in self._running.values():
            self._ray.kill(attempt.worker)
        self._running.clear()

    def _is_ready(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])


def connected(address: str) -> Any:
    """Import Ray and connect to a cluster.

    Args:
        address: address of the cluster, or "auto".

    Raises:
        RunError: if Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ImportError:
        raise RunError("Ray is not installed; pip install 'rpp-rl[ray]' on every machine of the cluster") from None
    nowhere = f"there is no Ray cluster at {address!r}; start one with: ray start --head"
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
    """The address that "auto" stands for, perhaps of a cluster that has ended; None where Ray has no such function.

    Raises:
        ConnectionError: if Ray knows of no cluster.
    """
    services = getattr(getattr(ray, "_private", None), "services", None)
    find = getattr(services, "canonicalize_bootstrap_address_or_die", None)
    return None if find is None else str(find("auto"))


def _check_listens(address: str) -> None:
    """Check that an address accepts connections: Ray itself would try for minutes.

    Raises:
        RunError: if it is not an address.
        OSError: if it does not accept connections.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise RunError(f"--ray must be 'auto' or HOST:PORT, got {address!r}")
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
