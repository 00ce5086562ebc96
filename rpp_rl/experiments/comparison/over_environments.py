"""Algorithms over several environments, in normalised scores."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpp_rl import statistics
from rpp_rl.errors import RunError, listed
from rpp_rl.experiments.comparison.analysis import Draws, TaskResult, usual_baselines
from rpp_rl.experiments.comparison.grouping import Group
from rpp_rl.statistics import Estimate, Normalization
from rpp_rl.statistics.estimates import StatisticName
from rpp_rl.statistics.normalized import PerformanceProfile

_PROFILE_POINTS = 61


@dataclass(frozen=True)
class AlgorithmAggregate:
    """An algorithm over environments, in normalised scores.

    Attributes:
        label: of the algorithm.
        iqm: of all runs of the seeds that are on every environment.
        mean: of the same runs.
        median: of the same runs.
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
        environments: those that have a normalization, and runs of every algorithm named here.
        normalization: of each.
        baseline: what the others are compared with; None where nothing usual has runs on all of them.
        algorithms: with runs on all of those environments.
        left_out: algorithms that have none on some of them, and environments without a normalization.
    """

    environments: tuple[str, ...]
    normalization: Mapping[str, Normalization]
    baseline: str | None
    algorithms: tuple[AlgorithmAggregate, ...]
    left_out: tuple[str, ...]


def aggregate(
    results: Sequence[TaskResult], normalization: Mapping[str, Normalization], draws: Draws, baseline: str | None
) -> Aggregate | None:
    """Algorithms over the environments that have a normalization; None where those are fewer than two.

    Args:
        results: of every environment.
        normalization: of environments.
        draws: how intervals are drawn.
        baseline: label to compare the others with; a usual one if left out or not there, none if no such is everywhere.
    """
    chosen = [result for result in results if result.task.name in normalization]
    if len(chosen) < 2:
        return None
    everywhere = set.intersection(*({group.label for group in result.groups} for result in chosen))
    labels = sorted({group.label for result in chosen for group in result.groups})
    left_out = [f"{label} has no runs on some environment" for label in labels if label not in everywhere]
    # With more runs on one environment than on another, a pooled score would say how easy that one is.
    seeds = {label: set.intersection(*(set(_group(r, label).seeds) for r in chosen)) for label in everywhere}
    for label in sorted(everywhere):
        some = sorted({seed for r in chosen for seed in _group(r, label).seeds} - seeds[label])
        if some:
            left_out.append(f"of {label} what is not on every environment, seed {listed([str(s) for s in some])}")
    left_out += [f"{r.task.name} has no normalization" for r in results if r.task.name not in normalization]
    base = next((b for b in (baseline, *usual_baselines(chosen[0].task), chosen[0].baseline) if b in everywhere), None)
    scores = {
        label: [normalization[r.task.name](_final(r, label, seeds[label])) for r in chosen]
        for label in sorted(everywhere)
        if seeds[label]
    }
    if not scores:
        return None
    largest = max(float(s.max()) for strata in scores.values() for s in strata)
    smallest = min(float(s.min()) for strata in scores.values() for s in strata)
    taus = np.linspace(min(0.0, smallest), max(1.0, largest), _PROFILE_POINTS)
    found = tuple(_over_environments(label, chosen, scores[label], taus, base, draws) for label in scores)
    names = tuple(result.task.name for result in chosen)
    return Aggregate(names, {name: normalization[name] for name in names}, base, found, tuple(left_out))


def _group(result: TaskResult, label: str) -> Group:
    return next(g.group for g in result.groups if g.label == label)


def _final(result: TaskResult, label: str, seeds: Container[int] | None = None) -> NDArray[np.float64]:
    """The final scores of an algorithm on an environment, of some seeds or of all."""
    found = next(g for g in result.groups if g.label == label)
    return found.scores if seeds is None else found.scores[[seed in seeds for seed in found.group.seeds]]


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


def parse_normalization(data: object, where: str) -> dict[str, Normalization]:
    """Read ``{environment: {random: number, reference: number}}``.

    Raises:
        RunError: if it is of another form.
        StatisticsError: if the two are not different numbers.
    """
    if not isinstance(data, dict):
        raise RunError(f"{where} must map environments to random and reference scores")
    found: dict[str, Normalization] = {}
    for name, values in data.items():
        pair = (values.get("random"), values.get("reference")) if isinstance(values, dict) else (None, None)
        numbers = [float(p) for p in pair if isinstance(p, int | float) and not isinstance(p, bool) and abs(p) < 1e100]
        if len(numbers) != 2:
            raise RunError(f"{where}: {str(name)[:80]} needs two numbers, random: and reference:")
        found[str(name)] = Normalization(*numbers)
    return found
