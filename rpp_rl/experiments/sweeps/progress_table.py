"""The table of runs with step, rate, last return and time left; redrawn on a terminal, printed as lines to a file."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from rpp_rl.errors import printable
from rpp_rl.experiments.progress import Progress, State

# Seconds between drawings on a terminal, and between lines in a file.
_DRAW, _LINE = 1.0, 60.0
# What a reader looks for first.
_URGENCY = {State.FAILED: 0, State.RUNNING: 1, State.INTERRUPTED: 2, State.WAITING: 3, State.DONE: 4}
# Lines of a terminal without a run: the head of the table, the caption, the cursor.
_AROUND = 4
# Width of a table in a file.
_FILE = 140


def as_table(rows: Sequence[Progress], most: int | None = None) -> Table:
    """The table of some runs.

    Args:
        rows: progress of the runs.
        most: largest number of rows; finished and waiting runs beyond it are counted in the caption.
    """
    # Names are folded, not cut: the end of a name holds the seed.
    numbers = [Column(name, no_wrap=True) for name in ("state", "step", "of", "steps/s", "training return", "left")]
    table = Table(Column("run", overflow="fold"), *numbers, box=None, pad_edge=False)
    named = list(zip(rows, names([row.folder for row in rows]), strict=True))
    if most is not None and len(rows) > most:
        first = sorted(named, key=lambda pair: _URGENCY[pair[0].state])
        table.caption, table.caption_justify = f"and {in_states([row for row, _ in first[most:]])}", "left"
        named = [pair for pair in named if pair in first[:most]]
    for row, name in named:
        table.add_row(
            Text(name),  # a name may look like markup
            row.state.value,
            str(row.step),
            str(row.total),
            "" if row.rate is None else f"{row.rate:.0f}",
            "" if row.last_return is None else f"{row.last_return:.1f}",
            duration(row.seconds_left),
        )
    return table


def names(folders: Sequence[Path]) -> list[str]:
    """Names of run folders: environment, algorithm and seed, and the variant where there are any."""
    whole = [folder.absolute() for folder in folders]
    common = os.path.commonpath([path.parents[:3][-1] for path in whole]) if whole else ""
    return [printable(path.relative_to(common).as_posix()) for path in whole]


def duration(seconds: float | None) -> str:
    """Seconds as hours and minutes, or as minutes and seconds."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s"


def in_one_line(rows: Sequence[Progress]) -> str:
    """Number of runs in each state, and the steps of all runs."""
    steps, total = sum(row.step for row in rows), sum(row.total for row in rows)
    return f"{in_states(rows)}; {steps} of {total} steps"


def in_states(rows: Sequence[Progress]) -> str:
    """Number of runs in each state."""
    states = Counter(row.state for row in rows)
    return ", ".join(f"{states[state]} {state.value}" for state in State if states[state])


class Display:
    """Shows progress repeatedly: a live table on a terminal, a line a minute elsewhere."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._shown, self._printed = 0.0, ""

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *args: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Callable[[], list[Progress]], over: bool) -> None:
        """Show the progress of some runs, if the last time is long enough ago.

        Args:
            progress: reads the progress, which takes a while for many runs.
            over: whether the sweep is over.
        """
        now = time.monotonic()
        if not over and now - self._shown <= (_LINE if self._live is None else _DRAW):
            return
        self._shown = now
        if self._live is not None:
            self._live.update(as_table(progress(), max(1, self._console.height - _AROUND)), refresh=True)
            return
        rows = progress()
        if (line := in_one_line(rows)) != self._printed:
            print(line)
            running = [row for row in rows if row.state is State.RUNNING]
            if running:
                Console(width=_FILE).print(as_table(running))
            sys.stdout.flush()
            self._printed = line
