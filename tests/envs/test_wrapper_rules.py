"""Symmetries carried through wrappers are checked on the wrapped environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from helpers.tasks import WHEELS, Bicycle

import rpp_rl
from rpp_rl.envs import REGISTRY, SymmetryWrapper
from rpp_rl.errors import SymmetryError


class Mirrored(gym.Env):
    """A bicycle seen in a mirror: the same task under the exchange of its wheels."""

    observation_space = gym.spaces.Box(-10.0, 10.0, (4,))
    action_space = gym.spaces.Box(-1.0, 1.0, (2,))

    def __init__(self):
        self.task = Bicycle()

    def reset(self, *, seed=None, options=None):
        observation, info = self.task.reset(seed=seed)
        return WHEELS.transform_observation(1, observation), info

    def step(self, action):
        observation, *rest = self.task.step(WHEELS.transform_action(1, np.asarray(action)))
        return WHEELS.transform_observation(1, observation), *rest


class Plain(Mirrored):
    def reset(self, *, seed=None, options=None):
        return self.task.reset(seed=seed)

    def step(self, action):
        return self.task.step(np.asarray(action))


gym.register("Plain-v0", Plain, max_episode_steps=30)
gym.register("Mirrored-v0", Mirrored, max_episode_steps=30)
rpp_rl.register_symmetry("Plain-v0", WHEELS)

LAWS = {
    "flat": wrappers.FlattenObservation,
    "stack": lambda env: wrappers.FlattenObservation(wrappers.FrameStackObservation(env, 3)),
    "time": wrappers.TimeAwareObservation,
    "time, raw": lambda env: wrappers.TimeAwareObservation(env, normalize_time=True),
    "stack of times": lambda env: wrappers.FlattenObservation(
        wrappers.FrameStackObservation(wrappers.TimeAwareObservation(env), 2)
    ),
    "delay": lambda env: wrappers.DelayObservation(env, 2),
    "rescaled": lambda env: wrappers.RescaleObservation(env, np.float32(-1), np.float32(1)),
    "rescaled to [0, 1]": lambda env: wrappers.RescaleObservation(env, np.float32(0), np.float32(1)),
    "rescaled action": lambda env: wrappers.RescaleAction(env, -2.0, 2.0),
    "clipped": wrappers.ClipAction,
    "float": lambda env: wrappers.DtypeObservation(env, np.float64),
    "statistics": wrappers.RecordEpisodeStatistics,
}


@pytest.mark.parametrize("wrap", LAWS.values(), ids=LAWS.keys())
def test_carried_symmetries_hold_for_wrapped_environments(wrap):
    one, other = SymmetryWrapper(wrap(gym.make("Plain-v0"))), wrap(gym.make("Mirrored-v0"))
    symmetry, rng = one.symmetry, np.random.default_rng(0)
    x, y = one.reset(seed=3)[0], other.reset(seed=3)[0]
    for _ in range(6):
        np.testing.assert_allclose(y, symmetry.transform_observation(1, x), atol=1e-6)
        action = rng.uniform(-1, 1, 2).astype(np.float32)
        x = one.step(action)[0]
        y = other.step(symmetry.transform_action(1, action))[0]
    assert len(set(symmetry.observation_names)) == symmetry.observation.size


def test_names_give_the_age_of_frames():
    env = wrappers.FlattenObservation(wrappers.FrameStackObservation(gym.make("Plain-v0"), 2))
    assert SymmetryWrapper(env).symmetry.observation_names == (
        *("left[t-1]", "right[t-1]", "height[t-1]", "roll[t-1]"),
        *("left", "right", "height", "roll"),
    )


class Doubled(gym.ObservationWrapper):
    def observation(self, observation):
        return 2 * observation


UNEVEN = np.array([-1.0, -2.0, -1.0, -1.0], dtype=np.float32)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (wrappers.NormalizeObservation, "NormalizeObservation.*SymmetricVecNormalize"),
        (lambda env: wrappers.MaxAndSkipObservation(env, 2), "MaxAndSkipObservation"),
        (Doubled, "cannot be carried through the wrapper Doubled"),
        (lambda env: wrappers.TransformObservation(env, np.cos, env.observation_space), "TransformObservation"),
        (lambda env: wrappers.RescaleObservation(env, UNEVEN, -UNEVEN), "RescaleObservation breaks"),
        (lambda env: wrappers.RescaleAction(env, np.array([-1.0, -3.0]), np.array([1.0, 3.0])), "RescaleAction breaks"),
    ],
)
def test_unknown_wrappers_are_refused_by_name(wrap, message):
    env = wrap(gym.make("Plain-v0"))
    with pytest.raises(SymmetryError, match=message) as caught:
        SymmetryWrapper(env)
    assert "\n" not in str(caught.value)


def test_a_symmetry_of_the_wrapped_environment_is_kept():
    assert SymmetryWrapper(Doubled(gym.make("Plain-v0")), WHEELS).symmetry == WHEELS


def test_the_derived_symmetries_are_carried_too():
    env = SymmetryWrapper(wrappers.TimeAwareObservation(gym.make("Swimmer-v5")))
    assert env.symmetry.observation_names[-1] == "time"
    assert env.symmetry.observation_names[:-1] == REGISTRY.get("Swimmer-v5").observation_names
