"""`rpp-rl compare`: runs of several algorithms over seeds, as tables, figures, a report and in TensorBoard."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.analysis import TaskResult
    from rpp_rl.experiments.comparison.comparison import Comparison
    from rpp_rl.experiments.comparison.event_scalars import EventScalars
    from rpp_rl.statistics import Normalization

# TensorBoard ticks no run where there are more than 40; a filter that leaves fewer ticks those: the runs with curves
# and intervals, neither single runs nor rows of the table. Smoothing would draw a curve that leaves its own interval.
CHARTS = "#custom_scalars&regexInput={}&_smoothingWeight=0"
_BESIDE = "compare"


@dataclass(frozen=True)
class CompareArguments:
    """Compare algorithms over seeds."""

    runs: Positional[tuple[Path, ...]]
    """Folders with runs below them, such as runs, or run folders."""
    filter: tuple[str, ...] = ()
    """Take the runs whose path below RUNS fits one of these, such as "Ant-v5/*"; "!*/sac/*" leaves out what fits."""
    out: Path | None = None
    """Where everything is written; the folder compare in the first of RUNS if left out."""
    at: int | None = None
    """The step at which to compare; the last one that every run of an environment has reached if left out."""
    baseline: str | None = None
    """The algorithm that the others are compared with; sac where there is one if left out."""
    threshold: tuple[str, ...] = ()
    """Score to count steps to, as ENV:SCORE; the baseline's final IQM if left out."""
    normalisation: Path | None = None
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
    from rpp_rl.experiments.comparison.event_scalars import CACHE, EventScalars
    from rpp_rl.experiments.comparison.writing import render, write
    from rpp_rl.experiments.finding import check_root
    from rpp_rl.files import check_folder

    for root in arguments.runs:
        check_root(root)
    out = arguments.out or (arguments.runs[0] / "compare" if arguments.runs else Path("compare"))
    check_folder(out, "choose another with --out")
    events = EventScalars(out / CACHE)
    comparison = compared(arguments, events)
    files = render(comparison, events, arguments.report, arguments.tensorboard)
    remembered = events.content()
    write(out, files if remembered is None else {**files, CACHE: remembered})
    _say(comparison, arguments, out)


def compared(arguments: CompareArguments, events: EventScalars) -> Comparison:
    """Read the runs and compare them; nothing is written.

    Args:
        arguments: of the command.
        events: reads event files, of runs that have only those and of what they have logged of their symmetry.

    Raises:
        RPPError: if there is nothing to compare, or with `strict` something is not comparable.
    """
    from rpp_rl.experiments.comparison.analysis import Draws, analyse
    from rpp_rl.experiments.comparison.comparison import Comparison, general_notes
    from rpp_rl.experiments.comparison.grouping import group_runs
    from rpp_rl.experiments.comparison.over_environments import aggregate
    from rpp_rl.experiments.comparison.runs import read_runs
    from rpp_rl.experiments.finding import folders_without_config

    if not arguments.runs:
        raise RunError("name a folder with runs, such as: rpp-rl compare runs")
    if arguments.seed < 0:
        raise RunError(f"--seed must not be negative, got {arguments.seed}")
    thresholds = _thresholds(arguments.threshold)
    normalisation, source = _normalisation(arguments.normalisation)
    runs, unevaluated = read_runs(arguments.runs, arguments.filter, events)
    tasks = group_runs(runs, arguments.at)
    _check_names(arguments, thresholds, {t.name for t in tasks}, {g.label for t in tasks for g in t.groups})
    draws = Draws(arguments.seed)
    results = tuple(analyse(task, draws, arguments.baseline, thresholds) for task in tasks)
    problems = [f"{task.name}: {note}" for task in tasks for note in task.notes]
    if arguments.strict and problems:
        raise RunError(f"--strict, and not everything is comparable: {problems[0]}; leave runs out with --filter")
    found = aggregate(results, normalisation, draws, arguments.baseline)
    notes = (
        *general_notes(results, unevaluated),
        *(
            f"{f} is left out: it has evaluations, but no config.json"
            for f in folders_without_config(arguments.runs, arguments.filter)
        ),
        *_normalisation_notes(arguments, normalisation, results),
    )
    command = shlex.join(["rpp-rl", *sys.argv[1:]]) if "compare" in sys.argv else "rpp-rl compare"
    return Comparison(results, found, source, notes, command)


