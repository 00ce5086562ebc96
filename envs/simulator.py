"""The full state of a MuJoCo environment: read it, set it, observe it, step from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rpp_rl.errors import SymmetryError

Floats = NDArray[np.float64]

# gymnasium's wrappers that remember earlier observations, which a state set from outside does not have.
_REMEMBERING = "gymnasium.wrappers.stateful_observation"


@dataclass(frozen=True)
class State:
    """What decides a step beside the action.

    Attributes:
        qpos: generalised positions, shape (nq,).
        qvel: generalised velocities, shape (nv,).
        ctrl: the controls of the last step, which observations of actuator forces hold; shape (nu,).
        warmstart: the accelerations with which the constraint solver starts, shape (nv,).
        act: the activations of actuators that have dynamics, shape (na,); empty for zeros.
    """

    qpos: Floats
    qvel: Floats
    ctrl: Floats
    warmstart: Floats
    act: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Step:
    """The result of one step.

    Attributes:
        observation: of the new state.
        reward: of the step.
        terminated: whether the task ended.
    """

    observation: Floats
    reward: float
    terminated: bool


class Simulator:
    """A gymnasium environment whose full MuJoCo state can be set.

    Args:
        env: an environment with MuJoCo's `model` and `data` and a method `_get_obs`, as all of gymnasium's have;
            wrappers that change single observations and actions are applied, others that change nothing are
            passed through.

    Raises:
        SymmetryError: if the environment is no such one, or a wrapper remembers earlier observations.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self.env = env
        self.base: Any = env.unwrapped
        self.name = env.spec.id if env.spec is not None else type(self.base).__name__
        for attribute in ("model", "data", "_get_obs"):
            if not hasattr(self.base, attribute):
                raise SymmetryError(
                    f"{self.name} has no {attribute!r}: states can be set only of a MuJoCo environment like "
                    "gymnasium's, with model, data and _get_obs"
                )
        if not isinstance(self.model, mujoco.MjModel):
            raise SymmetryError(f"the model of {self.name} is no mujoco.MjModel, so its state cannot be set")
        self.observation_wrappers: list[gym.ObservationWrapper[Any, Any, Any]] = []
        self.action_wrappers: list[gym.ActionWrapper[Any, Any, Any]] = []
        for wrapper in wrappers_of(env):
            if type(wrapper).__module__ == _REMEMBERING:
                raise SymmetryError(
                    f"{type(wrapper).__name__} remembers earlier observations, which a state set from outside does "
                    "not have; audit the environment without it"
                )
            if isinstance(wrapper, gym.ObservationWrapper):
                self.observation_wrappers.insert(0, wrapper)
            if isinstance(wrapper, gym.ActionWrapper):
                self.action_wrappers.append(wrapper)

    @property
    def model(self) -> Any:
        """The compiled model."""
        return self.base.model

    @property
    def data(self) -> Any:
        """MuJoCo's data."""
        return self.base.data

    @property
    def action_space(self) -> spaces.Box:
        """The space of actions."""
        return cast(spaces.Box, self.env.action_space)

    @property
    def controls_are_actions(self) -> bool:
        """Whether the environment hands its actions to the actuators as they are."""
        return not self.action_wrappers and self.model.nu == self.action_space.shape[0]

    def state(self) -> State:
        """The present state."""
        d = self.data
        return State(d.qpos.copy(), d.qvel.copy(), d.ctrl.copy(), d.qacc_warmstart.copy(), d.act.copy())

    def set(self, state: State) -> None:
        """Set a state afresh, so that nothing of an earlier one is left.

        Contact forces in observations are those of an earlier step; here they are zero until the next one.
        """
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = state.qpos, state.qvel
        self.data.ctrl[:], self.data.qacc_warmstart[:] = state.ctrl, state.warmstart
        if state.act.size:
            self.data.act[:] = state.act
        mujoco.mj_forward(self.model, self.data)

    def observe(self) -> Floats:
        """The observation of the present state."""
        return self._observed(self.base._get_obs())

    def step(self, action: Floats) -> Step:
        """Step from the present state."""
        for wrapper in self.action_wrappers:
            action = wrapper.action(action)
        observation, reward, terminated, *_ = self.base.step(action)
        return Step(self._observed(observation), float(reward), bool(terminated))

    def _observed(self, observation: Any) -> Floats:
        for wrapper in self.observation_wrappers:
            observation = wrapper.observation(observation)
        return np.array(observation, dtype=np.float64)

    def in_contact(self) -> bool:
        """Whether anything touches in the present state."""
        return bool(self.data.ncon > 0)


def wrappers_of(env: gym.Env[Any, Any]) -> Iterator[gym.Wrapper[Any, Any, Any, Any]]:
    """The wrappers, outermost first."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env
