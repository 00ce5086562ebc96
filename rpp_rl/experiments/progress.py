"""Progress of a run: its state, step, rate and the time left."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class State(enum.Enum):
    """State of a run."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
        folder: the run's folder.
        state: waiting, running, interrupted, failed or done.
        step: environment steps taken, as far as finished episodes, evaluations and checkpoints tell.
        total: environment steps planned.
        last_return: return of the last episode; None before the first one ends.
        rate: environment steps per second since the run started or resumed; None before an episode ends.
    """

    folder: Path
    state: State
    step: int = 0
    total: int = 0
    last_return: float | None = None
    rate: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present rate in seconds; None where the rate is unknown."""
        return None if not self.rate or self.state is not State.RUNNING else (self.total - self.step) / self.rate
