"""`rpp-rl status`: the progress of the runs in a folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from rpp_rl.errors import RunError, printable
from rpp_rl.experiments.finding import find_runs, folders_without_config
from rpp_rl.experiments.sweeps.progress_table import as_table, in_one_line
from rpp_rl.scripts.main import main

_WIDTH = 140


@dataclass(frozen=True)
class StatusArguments:
    """Show the progress of runs."""

    runs: Positional[Path] = Path("runs")
    """A folder of runs."""


def status(arguments: Annotated[StatusArguments, arg(name="")]) -> None:
    """Print a table of the runs in a folder: state, step, rate, last return, time left."""
    rows = [run.progress for run in find_runs(arguments.runs)]
    if not rows:
        raise RunError(f"there are no runs in {arguments.runs}; give one that rpp-rl train or sweep has filled")
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(as_table(rows))
    print(in_one_line(rows))
    for folder in folders_without_config([arguments.runs]):
        print(printable(f"note: {folder} is left out: it has evaluations, but no config.json"))


if __name__ == "__main__":
    sys.exit(main(["status", *sys.argv[1:]]))
