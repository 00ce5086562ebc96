"""Runs on the machines of a Ray cluster that share no storage with this one: their folders are brought back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rpp_rl.errors import RunError
from rpp_rl.experiments.run_folder import RunFolder
from rpp_rl.experiments.sweeps.bringing import pieces, take
from rpp_rl.experiments.sweeps.commands import arguments_of, words_of
from rpp_rl.experiments.sweeps.engine import threads
from rpp_rl.experiments.sweeps.plan import Job
from rpp_rl.experiments.sweeps.ray_cluster import Attempt, RayEngine

# Seconds for which a worker may take to send a piece; and bringing back is to cost one part in so many of a run's time.
_PATIENCE, _PART = 120.0, 20
# Where a run is in the folder of its worker.
_ROOT = Path("runs")


@dataclass
class _Away:
    """What is known of a run that is elsewhere.

    Attributes:
        held: the lock of its folder here.
        sent: whether the run is begun there.
        newest: the checkpoint that was brought last.
        due: when the next may be brought.
        logged: bytes of its log that were brought.
    """

    held: ExitStack = field(default_factory=ExitStack)
    sent: bool = False
    newest: str | None = None
    due: float = 0.0
    logged: int = 0


def _refuse_files_of_here(job: Job) -> None:
    """Check that no option names a file by a path that leads elsewhere in the folder in which a worker runs.

    Raises:
        RunError: if one does.
    """
    arguments = arguments_of(job)
    declared = arguments.symmetry if str(arguments.symmetry).endswith((".yaml", ".yml")) else None
    for flag, value in (("--symmetry", declared), ("--trained-agent", arguments.trained_agent)):
        if value is not None and not Path(value).is_absolute():
            raise RunError(
                f"{flag} {value} is a file that --ray-bring-back does not send along; give the whole path of one that "
                "every machine has"
            )


class BringingEngine(RayEngine):
    """As `RayEngine`, for clusters without shared storage.

    A run is in a folder of its worker, which gets what is here of it, and is removed in the end; that of a worker that
    was lost stays among the temporary files of its machine. The newest checkpoint is brought back whenever there is a
    new one, as long as that takes no more than a twentieth of the time; so the run of a lost worker goes on from the
    last that was brought. Here its folder is locked meanwhile.

    Args:
        jobs: the runs, in the order in which they are begun; those that are done are left alone.
        address: of the cluster, or "auto".
        options: those of `RayEngine`.

    Raises:
        RunError: as `RayEngine`; and if TensorBoard's events are to be elsewhere than in the folders of the runs.
    """

    def __init__(self, jobs: Sequence[Job], address: str, **options: Any) -> None:
        if any(word.partition("=")[0] in ("--tensorboard-log", "-tb") for job in jobs for word in job.options):
            raise RunError("with --ray-bring-back events are in the folders of the runs; leave out --tensorboard-log")
        for job in jobs:
            _refuse_files_of_here(job)
        super().__init__(jobs, address, **options)
        self._away: dict[Job, _Away] = {}

    def _begin(self, job: Job) -> Attempt:
        away = _Away()
        words = words_of(job, self.trust, _ROOT)
        job.folder.mkdir(exist_ok=True)
        away.held.enter_context(RunFolder(job.folder).lock())
        self._away[job] = away
        worker = self._worker.remote()
        # Answered as soon as the worker has a machine; only then is anything sent.
        there = worker.look.remote(0)
        return Attempt(worker, there, there, words)

    def _answered(self, job: Job, attempt: Attempt, code: int | None) -> None:
        away = self._away[job]
        if not away.sent:
            folder = Job(job.algo, job.env, job.seed, job.steps, _ROOT).folder
            self._get(attempt.worker.receive.remote(str(folder)))
            for piece in pieces(job.folder):
                self._get(attempt.worker.write.remote(*piece))
            attempt.begun = attempt.worker.begin.remote(attempt.words, None, "log", threads(int(self.cpus)))
            away.sent = True
        elif code is not None or time.monotonic() >= away.due:
            self._bring(job, attempt, over=code is not None)

    def _bring(self, job: Job, attempt: Attempt, over: bool) -> None:
        away, began = self._away[job], time.monotonic()
        self._bring_log(job, attempt)
        newest = self._get(attempt.worker.newest.remote())
        if over or newest not in (None, away.newest):
            records = self._get(attempt.worker.snapshot.remote())
            take(job.folder, records, lambda name, offset: bytes(self._get(attempt.worker.read.remote(name, offset))))
            away.newest = newest
        away.due = time.monotonic() + _PART * (time.monotonic() - began)
        if over:
            self._get(attempt.worker.clean.remote())

    def _bring_log(self, job: Job, attempt: Attempt) -> None:
        away = self._away[job]
        while content := self._get(attempt.worker.log.remote(away.logged)):
            away.logged += len(content)
            with job.log.open("ab") as log:
                log.write(content)

    def _get(self, reference: Any) -> Any:
        return self._ray.get(reference, timeout=_PATIENCE)

    def _over(self, job: Job, well: bool) -> None:
        self._away.pop(job).held.close()
        super()._over(job, well)

    def _stopped(self, job: Job, attempt: Attempt) -> None:
        if self._away[job].sent:
            self._bring(job, attempt, over=True)

    def _stop(self) -> None:
        super()._stop()
        for away in self._away.values():
            away.held.close()
        self._away.clear()
