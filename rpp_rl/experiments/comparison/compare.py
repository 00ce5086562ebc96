"""Compare runs from Python; `rpp-rl compare` calls it and writes the files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import yaml

from rpp_rl.errors import RunError, UnknownNameError
from rpp_rl.experiments.comparison.analysis import Draws, TaskResult, analyse
from rpp_rl.experiments.comparison.comparison import Comparison, general_notes
from rpp_rl.experiments.comparison.event_scalars import EventScalars
from rpp_rl.experiments.comparison.grouping import Task, group_runs
from rpp_rl.experiments.comparison.over_environments import aggregate, parse_normalization
from rpp_rl.experiments.comparison.runs import read_runs, showable
from rpp_rl.experiments.run import Run
from rpp_rl.statistics import Normalization
from rpp_rl.strict_yaml import load_yaml


def compare(
    runs: Sequence[Run],
    *,
    at: int | None = None,
    baseline: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    normalization: Path | None = None,
    seed: int = 0,
    strict: bool = False,
    roots: Sequence[Path] = (),
    events: EventScalars | None = None,
    without_config: Sequence[Path] = (),
    command: str = "rpp-rl compare",
) -> Comparison:
    """Compare algorithms over seeds, with intervals; nothing is written.

    Args:
        runs: the runs, for example ``find_runs("runs")``.
        at: environment step at which to compare; None for the last one that every run of an environment has reached.
        baseline: the algorithm to compare the others with; None for stable-baselines3's own where there is one, then
            plain networks.
        thresholds: by environment, the score to count steps to; the baseline's final IQM where none is given.
        normalization: YAML or JSON with random and reference score of each environment; None for published scores.
        seed: seed of the bootstrap.
        strict: whether runs that are not comparable are an error.
        roots: folders below which the runs were found, the more important first. Of two runs with the same seed and
            settings the one below an earlier root counts, and of those the one that lies less deep.
        events: reads event files.
        without_config: folders with evaluations and without a configuration, to be named in the notes.
        command: the command, for the report.

    Raises:
        RPPError: if there is nothing to compare, or with `strict` something is not comparable.
    """
    if seed < 0:
        raise RunError(f"seed must not be negative, got {seed}")
    scores, source = _normalization(normalization)
    read, unevaluated = read_runs(runs, roots, events or EventScalars())
    tasks = group_runs(read, at)
    _check_names(baseline, thresholds or {}, tasks)
    draws = Draws(seed)
    results = tuple(analyse(task, draws, baseline, thresholds) for task in tasks)
    problems = [f"{task.name}: {note}" for task in tasks for note in task.notes]
    if strict and problems:
        raise RunError(f"--strict, and not everything is comparable: {problems[0]}; leave runs out with --filter")
    notes = (
        *general_notes(results, unevaluated),
        *(showable(f"{folder} is left out: it has evaluations, but no config.json") for folder in without_config),
        *_normalization_notes(normalization, scores, results),
    )
    return Comparison(results, aggregate(results, scores, draws, baseline), source, notes, command)


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
