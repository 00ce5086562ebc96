"""Normalized scores and performance profiles."""

import numpy as np
import pytest

from rpp_rl.errors import StatisticsError
from rpp_rl.statistics import Normalization, performance_profile


def rng():
    return np.random.default_rng(0)


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
