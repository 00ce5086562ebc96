"""Interquartile mean, mean and median of runs, with stratified bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from rpp_rl.errors import StatisticsError

Floats = NDArray[np.float64]
StatisticName = Literal["iqm", "mean", "median"]

FEWEST_FOR_INTERVAL = 3
FEWEST_WITHOUT_WARNING = 5
RESAMPLES = 2000
# Numbers resampled at a time, so that memory stays below about 100 MB.
_AT_A_TIME = 4_000_000


class Statistic(Protocol):
    """A statistic along an axis."""

    def __call__(self, scores: Floats, *, axis: int) -> Any:
        """The statistic of the scores along an axis."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval; None for fewer than three runs.
        high: upper end of the interval; None for fewer than three runs.
        n: number of runs in the smallest sample.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def includes(self, value: float) -> bool:
        """Whether the interval includes a value; True without an interval."""
        return self.low is None or self.high is None or self.low <= value <= self.high


@dataclass(frozen=True)
class CurveEstimate:
    """An estimate at every step.

    Attributes:
        steps: the steps, shape (k,).
        value: the estimates, shape (k,).
        low: lower ends, shape (k,); NaN for fewer than three runs.
        high: upper ends, shape (k,); NaN for fewer than three runs.
        n: number of runs, the same at every step.
    """

    steps: NDArray[np.int64]
    value: Floats
    low: Floats
    high: Floats
    n: int


def interquartile_mean(scores: ArrayLike, *, axis: int = 0) -> Any:
    r"""Mean of the middle half: the lowest and the highest ⌊n / 4⌋ of n scores are left out.

    Args:
        scores: scores of any shape, not empty along `axis`.
        axis: the axis of the runs.

    Raises:
        StatisticsError: if there is no score, or one is not a finite number.

    Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, *Deep Reinforcement Learning at the Edge of the
    Statistical Precipice*, NeurIPS 2021, section 4.3.
    """
    return _iqm(finite(scores, "scores"), axis=axis)


def _iqm(scores: Floats, *, axis: int) -> Any:
    return stats.trim_mean(scores, 0.25, axis=axis)


def _mean(scores: Floats, *, axis: int) -> Any:
    return np.mean(scores, axis=axis)


def _median(scores: Floats, *, axis: int) -> Any:
    return np.median(scores, axis=axis)


def statistic_named(name: str) -> Statistic:
    """The function for ``iqm``, ``mean`` or ``median``.

    Raises:
        StatisticsError: for any other name.
    """
    if name == "iqm":
        return _iqm
    if name == "mean":
        return _mean
    if name == "median":
        return _median
    raise StatisticsError(f"unknown statistic {name!r}; use iqm, mean or median")


def one_for_each_run(scores: ArrayLike) -> Floats:
    """Convert scores to float64 of shape (n,).

    Raises:
        StatisticsError: if there is no score, the shape differs, or a score is not a finite number.
    """
    found = finite(scores, "scores")
    if found.ndim != 1:
        raise StatisticsError(f"scores have shape {found.shape}; give one number for each run")
    return found


def finite(scores: ArrayLike, what: str) -> Floats:
    """Convert scores to float64 and check them.

    Raises:
        StatisticsError: if there is no score, there is no axis, or a score is not a finite number.
    """
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"{what} must be numbers, one for each run: {error}") from error
    if found.ndim < 1 or found.size == 0:
        raise StatisticsError(f"{what} have shape {found.shape}; give at least one run along the first axis")
    if not np.isfinite(found).all():
        raise StatisticsError(f"{what} must be finite, got NaN or infinity; leave out what was not measured")
    return found


