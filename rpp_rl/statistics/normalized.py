"""Statistics over several environments: normalized scores and performance profiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics.estimates import (
    RESAMPLES,
    Floats,
    bootstrap,
    canonical,
    checked_confidence,
    finite,
    one_for_each_run,
)


@dataclass(frozen=True)
class Normalization:
    """The scale of scores on which a random policy has 0 and a reference has 1.

    Attributes:
        random: return of a random policy.
        reference: return of the reference.

    Raises:
        StatisticsError: if the two are equal, or not finite numbers.
    """

    random: float
    reference: float

    def __post_init__(self) -> None:
        both = (self.random, self.reference)
        numbers = all(isinstance(v, int | float | np.number) and math.isfinite(v) for v in both)
        if not numbers or self.random == self.reference:
            raise StatisticsError(
                f"a normalization needs two different numbers, got random {self.random!r}, reference {self.reference!r}"
            )

    def __call__(self, scores: ArrayLike) -> Floats:
        """(score − random) / (reference − random)."""
        return (np.asarray(scores, dtype=np.float64) - self.random) / (self.reference - self.random)


@dataclass(frozen=True)
class PerformanceProfile:
    """The share of runs above each of several normalized scores.

    Attributes:
        thresholds: the scores τ, shape (k,).
        share: shares of runs above them, shape (k,).
        low: lower ends of the intervals, shape (k,); None if an environment has fewer than three runs.
        high: upper ends of the intervals; None in the same case.
    """

    thresholds: Floats
    share: Floats
    low: Floats | None
    high: Floats | None


def performance_profile(
    strata: Sequence[ArrayLike],
    thresholds: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> PerformanceProfile:
    """The share of runs with a normalized score above τ, averaged over environments, with a pointwise interval.

    Args:
        strata: normalized scores of each environment, shape (runs,).
        thresholds: the scores τ, shape (k,).
        rng: draws runs within each environment.
        confidence: confidence of the intervals.
        resamples: number of bootstrap samples.

    Raises:
        StatisticsError: for scores that are not finite numbers.

    Source: Agarwal et al. 2021, section 4.2 (score distributions).
    """
    taus = finite(thresholds, "thresholds")
    samples = [canonical((one_for_each_run(s)[:, None] > taus).astype(np.float64)) for s in strata]
    if not samples:
        raise StatisticsError("there is no environment to average over")

    def share(*parts: Floats, axis: int) -> Any:
        return sum(part.mean(axis=axis) for part in parts) / len(parts)

    tails = (1 - checked_confidence(confidence)) / 2
    return PerformanceProfile(taus, *bootstrap(samples, share, rng, tails, resamples))
