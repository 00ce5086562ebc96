import gymnasium as gym
import numpy as np
import pytest
from helpers.by_hand import BY_HAND

from rpp_rl.envs import derive_symmetry
from rpp_rl.representations import as_matrix


def same_maps(one, other):
    pairs = zip(
        (*one.observation.images, *one.action.images), (*other.observation.images, *other.action.images), strict=True
    )
    centers = (s.center or (0.0,) * s.observation.size for s in (one, other))
    return all(np.array_equal(as_matrix(a), as_matrix(b)) for a, b in pairs) and np.allclose(*centers)


@pytest.mark.parametrize(("env_id", "reflection", "by_hand"), BY_HAND)
def test_what_is_derived_is_what_was_written_by_hand(env_id, reflection, by_hand):
    env = gym.make(env_id)
    derived, expected = derive_symmetry(env, reflection), by_hand()
    env.close()
    assert same_maps(derived, expected)
    assert derived.group == expected.group
