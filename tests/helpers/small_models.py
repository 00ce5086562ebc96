"""Small MuJoCo environments, made from text in a test."""

import gymnasium as gym
import mujoco
import numpy as np

THREE_SLIDES = """
<mujoco>
  <option timestep="{timestep}" gravity="0 0 0" integrator="Euler"/>
  <worldbody>
    <body name="a" pos="-1 0 0"><joint name="a" type="slide" axis="0 1 0" {a}/><geom size="0.1" mass="1"/></body>
    <body name="b" pos="0 0 0"><joint name="b" type="slide" axis="0 1 0" {b}/><geom size="0.1" mass="1"/></body>
    <body name="c" pos="1 0 0"><joint name="c" type="slide" axis="0 1 0" {c}/><geom size="0.1" mass="1"/></body>
  </worldbody>
  <actuator><motor joint="a"/><motor joint="b"/><motor joint="c" gear="{gear_c}"/></actuator>
</mujoco>
"""
SPRING = 'stiffness="10" damping="1"'


class Slides(gym.Env):
    """Three masses on parallel slides, each on a spring of its own, that are pushed sideways.

    The observation has the three places, the three speeds, and a constant 1, all of this as often as `copies` says.
    """

    frame_skip = 5

    def __init__(self, a=SPRING, b=SPRING, c=SPRING, timestep=0.01, copies=1, gear_c=1):
        self.model = mujoco.MjModel.from_xml_string(
            THREE_SLIDES.format(a=a, b=b, c=c, timestep=timestep, gear_c=gear_c)
        )
        self.data = mujoco.MjData(self.model)
        self.copies = copies
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (7 * copies,), np.float64)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float64)

    def _get_obs(self):
        return np.tile(np.concatenate([self.data.qpos, self.data.qvel, [1.0]]), self.copies)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.np_random.uniform(-0.1, 0.1, 3)
        self.data.qvel[:] = self.np_random.uniform(-0.1, 0.1, 3)
        mujoco.mj_forward(self.model, self.data)
        return self._get_obs(), {}

    def step(self, action):
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, self.frame_skip)
        return self._get_obs(), -float(np.square(action).sum()), False, False, {}


# With a timestep of 0.01 s a mass of 1 kg on a spring of more than 4 / 0.01^2 N/m gains energy at every step.
TOO_STIFF = 'stiffness="60000"'


class Unstable(Slides):
    """Slides of which the third diverges in every fifth episode, where it starts off its rest."""

    def __init__(self, c=TOO_STIFF):
        super().__init__(c=c, gear_c=0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.np_random.uniform() > 0.2:
            self.data.qpos[2] = self.data.qvel[2] = 0
        return self._get_obs(), {}
