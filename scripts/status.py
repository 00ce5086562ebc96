"""`rpp-rl status`: how far the runs in a folder are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError


@dataclass(frozen=True)
class StatusArguments:
    """Show how far runs are."""

    runs: Positional[Path] = Path("runs")
    """A folder of runs."""


def status(arguments: Annotated[StatusArguments, arg(name="")]) -> None:
    """Print a table of the runs in a folder that are going on or over: step, rate, last return, time left."""
    from rich.console import Console

    from rpp_rl.experiments.finding_runs import find_runs, nameless_runs
    from rpp_rl.experiments.progress import progress_of
    from rpp_rl.experiments.sweeps.progress_table import as_table, in_one_line

    rows = [progress_of(folder) for folder in find_runs([arguments.runs])]
    if not rows:
        raise RunError(f"there are no runs in {arguments.runs}; give one that rpp-rl train or sweep has filled")
    Console(width=None if sys.stdout.isatty() else 140).print(as_table(rows))
    print(in_one_line(rows))
    for note in nameless_runs([arguments.runs]):
        print(f"note: {note}")


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["status", *sys.argv[1:]]))
