"""Difference and probability of improvement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics import Estimate, average_probability, difference, may_distinguish, probability_of_improvement

SCORES = arrays(np.float64, st.integers(3, 9), elements=st.integers(-5, 5).map(float))


def rng():
    return np.random.default_rng(0)


@given(scores=SCORES)
def test_equal_samples_improve_with_probability_one_half(scores):
    found = probability_of_improvement(scores, scores)
    assert found.value == 0.5
    assert found.includes(0.5)
    assert found.low + found.high == pytest.approx(1)


@given(x=SCORES, y=SCORES)
def test_the_probability_is_the_mann_whitney_statistic_and_antisymmetric(x, y):
    one, other = probability_of_improvement(x, y), probability_of_improvement(y, x)
    assert one.value == pytest.approx(stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)))
    assert one.value + other.value == pytest.approx(1)
    assert one.low + other.high == pytest.approx(1, abs=1e-9)
    assert 0 <= one.low <= one.value <= one.high <= 1


@given(x=SCORES, y=SCORES, order=st.randoms(use_true_random=False))
def test_permuting_runs_changes_nothing(x, y, order):
    shuffled = list(x)
    order.shuffle(shuffled)
    assert probability_of_improvement(x, y) == probability_of_improvement(shuffled, y)
    settings = {"rng": rng(), "resamples": 100}
    assert difference(x, y, **settings) == difference(shuffled, y, rng=rng(), resamples=100)


def test_separated_samples_keep_an_interval():
    three = probability_of_improvement([4, 5, 6], [1, 2, 3])
    ten = probability_of_improvement(np.arange(10, 20), np.arange(10))
    assert three.value == ten.value == three.high == ten.high == 1
    assert three.low <= 0.5 < 0.8 <= ten.low < 0.95


@pytest.mark.parametrize("n", [3, 4, 5, 10])
def test_equal_algorithms_exclude_one_half_at_most_at_the_nominal_rate(n):
    draw = np.random.default_rng(n)
    found = [probability_of_improvement(draw.normal(size=n), draw.normal(size=n)) for _ in range(1000)]
    assert np.mean([not f.includes(0.5) for f in found]) <= 0.065


@pytest.mark.parametrize(("n", "shift"), [(5, 0.0), (10, 0.0), (10, 1.0), (20, 1.5)])
def test_the_probability_covers_at_its_nominal_rate(n, shift):
    draw = np.random.default_rng(3)
    truth = stats.norm.cdf(shift / np.sqrt(2))
    found = [probability_of_improvement(draw.normal(shift, size=n), draw.normal(size=n)) for _ in range(1000)]
    share = np.mean([f.low <= truth <= f.high for f in found])
    assert share == pytest.approx(0.95, abs=0.03)


def test_scores_must_be_one_number_for_each_run():
    flat, square = [1.0, 2.0, 3.0], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    for one, other in ((flat, square), (square, flat)):
        with pytest.raises(StatisticsError, match="one number for each run"):
            probability_of_improvement(one, other)
        with pytest.raises(StatisticsError, match="one number for each run"):
            difference(one, other, rng=np.random.default_rng(0))


def test_fewer_than_three_runs_have_no_interval():
    assert probability_of_improvement([1, 2], [3, 4, 5]).low is None
    assert difference([1, 2], [3, 4, 5], rng=rng()).low is None


@pytest.mark.parametrize("statistic", ["iqm", "mean", "median"])
@pytest.mark.parametrize("paired", [False, True])
def test_the_difference_covers_at_its_nominal_rate(statistic, paired):
    draw = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        common = draw.normal(size=20)
        found = difference(
            *(common + draw.normal(2, 0.3, 20), common + draw.normal(0, 0.3, 20), statistic),
            **{"rng": draw, "paired": paired, "resamples": 300},
        )
        hits += found.low <= 2 <= found.high
    # Pairs share part of their variance; an unpaired interval would be too wide.
    assert hits / 300 >= 0.99 if not paired else hits / 300 == pytest.approx(0.95, abs=0.045)


def test_pairing_removes_shared_variance():
    x = np.random.default_rng(0).normal(size=12) * 100
    apart, together = difference(x + 1, x, "mean", rng=rng()), difference(x + 1, x, "mean", rng=rng(), paired=True)
    assert (together.value, together.low, together.high) == (pytest.approx(1),) * 3
    assert apart.includes(0)
    with pytest.raises(StatisticsError, match="as many"):
        difference(x, x[:5], rng=rng(), paired=True)


def test_the_average_over_environments_is_the_mean_with_its_interval():
    one = Estimate(0.8, 0.5, 0.9, 5)
    found = average_probability([one] * 4)
    assert found.value == pytest.approx(0.8)
    # Independent errors: half as wide with four times as many.
    assert (found.low, found.high) == (pytest.approx(0.65), pytest.approx(0.85))
    assert average_probability([one]) == Estimate(0.8, pytest.approx(0.5), pytest.approx(0.9), 5)
    assert average_probability([one, Estimate(0.8, None, None, 2)]).low is None
    with pytest.raises(StatisticsError, match="no environment"):
        average_probability([])


def test_the_average_covers_at_its_nominal_rate():
    draw = np.random.default_rng(11)
    hits = 0
    for _ in range(400):
        parts = [probability_of_improvement(draw.normal(s, size=6), draw.normal(size=6)) for s in (0.0, 0.5, 1.0)]
        truth = np.mean(stats.norm.cdf(np.array([0, 0.5, 1]) / np.sqrt(2)))
        found = average_probability(parts)
        hits += found.low <= truth <= found.high
    assert hits / 400 == pytest.approx(0.95, abs=0.04)


@given(st.integers(1, 8), st.integers(1, 8))
def test_samples_may_be_distinguished_where_those_that_are_far_apart_are(m, n):
    apart = probability_of_improvement(np.arange(m) + 100.0, np.arange(n) * 1.0)
    assert may_distinguish(m, n) == may_distinguish(n, m) == (not apart.includes(0.5))
