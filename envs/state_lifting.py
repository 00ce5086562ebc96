"""Lift a declared map of observations to a map of the full state of the simulator.

Most entries of an observation are coordinates of the state, up to a constant and a factor. A few random states show
which, and the declared map of these entries gives the map of the coordinates. Unobserved coordinates follow from the
others: a position moves like its velocity. An angle that is observed through sines and cosines only gets the offset,
among the quarter turns, for which the observation map holds. If an observation leaves out more, the matches of the
model's bodies with their mirror images are tried, and the match for which the observation map holds best is taken.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np

from rpp_rl.envs.geometry.body_matching import find_matches
from rpp_rl.envs.geometry.isometry import WORLD_MAPS
from rpp_rl.envs.geometry.world_image import world_image
from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import Affine, Move, StateMap, activation_map, state_map_of

# Number of random states with which coordinates are recognized and the observation map is measured.
_STATES = 12
# Steps after which an extra state is drawn.
_MOST_STEPS = 4
_QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
# For more angles the product of offsets is too large to search.
_MOST_ANGLES = 4


@dataclass(frozen=True)
class Coordinate:
    """An entry of the observation that equals `constant + slope * (one coordinate)`.

    Attributes:
        entry: index in the observation.
        constant: constant, in the unit of the entry.
        slope: slope, never zero.
    """

    entry: int
    constant: float
    slope: float


class Lifting:
    """Lifts maps of observations to maps of full states.

    Args:
        simulator: simulator of the environment.
        seed: seed of the random states.
    """

    def __init__(self, simulator: Simulator, seed: int = 0) -> None:
        self.simulator = simulator
        self._rng = np.random.default_rng(seed)

    @cached_property
    def _samples(self) -> tuple[list[State], Floats]:
        """Random states around the reference, and their observations."""
        sim, observations = self.simulator, []
        states: list[State] = []
        model = sim.model
        for _ in range(_STATES):
            qpos = model.qpos0 + 0.2 * self._rng.standard_normal(model.nq)
            mujoco.mj_normalizeQuat(model, qpos)
            qvel = 0.5 * self._rng.standard_normal(model.nv)
            extra = self._extra(len(states))
            places = sim.placements.scattered(sim.state().places, 0.5, self._rng)
            states.append(State(qpos, qvel, np.zeros(model.nu), np.zeros(model.nv), places=places, extra=extra))
            sim.set(states[-1])
            observations.append(sim.observe())
        return states, np.array(observations)

    def _extra(self, seed: int) -> Floats:
        """What the environment keeps outside of its simulator after a reset and a few steps."""
        sim = self.simulator
        if not sim.extra.read().size:
            return np.zeros(0)
        sim.base.reset(seed=seed)
        for _ in range(seed % _MOST_STEPS):
            sim.step(self._rng.uniform(sim.action_space.low, sim.action_space.high))
        return sim.extra.read()

    @cached_property
    def seen_positions(self) -> dict[int, Coordinate]:
        """The entry of the observation for each position that is observed."""
        return _recognized(np.array([s.qpos for s in self._samples[0]]), self._samples[1])

    @cached_property
    def seen_velocities(self) -> dict[int, Coordinate]:
        """The entry of the observation for each velocity that is observed."""
        return _recognized(np.array([s.qvel for s in self._samples[0]]), self._samples[1])

    @cached_property
    def seen_places(self) -> dict[int, Coordinate]:
        """The entry of the observation for each coordinate of a place that is observed."""
        return _recognized(np.array([s.places for s in self._samples[0]]), self._samples[1])

    @cached_property
    def seen_extra(self) -> dict[int, Coordinate]:
        """The entry of the observation for each entry of the extra state that is observed."""
        return _recognized(np.array([s.extra for s in self._samples[0]]), self._samples[1])

    def lift(self, move: Move) -> StateMap:
        """The map of full states for which observations of moved states are the moved observations."""
        A, b, known_q = _moves(self.seen_positions, move.observation, move.offset, self.simulator.model.nq)
        L, _, known_v = _moves(self.seen_velocities, move.observation, 0 * move.offset, self.simulator.model.nv)
        controls = np.zeros((self.simulator.model.nu,) * 2)
        if self.simulator.controls_are_actions:
            controls = move.action
        angles = self._complete(A, known_q, L, known_v)
        if angles is None:
            maps = self._maps_of_the_model
        else:
            maps = [StateMap(A, _with(b, angles, values), L, controls) for values in self._offsets(angles)]
        activations = activation_map(self.simulator.model, controls)
        extras = self._extra_map(move)
        maps = [replace(m, controls=controls, activations=activations, extras=extras) for m in maps]
        maps = [self._with_places(state_map, move) for state_map in maps]
        return min(maps, key=lambda state_map: self.observation_errors(state_map, move).mean())

    def _extra_map(self, move: Move) -> Affine:
        """The map of the extra state; entries that are not observed stay."""
        matrix = np.eye(len(self._samples[0][0].extra))
        A, b, known = _moves(self.seen_extra, move.observation, move.offset, len(matrix))
        matrix[list(known)] = A[list(known)]
        return Affine(matrix, b)

    def _with_places(self, state_map: StateMap, move: Move) -> StateMap:
        """Add the map of what the task places: it moves by the isometry of the world by which the bodies move."""
        placements = self.simulator.placements
        if not placements.size:
            return state_map
        A, _, known = _moves(self.seen_places, move.observation, move.offset, placements.size)
        sources = {placements.part_of(k): placements.part_of(int(np.abs(A[k]).argmax())) for k in known}
        world = world_image(self.simulator, state_map).isometry
        return replace(state_map, places=Affine(*placements.image(world, sources)))

    @cached_property
    def _maps_of_the_model(self) -> list[StateMap]:
        """The maps of states that map the model to itself, for every symmetry of a square on the floor."""
        model, placed, turn = self.simulator.model, self.simulator.placements.bodies, WORLD_MAPS["rot90"]
        square = [np.linalg.matrix_power(turn, k) @ s for k in range(4) for s in (np.eye(3), WORLD_MAPS["x"])]
        none = np.zeros((model.nu, model.nu))
        found = [match for linear in square for match in find_matches(model, linear, placed).found]
        return [state_map_of(model, match, none) for match in found]

    def observation_errors(self, state_map: StateMap, move: Move) -> Floats:
        """The largest |obs(g s) - g obs(s)| over the random states, for each entry."""
        states, observations = self._samples
        moved = []
        for state in states:
            self.simulator.set(state_map(state))
            moved.append(self.simulator.observe())
        errors = np.abs(np.array(moved) - move.observe(observations)).max(axis=0)
        errors[list(self.simulator.unreachable)] = 0.0
        return np.asarray(errors)

    def _offsets(self, angles: list[int]) -> itertools.product[tuple[float, ...]]:
        return itertools.product(_QUARTERS if len(angles) <= _MOST_ANGLES else (0.0,), repeat=len(angles))

    def _complete(self, A: Floats, known_q: set[int], L: Floats, known_v: set[int]) -> list[int] | None:
        """Complete the maps: unobserved positions move like their velocities, and unobserved velocities like positions.

        Returns:
            The angles with unknown offset; None if too few coordinates are observed.
        """
        model, angles = self.simulator.model, []
        dof_of = _paired_coordinates(model)
        position_of = {d: q for q, d in dof_of.items()}
        for q, d in dof_of.items():
            if q not in known_q and d in known_v:
                sources = np.flatnonzero(L[d]).tolist()
                if not position_of.keys() >= set(sources):
                    return None
                for e in sources:
                    A[q, position_of[e]] = L[d, e]
                known_q.add(q)
                if model.jnt_type[model.dof_jntid[d]] == mujoco.mjtJoint.mjJNT_HINGE:
                    angles.append(q)
            elif d not in known_v and q in known_q:
                sources = np.flatnonzero(A[q]).tolist()
                if not dof_of.keys() >= set(sources):
                    return None
                for p in sources:
                    L[d, dof_of[p]] = A[q, p]
                known_v.add(d)
        return angles if len(known_q) == model.nq and len(known_v) == model.nv else None


def _recognized(coordinates: Floats, observations: Floats) -> dict[int, Coordinate]:
    """For each column of coordinates the first column of observations that is affine in it, if there is one."""
    seen: dict[int, Coordinate] = {}
    means, spread = observations.mean(axis=0), observations.std(axis=0)
    for j, values in enumerate(coordinates.T):
        centered = values - values.mean()
        if not (centered @ centered) > 1e-12:
            continue
        slopes = centered @ (observations - means) / (centered @ centered)
        residual = np.abs(observations - means - np.outer(centered, slopes)).max(axis=0)
        # Observations may be single precision.
        fitting = np.flatnonzero((spread > 1e-6) & (residual < 1e-5 * spread))
        if len(fitting):
            i = int(fitting[0])
            slope = float(slopes[i])
            rounded = round(slope, 6)
            seen[j] = Coordinate(i, float(means[i] - slope * values.mean()), rounded if rounded else slope)
    return seen


def _moves(seen: dict[int, Coordinate], rho: Floats, offset: Floats, size: int) -> tuple[Floats, Floats, set[int]]:
    """The declared map (A, b) of the coordinates that are mapped to observed coordinates, and the set of these."""
    A, b, known = np.zeros((size, size)), np.zeros(size), set()
    coordinate_of = {c.entry: j for j, c in seen.items()}
    for j, own in seen.items():
        sources = np.flatnonzero(rho[own.entry]).tolist()
        if not all(s in coordinate_of for s in sources):
            continue
        constant = offset[own.entry] - own.constant
        for s in sources:
            other = seen[coordinate_of[s]]
            A[j, coordinate_of[s]] = rho[own.entry, s] * other.slope / own.slope
            constant += rho[own.entry, s] * other.constant
        b[j] = constant / own.slope if abs(constant) > 1e-6 else 0.0
        known.add(j)
    return A, b, known


def _paired_coordinates(model: mujoco.MjModel) -> dict[int, int]:
    """The velocity that belongs to each position of hinges, slides, and the places of free joints."""
    pairs = {}
    for j in range(model.njnt):
        q, d = int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j])
        kind = model.jnt_type[j]
        count = {mujoco.mjtJoint.mjJNT_FREE: 3, mujoco.mjtJoint.mjJNT_BALL: 0}.get(mujoco.mjtJoint(kind), 1)
        pairs.update({q + i: d + i for i in range(count)})
    return pairs


def _with(b: Floats, indices: list[int], values: tuple[float, ...]) -> Floats:
    changed = b.copy()
    changed[indices] = values
    return changed
