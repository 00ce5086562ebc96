"""Steps until runs reach a threshold; runs that never reach it count as censored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics.curves import AlignedCurves
from rpp_rl.statistics.estimates import FEWEST_FOR_INTERVAL, Floats, checked_confidence


@dataclass(frozen=True)
class StepsToThreshold:
    """When runs reach a threshold.

    Attributes:
        threshold: the score.
        reached: for each run the step of the first evaluation at or above the threshold; None if it never reached it.
        censored_at: for each run the step of its last evaluation.
        median: median of the steps; None if fewer than half of the runs are known to reach the threshold.
        low: lower end of the interval of the median; None for fewer than three runs, or if unknown.
        high: upper end; None for fewer than three runs, or if the median may lie beyond the longest run.
    """

    threshold: float
    reached: tuple[int | None, ...]
    censored_at: tuple[int, ...]
    median: int | None
    low: int | None
    high: int | None

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(self.reached)

    @property
    def never(self) -> int:
        """Number of runs that never reached the threshold."""
        return sum(step is None for step in self.reached)


def steps_to_threshold(curves: AlignedCurves, threshold: float, *, confidence: float = 0.95) -> StepsToThreshold:
    """The steps to a threshold, their Kaplan-Meier median, and its interval.

    With S(t) the estimated share of runs that need more than t steps, the median is the first t with S(t) ≤ 1/2. Its
    interval contains the t for which the log-log interval of S(t) includes 1/2. That interval does not exist when all
    n runs have reached the threshold; its upper end is then the exact one for 0 of n, 1 − (α / 2)^(1 / n).

    Each run counts with its own evaluations over its whole length, and nothing is interpolated: a run between two
    evaluations is not known to have reached the threshold. The resolution of a run's steps is the distance between its
    evaluations, so that a run that is evaluated less often is found later.

    Args:
        curves: curves of the runs of an algorithm.
        threshold: the score to reach.
        confidence: confidence of the interval.

    Raises:
        StatisticsError: if the threshold is not a finite number.

    Source: Kaplan and Meier 1958; Brookmeyer and Crowley, *A confidence interval for the median survival time*,
    Biometrics 38 (1982); Clopper and Pearson 1934 for none of n.
    """
    if not isinstance(threshold, int | float | np.number) or not np.isfinite(threshold):
        raise StatisticsError(f"a threshold must be a finite number, got {threshold!r}")
    reached = tuple(_first(steps, scores >= threshold) for steps, scores in curves.evaluations)
    ends = tuple(int(steps[-1]) for steps, _ in curves.evaluations)
    events = np.array([step for step in reached if step is not None], dtype=np.int64)
    censored = np.array([end for step, end in zip(reached, ends, strict=True) if step is None], dtype=np.int64)
    median, low, high = _median(events, censored, checked_confidence(confidence))
    return StepsToThreshold(float(threshold), reached, ends, median, low, high)


def _median(
    events: NDArray[np.int64], censored: NDArray[np.int64], confidence: float
) -> tuple[int | None, int | None, int | None]:
    if not len(events):
        return None, None, None
    survival = stats.ecdf(stats.CensoredData(events.astype(np.float64), right=censored.astype(np.float64))).sf
    times = np.asarray(survival.quantiles)
    # The curve does not fall at censored steps.
    falls = np.isin(times, events)
    times, left = times[falls], np.asarray(survival.probabilities)[falls]
    # A product equal to one half may be slightly larger after rounding.
    median = _first(times, left <= 0.5 + 1e-9)
    if len(events) + len(censored) < FEWEST_FOR_INTERVAL:
        return median, None, None
    lower, upper = _log_log(left, survival, times, confidence)
    if not len(censored):
        upper = np.where(left == 0, 1 - ((1 - confidence) / 2) ** (1 / len(events)), upper)
    return median, _first(times, lower <= 0.5), _first(times, upper < 0.5)


def _log_log(left: Floats, survival: object, times: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Both ends of the interval of S(t); where S is 0 or 1 the log-log interval does not exist and is [0, 1]."""
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        # scipy warns that some ends are undefined; they are set below.
        warnings.simplefilter("ignore", RuntimeWarning)
        ends = survival.confidence_interval(confidence, method="log-log")  # type: ignore[attr-defined]
        lower, upper = ends.low.evaluate(times), ends.high.evaluate(times)
    lower = np.where(np.isfinite(lower), lower, 0.0)
    upper = np.where(np.isfinite(upper), upper, 1.0)
    return np.where(left == 1, 1.0, lower), upper


def _first(times: NDArray[Any], where: NDArray[np.bool_]) -> int | None:
    return int(times[where.argmax()]) if where.any() else None
