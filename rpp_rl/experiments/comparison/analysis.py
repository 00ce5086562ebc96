"""The statistics of an environment: what tables, figures, report and TensorBoard show."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpp_rl import statistics
from rpp_rl.experiments.comparison.grouping import Group, Task
from rpp_rl.experiments.comparison.runs import PLAIN_USES
from rpp_rl.statistics import CurveEstimate, Estimate, StepsToThreshold
from rpp_rl.statistics.estimates import RESAMPLES, StatisticName


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
        scores: of each run at the step at which all are compared, shape (n,).
        areas: under the curve of each run up to that step, as mean heights, shape (n,).
        curve: IQM at every step that its runs share.
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
    scores: NDArray[np.float64]
    areas: NDArray[np.float64]
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
        area_difference: of the IQMs of the areas under the curves, as mean heights.
        paired: whether runs with the same seed were drawn together for the differences.
        n: the runs of each.
    """

    first: str
    second: str
    probability: Estimate
    difference: Estimate
    area_difference: Estimate
    paired: bool
    n: tuple[int, int]

    @property
    def direction(self) -> int | None:
        """1 where the first is better, -1 where it is worse, None where they are not distinguishable.

        One is better only where both intervals agree: that of the probability of improvement excludes 1/2, and that of
        the difference of IQMs excludes 0, on the same side.
        """
        if self.probability.includes(0.5) or self.difference.includes(0.0):
            return None
        higher, greater = self.probability.value > 0.5, self.difference.value > 0
        return None if higher != greater else 1 if higher else -1


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


def analyse(
    task: Task, draws: Draws, baseline: str | None = None, thresholds: Mapping[str, float] | None = None
) -> TaskResult:
    """The statistics of an environment.

    Args:
        task: its runs.
        draws: how intervals are drawn.
        baseline: label to compare the others with; None, or one that is not there, for the usual one, or the first.
        thresholds: score of each environment to count steps to; the baseline's final IQM where there is none.
    """
    labels = [group.label for group in task.groups]
    wanted = (baseline, *usual_baselines(task), labels[0])
    base = next(name for name in wanted if name in labels)
    final = next(final_scores(task, group) for group in task.groups if group.label == base)
    threshold = (thresholds or {}).get(task.name, float(statistics.interquartile_mean(final)))
    groups = tuple(_group_result(task, group, draws, threshold) for group in task.groups)
    ordered = sorted(task.groups, key=lambda group: group.label == base)
    pairs = tuple(_pair(task, one, other, draws) for one, other in itertools.combinations(ordered, 2))
    return TaskResult(task, groups, pairs, base)


def usual_baselines(task: Task) -> list[str]:
    """The labels that others are usually compared with: stable-baselines3's own algorithms, then plain networks."""
    return [g.label for use in PLAIN_USES for g in task.groups if g.runs[0].use == use and g.label == g.runs[0].algo]


def _group_result(task: Task, group: Group, draws: Draws, threshold: float) -> GroupResult:
    final, areas = final_scores(task, group), _areas(task, group)

    def estimated(scores: NDArray[np.float64], name: StatisticName, what: str) -> Estimate:
        rng = draws.rng(task.name, group.label, name, what)
        return statistics.estimate([scores], name, rng=rng, confidence=draws.confidence, resamples=draws.resamples)

    curve = statistics.curve_estimate(
        group.curves,
        rng=draws.rng(task.name, group.label, "curve"),
        confidence=draws.confidence,
        resamples=draws.resamples,
    )
    best, deviation = statistics.mean_and_deviation(statistics.best_so_far(group.curves))
    times = [run.wall_time for run in group.runs if run.wall_time is not None]
    return GroupResult(
        group,
        estimated(final, "iqm", "final"),
        estimated(final, "mean", "final"),
        estimated(final, "median", "final"),
        estimated(areas, "iqm", "area"),
        final,
        areas,
        curve,
        best,
        deviation,
        statistics.steps_to_threshold(group.curves, threshold, confidence=draws.confidence),
        float(np.median(times)) if times else None,
    )


def final_scores(task: Task, group: Group) -> NDArray[np.float64]:
    """The scores of the runs of a group at the step at which all are compared, shape (n,).

    A run that was not evaluated there has the score on the line between its evaluations before and after.
    """
    return group.curves.on([task.step])[:, 0]


def _areas(task: Task, group: Group) -> NDArray[np.float64]:
    # With all steps of all runs, the trapezoidal rule is exact for the lines between a run's own evaluations.
    return statistics.area_under_curve(task.steps, group.curves.on(task.steps))


def _pair(task: Task, first: Group, second: Group, draws: Draws) -> Pair:
    x, y = final_scores(task, first), final_scores(task, second)
    # Runs of a group are in the order of their seeds, each seed once.
    paired = first.seeds == second.seeds

    def difference(one: NDArray[np.float64], other: NDArray[np.float64], *what: str) -> Estimate:
        return statistics.difference(
            *(one, other, "iqm"),
            rng=draws.rng(task.name, first.label, second.label, *what),
            paired=paired,
            confidence=draws.confidence,
            resamples=draws.resamples,
        )

    probability = statistics.probability_of_improvement(x, y, confidence=draws.confidence)
    areas = difference(_areas(task, first), _areas(task, second), "area")
    return Pair(first.label, second.label, probability, difference(x, y), areas, paired, (len(x), len(y)))