def _thresholds(pairs: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.rpartition(":")
        if name in found:
            raise RunError(f"--threshold gives two scores for {name}; give one")
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = math.nan
        if not name or not math.isfinite(found[name]):
            raise RunError(f"--threshold takes ENV:SCORE such as Ant-v5:3000, got {pair!r}")
    return found


def _normalisation(path: Path | None) -> tuple[dict[str, Normalization], str]:
    """Scores of environments, and where they are from."""
    import yaml

    from rpp_rl.experiments.comparison.over_environments import parse_normalisation
    from rpp_rl.strict_yaml import load_yaml

    source = path or Path(str(files("rpp_rl.experiments.comparison") / "reference_scores.yml"))
    try:
        data = load_yaml(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunError(f"--normalisation {source} cannot be read: {' '.join(str(error).split())[:200]}") from error
    where = "random actions and published agents of RL Zoo (reference_scores.yml)" if path is None else str(path)
    return parse_normalisation(data, str(source)), where


def _normalisation_notes(
    arguments: CompareArguments, normalisation: dict[str, Normalization], results: Sequence[TaskResult]
) -> list[str]:
    """What a reader should know who looks for a score over environments, or has given a file for it."""
    names = [result.task.name for result in results]
    missing = [name for name in names if name not in normalisation]
    strange = sorted(set(normalisation) - set(names)) if arguments.normalisation is not None else []
    notes = []
    if len(names) - len(missing) < 2 <= len(names):
        notes.append(
            f"there is no score over environments, since {', '.join(missing)} "
            f"{'has' if len(missing) == 1 else 'have'} no normalisation; give it with --normalisation"
        )
    if strange:
        notes.append(f"{arguments.normalisation} names environments of which there are no runs: {', '.join(strange)}")
    return notes


def _check_names(
    arguments: CompareArguments, thresholds: dict[str, float], environments: set[str], labels: set[str]
) -> None:
    from rpp_rl.errors import UnknownNameError

    for name in thresholds:
        if name not in environments:
            raise UnknownNameError("environment", name, environments, "--threshold")
    if arguments.baseline is not None and arguments.baseline not in labels:
        raise UnknownNameError("algorithm", arguments.baseline, labels, "--baseline")


def _say(comparison: Comparison, arguments: CompareArguments, out: Path) -> None:
    for line in comparison.lines():
        print(line)
    print(f"tables                  {out / 'summary.csv'}")
    if arguments.report:
        print(f"report                  {out / 'report.html'}")
    if arguments.tensorboard:
        where, fragment = tensorboard_place(out, arguments.runs[0])
        print(f"curves                  tensorboard {where}")
        print(f"  open                  http://localhost:6006/{fragment}")


def tensorboard_place(out: Path, runs: Path) -> tuple[str, str]:
    """The flag with which TensorBoard shows a comparison beside its runs, and the part of the address with its charts.

    Args:
        out: the folder of the comparison.
        runs: that of the runs.
    """
    if out.resolve().is_relative_to(runs.resolve()):
        flag, name = f"--logdir {shlex.quote(str(runs))}", out.resolve().relative_to(runs.resolve()).as_posix()
    else:
        flag, name = f"--logdir_spec {shlex.quote(f'{_BESIDE}:{out},runs:{runs}')}", _BESIDE
    # Written into the runs' own folder, curves can only be told from runs by lying less deep.
    pattern = f"^{re.escape(name)}/(?!hparams)" if name != "." else "^[^/]+/[^/]+$"
    return flag, CHARTS.format(quote(pattern))


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["compare", *sys.argv[1:]]))
