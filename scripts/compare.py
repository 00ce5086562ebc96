"""`rpp-rl compare`: runs of several algorithms over seeds, as tables, figures, a report and in TensorBoard."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError, printable
from rpp_rl.experiments.comparison.compare import compare as compare_runs
from rpp_rl.experiments.comparison.compare import parse_thresholds
from rpp_rl.experiments.comparison.tensorboard import places
from rpp_rl.files import check_folder
from rpp_rl.scripts.main import main
from rpp_rl.scripts.whole_numbers import Steps


@dataclass(frozen=True)
class CompareArguments:
    """Compare algorithms over seeds."""

    runs: Positional[tuple[Path, ...]]
    """Folders with runs below them, such as runs, or run folders."""
    filter: tuple[str, ...] = ()
    """Take the runs whose path below RUNS fits one of these, such as "Ant-v5/*"; "!*/sac/*" leaves out what fits."""
    out: Path | None = None
    """Where everything is written; the folder compare in the first of RUNS if left out."""
    at: Steps = None
    """The step at which to compare; the last one that every run of an environment has reached if left out."""
    baseline: str | None = None
    """The algorithm that the others are compared with; stable-baselines3's own where there is one if left out."""
    threshold: tuple[str, ...] = ()
    """Score to count steps to, as ENV:SCORE; the baseline's final IQM if left out."""
    normalization: Annotated[Path | None, arg(aliases=["--normalisation"])] = None
    """YAML or JSON with random and reference score of each environment; published scores of SAC if left out."""
    seed: int = 0
    """Seed of the bootstrap."""
    strict: bool = False
    """Refuse where runs are not comparable, instead of saying so in the report."""
    report: bool = True
    """Write report.html and the figures."""
    tensorboard: bool = True
    """Write curves with intervals for TensorBoard."""


def compare(arguments: Annotated[CompareArguments, arg(name="")]) -> None:
    """Compare algorithms over seeds, with intervals, and write tables, figures, a report and TensorBoard's events."""
    a = arguments
    if not a.runs:
        raise RunError("name a folder with runs, such as: rpp-rl compare runs")
    out = a.out or a.runs[0] / "compare"
    check_folder(out, "choose another with --out")
    comparison = compare_runs(
        a.runs,
        filter=a.filter,
        at=a.at,
        baseline=a.baseline,
        normalization=a.normalization,
        seed=a.seed,
        strict=a.strict,
        thresholds=parse_thresholds(a.threshold),
        command=shlex.join(["rpp-rl", *sys.argv[1:]]) if "compare" in sys.argv else "rpp-rl compare",
    )
    comparison.write(out, report=a.report, tensorboard=a.tensorboard)
    print(*map(printable, comparison.lines()), *places(out, a.runs[0], a.report, a.tensorboard), sep="\n")


if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
