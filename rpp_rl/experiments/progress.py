"""How far a run is, read from its folder."""

from __future__ import annotations

import csv
import enum
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rpp_rl.agents.common.checkpoints.archive import checkpoints
from rpp_rl.errors import RPPError
from rpp_rl.experiments.run_folder import (
    CHECKPOINTS,
    CONFIG,
    EVALUATION,
    EVALUATIONS,
    FAILURE,
    LOCK,
    MONITOR,
    RunFolder,
    read_config,
)


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
        step: environment steps that its finished episodes took, or an evaluation or checkpoint knows of.
        total: steps that it is to take.
        last_return: of the last episode; None before there is one.
        rate: steps per second since it began or went on, without pauses; None before an episode is over.
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
    episodes = _episodes(folder / MONITOR)
    # Steps of an episode that is not over are known to evaluations and checkpoints alone.
    step, last = max(episodes.steps, _evaluated(folder), _kept(folder)), episodes.last_return
    running = is_locked(folder)
    if (folder / EVALUATION).is_file() and not running:
        done = _steps_taken(folder, int(config.get("n_timesteps") or 0))
        step = max(step, done)
        state = State.DONE if done >= planned else State.INTERRUPTED
        return Progress(folder, state, step, max(step, planned), last, None)
    if running:
        return Progress(folder, State.RUNNING, step, planned, last, episodes.rate)
    failed = (folder / FAILURE).is_file()
    return Progress(folder, State.FAILED if failed else State.INTERRUPTED, step, planned, last)


def has_done(folder: Path, steps: int) -> bool:
    """Whether the run in a folder has come to its end, after so many steps at least."""
    return (folder / EVALUATION).is_file() and _steps_taken(folder, steps) >= steps


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a folder; also of somebody else's, which may only be read."""
    return (folder / LOCK).is_file() and RunFolder(folder).is_held()


@dataclass
class _Episodes:
    """What the monitor of a run says.

    Attributes:
        steps: of all episodes.
        last_return: of the last one.
        recent: steps of the episodes since the run began or last went on.
        seconds: from then to the last episode.
        age: seconds since that.
    """

    steps: int = 0
    last_return: float | None = None
    recent: int = 0
    seconds: float = 0.0
    age: float = 0.0

    @property
    def rate(self) -> float | None:
        """Steps per second since the run began or last went on."""
        return self.recent / (self.seconds + self.age) if self.recent and self.seconds > 0 else None


def _episodes(path: Path) -> _Episodes:
    found = _Episodes()
    with suppress(OSError, ValueError, KeyError, TypeError):  # it may be being written
        found.age = max(0.0, time.time() - path.stat().st_mtime)
        with path.open(encoding="utf-8") as file:
            file.readline()
            for row in csv.DictReader(file):
                steps, seconds = int(row["l"]), float(row["t"])
                # Time is counted anew by each process that goes on.
                found.recent = steps + (found.recent if seconds >= found.seconds else 0)
                found.seconds = seconds
                found.steps += steps
                found.last_return = float(row["r"])
    return found


def _evaluated(folder: Path) -> int:
    try:
        with np.load(folder / EVALUATIONS, allow_pickle=False) as data:
            return int(data["timesteps"][-1])
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, BadZipFile):  # it may be being written
        return 0


def _kept(folder: Path) -> int:
    """The step of the newest checkpoint, by its name."""
    found = checkpoints(folder / CHECKPOINTS)
    number = found[0].name.rpartition("_")[2] if found else ""
    return int(number) if number.isdecimal() else 0


def _steps_taken(folder: Path, planned: int) -> int:
    """The steps with which a run ended, from its own last words; those planned, where an older run did not say."""
    try:
        return int(json.loads((folder / EVALUATION).read_text(encoding="utf-8")).get("num_timesteps", planned))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0
