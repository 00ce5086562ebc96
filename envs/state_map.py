"""How a declared symmetry moves the full state of the simulator, read off from how it moves observations.

Most entries of an observation are coordinates of the state, up to a constant. A handful of random states shows which;
then the declared map of those entries is the map of the coordinates. What an observation leaves out follows from the
rest: a position moves as its velocity does, and an angle that is seen only through sines and cosines has the one
offset, among the quarter turns, under which the observation map holds.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

# Random states with which coordinates are recognised, and with which the observation map is measured.
_STATES = 12
_QUARTERS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
# Beyond this many angles, the product of offsets is no longer searched.
_MOST_ANGLES = 4


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


@dataclass(frozen=True)
class Coordinate:
    """An entry of the observation that is `constant + slope * (one coordinate)`.

    Attributes:
        entry: index in the observation.
        constant: in the observation's unit.
        slope: of the entry, never zero.
    """

    entry: int
    constant: float
    slope: float


class Lifting:
    """Lifts maps of observations to maps of full states.

    Args:
        simulator: of the environment.
        seed: of the random states.
    """

    def __init__(self, simulator: Simulator, seed: int = 0) -> None:
        self.simulator = simulator
        self._rng = np.random.default_rng(seed)

    @cached_property
    def _samples(self) -> tuple[list[State], Floats]:
        """Random states around the reference, and their observations."""
        sim, states, observations = self.simulator, [], []
        model = sim.model
        for _ in range(_STATES):
            qpos = model.qpos0 + 0.2 * self._rng.standard_normal(model.nq)
            mujoco.mj_normalizeQuat(model, qpos)
            qvel = 0.5 * self._rng.standard_normal(model.nv)
            states.append(State(qpos, qvel, np.zeros(model.nu), np.zeros(model.nv)))
            sim.set(states[-1])
            observations.append(sim.observe())
        return states, np.array(observations)

    @cached_property
    def seen_positions(self) -> dict[int, Coordinate]:
        """For each position that is an entry of the observation, that entry."""
        return _recognise(np.array([s.qpos for s in self._samples[0]]), self._samples[1])

    @cached_property
    def seen_velocities(self) -> dict[int, Coordinate]:
        """For each velocity that is an entry of the observation, that entry."""
        return _recognise(np.array([s.qvel for s in self._samples[0]]), self._samples[1])

    def lift(self, move: Move) -> StateMap:
        """The map of full states under which the observations of moved states are the moved observations.

        Raises:
            SymmetryError: if the observation does not tell how some coordinate moves; names it.
        """
        A, b, known_q = _moves(self.seen_positions, move.observation, move.offset, self.simulator.model.nq)
        L, _, known_v = _moves(self.seen_velocities, move.observation, 0 * move.offset, self.simulator.model.nv)
        angles = self._complete(A, b, known_q, L, known_v)
        controls = np.zeros((self.simulator.model.nu,) * 2)
        if self.simulator.controls_are_actions:
            controls = move.action
        return min(
            (StateMap(A, _with(b, angles, values), L, controls) for values in self._offsets(angles)),
            key=lambda state_map: self.observation_errors(state_map, move).max(),
        )

    def observation_errors(self, state_map: StateMap, move: Move) -> Floats:
        """The largest |obs(g s) - g obs(s)| over the random states, for each entry."""
        states, observations = self._samples
        moved = []
        for state in states:
            self.simulator.set(state_map(state))
            moved.append(self.simulator.observe())
        return np.asarray(np.abs(np.array(moved) - move.observe(observations)).max(axis=0))

    def _offsets(self, angles: list[int]) -> itertools.product[tuple[float, ...]]:
        return itertools.product(_QUARTERS if len(angles) <= _MOST_ANGLES else (0.0,), repeat=len(angles))

    def _complete(self, A: Floats, b: Floats, known_q: set[int], L: Floats, known_v: set[int]) -> list[int]:
        """Let unseen positions move as their velocities and the reverse; returns the angles whose offset is open."""
        model, angles = self.simulator.model, []
        dof_of = _paired_coordinates(model)
        position_of = {d: q for q, d in dof_of.items()}
        for q, d in dof_of.items():
            if q not in known_q and d in known_v:
                for e in np.flatnonzero(L[d]).tolist():
                    if e not in position_of:
                        raise self._unknown(q)
                    A[q, position_of[e]] = L[d, e]
                known_q.add(q)
                if model.jnt_type[model.dof_jntid[d]] == mujoco.mjtJoint.mjJNT_HINGE:
                    angles.append(q)
            elif d not in known_v and q in known_q:
                for p in np.flatnonzero(A[q]).tolist():
                    if p not in dof_of:
                        raise self._unknown(q)
                    L[d, dof_of[p]] = A[q, p]
                known_v.add(d)
        missing = sorted(set(range(model.nq)) - known_q)
        if missing:
            raise self._unknown(missing[0])
        missing = sorted(set(range(model.nv)) - known_v)
        if missing:
            raise self._unknown(model.jnt_qposadr[model.dof_jntid[missing[0]]])
        return angles

    def _unknown(self, q: int) -> SymmetryError:
        model = self.simulator.model
        joint = int(np.searchsorted(model.jnt_qposadr, q, side="right")) - 1
        return SymmetryError(
            f"the observation of {self.simulator.name} does not tell how joint {model.joint(joint).name!r} moves, so "
            "the mirrored state cannot be set; observe its position or its velocity"
        )


def _recognise(coordinates: Floats, observations: Floats) -> dict[int, Coordinate]:
    """Which columns of observations are affine in one column of coordinates, to rounding."""
    seen: dict[int, Coordinate] = {}
    means, spread = observations.mean(axis=0), observations.std(axis=0)
    for j, values in enumerate(coordinates.T):
        centered = values - values.mean()
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
    """The declared map, on those coordinates that are mapped to coordinates; and which those are."""
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
    """Which position has which velocity as its rate: hinges, slides, and the places of free joints."""
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
