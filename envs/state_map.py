"""How one element of a group moves the full state of the simulator, and how it moves observations and actions."""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np

from rpp_rl.envs.simulator import Floats, State
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True, eq=False)
class StateMap:
    """qpos -> A qpos + b, qvel -> L qvel, ctrl -> C ctrl, act -> D act; the warm start moves as velocities do.

    Attributes:
        positions: A, shape (nq, nq).
        offsets: b, shape (nq,).
        velocities: L, shape (nv, nv).
        controls: C, shape (nu, nu).
        activations: D, shape (na, na); see `activation_map`.
    """

    positions: Floats
    offsets: Floats
    velocities: Floats
    controls: Floats
    activations: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def __call__(self, state: State) -> State:
        """The moved state."""
        return State(
            self.positions @ state.qpos + self.offsets,
            self.velocities @ state.qvel,
            self.controls @ state.ctrl,
            self.velocities @ state.warmstart,
            self.activations @ state.act if self.activations.size and state.act.size else state.act,
        )


def activation_map(model: mujoco.MjModel, controls: Floats) -> Floats:
    """D of act -> D act: activations move as the controls of their actuators do."""
    actuators = [i for i in range(model.nu) if model.actuator_actadr[i] >= 0 and model.actuator_actnum[i] == 1]
    if len(actuators) != model.na:
        return np.zeros((0, 0))
    places = [int(model.actuator_actadr[i]) for i in actuators]
    activations = np.zeros((model.na, model.na))
    activations[np.ix_(places, places)] = controls[np.ix_(actuators, actuators)]
    return activations


@dataclass(frozen=True, eq=False)
class Move:
    """How one element of a group moves observations, x -> rho x + offset, and actions, a -> sigma a.

    Attributes:
        observation: rho, shape (entries, entries).
        offset: shape (entries,).
        action: sigma, shape (actions, actions).
    """

    observation: Floats
    offset: Floats
    action: Floats

    @classmethod
    def of(cls, symmetry: Symmetry, generator: int) -> Move:
        """The move of a generator, by its index."""
        return cls.of_element(symmetry, symmetry.group.words.index((generator,)))

    @classmethod
    def of_element(cls, symmetry: Symmetry, element: int) -> Move:
        """The move of an element, by its index in `Group.words`."""
        return cls(symmetry.observation.matrix(element), symmetry.offset(element), symmetry.action.matrix(element))

    def observe(self, x: Floats) -> Floats:
        """Move observations of shape (..., entries)."""
        return x @ self.observation.T + self.offset

    def act(self, a: Floats) -> Floats:
        """Move actions of shape (..., actions)."""
        return a @ self.action.T
