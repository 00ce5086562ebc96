"""The table of runs: step, rate, last return, time left; drawn in place on a terminal, as lines in a file."""

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

from rpp_rl.experiments.progress import Progress, State

# Seconds between drawings on a terminal, and between lines in a file.
_DRAW, _LINE = 1.0, 60.0
# What somebody looks for first.
_URGENCY = {State.FAILED: 0, State.RUNNING: 1, State.INTERRUPTED: 2, State.WAITING: 3, State.DONE: 4}
# Lines of a terminal that are no run's: the table's head, what is said below it, the cursor's.
_AROUND = 4
# Columns of a table in a file.
_FILE = 140


def as_table(rows: Sequence[Progress], most: int | None = None) -> Table:
    """The table of some runs.

    Args:
        rows: the runs.
        most: to show; of more, those that are done and those that wait make room, and are counted below.
    """
    # Where it is narrow names take more lines: a name that is cut could be that of any seed, and a number any number.
    numbers = [Column(name, no_wrap=True) for name in ("state", "step", "of", "steps/s", "last return", "left")]
    table = Table(Column("run", overflow="fold"), *numbers, box=None, pad_edge=False)
    named = list(zip(rows, names([row.folder for row in rows]), strict=True))
    if most is not None and len(rows) > most:
        first = sorted(named, key=lambda pair: _URGENCY[pair[0].state])
        table.caption, table.caption_justify = f"and {in_states([row for row, _ in first[most:]])}", "left"
        named = [pair for pair in named if pair in first[:most]]
    for row, name in named:
        table.add_row(
            name,
            row.state.value,
            str(row.step),
            str(row.total),
            "" if row.rate is None else f"{row.rate:.0f}",
            "" if row.last_return is None else f"{row.last_return:.1f}",
            duration(row.seconds_left),
        )
    return table


def names(folders: Sequence[Path]) -> list[str]:
    """Run folders by environment, algorithm and seed; those of variants, which lie deeper, by the variant too."""
    whole = [folder.absolute() for folder in folders]
    common = os.path.commonpath([path.parents[:3][-1] for path in whole]) if whole else ""
    return [path.relative_to(common).as_posix() for path in whole]


def duration(seconds: float | None) -> str:
    """Seconds as hours and minutes, or as minutes and seconds."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s"


def in_one_line(rows: Sequence[Progress]) -> str:
    """How many runs are in which state, and the steps of all."""
    steps, total = sum(row.step for row in rows), sum(row.total for row in rows)
    return f"{in_states(rows)}; {steps} of {total} steps"


def in_states(rows: Sequence[Progress]) -> str:
    """How many runs are in which state."""
    states = Counter(row.state for row in rows)
    return ", ".join(f"{states[state]} {state.value}" for state in State if states[state])


class Display:
    """Shows progress again and again: a live table on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._shown, self._said = 0.0, ""

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *args: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Callable[[], list[Progress]], over: bool) -> None:
        """Show how far some runs are, if it is time to.

        Args:
            progress: reads it, which takes a while where there are many.
            over: whether this is the end.
        """
        now = time.monotonic()
        if not over and now - self._shown <= (_LINE if self._live is None else _DRAW):
            return
        self._shown = now
        if self._live is not None:
            self._live.update(as_table(progress(), max(1, self._console.height - _AROUND)), refresh=True)
            return
        rows = progress()
        if (line := in_one_line(rows)) != self._said:
            print(line)
            at_work = [row for row in rows if row.state is State.RUNNING]
            if at_work:
                Console(width=_FILE).print(as_table(at_work))
            sys.stdout.flush()
            self._said = line
