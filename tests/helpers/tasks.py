"""Small tasks to train agents on in seconds."""

import gymnasium as gym
import numpy as np

import rpp_rl
from rpp_rl.envs import reflection


class Bicycle(gym.Env):
    """Two wheels pushed towards zero, a height and a roll: symmetric under the exchange of the wheels.

    `fault` makes observations or rewards infinite or NaN from a given step on.
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
        observation = self.state.copy()
        if self.steps >= self.at and self.fault == "observation":
            observation[3] = np.nan
        if self.steps >= self.at and self.fault == "reward":
            reward = float("inf")
        return observation, reward, False, False, {}


NAMES = ("left", "right", "height", "roll")
WHEELS = reflection(
    NAMES, ("left", "right"), swap=[("left", "right")], flip=["roll"], action_swap=[("left", "right")], name="wheels"
)
gym.register("Bicycle-v0", Bicycle, max_episode_steps=30)
rpp_rl.register_symmetry("Bicycle-v0", WHEELS)


def bicycle(**kwargs):
    return rpp_rl.make("Bicycle-v0", **kwargs)
