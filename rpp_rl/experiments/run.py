"""A run: one folder with configuration, episodes, evaluations, checkpoints and agent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rpp_rl.agents.common.building import load_agent
from rpp_rl.agents.common.checkpoints.files import FOLDER, checkpoints
from rpp_rl.errors import RPPError, RunError
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.progress import Progress, State
from rpp_rl.experiments.run_files import (
    MOST_STEPS,
    Episodes,
    Evaluations,
    read_episodes,
    read_evaluations,
    read_json,
    read_json_object,
)
from rpp_rl.files import open_regular, replace_file

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

CHECKPOINTS = FOLDER
# The files of a run. A run is done when the evaluation of its final agent is there.
BEST_MODEL, BEST_NORMALIZER = "best_model.zip", "best_normalizer.zip"
CONFIG, MODEL, NORMALIZER, MONITOR = "config.json", "model.zip", "normalizer.zip", "monitor.csv"
EVALUATIONS, EVALUATION, AUDIT, FAILURE, LOCK = (
    *("evaluations.npz", "evaluation.json", "audit.json", "failure.json", ".lock"),
)
# Beside the runs of an algorithm: runs that were moved aside.
ABANDONED = ".abandoned"
_KINDS = {"env": str, "algo": str, "env_kwargs": dict, "evaluation_seed": int, "versions": dict, "device": str}
_LOCK_TRIES, _MOST_RUNS, _LARGEST_LOCK = 10, 10_000, 1 << 20


@dataclass(frozen=True)
class Run:
    """A run on disk.

    ``config.json``, TensorBoard's events, ``monitor.csv``, ``evaluations.npz``, ``checkpoints/``, ``model.zip`` and
    ``evaluation.json`` lie in one folder. This class is the only place that knows their names.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def create(cls, folder: Path) -> Run:
        """Create a folder, or the first of ``<folder>-2``, ``<folder>-3``, ... that does not exist yet.

        Raises:
            RunError: if the folder cannot be created.
        """
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            for attempt in range(1, _MOST_RUNS):
                path = folder if attempt == 1 else folder.with_name(f"{folder.name}-{attempt}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                if attempt > 1:
                    print(f"{folder} exists and is left alone; this run uses {path}")
                return cls(path)
        except OSError as error:
            raise RunError(f"cannot create {folder}: {error.strerror}; choose another folder with -f") from error
        raise RunError(f"{folder.parent} is full of runs of this seed; choose another seed or folder")

    @property
    def record(self) -> dict[str, Any]:
        """The content of ``config.json``: configuration, resolved settings, versions and machine.

        Raises:
            RunError: if the file is missing or damaged.
        """
        path = self.path / CONFIG
        if not path.is_file():
            raise RunError(f"{self.path} is not a run folder: it has no {CONFIG}")
        record = read_json_object(path)
        for key, kind in _KINDS.items():
            if key in record and type(record[key]) is not kind:
                raise RunError(f"{path} is not the configuration of a run: its {key} is {str(record[key])[:50]!r}")
        return record

    @property
    def config(self) -> RunConfig:
        """The configuration that the run was started with.

        Raises:
            RunError: if ``config.json`` is missing or damaged.
        """
        record = self.record
        # Format 1 calls it "arguments".
        given = record.get("config", record.get("arguments"))
        if not isinstance(given, dict):
            raise RunError(f"{self.path / CONFIG} does not hold the run's configuration; it is of another version")
        return RunConfig.from_dict(given, str(self.path / CONFIG))

    @property
    def evaluations(self) -> Evaluations | None:
        """The evaluations during training; None before the first.

        Raises:
            RunError: if their file is damaged.
        """
        path = self.path / EVALUATIONS
        return read_evaluations(path) if path.is_file() else None

    @property
    def monitor(self) -> Episodes:
        """The training episodes."""
        return read_episodes(self.path / MONITOR)

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """The evaluation of the final agent; None before the run is done."""
        found = read_json(self.path / EVALUATION)
        return found if isinstance(found, dict) else None

    @property
    def audit(self) -> dict[str, Any] | None:
        """The audit of the symmetry; None where there is none."""
        found = read_json(self.path / AUDIT)
        return found if isinstance(found, dict) else None

    @property
    def failed(self) -> bool:
        """Whether an error ended the run."""
        return (self.path / FAILURE).is_file()

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints, the newest first."""
        return checkpoints(self.path / CHECKPOINTS)

    @property
    def model(self) -> Path:
        """The file of the final agent."""
        return self.path / MODEL

    def agent(self, device: str = "auto", trust: bool = False) -> BaseAlgorithm:
        """Load the final agent, without an environment.

        Args:
            device: device of its networks.
            trust: whether to unpickle what a file of stable-baselines3 holds besides plain data.

        Raises:
            RPPError: if the file is missing or damaged.
        """
        if not self.model.is_file():
            raise RunError(f"{self.path} holds no {MODEL}; give a folder that rpp-rl train made")
        return load_agent(self.model, device=device, trust=trust)  # type: ignore[no-any-return]

    @property
    def progress(self) -> Progress:
        """State, step, rate and time left."""
        return self.progress_to(None)

    def progress_to(self, total: int | None) -> Progress:
        """The progress of the run towards `total` environment steps; None takes the steps of its configuration."""
        if not (self.path / CONFIG).is_file():
            return Progress(self.path, State.WAITING, total=total or 0)
        try:
            record = self.record
            configured = _steps(record.get("n_timesteps") or 0)
        except RPPError:
            return Progress(self.path, State.FAILED, total=total or 0)
        planned, episodes = total or configured, self.monitor
        # Steps of an unfinished episode are known to evaluations and checkpoints only.
        step = max(episodes.steps, self._evaluated_at(), self._saved_at())
        if self.is_locked():
            return Progress(self.path, State.RUNNING, step, planned, episodes.last_return, episodes.rate)
        if (self.path / EVALUATION).is_file():
            done = self._ended_at(configured)
            state, step = State.DONE if done >= planned else State.INTERRUPTED, max(step, done)
            return Progress(self.path, state, step, max(step, planned), episodes.last_return)
        state = State.FAILED if self.failed else State.INTERRUPTED
        return Progress(self.path, state, step, planned, episodes.last_return)

    def has_done(self, steps: int) -> bool:
        """Whether the run ended after at least so many environment steps."""
        return (self.path / EVALUATION).is_file() and self._ended_at(steps) >= steps

    def holds_results(self) -> bool:
        """Whether there is more than the first files of a run that was killed before its first checkpoint."""
        return self.model.exists() or (self.path / EVALUATION).exists() or bool(self.checkpoints) or self.is_locked()

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a JSON file of the run; an existing one is replaced as a whole.

        Raises:
            OSError: if it cannot be written.
        """
        replace_file(self.path / name, (json.dumps(data, indent=2, default=repr) + "\n").encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, so that no second process trains in it. The lock ends with the process.

        Raises:
            RunError: if another process holds it.
        """
        # A process that checks the lock holds it for an instant.
        for _ in range(_LOCK_TRIES):
            file = hold(self.path / LOCK)
            if file is not None:
                break
            time.sleep(0.05)
        else:
            raise RunError(f"another process is training in {self.path}; wait for it, or stop it")
        with file:
            yield

    def is_locked(self) -> bool:
        """Whether a process trains in the folder, which need not be writable; False where locks are not supported."""
        try:
            import fcntl
        except ImportError:
            return False
        try:
            with open_regular(self.path / LOCK, _LARGEST_LOCK) as file:
                # A shared lock: two readers do not take each other for a run.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _evaluated_at(self) -> int:
        try:
            found = self.evaluations
        except RunError:  # the run may be writing it
            return 0
        return 0 if found is None else int(found.timesteps[-1])

    def _saved_at(self) -> int:
        return int(self.checkpoints[0].name.rpartition("_")[2]) if self.checkpoints else 0

    def _ended_at(self, default: int) -> int:
        """The step at which the run ended; `default` where an older run did not record it."""
        try:
            return _steps((self.evaluation or {"num_timesteps": 0}).get("num_timesteps", default))
        except RunError:
            return 0


def _steps(value: Any) -> int:
    """A number of environment steps.

    Raises:
        RunError: if it is not a whole number that a run can take.
    """
    if type(value) is not int or not 0 <= value < MOST_STEPS:
        raise RunError(f"{str(value)[:60]!r} is not a number of environment steps")
    return value


def hold(path: Path) -> IO[bytes] | None:
    """Open and lock a file, which is created where it is missing; None if another process holds it.

    Where the system or the drive has no locks, every process gets the file.

    Raises:
        OSError: if the file cannot be opened, or is a link.
    """
    # A link would create a file elsewhere, and a pipe without a reader would be waited for.
    strict = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | strict, 0o666), "ab")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except (ImportError, OSError):
        return file
    return file
