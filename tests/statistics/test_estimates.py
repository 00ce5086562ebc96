"""IQM, mean and median with their intervals: the laws that they obey, and how often they cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics import estimate, interquartile_mean

SCORES = arrays(np.float64, st.integers(3, 12), elements=st.floats(-1e3, 1e3, width=32))
NAMES = ("iqm", "mean", "median")


def few(scores, name="iqm", seed=0, **settings):
    return estimate([scores], name, rng=np.random.default_rng(seed), resamples=200, **settings)


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side():
    assert interquartile_mean([100, 1, 2, 3, -7, 4, 5, 6]) == np.mean([2, 3, 4, 5])
    # Of five, one on each side: 5 / 4 is rounded down.
    assert interquartile_mean([9, 1, 2, 3, 1000]) == np.mean([2, 3, 9])
    np.testing.assert_array_equal(interquartile_mean([[0, 1, 2, 9], [5, 5, 5, 5]], axis=1), [1.5, 5])


@pytest.mark.parametrize("name", NAMES)
@given(scores=SCORES, order=st.randoms(use_true_random=False))
def test_permuting_runs_changes_nothing(name, scores, order):
    shuffled = list(scores)
    order.shuffle(shuffled)
    assert few(scores, name) == few(shuffled, name)


@pytest.mark.parametrize("name", NAMES)
@given(scores=SCORES, shift=st.integers(-50, 50), scale=st.sampled_from([0.5, 2.0, 4.0]))
def test_units_of_the_score_do_not_matter(name, scores, shift, scale):
    one, other = few(scores, name), few(scale * scores + shift, name)
    for before, after in ((one.value, other.value), (one.low, other.low), (one.high, other.high)):
        assert after == pytest.approx(scale * before + shift, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(scores=SCORES)
def test_the_interval_lies_within_the_scores(name, scores):
    found = few(scores, name)
    assert min(scores) - 1e-9 <= found.low <= found.high <= max(scores) + 1e-9


def test_equal_scores_have_an_interval_of_no_width():
    found = few([3.0] * 6)
    assert (found.value, found.low, found.high, found.n) == (3, 3, 3, 6)


def test_fewer_than_three_runs_have_no_interval():
    assert (few([1.0, 2.0]).low, few([1.0, 2.0]).high) == (None, None)
    assert few([1.0, 2.0, 3.0]).low is not None
    # The smallest environment decides.
    found = estimate([[1.0, 2.0], [1.0, 2.0, 3.0]], rng=np.random.default_rng(0))
    assert (found.low, found.n) == (None, 2)
    assert found.includes(1e9)


def test_the_bootstrap_is_stratified():
    # Two environments without spread and far apart: drawing across them would widen the interval.
    found = estimate([[0.0] * 4, [1000.0] * 4], "mean", rng=np.random.default_rng(0))
    assert (found.low, found.high) == (500, 500)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distribution", ["normal", "exponential"])
@pytest.mark.parametrize(("n", "slack"), [(10, 0.045), (40, 0.03)])
def test_the_interval_covers_at_its_nominal_rate(name, distribution, n, slack):
    rng = np.random.default_rng(7)
    draw = getattr(rng, distribution)
    truth = {
        ("normal", "iqm"): 0.0,
        ("normal", "mean"): 0.0,
        ("normal", "median"): 0.0,
        ("exponential", "mean"): 1.0,
        ("exponential", "median"): np.log(2),
        # 2 times the integral of -log(1 - u) over the middle half.
        ("exponential", "iqm"): 2 * ((0.25 * np.log(0.25) - 0.25) - (0.75 * np.log(0.75) - 0.75)),
    }[distribution, name]
    draws = 300
    hits = 0
    for _ in range(draws):
        found = estimate([draw(size=n)], name, rng=rng, resamples=400)
        hits += found.low <= truth <= found.high
    # Three standard errors of a share of 0.95 among 300 are 0.038; small samples cover a little less.
    assert hits / draws == pytest.approx(0.95, abs=slack + 0.02), hits / draws


def test_more_confidence_widens_the_interval():
    scores = np.random.default_rng(0).normal(size=20)
    narrow, wide = few(scores, confidence=0.5), few(scores, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("scores", "settings", "message"),
    [
        ([], {}, "at least one stratum"),
        ([[]], {}, "at least one run"),
        ([[1.0, np.nan, 2.0]], {}, "must be finite"),
        ([["a"]], {}, "must be numbers"),
        ([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], {}, "one number for each run"),
        ([[1.0, 2.0, 3.0]], {"confidence": 1.5}, "between 0 and 1"),
        ([[1.0, 2.0, 3.0]], {"statistic": "mode"}, "use iqm, mean or median"),
        ([[1.0, 2.0, 3.0]], {"resamples": 3}, "at least 100"),
    ],
)
def test_bad_scores_and_settings_are_refused(scores, settings, message):
    with pytest.raises(StatisticsError, match=message):
        estimate(scores, rng=np.random.default_rng(0), **settings)


@pytest.mark.parametrize("n", [5, 8])
def test_the_interval_of_a_mean_is_as_wide_as_a_t_interval(n):
    scores = np.random.default_rng(2).normal(size=n)
    found = estimate([scores], "mean", rng=np.random.default_rng(0), resamples=50_000)
    student = stats.t.interval(0.95, n - 1, scores.mean(), stats.sem(scores))
    assert (found.high - found.low) / (student[1] - student[0]) == pytest.approx(1, abs=0.12)
