"""A quadruped with two mirror planes, a biped whose names hide its mirror plane, and a crawler that limps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco import MujocoEnv

from rpp_rl.envs.simulator import Floats


class Robot(MujocoEnv):
    """A robot on a free joint that observes its state without x and y and starts near the reference pose.

    Args:
        **kwargs: as for gymnasium's `MujocoEnv`.
    """

    model_file = ""
    metadata = {  # noqa: RUF012 - gymnasium's own form
        "render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"],
        "render_fps": 40,
    }

    def __init__(self, **kwargs: Any) -> None:
        path = Path(__file__).parent / self.model_file
        super().__init__(str(path), frame_skip=5, observation_space=None, **kwargs)
        self.observation_space = spaces.Box(-np.inf, np.inf, self._get_obs().shape, np.float64)

    def _get_obs(self) -> Floats:
        return np.concatenate([self.data.qpos[2:], self.data.qvel])

    def reset_model(self) -> Floats:
        """Start near the reference pose, with small random bends and velocities."""
        noise = self.np_random.uniform(-0.02, 0.02, self.model.nq)
        self.set_state(self.init_qpos + noise, 0.02 * self.np_random.standard_normal(self.model.nv))
        return self._get_obs()

    def step(self, action: Any) -> tuple[Floats, Any, bool, bool, dict[str, Any]]:
        """Step the simulation; episodes end only at the time limit."""
        before = self.data.qpos[:3].copy()
        self.do_simulation(action, self.frame_skip)
        velocity = (self.data.qpos[:3] - before) / self.dt
        reward = self.reward(velocity) - 0.01 * float(np.square(action).sum())
        if self.render_mode == "human":
            self.render()
        return self._get_obs(), reward, False, False, {}

    def reward(self, velocity: Floats) -> float:
        """The reward of a step without the cost of the action; velocity in m/s, shape (3,)."""
        return float(velocity[0])


class Quadruped(Robot):
    """A robot with four legs and two mirror planes; the task, to return to the origin upright, prefers no direction."""

    model_file = "quadruped.xml"

    def _get_obs(self) -> Floats:
        return np.concatenate([self.data.qpos, self.data.qvel])

    def reward(self, velocity: Floats) -> float:
        """Nearness to the origin, times uprightness."""
        x, y, _ = self.data.body("torso").xpos
        upright = float(self.data.body("torso").xmat[8])
        return upright * float(np.exp(-(x**2) - y**2))


class Biped(Robot):
    """A robot with two legs, alpha and beta, that observes an inertial sensor, joints and the last controls."""

    model_file = "biped.xml"

    def _get_obs(self) -> Floats:
        data, legs = self.data, slice(-8, None)
        height = data.body("hull").xpos[2:]
        return np.concatenate([height, data.sensordata, data.qpos[legs], data.qvel[legs], data.ctrl])


class Crawler(Robot):
    """A robot with two arms and a trunk that is nearly symmetric, as real robots are."""

    model_file = "crawler.xml"
