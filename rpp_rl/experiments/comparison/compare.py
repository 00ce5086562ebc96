"""Compare algorithms over seeds, from Python; `rpp-rl compare` prints and writes what `compare` returns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from rpp_rl.errors import RunError, UnknownNameError, listed, printable
from rpp_rl.experiments.comparison.analysis import Draws, TaskResult, analyse
from rpp_rl.experiments.comparison.grouping import Task, group_runs
from rpp_rl.experiments.comparison.over_environments import Aggregate, aggregate, parse_normalization
from rpp_rl.experiments.comparison.runs import BELONGS_TO_ENVIRONMENT, read_runs
from rpp_rl.experiments.comparison.verdicts import (
    ComparisonVerdict,
    aggregate_sentences,
    caution,
    verdicts,
    warnings_of,
)
from rpp_rl.experiments.finding import find_runs, folders_without_config
from rpp_rl.experiments.run import Run
from rpp_rl.statistics import Normalization
from rpp_rl.strict_yaml import load_yaml


@dataclass(frozen=True)
class Comparison:
    """Algorithms compared on one or more environments.

    Attributes:
        results: the statistics of each environment.
        aggregate: the statistics over environments; None where fewer than two have a normalization.
        normalization: the source of the normalization.
        notes: on the whole comparison.
        command: the command that made it.
    """

    results: tuple[TaskResult, ...]
    aggregate: Aggregate | None
    normalization: str
    notes: tuple[str, ...]
    command: str

    @property
    def verdicts(self) -> tuple[ComparisonVerdict, ...]:
        """A verdict on every algorithm but the baseline, for each environment."""
        return tuple(verdict for result in self.results for verdict in verdicts(result))

    def lines(self) -> Iterator[str]:
        """Verdicts and notes, as the command prints them."""
        for result in self.results:
            yield from map(str, verdicts(result))
            for note in warnings_of(result):
                yield f"  note: {result.task.name}: {note}"
        if self.aggregate is not None:
            yield from aggregate_sentences(self.aggregate)
            for what in self.aggregate.left_out:
                yield f"note: left out over environments: {what}"
        for note in self.notes:
            yield f"note: {note}"

    def write(self, out: str | Path, *, report: bool = True, tensorboard: bool = True) -> None:
        """Write tables, figures, an offline report and TensorBoard's events; an earlier comparison is replaced.

        Args:
            out: the folder, made where it is missing.
            report: whether to write ``report.html`` and the figures.
            tensorboard: whether to write curves with intervals for TensorBoard.

        Raises:
            RunError: if a library that draws is not installed, or the folder cannot be written to.
        """
        # The drawing libraries are heavy, and optional.
        from rpp_rl.experiments.comparison.writing import render, write

        write(Path(out), render(self, report, tensorboard))


def compare(
    runs: str | Path | Sequence[Run | str | Path] = "runs",
    *,
    filter: Sequence[str] = (),
    at: int | None = None,
    baseline: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    normalization: Path | None = None,
    seed: int = 0,
    strict: bool = False,
    command: str = "rpp-rl compare",
) -> Comparison:
    """Compare algorithms over seeds, with intervals; nothing is written.

    All runs of an algorithm count at every step of its curve. Where they were evaluated at different steps, the score
    of a run is interpolated linearly between its own evaluations, and the curve covers the steps that all share, see
    `rpp_rl.statistics.AlignedCurves`.

    Of two runs with the same seed and settings one counts: that below the earlier folder, and of those the one that
    lies less deep.

    Args:
        runs: folders that are searched for runs, or runs, for example ``find_runs("runs")``.
        filter: patterns of paths below the folders, see `find_runs`.
        at: environment step at which to compare; runs whose evaluations do not reach around it are left out. None for
            the last one that every run of an environment has reached.
        baseline: the algorithm to compare the others with; None for stable-baselines3's own where there is one, then
            plain networks.
        thresholds: by environment, the score to count steps to; the baseline's final IQM where none is given.
        normalization: YAML or JSON with random and reference score of each environment; None for published scores.
        seed: seed of the bootstrap.
        strict: whether runs that are not comparable are an error.
        command: the command, for the report.

    Raises:
        RPPError: if there is nothing to compare, or with `strict` something is not comparable.
    """
    if seed < 0:
        raise RunError(f"seed must not be negative, got {seed}")
    chosen = [runs] if isinstance(runs, str | Path) else list(runs)
    folders = [Path(each) for each in chosen if not isinstance(each, Run)]
    found = [each for each in chosen if isinstance(each, Run)] + (find_runs(folders, filter) if folders else [])
    scores, source = _normalization(normalization)
    read, unevaluated = read_runs(found, folders)
    tasks = group_runs(read, at)
    _check_names(baseline, thresholds or {}, tasks)
    draws = Draws(seed)
    results = tuple(analyse(task, draws, baseline, thresholds) for task in tasks)
    problems = [f"{task.name}: {note}" for task in tasks for note in task.notes]
    if strict and problems:
        raise RunError(f"--strict, and not everything is comparable: {problems[0]}; leave runs out with --filter")
    notes = (
        *_general_notes(results, unevaluated),
        *(
            printable(f"{folder} is left out: it has evaluations, but no config.json")
            for folder in folders_without_config(folders, filter)
        ),
        *_normalization_notes(normalization, scores, results),
    )
    return Comparison(results, aggregate(results, scores, draws, baseline), source, notes, command)


def _general_notes(results: Sequence[TaskResult], unevaluated: Sequence[Path]) -> list[str]:
    """Notes that concern more than one environment.

    Args:
        results: of every environment.
        unevaluated: run folders without evaluations.
    """
    notes = [sentence for sentence in [caution(list(results))] if sentence]
    bases: dict[str, list[str]] = {}
    for result in results:
        name = result.task.name
        bases.setdefault(name.split(" ")[0].rpartition("-v")[0] or name, []).append(name)
    notes += [
        f"{' and '.join(same)} are different environments and are not compared with each other"
        for same in bases.values()
        if len(same) > 1
    ]
    notes += _pooled(results)
    if unevaluated:
        shown = listed([str(path) for path in unevaluated])
        notes.append(f"{len(unevaluated)} runs have no evaluation yet and are left out: {shown}")
    return notes


def _pooled(results: Sequence[TaskResult]) -> list[str]:
    """Algorithms whose settings differ from environment to environment, though one number over all is given."""
    notes = []
    for label in sorted({g.group.label for result in results for g in result.groups}):
        settings = [g.group.runs[0].settings for result in results for g in result.groups if g.group.label == label]
        keys = sorted({key for found in settings for key in found} - set(BELONGS_TO_ENVIRONMENT))
        differing = [key for key in keys if len({found.get(key, "-") for found in settings}) > 1]
        if differing:
            notes.append(f"{label} has another {', '.join(differing)} on some environments than on others")
    return notes


def parse_thresholds(pairs: Sequence[str]) -> dict[str, float]:
    """Read ``ENV:SCORE`` pairs.

    Raises:
        RunError: if one is not such a pair, or names an environment twice.
    """
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


def _normalization(path: Path | None) -> tuple[dict[str, Normalization], str]:
    """Scores of environments, and their source."""
    source = path or Path(str(files("rpp_rl.experiments.comparison") / "reference_scores.yml"))
    try:
        data = load_yaml(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunError(f"--normalization {source} cannot be read: {' '.join(str(error).split())[:200]}") from error
    where = "random actions and published agents of RL Zoo (reference_scores.yml)" if path is None else str(path)
    return parse_normalization(data, str(source)), where


def _normalization_notes(
    path: Path | None, scores: Mapping[str, Normalization], results: Sequence[TaskResult]
) -> list[str]:
    """Notes on environments without a normalization, and on normalizations without an environment."""
    names = [result.task.name for result in results]
    missing = [name for name in names if name not in scores]
    unused = sorted(set(scores) - set(names)) if path is not None else []
    notes = []
    if len(names) - len(missing) < 2 <= len(names):
        notes.append(
            f"there is no score over environments, since {', '.join(missing)} "
            f"{'has' if len(missing) == 1 else 'have'} no normalization; give it with --normalization"
        )
    if unused:
        notes.append(f"{path} names environments of which there are no runs: {', '.join(unused)}")
    return notes


def _check_names(baseline: str | None, thresholds: Mapping[str, float], tasks: Sequence[Task]) -> None:
    environments = {task.name for task in tasks}
    labels = {group.label for task in tasks for group in task.groups}
    for name in thresholds:
        if name not in environments:
            raise UnknownNameError("environment", name, environments, "--threshold")
    if baseline is not None and baseline not in labels:
        raise UnknownNameError("algorithm", baseline, labels, "--baseline")
