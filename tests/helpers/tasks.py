"""Small tasks to train agents on in seconds."""

import os
import signal
import time

import gymnasium as gym
import numpy as np

import rpp_rl
from helpers.processes import wait_for_a_signal
from rpp_rl.envs import reflection


class Bicycle(gym.Env):
    """Two wheels pushed towards zero, a height and a roll: symmetric under the exchange of the wheels.

    `fault` makes it fail from step `at` on: with observations or rewards that are not finite or have another form, with
    an exception, by ending or blocking its process, or by killing its parent.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - gymnasium's own form

    def __init__(self, fault=None, at=20, low=-1.0):
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
        self.action_space = gym.spaces.Box(low, 1.0, (2,))
        self.fault, self.at = fault, at
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.standard_normal(4).astype(np.float32)
        return self.state, {}

    def step(self, action):
        self.steps += 1
        self.state = self.state + 0.1 * np.array([*action, 0.0, 0.0], dtype=np.float32)
        reward = -float(np.square(self.state[:2]).sum())
        observation, reward = self._spoilt(self.state.copy(), reward)
        return observation, reward, False, False, {}

    def _spoilt(self, observation, reward):
        fault = self.fault if self.steps >= self.at else None
        if fault in ("observation", "infinite observation"):
            observation[3] = np.nan if fault == "observation" else -np.inf
        if fault in ("reward", "NaN reward", "vector reward"):
            reward = {"reward": np.inf, "NaN reward": np.nan, "vector reward": np.ones(2)}[fault]
        if fault == "raise":
            raise RuntimeError("the left wheel came off")
        if fault == "die":
            os._exit(7)
        if fault == "orphan":
            os.kill(os.getppid(), signal.SIGKILL)
        if fault in ("hang", "orphan"):  # an orphan would reach its next checkpoint before it notices
            time.sleep(3600)
        forms = {
            "longer": np.ones(5),
            "scalar": np.float32(1.0),
            "words": np.array(["a"] * 4),
            "complex": observation + 1j,
            "nothing": None,
        }
        return forms.get(fault, observation), reward


NAMES = ("left", "right", "height", "roll")
WHEELS = reflection(
    NAMES, ("left", "right"), swap=[("left", "right")], flip=["roll"], action_swap=[("left", "right")], name="wheels"
)


class Fragile(Bicycle):
    """Raise in episodes that begin with seed 10001."""

    def reset(self, *, seed=None, options=None):
        self.fault = "raise" if seed == 10_001 else None
        return super().reset(seed=seed, options=options)


class Patient(Bicycle):
    """Wait in the hundredth step of a run where a test holds it, until the run is sent a signal."""

    def step(self, action):
        if self.steps == 99:
            wait_for_a_signal()
        return super().step(action)


class Crowded(Bicycle):
    """Share one action space, and its generator, between all environments of the class."""

    actions = gym.spaces.Box(-1.0, 1.0, (2,))

    def __init__(self):
        super().__init__()
        self.action_space = self.actions


gym.register("Bicycle-v0", Bicycle, max_episode_steps=30)
for cls in (Fragile, Patient, Crowded):
    gym.register(f"{cls.__name__}-v0", cls, max_episode_steps=30)
    rpp_rl.register_symmetry(f"{cls.__name__}-v0", WHEELS)
rpp_rl.register_symmetry("Bicycle-v0", WHEELS)


def bicycle(**kwargs):
    return rpp_rl.make("Bicycle-v0", **kwargs)
