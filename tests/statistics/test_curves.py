"""Curves of unequal length, best so far, area, steps to a threshold, normalized scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics import (
    Normalization,
    align,
    area_under_curve,
    best_so_far,
    curve_estimate,
    estimate,
    mean_and_deviation,
    performance_profile,
    steps_to_threshold,
)


def rng():
    return np.random.default_rng(0)


def curves(n=6, k=5, seed=0):
    scores = np.random.default_rng(seed).normal(size=(n, k)).cumsum(axis=1)
    return align([(np.arange(1, k + 1) * 100, row) for row in scores])


class TestAligning:
    def test_shorter_runs_and_other_intervals_leave_gaps(self):
        found = align([([10, 20, 30], [1, 2, 3]), ([20, 40], [5, 6]), ([20], [9])])
        assert found.steps.tolist() == [10, 20, 30, 40]
        expected = [[1, 2, 3, np.nan], [np.nan, 5, np.nan, 6], [np.nan, 9, np.nan, np.nan]]
        np.testing.assert_array_equal(found.scores, expected)
        assert found.shared.tolist() == [False, True, False, False]
        assert found.last_steps.tolist() == [30, 40, 20]
        assert found.on([20]).ravel().tolist() == [2, 5, 9]

    @pytest.mark.parametrize(
        ("given_curves", "message"),
        [
            ([], "no curve"),
            ([([1, 2], [1.0])], "one shape"),
            ([([2, 1], [1.0, 2.0])], "must increase"),
            ([([1, 1], [1.0, 2.0])], "must increase"),
            ([([1.5], [1.0])], "integer steps"),
            ([([1], [np.inf])], "must be finite"),
        ],
    )
    def test_bad_curves_are_refused(self, given_curves, message):
        with pytest.raises(StatisticsError, match=message):
            align(given_curves)
        with pytest.raises(StatisticsError, match=r"choose from AlignedCurves\.steps"):
            curves().on([150])
        with pytest.raises(StatisticsError, match=r"choose from AlignedCurves\.steps"):
            curves().on([1000])


class TestCurveEstimates:
    def test_each_step_is_the_estimate_of_its_scores(self):
        aligned = curves()
        found = curve_estimate(aligned, rng=rng())
        alone = [estimate([column], rng=rng()) for column in aligned.scores.T]
        np.testing.assert_allclose(found.value, [e.value for e in alone])
        # Other draws: the ends agree up to the noise of 2000 of them.
        width = found.high - found.low
        assert (abs(found.low - [e.low for e in alone]) < 0.15 * width).all()
        assert (abs(found.high - [e.high for e in alone]) < 0.15 * width).all()

    def test_whole_runs_are_drawn_and_their_order_does_not_matter(self):
        one = curves()
        other = align([(one.steps, row) for row in one.scores[[3, 1, 5, 0, 2, 4]]])
        for field in ("value", "low", "high"):
            first, second = (getattr(curve_estimate(c, rng=rng()), field) for c in (one, other))
            np.testing.assert_array_equal(first, second)

    def test_fewer_runs_count_after_one_ends_early(self):
        rows = curves().scores
        aligned = align([(np.arange(1, k + 1) * 100, row[:k]) for k, row in zip((5, 5, 4, 3, 3, 3), rows, strict=True)])
        found = curve_estimate(aligned, rng=rng())
        assert found.n.tolist() == [6, 6, 6, 3, 2]
        assert np.isnan(found.low).tolist() == np.isnan(found.high).tolist() == [False] * 4 + [True]
        assert found.value[-1] == pytest.approx(rows[:2, -1].mean())


def test_best_so_far_mean_and_deviation_skip_missing_scores():
    scores = np.array([[1.0, 0.0, 3.0, 2.0], [2.0, np.nan, 1.0, np.nan]])
    np.testing.assert_array_equal(best_so_far(scores), [[1, 1, 3, 3], [2, np.nan, 2, np.nan]])
    mean, deviation = mean_and_deviation(best_so_far(scores))
    assert mean.tolist() == [1.5, 1, 2.5, 3]
    np.testing.assert_allclose(deviation, [np.sqrt(0.5), np.nan, np.sqrt(0.5), np.nan])
    with pytest.raises(StatisticsError, match="leave it out"):
        mean_and_deviation([[np.nan], [np.nan]])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_the_area_is_the_mean_height(values):
    steps = np.cumsum(np.arange(1, len(values) + 1))
    area = area_under_curve(steps, [values])
    assert area[0] == pytest.approx(integrate.trapezoid(values, steps) / (steps[-1] - steps[0]), abs=1e-9)
    assert area_under_curve(steps, [[7.0] * len(values)])[0] == pytest.approx(7)
    assert area_under_curve([5], [[3.0]]).tolist() == [3]
    with pytest.raises(StatisticsError, match="do not fit"):
        area_under_curve([1, 2, 3], [[1.0]])
    for steps in ([1, 1], [2, 1], [1, np.inf]):
        with pytest.raises(StatisticsError, match="must increase"):
            area_under_curve(steps, [[1.0, 2.0]])


class TestStepsToThreshold:
    def test_runs_that_never_reach_the_threshold_are_counted(self):
        aligned = align([([10, 20, 30], [0, 5, 0]), ([10, 20, 30], [0, 0, 5]), ([10, 20, 30], [1, 1, 1])])
        found = steps_to_threshold(aligned, 5)
        assert found.reached == (20, 30, None)
        assert (found.never, found.n, found.median) == (1, 3, 30)

    def test_censored_runs_raise_the_median(self):
        rows = [[5.0] * 3] * 4 + [[0.0] * 3] * 6
        found = steps_to_threshold(align([([10, 20, 30], row) for row in rows]), 5)
        assert (found.median, found.high, found.never) == (None, None, 6)
        assert steps_to_threshold(align([([10, 20, 30], row) for row in rows[:6]]), 5).median == 10

    def test_a_run_that_ended_earlier_does_not_count_later(self):
        # Kaplan-Meier: S(20) = 4/5; one leaves at 20; S(30) = 4/5 * 2/3; S(40) = 4/5 * 1/3.
        ends = [(20, True), (20, False), (30, True), (40, True), (50, False)]
        aligned = align([(np.arange(10, e + 1, 10), [0.0] * (e // 10 - 1) + [float(hit)]) for e, hit in ends])
        found = steps_to_threshold(aligned, 1)
        assert found.median == 40
        assert found.censored_at == (20, 20, 30, 40, 50)

    def test_all_or_no_runs_may_reach_the_threshold(self):
        assert steps_to_threshold(curves(), 1e9).median is None
        found = steps_to_threshold(curves(), -1e9)
        assert (found.median, found.never) == (100, 0)
        assert steps_to_threshold(curves(n=2), -1e9).low is None
        with pytest.raises(StatisticsError, match="finite"):
            steps_to_threshold(curves(), np.nan)
        with pytest.raises(StatisticsError, match="finite number, got 'x'"):
            steps_to_threshold(curves(), "x")

    @pytest.mark.parametrize("n", [6, 8, 20])
    def test_the_median_is_within_the_runs_if_all_reach_the_threshold(self, n):
        draw = np.random.default_rng(n)
        grid = np.array([50, 100, 150, 2000])
        hits = 0
        for _ in range(300):
            times = draw.exponential(100, size=n)
            found = steps_to_threshold(align([(grid, (grid >= t).astype(float)) for t in times]), 1)
            assert found.never == 0 and found.high is not None
            hits += found.low <= 100 <= found.high  # the evaluation after the median, 69
        # Coarse steps make it wider, never narrower.
        assert hits / 300 > 0.93
        # Five runs are too few for an upper end: with probability 1/32 the median is above all of them.
        assert steps_to_threshold(align([(grid, [0, 1, 1, 1])] * 5), 1).high is None

    def test_the_interval_of_the_median_covers_with_censoring(self):
        draw = np.random.default_rng(1)
        hits = 0
        for _ in range(300):
            times = np.ceil(draw.exponential(100, size=20)).astype(int)
            rows = []
            for time in times:
                end = min(time, 150)
                rows.append(([end], [float(time <= 150)]) if end == 1 else ([end - 1, end], [0, float(time <= 150)]))
            found = steps_to_threshold(align(rows), 1)
            low = found.low or 0
            high = np.inf if found.high is None else found.high
            hits += low <= 100 * np.log(2) <= high
        assert hits / 300 == pytest.approx(0.95, abs=0.045)


class TestNormalizedScores:
    def test_random_scores_zero_and_the_reference_one(self):
        scale = Normalization(-100, 900)
        assert scale([-100, 900, 400]).tolist() == [0, 1, 0.5]
        for wrong in ((1, 1), (np.nan, 1), (0, np.inf), (0, "a"), (None, 1)):
            with pytest.raises(StatisticsError, match="two different numbers"):
                Normalization(*wrong)

    def test_profiles_fall_from_one_to_zero(self):
        strata = [np.random.default_rng(i).uniform(0, 1, 8) for i in range(3)]
        found = performance_profile(strata, np.linspace(-0.1, 1.1, 13), rng=rng())
        assert (found.share[0], found.share[-1]) == (1, 0)
        assert (np.diff(found.share) <= 0).all()
        assert ((found.low <= found.share) & (found.share <= found.high)).all()

    def test_every_environment_counts_the_same(self):
        found = performance_profile([[1.0] * 9, [0.0] * 3], [0.5], rng=rng())
        assert found.share.tolist() == [0.5]
        assert performance_profile([[1.0]], [0.5], rng=rng()).low is None
