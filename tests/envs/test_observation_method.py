"""The method that observes a set state is found by its name, and checked against step and reset."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation
from helpers.small_models import Slides

from rpp_rl.envs import audit, derive_symmetry, reflection
from rpp_rl.envs.auditing import QUICK, Verdict
from rpp_rl.envs.simulator import Simulator
from rpp_rl.errors import SymmetryError


class Plain(gym.Env):
    """Slides without any method that observes; `see` computes the observation for step and reset."""

    def __init__(self):
        inner = Slides()
        self.model, self.data = inner.model, inner.data
        self.observation_space, self.action_space = gym.spaces.Box(-np.inf, np.inf, (6,)), inner.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.np_random.uniform(-0.1, 0.1, 3)
        mujoco.mj_forward(self.model, self.data)
        return self.see(), {}

    def step(self, action):
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, 3)
        return self.see(), 0.0, False, False, {}

    def see(self):
        return np.concatenate([self.data.qpos, self.data.qvel])


MIRROR = reflection(6, 3, flip=range(6), action_flip=range(3))


def with_method(name, function=None, **attributes):
    """An environment of a class that has one more method."""
    cls = type("Robot", (Plain,), {name: function or (lambda self: self.see()), **attributes})
    return cls()


SPELLINGS = [
    *("_get_obs", "get_obs", "_get_observation", "get_observation", "_observation", "observation", "_obs", "_observe"),
    *("compute_observation", "_compute_obs", "get_observations", "getObservation", "_get_current_obs", "_get_full_obs"),
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_usual_spellings_are_found(name):
    assert audit(with_method(name), MIRROR, 30, thoroughness=QUICK).verdict == Verdict.EXACT


def test_any_method_can_be_named():
    env = with_method("whatever", observation_method="whatever")
    assert audit(env, MIRROR, 30, thoroughness=QUICK).verdict == Verdict.EXACT
    assert derive_symmetry(env, "y").observation.images == MIRROR.observation.images


def test_a_named_method_takes_precedence():
    def other(self):
        return np.zeros(6)

    simulator = Simulator(with_method("see_all", _get_obs=other, observation_method="see_all"))
    state = simulator.state()
    np.testing.assert_array_equal(simulator.observe(), [*state.qpos, *state.qvel])


def test_a_method_of_an_instance_in_another_precision_is_found():
    env = Plain()
    env._get_obs = lambda: env.see()
    Simulator(env)
    env.see = lambda: np.concatenate([env.data.qpos, env.data.qvel]).astype(np.float32)
    env._get_obs = lambda: np.concatenate([env.data.qpos, env.data.qvel])
    Simulator(env)


def remembered(self):
    return self.last


def seen_and_remembered(self):
    self.last = np.concatenate([self.data.qpos, self.data.qvel])
    return self.last


TRAPS = {
    "other numbers": ({"_get_obs": lambda self: 2 * self.see()}, "_get_obs returns something else than reset"),
    "another shape": ({"_get_obs": lambda self: self.see()[:3]}, "_get_obs returns something else than reset"),
    "a tuple": ({"get_obs": lambda self: (self.see(), {})}, "get_obs returns something else than reset"),
    "the first observation": (
        {"_obs": lambda self: np.concatenate([self.data.qpos, 0 * self.data.qvel])},
        "_obs returns something else than step",
    ),
    "the last observation": (
        {"see": seen_and_remembered, "_get_obs": remembered},
        "_get_obs does not change when a state is set",
    ),
    "an argument": ({"_get_obs": lambda self, data: self.see()}, "_get_obs needs arguments"),
    "an error": ({"get_obs": lambda self: 1 / 0}, "get_obs raises ZeroDivisionError"),
    "nothing": ({"observation": lambda self: None}, "observation returns something else than reset"),
    "no such method": ({}, "no method has such a name"),
    "a name of nothing": ({"observation_method": "look"}, "must name a method of the environment, got 'look'"),
    "a name of a wrong method": (
        {"observation_method": "look", "look": lambda self: 0, "_get_obs": lambda self: self.see()},
        "look returns something else than reset",
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_another_method_is_refused_in_one_sentence(trap):
    attributes, reason = TRAPS[trap]
    with pytest.raises(SymmetryError) as found:
        Simulator(type("Robot", (Plain,), attributes)())
    message = str(found.value)
    assert reason in message
    assert "observation_method" in message
    assert message.count(". ") == 0


def test_a_trap_does_not_hide_the_right_method():
    env = type("Robot", (Plain,), {"_get_obs": lambda self: 0 * self.see(), "get_obs": lambda self: self.see()})()
    assert audit(env, MIRROR, 30, thoroughness=QUICK).verdict == Verdict.EXACT


def test_other_methods_are_not_called():
    called = []
    noted = {name: lambda self: called.append(1) for name in ("reset_obs", "add_observation", "render_obs", "step_obs")}
    with pytest.raises(SymmetryError, match="no method has such a name"):
        Simulator(type("Robot", (Plain,), noted)())
    env = with_method("_get_obs", _compute_obs=lambda self: called.append(1))
    Simulator(env)
    assert called == []


class InStep(Plain):
    """An environment that computes its observation inside of step."""

    def step(self, action):
        super().step(action)
        return np.concatenate([self.data.qpos, self.data.qvel]), 0.0, False, False, {}


def test_an_environment_that_observes_inside_of_step_is_refused_with_the_remedy():
    with pytest.raises(SymmetryError, match=r"no method has such a name.*a method without arguments, such as _get_obs"):
        audit(InStep(), MIRROR, 30)


class Parts(Plain):
    """An environment whose observation has parts."""

    def __init__(self):
        super().__init__()
        box = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.observation_space = gym.spaces.Dict({"place": box, "speed": box})

    def see(self):
        return {"place": self.data.qpos.copy(), "speed": self.data.qvel.copy()}

    def get_observation(self):
        return self.see()


def test_parts_that_a_wrapper_joins_are_compared_part_by_part():
    assert audit(FlattenObservation(Parts()), MIRROR, 30, thoroughness=QUICK).verdict == Verdict.EXACT
    env = type("Wrong", (Parts,), {"get_observation": lambda self: {**self.see(), "speed": self.data.qpos}})()
    with pytest.raises(SymmetryError, match="get_observation returns something else"):
        Simulator(FlattenObservation(env))
