"""Curves of runs evaluated at any steps: one grid, best so far, area, steps to a threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics import (
    align,
    area_under_curve,
    best_so_far,
    curve_estimate,
    estimate,
    interquartile_mean,
    mean_and_deviation,
    steps_to_threshold,
)
from rpp_rl.statistics.estimates import bootstrap, canonical, statistic_named


def rng():
    return np.random.default_rng(0)


def curves(n=6, k=5, seed=0):
    scores = np.random.default_rng(seed).normal(size=(n, k)).cumsum(axis=1)
    return align([(np.arange(1, k + 1) * 100, row) for row in scores])


@st.composite
def runs(draw, most=5):
    """Curves of runs that were evaluated at any steps, around a span that all of them share."""
    low, high = draw(st.integers(20, 50)), draw(st.integers(50, 80))
    found = []
    for _ in range(draw(st.integers(1, most))):
        ends = {draw(st.integers(0, low)), draw(st.integers(high, 100))}
        inside = draw(st.sets(st.integers(min(ends), max(ends)), max_size=8))
        steps = np.array(sorted(ends | inside))
        scores = draw(st.lists(st.floats(-1e3, 1e3), min_size=len(steps), max_size=len(steps)))
        found.append((steps, np.array(scores)))
    return found


class TestAligning:
    def test_the_grid_is_the_steps_of_all_runs_in_the_span_that_all_share(self):
        found = align([([10, 20, 30], [1, 2, 3]), ([15, 40], [5, 10]), ([10, 25, 50], [0, 6, 7])])
        assert found.steps.tolist() == [15, 20, 25, 30]
        np.testing.assert_array_equal(found.scores, [[1.5, 2, 2.5, 3], [5, 6, 7, 8], [2, 4, 6, 6.2]])
        assert found.interpolated.tolist() == [2, 2, 2, 2]
        np.testing.assert_allclose(found.on([16, 22]), [[1.6, 2.2], [5.2, 6.4], [2.4, 4.8]])

    def test_runs_of_which_one_ends_before_another_begins_share_no_step(self):
        found = align([([10, 20], [1, 2]), ([30, 40], [5, 6])])
        assert (found.steps.shape, found.scores.shape, found.interpolated.shape) == ((0,), (2, 0), (0,))
        with pytest.raises(StatisticsError, match="share no step, since one ends before another begins"):
            curve_estimate(found, rng=rng())
        with pytest.raises(StatisticsError, match="share no step, got steps 20 to 20"):
            found.on([20])
        assert steps_to_threshold(found, 2).reached == (20, 30)

    @given(runs())
    def test_all_runs_count_at_every_step(self, given_curves):
        found = align(given_curves)
        n = len(given_curves)
        first, last = max(s[0] for s, _ in given_curves), min(s[-1] for s, _ in given_curves)
        every = sorted({int(step) for steps, _ in given_curves for step in steps if first <= step <= last})
        assert found.steps.tolist() == every
        assert found.scores.shape == (n, len(every)) and np.isfinite(found.scores).all()
        estimated = curve_estimate(found, "mean", rng=rng(), resamples=100)
        assert estimated.n == n
        for k, step in enumerate(every):
            own = [_by_hand(steps, scores, step) for steps, scores in given_curves]
            assert estimated.value[k] == pytest.approx(np.mean(own), abs=1e-9)
            assert found.interpolated[k] == sum(step not in steps for steps, _ in given_curves)

    @given(runs(most=1))
    def test_the_curve_of_one_run_is_its_own_evaluations(self, given_curves):
        ((steps, scores),) = given_curves
        found = curve_estimate(align(given_curves), rng=rng())
        np.testing.assert_array_equal(found.steps, steps)
        np.testing.assert_array_equal(found.value, scores)

    @given(runs())
    def test_a_run_has_its_own_scores_at_its_own_evaluations(self, given_curves):
        found = align(given_curves)
        for row, (steps, scores) in zip(found.scores, given_curves, strict=True):
            own = np.isin(steps, found.steps)
            np.testing.assert_array_equal(row[np.isin(found.steps, steps)], scores[own])

    @given(runs(), st.floats(-10, 10), st.floats(-10, 10))
    def test_interpolation_of_an_affine_curve_is_exact(self, given_curves, slope, start):
        lines = [(steps, start + i + (slope - i) * steps) for i, (steps, _) in enumerate(given_curves)]
        found = curve_estimate(align(lines), "mean", rng=rng(), resamples=100)
        mean = (len(lines) - 1) / 2
        np.testing.assert_allclose(found.value, start + mean + (slope - mean) * found.steps, atol=1e-9)

    @given(st.integers(3, 6), st.integers(1, 6), st.integers(0, 99))
    def test_runs_evaluated_at_the_same_steps_have_the_plain_statistics_bit_for_bit(self, n, k, seed):
        steps, scores = np.arange(1, k + 1) * 7, np.random.default_rng(seed).normal(size=(n, k))
        aligned = align([(steps, row) for row in scores])
        np.testing.assert_array_equal(aligned.steps, steps)
        np.testing.assert_array_equal(aligned.scores, scores)
        found = curve_estimate(aligned, rng=rng(), resamples=200)
        plain = bootstrap([canonical(scores)], statistic_named("iqm"), rng(), 0.025, 200)
        for one, other in zip((found.value, found.low, found.high), plain, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(best_so_far(aligned), np.maximum.accumulate(scores, axis=1))
        mean, deviation = mean_and_deviation(scores)
        np.testing.assert_array_equal(mean, scores.mean(axis=0))
        np.testing.assert_array_equal(deviation, scores.std(axis=0, ddof=1))
        assert aligned.interpolated.tolist() == [0] * k

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

    @pytest.mark.parametrize("outside", [99, 501])
    def test_nothing_is_extrapolated(self, outside):
        with pytest.raises(StatisticsError, match=f"share steps 100 to 500, got steps .*{outside}"):
            curves().on([300, outside])


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

    def test_a_run_that_ends_early_cuts_the_curve_and_stays_in_it(self):
        rows = curves().scores
        aligned = align([(np.arange(1, k + 1) * 100, row[:k]) for k, row in zip((5, 5, 4, 3, 3, 3), rows, strict=True)])
        found = curve_estimate(aligned, rng=rng())
        assert (found.steps.tolist(), found.n) == ([100, 200, 300], 6)
        np.testing.assert_array_equal(found.value, curve_estimate(curves(), rng=rng()).value[:3])
        two = curve_estimate(align([([1, 2], row[:2]) for row in rows[:2]]), rng=rng())
        assert two.n == 2
        assert np.isnan(two.low).all() and np.isnan(two.high).all()


class TestBestSoFar:
    @given(runs())
    def test_it_never_falls_for_a_run_nor_for_any_statistic_of_runs(self, given_curves):
        best = best_so_far(align(given_curves))
        assert (np.diff(best) >= 0).all()
        for over_runs in (mean_and_deviation(best)[0], interquartile_mean(best, axis=0), np.median(best, axis=0)):
            # The sum of the middle half may be taken in another order, so that it differs in the last bits.
            assert (np.diff(over_runs) >= -1e-12 * np.abs(best).max()).all()

    @given(runs())
    def test_it_is_the_largest_of_a_runs_own_evaluations_until_then(self, given_curves):
        aligned = align(given_curves)
        for row, (steps, scores) in zip(best_so_far(aligned), given_curves, strict=True):
            assert row.tolist() == [max(scores[steps <= step]) for step in aligned.steps]

    def test_an_evaluation_before_the_shared_span_counts(self):
        found = best_so_far(align([([10, 20, 30], [9, 1, 2]), ([20, 30], [0, 5])]))
        assert found.tolist() == [[9, 9], [0, 5]]

    def test_mean_and_deviation_need_every_run(self):
        with pytest.raises(StatisticsError, match="must be finite"):
            mean_and_deviation([[1.0, np.nan], [1.0, 2.0]])
        mean, deviation = mean_and_deviation([[1.0, 2.0]])
        assert mean.tolist() == [1, 2] and np.isnan(deviation).all()


@given(runs())
def test_the_area_is_exact_for_the_lines_between_a_runs_own_evaluations(given_curves):
    aligned = align(given_curves)
    first, last = aligned.steps[0], aligned.steps[-1]
    areas = area_under_curve(aligned.steps, aligned.scores)
    for area, (steps, scores) in zip(areas, given_curves, strict=True):
        kinks = [first, *(step for step in steps if first < step < last), last]
        heights = [_by_hand(steps, scores, step) for step in kinks]
        expected = integrate.trapezoid(heights, kinks) / (last - first) if last > first else heights[0]
        assert area == pytest.approx(expected, abs=1e-9)


def test_the_area_does_not_depend_on_how_the_scores_lie_in_memory():
    scores = np.random.default_rng(0).normal(size=(7, 40))
    columns = area_under_curve(np.arange(40), np.asfortranarray(scores))
    np.testing.assert_array_equal(area_under_curve(np.arange(40), scores), columns)


def _by_hand(steps, scores, step):
    """The score on the line between the evaluations before and after a step."""
    after = int(np.flatnonzero(steps >= step)[0])
    if steps[after] == step:
        return scores[after]
    share = (step - steps[after - 1]) / (steps[after] - steps[after - 1])
    return scores[after - 1] + share * (scores[after] - scores[after - 1])


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
    @given(runs(), st.floats(-1e3, 1e3))
    def test_each_run_counts_with_its_own_evaluations(self, given_curves, threshold):
        found = steps_to_threshold(align(given_curves), threshold)
        own = [[int(step) for step, score in zip(*run, strict=True) if score >= threshold] for run in given_curves]
        assert found.reached == tuple(steps[0] if steps else None for steps in own)
        assert found.censored_at == tuple(steps[-1] for steps, _ in given_curves)

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
