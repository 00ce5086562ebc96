"""Steps until a run reaches a threshold, with the runs that never did as censored, not left out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

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
        reached: for each run the first evaluation at or above it; None where it never got there.
        censored_at: for each run its last evaluation.
        median: of the steps; None where fewer than half of the runs are known to have got there.
        low: lower end of the median's interval; None under three runs, or where it is not known.
        high: upper end, None also where there is none: the median may be beyond the longest run.
    """

    threshold: float
    reached: tuple[int | None, ...]
    censored_at: tuple[int, ...]
    median: int | None
    low: int | None
    high: int | None

    @property
    def n(self) -> int:
        """Runs."""
        return len(self.reached)

    @property
    def never(self) -> int:
        """Runs that never reached it."""
        return sum(step is None for step in self.reached)


def steps_to_threshold(curves: AlignedCurves, threshold: float, *, confidence: float = 0.95) -> StepsToThreshold:
    """The steps to a threshold, their median by Kaplan and Meier, and its interval.

    With S the estimated share of runs that need more than t steps, the median is the first t with S(t) ≤ 1/2, and its
    interval are the t whose log-log interval of S(t) includes 1/2. Where all of n runs have got there, that interval
    does not exist, and its upper end is the exact one for none of n, 1 − (α / 2)^(1 / n). Steps are known to the
    interval between evaluations.

    Args:
        curves: of the runs of an algorithm.
        threshold: a score.
        confidence: of the interval.

    Raises:
        StatisticsError: if the threshold is no finite number, or a run has no evaluation.

    Source: Kaplan and Meier 1958; Brookmeyer and Crowley, *A confidence interval for the median survival time*,
    Biometrics 38 (1982); Clopper and Pearson 1934 for none of n.
    """
    if not isinstance(threshold, int | float | np.number) or not np.isfinite(threshold):
        raise StatisticsError(f"a threshold is a finite number, got {threshold!r}")
    ends = curves.last_steps
    if (ends < 0).any():
        raise StatisticsError("there is a run without an evaluation; leave it out")
    # NaN compares as false: a run that was not evaluated at a step did not reach anything there.
    above = curves.scores >= threshold
    hit: NDArray[np.bool_] = np.logical_or.reduce(above, axis=1)
    first = curves.steps[above.argmax(axis=1)]
    median, low, high = _median(first[hit], ends[~hit], checked_confidence(confidence))
    reached = tuple(int(step) if yes else None for step, yes in zip(first, hit, strict=True))
    return StepsToThreshold(float(threshold), reached, tuple(int(end) for end in ends), median, low, high)


def _median(
    events: NDArray[np.int64], censored: NDArray[np.int64], confidence: float
) -> tuple[int | None, int | None, int | None]:
    if not len(events):
        return None, None, None
    survival = stats.ecdf(stats.CensoredData(events.astype(np.float64), right=censored.astype(np.float64))).sf
    times = np.asarray(survival.quantiles)
    # Censored steps are no steps at which the curve falls.
    falls = np.isin(times, events)
    times, left = times[falls], np.asarray(survival.probabilities)[falls]
    # A product that is one half may be a bit more.
    median = _first(times, left <= 0.5 + 1e-9)
    if len(events) + len(censored) < FEWEST_FOR_INTERVAL:
        return median, None, None
    lower, upper = _log_log(left, survival, times, confidence)
    if not len(censored):
        upper = np.where(left == 0, 1 - ((1 - confidence) / 2) ** (1 / len(events)), upper)
    return median, _first(times, lower <= 0.5), _first(times, upper < 0.5)


def _log_log(left: Floats, survival: object, times: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Both ends of S(t); where S is 0 or 1 its logarithm's has none, and nothing is known but that it is in [0, 1]."""
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        # scipy says that some ends are undefined; they are filled in below.
        warnings.simplefilter("ignore", RuntimeWarning)
        ends = survival.confidence_interval(confidence, method="log-log")  # type: ignore[attr-defined]
        lower, upper = ends.low.evaluate(times), ends.high.evaluate(times)
    lower = np.where(np.isfinite(lower), lower, 0.0)
    upper = np.where(np.isfinite(upper), upper, 1.0)
    return np.where(left == 1, 1.0, lower), upper


def _first(times: Floats, where: NDArray[np.bool_]) -> int | None:
    return int(times[where.argmax()]) if where.any() else None
