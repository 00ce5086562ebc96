"""Maps by which a group element moves the full state of the simulator, and observations and actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np

from rpp_rl.envs.geometry.body_matching import Match
from rpp_rl.envs.geometry.isometry import orientation_map
from rpp_rl.envs.geometry.pairing import BALL, FREE, JointImage, coordinate_offset
from rpp_rl.envs.placements import Placements
from rpp_rl.envs.simulator import Floats, State
from rpp_rl.symmetry import Symmetry


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> M x + t; without rows it moves nothing.

    Attributes:
        matrix: M, shape (size, size).
        offset: t, shape (size,).
    """

    matrix: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    offset: Floats = field(default_factory=lambda: np.zeros(0))

    def __call__(self, x: Floats) -> Floats:
        """The moved vector."""
        return np.asarray(self.matrix @ x + self.offset) if x.size and self.offset.size else x


@dataclass(frozen=True, eq=False)
class StateMap:
    """The map qpos -> A qpos + b, qvel -> L qvel, ctrl -> C ctrl, act -> D act; the warm start moves like velocities.

    Attributes:
        positions: A, shape (nq, nq).
        offsets: b, shape (nq,).
        velocities: L, shape (nv, nv).
        controls: C, shape (nu, nu).
        activations: D, shape (na, na); see `activation_map`.
        places: the map of the poses of what the task places.
        extras: the map of what the environment keeps outside of the simulator.
    """

    positions: Floats
    offsets: Floats
    velocities: Floats
    controls: Floats
    activations: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    places: Affine = field(default_factory=Affine)
    extras: Affine = field(default_factory=Affine)

    def __call__(self, state: State) -> State:
        """The moved state."""
        return State(
            self.positions @ state.qpos + self.offsets,
            self.velocities @ state.qvel,
            self.controls @ state.ctrl,
            self.velocities @ state.warmstart,
            self.activations @ state.act if self.activations.size and state.act.size else state.act,
            self.places(state.places),
            self.extras(state.extra),
        )


def activation_map(model: mujoco.MjModel, controls: Floats) -> Floats:
    """The matrix D of act -> D act: activations move like the controls of their actuators."""
    actuators = [i for i in range(model.nu) if model.actuator_actadr[i] >= 0 and model.actuator_actnum[i] == 1]
    if len(actuators) != model.na:
        return np.zeros((0, 0))
    places = [int(model.actuator_actadr[i]) for i in actuators]
    activations = np.zeros((model.na, model.na))
    activations[np.ix_(places, places)] = controls[np.ix_(actuators, actuators)]
    return activations


@dataclass(frozen=True, eq=False)
class Move:
    """The map of observations, x -> rho x + offset, and of actions, a -> sigma a, for one group element.

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


def terms(row: Floats, names: Sequence[str]) -> str:
    """A row of a matrix as a sum of entries: ``-left_knee``, ``0.5 x -0.866 y``."""
    found = [(name, value) for name, value in zip(names, row, strict=True) if value]
    return " ".join(
        f"{'-' if value < 0 else ''}{'' if abs(value) == 1 else f'{abs(value):.3g} '}{name}" for name, value in found
    )


def state_map_of(
    model: mujoco.MjModel, match: Match, controls: Floats, placements: Placements | None = None
) -> StateMap:
    """The map of states under a match of bodies and joints.

    Free joints move by the isometry (R, t) of the world: position x -> R x + t, orientation Q -> R Q S^T with the frame
    S of the body, velocity v -> R v. Angular velocities, which MuJoCo gives in the body's frame, move by det(S) S.
    """
    A, b, L = np.zeros((model.nq, model.nq)), np.zeros(model.nq), np.zeros((model.nv, model.nv))
    for joint in match.joints:
        q, p = int(model.jnt_qposadr[joint.joint]), int(model.jnt_qposadr[joint.image])
        d, e = int(model.jnt_dofadr[joint.joint]), int(model.jnt_dofadr[joint.image])
        kind = model.jnt_type[joint.joint]
        if kind == FREE:
            A[p : p + 3, q : q + 3], b[p : p + 3] = match.world.linear, match.world.shift
            A[p + 3 : p + 7, q + 3 : q + 7] = _towards_reference(model, match, joint)
            L[e : e + 3, d : d + 3] = match.world.linear
            L[e + 3 : e + 6, d + 3 : d + 6] = joint.frame.pseudo
        elif kind == BALL:
            A[p : p + 4, q : q + 4] = orientation_map(joint.frame.linear, joint.frame.linear)
            L[e : e + 3, d : d + 3] = joint.frame.pseudo
        else:
            A[p, q] = L[e, d] = joint.sign
            b[p] = coordinate_offset(model, joint)
    places = Affine(*placements.image(match.world)) if placements is not None else Affine()
    return StateMap(_rounded(A), b, _rounded(L), controls, places=places)


def _towards_reference(model: mujoco.MjModel, match: Match, joint: JointImage) -> Floats:
    """The map of a free body's quaternion, with the sign for which the image of the reference is near the reference."""
    turn = orientation_map(match.world.linear, joint.frame.linear)
    q, p = int(model.jnt_qposadr[joint.joint]) + 3, int(model.jnt_qposadr[joint.image]) + 3
    reference = float(model.qpos0[p : p + 4] @ turn @ model.qpos0[q : q + 4])
    return turn if reference >= 0 else -turn


def _rounded(matrix: Floats) -> Floats:
    """Remove rounding errors of frames: entries within 1e-7 of an integer become that integer."""
    near = np.abs(matrix - np.rint(matrix)) < 1e-7
    return np.where(near, np.rint(matrix) + 0.0, matrix)
