"""Checks without MuJoCo on gymnasium's classic tasks, whose symmetries are known, and on tasks made for this."""

import json

import gymnasium as gym
import numpy as np
import pytest

from rpp_rl.envs import audit, quick_audit, reflection
from rpp_rl.envs.auditing import PlainAudit


def pendulum(*flip, action_flip=("torque",)):
    return reflection(["cos", "sin", "velocity"], ["torque"], flip=flip, action_flip=action_flip)


def results(done):
    assert isinstance(done, PlainAudit)
    json.dumps(done.to_dict(), allow_nan=False)
    return {check.name: check.holds for check in done.checks}


def test_the_mirror_of_the_pendulum_holds():
    done = audit(gym.make("Pendulum-v1"), pendulum("sin", "velocity"), 100)
    assert results(done) == dict.fromkeys(
        ("group action", "action bounds", "observation bounds", "one mirrored step"), True
    )
    assert done.verdict == "not contradicted"


@pytest.mark.parametrize("flip", [("sin",), ("velocity",), ("cos",), ("cos", "sin"), ("cos", "velocity"), ()])
def test_every_other_reflection_of_the_pendulum_fails_in_its_step(flip):
    done = quick_audit(gym.make("Pendulum-v1"), pendulum(*flip), 0)
    assert results(done)["one mirrored step"] is False
    assert done.verdict == "contradicted"
    assert "one mirrored step: FAILS" in done.line


def test_a_wrong_sign_of_the_action_fails():
    done = audit(gym.make("Pendulum-v1"), pendulum("sin", "velocity", action_flip=()), 100)
    assert results(done)["one mirrored step"] is False


def test_a_reflection_about_a_point_moves_the_state():
    # The valley of the car lies at -pi / 6, and its slope is a cosine of three times the place.
    valley = {"center": {"x": -np.pi / 6}, "flip": ["x", "v"], "action_flip": ["push"]}
    done = audit(gym.make("MountainCarContinuous-v0"), reflection(["x", "v"], ["push"], **valley), 100)
    assert results(done) == {
        "group action": True,
        "action bounds": True,
        "observation bounds": False,
        "one mirrored step": True,
    }
    assert "maps entry 'x' from [-1.2, 0.6]" in done.line
    elsewhere = audit(gym.make("MountainCarContinuous-v0"), reflection(["x", "v"], ["push"], flip=["x", "v"]), 100)
    assert results(elsewhere)["one mirrored step"] is False


class Walk(gym.Env):
    """A place that is pushed, in `noise` also by chance."""

    def __init__(self, noise=0.0, low=-1.0, hidden=False):
        self.noise, self.hidden = noise, hidden
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
        self.action_space = gym.spaces.Box(np.array([low, -1.0], np.float32), np.ones(2, np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        place = self.np_random.standard_normal(2).astype(np.float32)
        if self.hidden:
            self.place = place
        else:
            self.state = place
        return place, {}

    def step(self, action):
        name = "place" if self.hidden else "state"
        place = getattr(self, name) + 0.1 * action + self.noise * self.np_random.standard_normal(2).astype(np.float32)
        setattr(self, name, place)
        return place, 0.0, False, False, {}


EXCHANGE = reflection(["x", "y"], ["push_x", "push_y"], swap=[("x", "y")], action_swap=[("push_x", "push_y")])


def step_check(env):
    return next(check for check in audit(env, EXCHANGE, 50).checks if check.name == "one mirrored step")


def test_what_cannot_be_checked_says_why():
    assert step_check(Walk()).holds is True
    for env, reason in ((Walk(noise=0.1), "not always the same"), (Walk(hidden=True), "no attribute 'state'")):
        check = step_check(env)
        assert check.holds is None
        assert reason in check.detail
    check = step_check(gym.wrappers.RescaleAction(Walk(), -2.0, 2.0))
    assert "a wrapper changes" in check.detail


def test_action_bounds_are_checked():
    done = audit(Walk(low=-0.5), EXCHANGE, 50)
    assert results(done)["action bounds"] is False
    assert "push_x" in done.line
