"""How far a run is, read from its folder."""

from __future__ import annotations

import csv
import enum
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rpp_rl.errors import RPPError, RunError
from rpp_rl.scripts.run_folder import CONFIG, MONITOR, RunFolder, read_config

EVALUATION = "evaluation.json"


class State(enum.Enum):
    """Of a run."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        folder: of the run.
        state: whether it runs.
        step: environment steps that its finished episodes took.
        total: steps that it is to take.
        last_return: of the last episode; None before there is one.
        rate: steps per second since it began; None before there is one.
    """

    folder: Path
    state: State
    step: int = 0
    total: int = 0
    last_return: float | None = None
    rate: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None where that is not known."""
        return None if not self.rate or self.state is not State.RUNNING else (self.total - self.step) / self.rate


def progress_of(folder: Path, total: int | None = None) -> Progress:
    """How far the run in a folder is.

    Args:
        folder: of the run; need not be there yet.
        total: steps that it is to take; None for those that it was begun with.
    """
    if not (folder / CONFIG).is_file():
        return Progress(folder, State.WAITING, total=total or 0)
    try:
        config: dict[str, Any] = read_config(folder / CONFIG)
        planned = int(total or config.get("n_timesteps") or 0)
    except (RPPError, TypeError, ValueError):
        return Progress(folder, State.FAILED, total=total or 0)
    step, last, seconds = _episodes(folder / MONITOR)
    # Steps of an episode that is not over are known to evaluations alone.
    step = max(step, _evaluated(folder))
    running = is_locked(folder)
    if (folder / EVALUATION).is_file() and not running:
        done = _steps_taken(folder, int(config.get("n_timesteps") or 0))
        step = max(step, done)
        state = State.DONE if done >= planned else State.INTERRUPTED
        return Progress(folder, state, step, max(step, planned), last, None)
    rate = step / seconds if running and seconds > 0 else None
    return Progress(folder, State.RUNNING if running else State.INTERRUPTED, step, planned, last, rate)


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a folder."""
    if not (folder / ".lock").is_file():
        return False
    try:
        with RunFolder(folder).lock(patience=0):
            return False
    except RunError:
        return True


def run_folders(root: Path) -> list[Path]:
    """The run folders below a folder, itself included.

    Raises:
        RunError: if there is none.
    """
    # Not rglob, which stops at a folder that is renamed or removed meanwhile, as those of checkpoints are.
    found = sorted(Path(folder) for folder, _, files in os.walk(root) if CONFIG in files)
    if not found:
        raise RunError(f"there are no runs in {root}; give a folder that rpp-rl train or sweep has written to")
    return found


def _episodes(path: Path) -> tuple[int, float | None, float]:
    """Steps, the last return, and seconds since the beginning, from the monitor of a run."""
    steps, last = 0, None
    try:
        with path.open(encoding="utf-8") as file:
            began = float(json.loads(file.readline().lstrip("#"))["t_start"])
            for row in csv.DictReader(file):
                steps += int(row["l"])
                last = float(row["r"])
    except (OSError, ValueError, KeyError, TypeError):
        return steps, last, 0.0
    return steps, last, time.time() - began


def _evaluated(folder: Path) -> int:
    try:
        with np.load(folder / "evaluations.npz", allow_pickle=False) as data:
            return int(data["timesteps"][-1])
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile):  # it may be being written
        return 0


def _steps_taken(folder: Path, planned: int) -> int:
    """The steps with which a run ended, from its own last words; those planned, where an older run did not say."""
    try:
        return int(json.loads((folder / EVALUATION).read_text(encoding="utf-8")).get("num_timesteps", planned))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0
