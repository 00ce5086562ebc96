"""Learning curves of several runs: aligned on evaluation steps, best so far, area, estimates at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics.estimates import (
    FEWEST_FOR_INTERVAL,
    RESAMPLES,
    CurveEstimate,
    Floats,
    StatisticName,
    bootstrap,
    canonical,
    finite,
    statistic_named,
    tails_of,
)

Steps = NDArray[np.int64]


@dataclass(frozen=True)
class AlignedCurves:
    """Scores of n runs at all steps at which at least one of them was evaluated.

    Attributes:
        steps: the steps in increasing order, shape (k,).
        scores: shape (n, k); NaN where a run was not evaluated. Nothing is interpolated.
    """

    steps: Steps
    scores: Floats

    @property
    def shared(self) -> NDArray[np.bool_]:
        """Whether every run was evaluated at a step, shape (k,)."""
        shared: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(self.scores), axis=0)
        return shared

    @property
    def last_steps(self) -> Steps:
        """The step of the last evaluation of each run, shape (n,); -1 without an evaluation."""
        found: Steps = np.where(np.isfinite(self.scores), self.steps, np.int64(-1)).max(axis=1)
        return found

    def on(self, steps: ArrayLike) -> Floats:
        """The scores at some of the steps, shape (n, len(steps)).

        Raises:
            StatisticsError: if no run was evaluated at one of them.
        """
        wanted = np.asarray(steps, dtype=np.int64)
        where = np.searchsorted(self.steps, wanted)
        if (where >= len(self.steps)).any() or (self.steps[np.minimum(where, len(self.steps) - 1)] != wanted).any():
            raise StatisticsError("no run was evaluated at one of the steps; choose from AlignedCurves.steps")
        return self.scores[:, where]


def align(curves: Sequence[tuple[ArrayLike, ArrayLike]]) -> AlignedCurves:
    """Align the curves of runs, which may differ in length, on common steps.

    Args:
        curves: for each run its increasing steps and its scores, both of shape (k_i,).

    Raises:
        StatisticsError: if there is no curve, or one does not have this form.
    """
    if not curves:
        raise StatisticsError("there is no curve to align")
    checked = [_curve(steps, scores) for steps, scores in curves]
    steps = np.unique(np.concatenate([s for s, _ in checked]))
    scores = np.full((len(checked), len(steps)), np.nan)
    for row, (own, values) in zip(scores, checked, strict=True):
        row[np.searchsorted(steps, own)] = values
    return AlignedCurves(steps, scores)


def _curve(steps: ArrayLike, scores: ArrayLike) -> tuple[Steps, Floats]:
    own, values = np.asarray(steps), finite(scores, "scores of a curve")
    if own.ndim != 1 or own.shape != values.shape or own.dtype.kind not in "iu":
        raise StatisticsError(
            f"a curve needs integer steps and scores of one shape (k,), got {own.dtype} steps of shape {own.shape} "
            f"and scores of shape {values.shape}"
        )
    if (np.diff(own.astype(np.int64)) <= 0).any():
        raise StatisticsError("the steps of a curve must increase")
    return own.astype(np.int64), values


def best_so_far(scores: ArrayLike) -> Floats:
    """The largest score so far at every evaluation, shape (n, k); NaN where a run was not evaluated.

    Figure 5 of the paper shows this. It rewards variance: of two algorithms with the same mean, the one with more noise
    has the higher curve.

    Source: Finzi, Benton and Wilson 2021, Figure 5.
    """
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    best: Floats = np.fmax.accumulate(values, axis=1)
    return np.where(np.isnan(values), np.nan, best)


def mean_and_deviation(scores: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and standard deviation (with n − 1; NaN for one run) over the runs evaluated at each step, shapes (k,).

    Args:
        scores: shape (n, k), with at least one run at every step; NaN where a run was not evaluated.

    Raises:
        StatisticsError: if no run was evaluated at a step.
    """
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    there = np.isfinite(values)
    n = there.sum(axis=0)
    if (n == 0).any():
        raise StatisticsError("no run was evaluated at one of the steps; leave it out")
    mean = np.where(there, values, 0).sum(axis=0) / n
    squares = np.where(there, values - mean, 0) ** 2
    deviation = np.sqrt(squares.sum(axis=0) / np.where(n > 1, n - 1, np.nan))
    return mean, deviation


def area_under_curve(steps: ArrayLike, scores: ArrayLike) -> Floats:
    """The mean height of each curve: its area by the trapezoidal rule over the number of steps, shape (n,).

    Args:
        steps: increasing steps, shape (k,).
        scores: shape (n, k).

    Raises:
        StatisticsError: if a score is missing, or the steps do not increase.
    """
    own, values = np.asarray(steps, dtype=np.float64), np.atleast_2d(finite(scores, "scores"))
    if own.shape != values.shape[1:]:
        raise StatisticsError(f"steps of shape {own.shape} do not fit scores of shape {values.shape}")
    if not np.isfinite(own).all() or (np.diff(own) <= 0).any():
        raise StatisticsError("the steps of a curve must increase")
    if len(own) == 1:
        return values[:, 0]
    area: Floats = np.trapezoid(values, own, axis=1) / (own[-1] - own[0])
    return area


def curve_estimate(
    curves: AlignedCurves,
    statistic: StatisticName = "iqm",
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> CurveEstimate:
    """A statistic of the runs evaluated at each step, with a pointwise bootstrap interval; see `estimate`.

    The bootstrap draws whole runs. After a run has ended fewer runs are left, see `n`; the curve may jump there.

    Raises:
        StatisticsError: for settings out of range.
    """
    scores, f = curves.scores, statistic_named(statistic)
    there = np.isfinite(scores)
    value, low, high = (np.full(len(curves.steps), np.nan) for _ in range(3))
    masks, which = np.unique(there, axis=1, return_inverse=True)
    # One bootstrap for all steps at which the same runs were evaluated.
    for i in range(masks.shape[1]):
        columns = np.flatnonzero(which.ravel() == i)
        block = canonical(scores[np.ix_(masks[:, i], columns)])
        tails = tails_of(statistic, len(block), confidence)
        value[columns], ends_low, ends_high = bootstrap([block], f, rng, tails, resamples)
        if len(block) >= FEWEST_FOR_INTERVAL and ends_low is not None and ends_high is not None:
            low[columns], high[columns] = ends_low, ends_high
    return CurveEstimate(curves.steps, value, low, high, there.sum(axis=0))
