"""Read and set the full state of a MuJoCo environment, observe it, and step from it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces

from rpp_rl.envs.extra_state import ExtraState
from rpp_rl.envs.geometry.isometry import Floats as Floats
from rpp_rl.envs.observation_method import observation_method
from rpp_rl.envs.placements import find_placements
from rpp_rl.errors import SymmetryError

# Positions and velocities beyond this, in the units of the model, and observations beyond MuJoCo's own limit, belong to
# a simulation that diverged.
_FARTHEST, _LARGEST = 1e6, float(mujoco.mjMAXVAL)
_BAD = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)

# Histories after which one state is observed, and differences that are rounding.
_HISTORIES, _ALIKE = 4, 1e-9

# The module of gymnasium's wrappers that remember earlier observations.
_REMEMBERING = "gymnasium.wrappers.stateful_observation"


@dataclass(frozen=True)
class State:
    """The state that, together with the action, determines a step.

    Attributes:
        qpos: generalized positions, shape (nq,).
        qvel: generalized velocities, shape (nv,).
        ctrl: controls of the last step, on which observed actuator forces depend, shape (nu,).
        warmstart: accelerations with which the constraint solver starts, shape (nv,).
        act: activations of actuators with dynamics, shape (na,); empty for zeros.
        places: poses of what the task places, see `rpp_rl.envs.placements`; empty to leave them as they are.
        extra: what the environment keeps outside of the simulator, see `rpp_rl.envs.extra_state`; the same.
    """

    qpos: Floats
    qvel: Floats
    ctrl: Floats
    warmstart: Floats
    act: Floats = field(default_factory=lambda: np.zeros(0))
    places: Floats = field(default_factory=lambda: np.zeros(0))
    extra: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Step:
    """The result of one step.

    Attributes:
        observation: the observation of the new state.
        reward: the reward of the step.
        terminated: whether the task ended.
        has_diverged: whether the simulation diverged.
    """

    observation: Floats
    reward: float
    terminated: bool
    has_diverged: bool = False


def has_simulator(env: gym.Env[Any, Any]) -> bool:
    """Whether an environment simulates a MuJoCo model, as gymnasium's do, with ``model`` and ``data``."""
    base: Any = env.unwrapped
    return isinstance(getattr(base, "model", None), mujoco.MjModel) and hasattr(base, "data")


class Simulator:
    """A gymnasium environment whose full MuJoCo state can be set.

    Args:
        env: an environment with MuJoCo's `model` and `data`, and a method without arguments that returns the
            observation of the current state, see `rpp_rl.envs.observation_method`. It is reset and stepped. Wrappers
            that change single observations and actions are applied; other wrappers are skipped.

    Raises:
        SymmetryError: if the environment is not of this kind, or a wrapper remembers earlier observations.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self.env = env
        self.base: Any = env.unwrapped
        self.name = env.spec.id if env.spec is not None else type(self.base).__name__
        for attribute in ("model", "data"):
            if not hasattr(self.base, attribute):
                raise SymmetryError(
                    f"{self.name} has no {attribute!r}: states can be set only of a MuJoCo environment like "
                    "gymnasium's, with model and data"
                )
        if not isinstance(self.model, mujoco.MjModel):
            raise SymmetryError(
                f"the state of {self.name} cannot be set: its model must be a mujoco.MjModel, got a "
                f"{type(self.model).__name__}"
            )
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
        for what, space in (("observation", env.observation_space), ("action", env.action_space)):
            if not isinstance(space, spaces.Box) or len(space.shape) != 1:
                raise SymmetryError(
                    f"the {what}s of {self.name} must be a Box of one axis, got {str(space)[:80]}; flatten them, for "
                    "example with gymnasium.wrappers.FlattenObservation"
                )
        self.placements = find_placements(self.base)
        self.extra = ExtraState.of(self.base, self.name)
        model = self.model
        reference = State(model.qpos0.copy(), np.zeros(model.nv), np.zeros(model.nu), np.zeros(model.nv))
        self._observe = observation_method(self.base, self.name, lambda: self.set(reference))

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
        """Whether the actions are the controls of the actuators, unchanged."""
        return not self.action_wrappers and self.model.nu == self.action_space.shape[0]

    def state(self) -> State:
        """The current state."""
        d = self.data
        qpos, qvel, ctrl, warmstart, act = (x.copy() for x in (d.qpos, d.qvel, d.ctrl, d.qacc_warmstart, d.act))
        return State(qpos, qvel, ctrl, warmstart, act, self.placements.read(self.model, d), self.extra.read())

    def set(self, state: State) -> None:
        """Reset the simulator and set a state, so that nothing of an earlier state remains.

        Contact forces in observations belong to an earlier step; they are zero until the next step.
        """
        places = state.places if state.places.size else self.placements.read(self.model, self.data)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = state.qpos, state.qvel
        self.data.ctrl[:], self.data.qacc_warmstart[:] = state.ctrl, state.warmstart
        if state.act.size:
            self.data.act[:] = state.act
        self.placements.write(self.model, self.data, places)
        if state.extra.size:
            self.extra.write(state.extra)
        mujoco.mj_forward(self.model, self.data)

    def observe(self) -> Floats:
        """The observation of the current state."""
        return self._observed(self._observe())

    def step(self, action: Floats) -> Step:
        """Step from the current state."""
        for wrapper in self.action_wrappers:
            action = wrapper.action(action)
        observation, reward, terminated, *_ = self.base.step(action)
        observed = self._observed(observation)
        diverged = self.has_diverged or not _within(observed, _LARGEST) or not np.isfinite(reward)
        return Step(observed, float(reward), bool(terminated), diverged)

    def _observed(self, observation: Any) -> Floats:
        for wrapper in self.observation_wrappers:
            observation = wrapper.observation(observation)
        return np.array(observation, dtype=np.float64)

    @cached_property
    def unreachable(self) -> tuple[int, ...]:
        """Entries of the observation that no state determines: they depend on what was done before the state was set.

        A map of such entries can neither be supported nor refuted.
        """
        return self._varying(self.state())

    @cached_property
    def undetermined(self) -> tuple[int, ...]:
        """The entries that the simulator alone does not determine: those, and what the extra state moves."""
        return self._varying(replace(self.state(), extra=np.zeros(0)))

    def _varying(self, state: State) -> tuple[int, ...]:
        """Entries that differ in one state after different resets and steps."""
        actions = copy.deepcopy(self.base.action_space)
        actions.seed(0)
        observed = []
        for seed in range(_HISTORIES):
            self.base.reset(seed=seed)
            for _ in range(seed):
                self.base.step(actions.sample())
            self.set(state)
            observed.append(self.observe())
        return tuple(np.flatnonzero(np.ptp(observed, axis=0) > _ALIKE).tolist())

    @property
    def has_diverged(self) -> bool:
        """Whether the simulation diverged since the state was set or the environment reset.

        MuJoCo itself resets a simulation in which a number is not finite, and counts a warning.
        """
        if any(self.data.warning[kind].number for kind in _BAD):
            return True
        return not all(_within(values, _FARTHEST) for values in (self.data.qpos, self.data.qvel))

    def in_contact(self) -> bool:
        """Whether there is a contact in the current state."""
        return bool(self.data.ncon > 0)


def _within(values: Floats, bound: float) -> bool:
    """Whether all values are numbers of at most this size."""
    return bool((np.abs(values) <= bound).all())


def wrappers_of(env: gym.Env[Any, Any]) -> Iterator[gym.Wrapper[Any, Any, Any, Any]]:
    """The wrappers, outermost first."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env
