"""How one element of a group moves the full state of the simulator, and how it moves observations and actions."""

from __future__ import annotations

from dataclasses import dataclass

from rpp_rl.envs.simulator import Floats, State
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True, eq=False)
class StateMap:
    """qpos -> A qpos + b, qvel -> L qvel, ctrl -> C ctrl; the warm start moves as velocities do.

    Attributes:
        positions: A, shape (nq, nq).
        offsets: b, shape (nq,).
        velocities: L, shape (nv, nv).
        controls: C, shape (nu, nu).
    """

    positions: Floats
    offsets: Floats
    velocities: Floats
    controls: Floats

    def __call__(self, state: State) -> State:
        """The moved state."""
        return State(
            self.positions @ state.qpos + self.offsets,
            self.velocities @ state.qvel,
            self.controls @ state.ctrl,
            self.velocities @ state.warmstart,
        )


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
        element = symmetry.group.words.index((generator,))
        return cls(symmetry.observation.matrix(element), symmetry.offset(element), symmetry.action.matrix(element))

    def observe(self, x: Floats) -> Floats:
        """Move observations of shape (..., entries)."""
        return x @ self.observation.T + self.offset

    def act(self, a: Floats) -> Floats:
        """Move actions of shape (..., actions)."""
        return a @ self.action.T
