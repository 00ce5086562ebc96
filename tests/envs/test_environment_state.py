"""A restored environment continues like the one whose state was saved, to the last bit."""

import json

import gymnasium as gym
import helpers.tasks  # noqa: F401, registers Bicycle-v0
import numpy as np
import pytest
from gymnasium.wrappers import FrameStackObservation, RescaleAction, TimeAwareObservation

import rpp_rl
from rpp_rl.envs import REGISTRY, ResumableWrapper
from rpp_rl.envs.environment_state import environment_state, restore_environment
from rpp_rl.errors import PlainDataError
from rpp_rl.plain_data import from_plain, to_plain


def through_json(state):
    data, arrays = to_plain(state)
    return from_plain(json.loads(json.dumps(data)), arrays)


def run_on(one, other, steps=120):
    for _ in range(steps):
        actions = [env.action_space.sample() for env in (one, other)]
        np.testing.assert_array_equal(*actions)
        (x, r, *ends, _), (y, q, *others, _) = (env.step(a) for env, a in zip((one, other), actions, strict=True))
        np.testing.assert_array_equal(x, y)
        assert (r, ends) == (q, others)
        if any(ends):
            np.testing.assert_array_equal(one.reset()[0], other.reset()[0])


def started(env, steps=37):
    env.reset(seed=3)
    env.action_space.seed(1)
    for _ in range(steps):
        if any(env.step(env.action_space.sample())[2:4]):
            env.reset()
    return env


@pytest.mark.parametrize("name", sorted(e for e in REGISTRY.environments() if e.endswith("-v5")))
def test_every_task_continues_from_a_saved_state(name):
    env = started(rpp_rl.make(name))
    state = env.save_state()
    assert state["unsaved"] == []
    again = rpp_rl.make(name)
    again.restore_state(through_json(state))
    run_on(env, again)


WRAPPED = {
    "frames": lambda env: FrameStackObservation(env, 3),
    "time": TimeAwareObservation,
    "rescaled": lambda env: RescaleAction(env, -2.0, 2.0),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_wrapped_environments_continue_from_a_saved_state(wrapper):
    one, other = (ResumableWrapper(WRAPPED[wrapper](gym.make("Hopper-v5", max_episode_steps=50))) for _ in range(2))
    started(one)
    other.restore_state(through_json(one.save_state()))
    run_on(one, other)


def test_an_environment_without_a_simulator_continues_from_a_saved_state():
    one, other = (rpp_rl.make("Bicycle-v0") for _ in range(2))
    started(one)
    other.restore_state(through_json(one.save_state()))
    run_on(one, other)


class Odd(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.stream = iter([1, 2, 3])


def test_attributes_that_are_not_saved_are_named():
    state = environment_state(Odd(gym.make("Hopper-v5")))
    assert state["unsaved"] == ["Odd.stream is a list_iterator, which cannot be saved as plain data"]


def test_another_environment_is_refused():
    env = rpp_rl.make("Hopper-v5")
    env.reset()
    state = environment_state(env)
    with pytest.raises(PlainDataError, match="layers of wrappers"):
        restore_environment(TimeAwareObservation(env), state)
    with pytest.raises(PlainDataError, match="state of a HopperEnv into HalfCheetahEnv"):
        restore_environment(rpp_rl.make("HalfCheetah-v5"), state)
