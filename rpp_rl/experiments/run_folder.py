"""The folder of a run: where it lies, what it holds, how a saved agent is found and read again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rpp_rl.errors import RunError
from rpp_rl.files import replace_file

MODEL = "model.zip"
CONFIG = "config.json"
MONITOR = "monitor.csv"
AUDIT = "audit.json"
# Every evaluation during training, and the last one, which is what makes a run done.
EVALUATIONS, EVALUATION = "evaluations.npz", "evaluation.json"
# As `rpp_rl.agents.common.checkpoints.archive` has it, which would bring torch along.
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
# What ended a run before its time, if that was not somebody who asked it to stop.
FAILURE = "failure.json"
# Beside the runs of an algorithm: what could not go on and was not to be lost.
ABANDONED = ".abandoned"
EVALUATION_SEED = 10_000  # added to the run's seed, so that evaluation never meets a training episode
# What is read back, and what it is.
_CONFIG_KINDS = {"env": str, "algo": str, "env_kwargs": dict, "evaluation_seed": int, "versions": dict, "device": str}
_LARGEST_CONFIG = 1 << 24
_TRIES = 10


@dataclass(frozen=True)
class RunFolder:
    """One run: configuration, TensorBoard events, ``evaluations.npz``, ``monitor.csv``, checkpoints, final model.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def create(cls, root: Path, env_id: str, algo: str, seed: int) -> RunFolder:
        """Make ``<root>/<env>/<algo>/seed<seed>``, or the first of ``seed<seed>-2``, ``-3``, ... that is not there.

        Raises:
            RunError: if the folder cannot be made.
        """
        parent = root / env_id.replace("/", "-") / algo
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for attempt in range(1, 10_000):
                path = parent / (f"seed{seed}" if attempt == 1 else f"seed{seed}-{attempt}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                if attempt > 1:
                    print(f"{parent / f'seed{seed}'} exists and is left alone; this run goes to {path}")
                return cls(path)
        except OSError as error:
            raise RunError(
                f"no run folder can be made in {parent}: {error.strerror}; choose another with -f"
            ) from error
        raise RunError(f"{parent} is full of runs with seed {seed}; choose another seed or folder")

    def write_json(self, name: str, data: dict[str, Any]) -> None:
        """Write a JSON file into the folder; what JSON has no form for (a class, say) is written as its repr."""
        # Never half of one in place of a whole one: a run that goes on writes its configuration again.
        replace_file(self.path / name, (json.dumps(data, indent=2, default=repr) + "\n").encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, so that no second process trains in it; the lock of a process that died is gone with it.

        Raises:
            RunError: if another process holds it.
        """
        # Somebody who looks whether it is held, holds it for an instant.
        for _ in range(_TRIES):
            file = hold(self.path / LOCK)
            if file is not None:
                break
            time.sleep(0.05)
        else:
            raise RunError(f"another process is training in {self.path}; wait for it, or stop it")
        with file:
            yield

    def is_held(self) -> bool:
        """Whether a process holds the folder, which need not be writable; False where that cannot be seen."""
        try:
            import fcntl
        except ImportError:
            return False
        try:
            with (self.path / LOCK).open("rb") as file:
                # Shared, so that two who look do not take each other for a run.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def model(self) -> Path:
        """The final model."""
        return self.path / MODEL


def hold(path: Path) -> IO[bytes] | None:
    """A file, made where it is missing, that this process alone holds until it closes it or dies; None if another does.

    Where a system or a drive has no such locks, everybody holds it.
    """
    file = path.open("ab")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except (ImportError, OSError):
        return file
    return file


def find_model(run: Path) -> Path:
    """The model file of a run: the file itself, or the final model of a run folder.

    Raises:
        RunError: if there is none.
    """
    if run.is_dir():
        model = run / MODEL
        if not model.is_file():
            raise RunError(f"{run} holds no {MODEL}; give a folder that rpp-rl train made, or a model file")
        return model
    for candidate in (run, run.with_name(run.name + ".zip")):
        if candidate.is_file():
            return candidate
    raise RunError(f"there is no run or model at {run}; rpp-rl train makes one")


def run_of(model: Path) -> Path | None:
    """The run folder that a model file lies in, or below; None where it is in none."""
    return next((folder for folder in (model.parent, model.parent.parent) if (folder / CONFIG).is_file()), None)


def read_config(model: Path) -> dict[str, Any]:
    """The configuration beside a model, or an empty one.

    Raises:
        RunError: if there is one that cannot be read.
    """
    run = run_of(model)
    return {} if run is None else _config_in(run / CONFIG)


def _config_in(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise RunError(f"{path} is larger than the configuration of a run can be")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path} cannot be read: {error}; restore it, or move its folder elsewhere") from error
    if not isinstance(config, dict):
        raise RunError(f"{path} is not the configuration of a run")
    for key, kind in _CONFIG_KINDS.items():
        if key in config and type(config[key]) is not kind:
            raise RunError(f"{path} is not the configuration of a run: its {key} is {str(config[key])[:50]!r}")
    return config
