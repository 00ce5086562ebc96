"""Find the isometry of the world that a map of simulator states looks like.

A map of states acts on coordinates of joints. A viewer sees bodies: those of g s are at the mirror images of those of
s, although a left leg may be where a right leg was.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.optimize import linear_sum_assignment

from rpp_rl.envs.geometry.body_matching import size_of
from rpp_rl.envs.geometry.isometry import WORLD_MAPS, Isometry
from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import StateMap

_STATES = 8
# Misfits, relative to the robot's size, that differ by less count as equal.
_ALIKE = 1e-6


@dataclass(frozen=True)
class WorldImage:
    """The isometry that a map of states looks like.

    Attributes:
        isometry: x -> R x + t, R one of the sixteen symmetries of a square prism on the floor.
        misfit: root mean square distance, over the robot's size, between the centers of mass of the bodies at g s and
            the isometry's images of those at s, in the best pairing; zero for a symmetry of the model.
        places: centers of mass of the bodies at random states, relative to that of the robot, shape (n, bodies, 3).
    """

    isometry: Isometry
    misfit: float
    places: Floats


def world_image(simulator: Simulator, state_map: StateMap, seed: int = 0) -> WorldImage:
    """Find the isometry of the world that a map of states looks like.

    If several fit, the function takes the first in this order: the identity (for example if two legs of a planar robot
    change places), mirrors, turns, and each of them upside down.

    Args:
        simulator: simulator of the environment; its state is set.
        state_map: the map of states.
        seed: seed of the random states.
    """
    rng, model = np.random.default_rng(seed), simulator.model
    pairs, centres = [], []
    for _ in range(_STATES):
        state = _random_state(model, rng)
        (before, centre), (after, moved_centre) = (_places(simulator, s) for s in (state, state_map(state)))
        pairs.append((before, after))
        centres.append((centre, moved_centre))
    best: tuple[float, Isometry] | None = None
    size = size_of(model)
    for linear in _linear_maps():
        shift = np.mean([moved - linear @ centre for centre, moved in centres], axis=0)
        isometry = Isometry(linear, np.where(np.abs(shift) < 1e-9, 0.0, shift))
        squares = []
        for before, after in pairs:
            distances = ((isometry(before)[:, None] - after[None]) ** 2).sum(axis=-1)
            squares.append(distances[linear_sum_assignment(distances)].mean())
        misfit = float(np.sqrt(np.mean(squares))) / size
        if best is None or misfit < best[0] - _ALIKE:
            best = misfit, isometry
    misfit, isometry = best if best is not None else (0.0, Isometry(np.eye(3), np.zeros(3)))
    places = np.array([before - centre for (before, _), (centre, _) in zip(pairs, centres, strict=True)])
    return WorldImage(isometry, misfit, places)


def _linear_maps() -> list[Floats]:
    """The sixteen symmetries of a square prism: mirrors before turns, those that keep up and down first."""
    turn, mirror = WORLD_MAPS["rot90"], WORLD_MAPS["x"]
    turns = [np.linalg.matrix_power(turn, k) for k in range(4)]
    # Mirrors in planes of the axes come before diagonal mirrors.
    square = [turns[0], mirror, turns[2] @ mirror, turns[1] @ mirror, turns[3] @ mirror, turns[2], turns[1], turns[3]]
    return [*square, *(WORLD_MAPS["z"] @ linear for linear in square)]


def _random_state(model: mujoco.MjModel, rng: np.random.Generator) -> State:
    qpos = model.qpos0 + 0.3 * rng.standard_normal(model.nq)
    mujoco.mj_normalizeQuat(model, qpos)
    return State(qpos, np.zeros(model.nv), np.zeros(model.nu), np.zeros(model.nv))


def _places(simulator: Simulator, state: State) -> tuple[Floats, Floats]:
    """The centers of mass of all bodies that joints move, shape (bodies, 3), and that of them together, shape (3,)."""
    simulator.set(state)
    moving = np.flatnonzero((simulator.model.body_weldid > 0) & (simulator.model.body_mocapid < 0))
    places, mass = simulator.data.xipos[moving], simulator.model.body_mass[moving]
    return places.copy(), np.asarray(mass @ places / max(float(mass.sum()), 1e-300))
