"""Learning curves of several runs on one grid of steps: interpolated scores, best so far, area, estimates at each step.

A curve has one set of runs over its whole length, so that it moves only where scores do.
"""

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
    """Curves of n runs on one grid, in the span of steps that all of them share.

    Between its own evaluations the score of a run is interpolated linearly; at its own evaluations it is the score
    itself, to the last bit. Nothing is extrapolated: the grid begins at the latest first evaluation of a run and ends
    at the earliest last one. It has every step in between at which at least one run was evaluated, and is empty where
    a run ends before another begins.

    Attributes:
        evaluations: for each run the steps and the scores of its own evaluations, both of shape (k_i,).
        steps: the grid, in increasing order, shape (k,).
        scores: the scores of all runs on the grid, finite, shape (n, k).
    """

    evaluations: tuple[tuple[Steps, Floats], ...]
    steps: Steps
    scores: Floats

    @property
    def interpolated(self) -> NDArray[np.int64]:
        """The number of runs whose score on the grid lies between two of their evaluations, shape (k,)."""
        own = np.array([np.isin(self.steps, steps) for steps, _ in self.evaluations])
        return np.asarray((~own).sum(axis=0), dtype=np.int64)

    def on(self, steps: ArrayLike) -> Floats:
        """The scores at any steps of the shared span, interpolated as on the grid, shape (n, len(steps)).

        Raises:
            StatisticsError: if one of the steps is outside the span.
        """
        wanted = np.asarray(steps, dtype=np.int64)
        if len(wanted) and (not len(self.steps) or wanted.min() < self.steps[0] or wanted.max() > self.steps[-1]):
            span = f"steps {self.steps[0]} to {self.steps[-1]}" if len(self.steps) else "no step"
            raise StatisticsError(
                f"the runs share {span}, got steps {wanted.min()} to {wanted.max()}; choose steps in between"
            )
        return _interpolated(self.evaluations, wanted)


def shared_span(curves: Sequence[Steps]) -> tuple[int, int] | None:
    """The steps from the latest first to the earliest last evaluation; None where a run ends before another begins.

    Args:
        curves: for each run the increasing steps of its evaluations, at least one run.
    """
    low, high = max(int(steps[0]) for steps in curves), min(int(steps[-1]) for steps in curves)
    return (low, high) if low <= high else None


def steps_within(curves: Sequence[Steps], low: int, high: int) -> Steps:
    """The steps between two others at which at least one run was evaluated, both ends included, shape (k,)."""
    every = np.unique(np.concatenate([*curves, [low, high]])).astype(np.int64)
    return every[(every >= low) & (every <= high)]


def align(curves: Sequence[tuple[ArrayLike, ArrayLike]]) -> AlignedCurves:
    """Put the curves of runs, which may differ in length and in steps, on one grid; see `AlignedCurves`.

    Args:
        curves: for each run its increasing steps and its scores, both of shape (k_i,).

    Raises:
        StatisticsError: if there is no curve, or one does not have this form.
    """
    if not curves:
        raise StatisticsError("there is no curve to align")
    checked = tuple(_curve(steps, scores) for steps, scores in curves)
    every = [steps for steps, _ in checked]
    span = shared_span(every)
    grid = np.empty(0, dtype=np.int64) if span is None else steps_within(every, *span)
    return AlignedCurves(checked, grid, _interpolated(checked, grid))


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


def _interpolated(evaluations: Sequence[tuple[Steps, Floats]], grid: Steps) -> Floats:
    return np.array([np.interp(grid, steps, scores) for steps, scores in evaluations])


def best_so_far(curves: AlignedCurves) -> Floats:
    """The largest score among a run's own evaluations up to each step of the grid, shape (n, k).

    It is a step function, which never falls: an evaluation counts from its own step on, also one before the grid.
    Figure 5 of the paper shows this. It rewards variance: of two algorithms with the same mean, the one with more noise
    has the higher curve, and so has the one that was evaluated more often.

    Source: Finzi, Benton and Wilson 2021, Figure 5.
    """
    rows = [
        np.maximum.accumulate(scores)[np.searchsorted(steps, curves.steps, side="right") - 1]
        for steps, scores in curves.evaluations
    ]
    return np.array(rows)


def mean_and_deviation(scores: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and standard deviation (with n − 1; NaN for one run) over runs at each step, shapes (k,).

    Args:
        scores: shape (n, k), of the same runs at every step.

    Raises:
        StatisticsError: if a score is missing.
    """
    values = np.atleast_2d(finite(scores, "scores"))
    n = len(values)
    mean: Floats = values.sum(axis=0) / n
    squares = ((values - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(squares / (n - 1)) if n > 1 else np.full(len(mean), np.nan)


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
    # One order of summation, however the array lies in memory, gives the same bits.
    area: Floats = np.trapezoid(np.ascontiguousarray(values.T), own, axis=0) / (own[-1] - own[0])
    return area


def curve_estimate(
    curves: AlignedCurves,
    statistic: StatisticName = "iqm",
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> CurveEstimate:
    """A statistic of all runs at each step of the grid, with a pointwise bootstrap interval; see `estimate`.

    The bootstrap draws whole runs.

    Raises:
        StatisticsError: for settings out of range, or if the runs share no step.
    """
    if not len(curves.steps):
        raise StatisticsError("the runs share no step, since one ends before another begins; leave one of them out")
    block = canonical(curves.scores)
    n = len(block)
    tails = tails_of(statistic, n, confidence)
    value, low, high = bootstrap([block], statistic_named(statistic), rng, tails, resamples)
    if n < FEWEST_FOR_INTERVAL or low is None or high is None:
        low, high = np.full(len(value), np.nan), np.full(len(value), np.nan)
    return CurveEstimate(curves.steps, value, low, high, n)