def estimate(
    strata: Sequence[ArrayLike],
    statistic: StatisticName = "iqm",
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    r"""A statistic of all runs, with its stratified percentile bootstrap interval.

    The bootstrap draws runs with replacement within each stratum (environment), and takes the statistic of all drawn
    runs together, as in Agarwal et al. 2021, where all strata have the same size; larger strata have more weight here.
    IQM and median get a percentile interval, as there. For the mean of n runs that interval is too narrow by about
    √((n − 1) / n) and by a normal instead of a t quantile. Its tails are therefore taken at Φ(−√(n / (n − 1)) t)
    instead of α / 2, with t the 1 − α / 2 quantile of Student's distribution with n − 1 degrees of freedom.

    A bootstrap interval never reaches beyond the observed scores; with few runs its coverage is below its confidence.
    Measured for normal and exponential scores, the 95 % interval of the IQM covers 77 % of the time with 3 runs, 86 to
    90 % with 5, 93 to 96 % with 10, and 95 % with 20.

    Args:
        strata: scores of each environment, shape (runs,).
        statistic: ``iqm``, ``mean`` or ``median``.
        rng: draws the runs. The order of the runs does not matter.
        confidence: confidence of the interval.
        resamples: number of bootstrap samples.

    Raises:
        StatisticsError: for scores that are not finite numbers, or settings out of range.

    Source: Agarwal et al. 2021, section 4; Hesterberg, *What Teachers Should Know About the Bootstrap*, The American
    Statistician 69 (2015), section 3.3, for the mean.
    """
    samples = [one_for_each_run(stratum)[:, None] for stratum in strata]
    if not samples:
        raise StatisticsError("there are no scores; give at least one stratum")
    f = statistic_named(statistic)
    tails = tails_of(statistic, min(len(s) for s in samples), confidence)

    def pooled(*parts: Floats, axis: int) -> Any:
        return f(np.concatenate(parts, axis=axis), axis=axis)

    value, low, high = bootstrap([canonical(s) for s in samples], pooled, rng, tails, resamples)
    return one_estimate(value, low, high, min(len(s) for s in samples))


def checked_confidence(confidence: float) -> float:
    """Check the confidence of an interval, and return it.

    Raises:
        StatisticsError: if it is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise StatisticsError(f"a confidence must be between 0 and 1, got {confidence}")
    return confidence


def tails_of(statistic: StatisticName, n: int, confidence: float) -> float:
    """The share of bootstrap samples to leave out on each side; for the mean the interval is as wide as a t interval.

    Args:
        statistic: ``iqm``, ``mean`` or ``median``.
        n: number of runs.
        confidence: confidence of the interval.
    """
    alpha = 1 - checked_confidence(confidence)
    if statistic != "mean" or n < 2:
        return alpha / 2
    return float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(1 - alpha / 2, n - 1)))


def one_estimate(value: Floats, low: Floats | None, high: Floats | None, n: int) -> Estimate:
    """Make the estimate of a single number from arrays of length one."""
    if low is None or high is None:
        return Estimate(float(value[0]), None, None, n)
    return Estimate(float(value[0]), float(low[0]), float(high[0]), n)


def canonical(scores: Floats) -> Floats:
    """Sort runs by their scores, so that what is drawn does not depend on the order in which they were given."""
    return scores[np.lexsort(scores.T[::-1])]


def bootstrap(
    samples: Sequence[Floats],
    statistic: Any,
    rng: np.random.Generator,
    tails: float,
    resamples: int,
    paired: bool = False,
) -> tuple[Floats, Floats | None, Floats | None]:
    """A statistic of samples with its percentile bootstrap interval.

    Args:
        samples: arrays of shape (runs, k); whole runs are drawn, so that the k numbers of a run stay together.
        statistic: takes the samples and ``axis``, the axis of the runs.
        rng: draws the runs.
        tails: share of the bootstrap distribution to leave out on each side.
        resamples: number of bootstrap samples.
        paired: whether to draw the same runs of every sample.

    Returns:
        Value, lower and upper end, shape (k,); both ends are None if a sample has fewer than three runs.

    Raises:
        StatisticsError: for fewer than 100 resamples.
    """
    if resamples < 100:
        raise StatisticsError(f"an interval needs at least 100 bootstrap samples, got {resamples}")
    value = np.atleast_1d(np.asarray(statistic(*samples, axis=0), dtype=np.float64))
    if min(len(sample) for sample in samples) < FEWEST_FOR_INTERVAL:
        return value, None, None
    found: Any = stats.bootstrap(
        tuple(samples),
        statistic,
        axis=0,
        n_resamples=resamples,
        batch=max(1, _AT_A_TIME // sum(sample.size for sample in samples)),
        confidence_level=1 - 2 * tails,
        method="percentile",
        vectorized=True,
        paired=paired,
        rng=rng,
    )
    interval = found.confidence_interval
    return value, np.atleast_1d(interval.low), np.atleast_1d(interval.high)
