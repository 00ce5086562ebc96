"""Compare two algorithms: the difference of a statistic, and the probability that one improves on the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics.estimates import (
    FEWEST_FOR_INTERVAL,
    RESAMPLES,
    Estimate,
    Floats,
    StatisticName,
    bootstrap,
    canonical,
    checked_confidence,
    one_estimate,
    one_for_each_run,
    statistic_named,
    tails_of,
)

# For larger samples the exact distribution is slow, and the normal approximation is as good.
_MOST_EXACT = 30


def difference(
    first: ArrayLike,
    second: ArrayLike,
    statistic: StatisticName = "iqm",
    *,
    rng: np.random.Generator,
    paired: bool = False,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Statistic of the first minus statistic of the second, with its percentile bootstrap interval.

    Args:
        first: scores of shape (n,).
        second: scores of shape (m,).
        statistic: ``iqm``, ``mean`` or ``median``.
        rng: draws runs: of each algorithm separately, or of both together if they are paired.
        paired: whether run i of both algorithms has the same seed; then n = m.
        confidence: confidence of the interval.
        resamples: number of bootstrap samples.

    Raises:
        StatisticsError: for scores that are not finite numbers, or pairs of different length.

    Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 8 and 13.
    """
    x, y = one_for_each_run(first), one_for_each_run(second)
    if paired and len(x) != len(y):
        raise StatisticsError(f"paired runs need as many of one algorithm as of the other, got {len(x)} and {len(y)}")
    f = statistic_named(statistic)
    n = min(len(x), len(y))
    tails = tails_of(statistic, n, confidence)

    def contrast(a: Floats, b: Floats, axis: int) -> Any:
        return f(a, axis=axis) - f(b, axis=axis)

    if paired:
        both = canonical(np.column_stack((x, y)))
        samples = [both[:, :1], both[:, 1:]]
    else:
        samples = [canonical(x[:, None]), canonical(y[:, None])]
    return one_estimate(*bootstrap(samples, contrast, rng, tails, resamples, paired), n)


def probability_of_improvement(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    r"""P(X > Y) + P(X = Y) / 2 for a run X of the first and a run Y of the second algorithm, with its interval.

    The estimate θ̂ is the Mann-Whitney statistic U / (m n). Its interval is Newcombe's score interval, the θ with

        (θ̂ − θ)² ≤ z² θ (1 − θ) [1 + N (1 − θ) / (2 − θ) + N θ / (1 + θ)] / (m n),   N = (m + n) / 2 − 1.

    If every run of one algorithm is above every run of the other, a bootstrap interval would be the point [1, 1],
    however few runs there are; this interval is not. If the Mann-Whitney test does not distinguish the samples, the
    interval is widened to include 1/2, so that it never claims more than that test.

    Args:
        first: scores of shape (m,).
        second: scores of shape (n,).
        confidence: confidence of the interval.

    Raises:
        StatisticsError: for scores that are not finite numbers.

    Source: Agarwal et al. 2021, section 4.3, for the probability; Newcombe, *Confidence intervals for an effect size
    measure based on the Mann-Whitney statistic*, part 2, Statistics in Medicine 25 (2006), method 5.
    """
    x, y = one_for_each_run(first), one_for_each_run(second)
    value = float(np.mean((x[:, None] > y) + 0.5 * (x[:, None] == y)))
    m, n = len(x), len(y)
    z = float(stats.norm.ppf((1 + checked_confidence(confidence)) / 2))
    if min(m, n) < FEWEST_FOR_INTERVAL:
        return Estimate(value, None, None, min(m, n))

    def excess(theta: float) -> float:
        middle = (m + n) / 2 - 1
        spread = 1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)
        return (value - theta) ** 2 - z**2 * theta * (1 - theta) * spread / (m * n)

    # The variance is zero at 0 and 1, so the excess changes its sign between the estimate and either end.
    low = 0.0 if value == 0 else _root(excess, 0.0, value)
    high = 1.0 if value == 1 else _root(excess, value, 1.0)
    if _alike(x, y, confidence):
        low, high = min(low, 0.5), max(high, 0.5)
    return Estimate(value, low, high, min(m, n))


def may_distinguish(m: int, n: int, *, confidence: float = 0.95) -> bool:
    r"""Whether m runs of one and n of another algorithm can be distinguished at all, however far apart they are.

    The smallest p-value of the two-sided Mann-Whitney test is that of samples of which one is above the other,
    2 / C(m + n, m). With three runs each it is 1/10.

    Args:
        m: runs of the first algorithm.
        n: runs of the second.
        confidence: confidence of the interval of `probability_of_improvement`.

    Raises:
        StatisticsError: if the confidence is not between 0 and 1.

    Source: Mann and Whitney, *On a test of whether one of two random variables is stochastically larger than the
    other*, The Annals of Mathematical Statistics 18 (1947).
    """
    alpha = 1 - checked_confidence(confidence)
    return min(m, n) >= FEWEST_FOR_INTERVAL and 2 / math.comb(m + n, m) <= alpha


def _alike(x: Floats, y: Floats, confidence: float) -> bool:
    """Whether the Mann-Whitney test does not distinguish two samples; the test is exact if there are no ties."""
    ties = len(np.unique(np.concatenate((x, y)))) < len(x) + len(y)
    exact = not ties and max(len(x), len(y)) <= _MOST_EXACT
    return bool(stats.mannwhitneyu(x, y, method="exact" if exact else "asymptotic").pvalue > 1 - confidence)


def _root(f: Any, low: float, high: float) -> float:
    """The zero of f inside an interval; a zero at an end, where the estimate is 0 or 1, is left out."""
    inside_low, inside_high = (low, high)
    if f(low) == 0:
        inside_low = low + 1e-12
    if f(high) == 0:
        inside_high = high - 1e-12
    return float(optimize.brentq(f, inside_low, inside_high))


def average_probability(parts: Sequence[Estimate]) -> Estimate:
    r"""The mean of independent probabilities of improvement, one per environment, with its interval.

    With estimates θ̂ᵢ and their intervals [lᵢ, uᵢ] the interval of the mean of k of them is

        [θ̄ − √Σ(θ̂ᵢ − lᵢ)² / k,  θ̄ + √Σ(uᵢ − θ̂ᵢ)² / k].

    Args:
        parts: the estimates, one per environment.

    Raises:
        StatisticsError: if there is no estimate.

    Source: Agarwal et al. 2021 for the mean over environments; Zou and Donner, *Construction of confidence limits about
    effect measures*, Statistics in Medicine 27 (2008), for the interval (MOVER).
    """
    if not parts:
        raise StatisticsError("there is no environment to average over")
    k, n = len(parts), min(part.n for part in parts)
    value = sum(part.value for part in parts) / k
    below, above = 0.0, 0.0
    for part in parts:
        if part.low is None or part.high is None:
            return Estimate(value, None, None, n)
        below += (part.value - part.low) ** 2
        above += (part.high - part.value) ** 2
    return Estimate(value, max(0.0, value - math.sqrt(below) / k), min(1.0, value + math.sqrt(above) / k), n)
