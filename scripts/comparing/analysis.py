"""The statistics of a comparison: what tables, figures, report and TensorBoard show."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpp_rl import statistics
from rpp_rl.errors import RunError
from rpp_rl.scripts.comparing.grouping import Group, Task
from rpp_rl.statistics import CurveEstimate, Estimate, Normalisation, StepsToThreshold
from rpp_rl.statistics.estimates import RESAMPLES, StatisticName
from rpp_rl.statistics.normalised import PerformanceProfile

# What others are usually compared with.
BASELINES = ("sac", "mlp_sac")
_PROFILE_POINTS = 61


@dataclass(frozen=True)
class Draws:
    """How intervals are drawn.

    Attributes:
        seed: of the bootstrap.
        resamples: bootstrap samples.
        confidence: of the intervals.
    """

    seed: int = 0
    resamples: int = RESAMPLES
    confidence: float = 0.95

    def rng(self, *names: str) -> np.random.Generator:
        """A generator for a purpose, so that an interval does not depend on what else is compared."""
        return np.random.default_rng([self.seed, *(zlib.crc32(name.encode()) for name in names)])


@dataclass(frozen=True)
class GroupResult:
    """What is known of an algorithm on an environment.

    Attributes:
        group: its runs.
        iqm: of the final scores.
        mean: of the final scores.
        median: of the final scores.
        area: IQM of the areas under the curves, as mean heights.
        curve: IQM at every step.
        best: mean over runs of the best score so far, at the curve's steps.
        best_deviation: its standard deviation over runs.
        threshold: steps until a score that is the same for all algorithms; None where none was chosen.
        wall_time: median over runs, in seconds; None where it is not known.
    """

    group: Group
    iqm: Estimate
    mean: Estimate
    median: Estimate
    area: Estimate
    curve: CurveEstimate
    best: NDArray[np.float64]
    best_deviation: NDArray[np.float64]
    threshold: StepsToThreshold | None
    wall_time: float | None

    @property
    def label(self) -> str:
        """That of the group."""
        return self.group.label

    @property
    def n(self) -> int:
        """Runs."""
        return len(self.group.runs)


@dataclass(frozen=True)
class Pair:
    """Two algorithms on an environment.

    Attributes:
        first: label.
        second: label.
        probability: that a run of the first is better than one of the second.
        difference: of the IQMs of the final scores.
        paired: whether runs with the same seed were drawn together for the difference.
    """

    first: str
    second: str
    probability: Estimate
    difference: Estimate
    paired: bool


@dataclass(frozen=True)
class TaskResult:
    """What is known of an environment.

    Attributes:
        task: its runs.
        groups: in the order of their labels.
        pairs: all of them.
        baseline: label of what the others are compared with.
    """

    task: Task
    groups: tuple[GroupResult, ...]
    pairs: tuple[Pair, ...]
    baseline: str

    def groups_n(self, pair: Pair) -> tuple[int, int]:
        """The runs of both algorithms of a pair."""
        n = {group.label: group.n for group in self.groups}
        return n[pair.first], n[pair.second]


@dataclass(frozen=True)
class AlgorithmAggregate:
    """An algorithm over environments, in normalised scores.

    Attributes:
        label: of the algorithm.
        iqm: of all runs.
        mean: of all runs.
        median: of all runs.
        probability: of improvement on the baseline, averaged over environments; None for the baseline.
        profile: share of runs above a score.
    """

    label: str
    iqm: Estimate
    mean: Estimate
    median: Estimate
    probability: Estimate | None
    profile: PerformanceProfile


@dataclass(frozen=True)
class Aggregate:
    """Algorithms over environments.

    Attributes:
        environments: those that have a normalisation, and runs of every algorithm named here.
        normalisation: of each.
        baseline: what the others are compared with; None where nothing usual has runs on all of them.
        algorithms: with runs on all of those environments.
        left_out: algorithms that have none on some of them, and environments without a normalisation.
    """

    environments: tuple[str, ...]
    normalisation: Mapping[str, Normalisation]
    baseline: str | None
    algorithms: tuple[AlgorithmAggregate, ...]
    left_out: tuple[str, ...]


def analyse(
    task: Task, draws: Draws, baseline: str | None = None, thresholds: Mapping[str, float] | None = None
) -> TaskResult:
    """The statistics of an environment.

    Args:
        task: its runs.
        draws: how intervals are drawn.
        baseline: label to compare the others with; sac, or the first, if left out or not there.
        thresholds: score of each environment to count steps to; the baseline's final IQM where there is none.
    """
    labels = [group.label for group in task.groups]
    wanted = (baseline, *BASELINES, labels[0])
    base = next(name for name in wanted if name in labels)
    finals = {group.label: group.curves.on([task.step])[:, 0] for group in task.groups}
    threshold = (thresholds or {}).get(task.name, float(statistics.interquartile_mean(finals[base])))
    groups = tuple(_group_result(task, group, draws, threshold) for group in task.groups)
    ordered = sorted(task.groups, key=lambda group: group.label == base)
    pairs = tuple(_pair(task, one, other, finals, draws) for one, other in itertools.combinations(ordered, 2))
    return TaskResult(task, groups, pairs, base)


def _group_result(task: Task, group: Group, draws: Draws, threshold: float) -> GroupResult:
    final = group.curves.on([task.step])[:, 0]
    areas = statistics.area_under_curve(task.shared, group.curves.on(task.shared))

    def estimated(scores: NDArray[np.float64], name: StatisticName, what: str) -> Estimate:
        rng = draws.rng(task.name, group.label, name, what)
        return statistics.estimate([scores], name, rng=rng, confidence=draws.confidence, resamples=draws.resamples)

    curve = statistics.curve_estimate(
        group.curves,
        rng=draws.rng(task.name, group.label, "curve"),
        confidence=draws.confidence,
        resamples=draws.resamples,
    )
    best, deviation = statistics.mean_and_deviation(statistics.best_so_far(group.curves.scores))
    times = [run.wall_time for run in group.runs if run.wall_time is not None]
    return GroupResult(
        group,
        estimated(final, "iqm", "final"),
        estimated(final, "mean", "final"),
        estimated(final, "median", "final"),
        estimated(areas, "iqm", "area"),
        curve,
        best,
        deviation,
        statistics.steps_to_threshold(group.curves, threshold, confidence=draws.confidence),
        float(np.median(times)) if times else None,
    )


def _pair(task: Task, first: Group, second: Group, finals: Mapping[str, NDArray[np.float64]], draws: Draws) -> Pair:
    x, y = finals[first.label], finals[second.label]
    # Runs of a group are in the order of their seeds, each seed once.
    paired = first.seeds == second.seeds
    difference = statistics.difference(
        *(x, y, "iqm"),
        rng=draws.rng(task.name, first.label, second.label),
        paired=paired,
        confidence=draws.confidence,
        resamples=draws.resamples,
    )
    probability = statistics.probability_of_improvement(x, y, confidence=draws.confidence)
    return Pair(first.label, second.label, probability, difference, paired)


def aggregate(
    results: Sequence[TaskResult], normalisation: Mapping[str, Normalisation], draws: Draws, baseline: str | None
) -> Aggregate | None:
    """Algorithms over the environments that have a normalisation; None where those are fewer than two.

    Args:
        results: of every environment.
        normalisation: of environments.
        draws: how intervals are drawn.
        baseline: label to compare the others with; a usual one if left out or not there, none if no such is everywhere.
    """
    chosen = [result for result in results if result.task.name in normalisation]
    if len(chosen) < 2:
        return None
    everywhere = set.intersection(*({group.label for group in result.groups} for result in chosen))
    labels = sorted({group.label for result in chosen for group in result.groups})
    left_out = [f"{label} has no runs on some environment" for label in labels if label not in everywhere]
    left_out += [f"{r.task.name} has no normalisation" for r in results if r.task.name not in normalisation]
    base = next((b for b in (baseline, *BASELINES, chosen[0].baseline) if b in everywhere), None)
    scores = {label: [normalisation[r.task.name](_final(r, label)) for r in chosen] for label in sorted(everywhere)}
    if not scores:
        return None
    largest = max(float(s.max()) for strata in scores.values() for s in strata)
    smallest = min(float(s.min()) for strata in scores.values() for s in strata)
    taus = np.linspace(min(0.0, smallest), max(1.0, largest), _PROFILE_POINTS)
    found = tuple(_over_environments(label, chosen, scores[label], taus, base, draws) for label in scores)
    names = tuple(result.task.name for result in chosen)
    return Aggregate(names, {name: normalisation[name] for name in names}, base, found, tuple(left_out))


def _final(result: TaskResult, label: str) -> NDArray[np.float64]:
    group = next(g.group for g in result.groups if g.label == label)
    return group.curves.on([result.task.step])[:, 0]


def _over_environments(
    label: str,
    chosen: Sequence[TaskResult],
    strata: Sequence[NDArray[np.float64]],
    taus: NDArray[np.float64],
    base: str | None,
    draws: Draws,
) -> AlgorithmAggregate:
    def estimated(name: StatisticName) -> Estimate:
        rng = draws.rng("aggregate", label, name)
        return statistics.estimate(strata, name, rng=rng, confidence=draws.confidence, resamples=draws.resamples)

    probability = None
    if base is not None and label != base:
        parts = [
            statistics.probability_of_improvement(_final(r, label), _final(r, base), confidence=draws.confidence)
            for r in chosen
        ]
        probability = statistics.average_probability(parts)
    profile = statistics.performance_profile(
        strata,
        taus,
        rng=draws.rng("profile", label),
        confidence=draws.confidence,
        resamples=draws.resamples,
    )
    return AlgorithmAggregate(label, estimated("iqm"), estimated("mean"), estimated("median"), probability, profile)


def parse_normalisation(data: object, where: str) -> dict[str, Normalisation]:
    """Read ``{environment: {random: number, reference: number}}``.

    Raises:
        RunError: if it is of another form.
        StatisticsError: if the two are no different numbers.
    """
    if not isinstance(data, dict):
        raise RunError(f"{where} is no mapping from environments to random and reference scores")
    found: dict[str, Normalisation] = {}
    for name, values in data.items():
        pair = (values.get("random"), values.get("reference")) if isinstance(values, dict) else (None, None)
        numbers = [float(p) for p in pair if isinstance(p, int | float) and not isinstance(p, bool) and abs(p) < 1e100]
        if len(numbers) != 2:
            raise RunError(f"{where}: {str(name)[:80]} needs two numbers, random: and reference:")
        found[str(name)] = Normalisation(*numbers)
    return found
