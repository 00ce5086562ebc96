"""Candidate symmetries of a task under a map of the world, one for each match of the bodies of its compiled model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from rpp_rl.envs.derivation.exchange import action_map, control_map, recognize_exchange, recognize_mixture
from rpp_rl.envs.derivation.observation_layout import action_names, layout_of, look, recognized_names
from rpp_rl.envs.geometry.body_matching import Match, find_matches, refusal, size_of
from rpp_rl.envs.geometry.equalities import satisfy_equalities
from rpp_rl.envs.geometry.isometry import world_map
from rpp_rl.envs.geometry.pairing import FREE, HINGE
from rpp_rl.envs.simulator import Floats, Simulator, State
from rpp_rl.envs.state_map import Move, StateMap, state_map_of
from rpp_rl.errors import SymmetryError

# Numbers of random states with which observations and actuators are recognized.
_STATES, _COUPLED = 60, 20


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way in which a map of the world may move a task.

    Attributes:
        move: the map of observations and actions.
        unknown: entries of the observation whose image was not found.
        match: the match of bodies from which it follows.
    """

    move: Move
    unknown: tuple[int, ...]
    match: Match

    @property
    def is_trivial(self) -> bool:
        """Whether the candidate moves nothing."""
        move = self.move
        return is_identity(move.observation) and is_identity(move.action) and not move.offset.any()


class Derivation:
    """The derivation of one environment's symmetries.

    Args:
        env: a MuJoCo environment.
        seed: seed of the random states with which actuators and observations are recognized.

    Attributes:
        cut_off: a sentence if a search for mirror images was cut off, so that a better map may exist; else empty.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        self.simulator = Simulator(env)
        env.reset(seed=seed)
        # Random states may be such that a step from them diverges.
        self._start = self.simulator.state()
        self.cut_off = ""
        self._rng = np.random.default_rng(seed)
        self.states = [self._random_state() for _ in range(_STATES)]
        # One motor may drive several joints that a constraint couples.
        self._coupled = [self._random_state(coupled=True) for _ in range(_COUPLED)]
        self.layout = layout_of(self.simulator, self.states[0])
        self.observation_names = self.layout.names if self.layout else recognized_names(self.simulator, self.states)
        self.action_names = action_names(self.simulator.model, len(self.simulator.action_space.low))

    def _random_state(self, coupled: bool = False) -> State:
        """Draw a state with bent joints and with bodies low enough for contacts, where `coupled` within constraints."""
        model, rng = self.simulator.model, self._rng
        qpos = model.qpos0 + 0.4 * rng.standard_normal(model.nq)
        for q in (int(model.jnt_qposadr[j]) for j in range(model.njnt) if model.jnt_type[j] != HINGE):
            # Positions in proportion to the robot's size.
            qpos[q] = model.qpos0[q] + 0.5 * size_of(model) * rng.standard_normal()
        for q in (int(model.jnt_qposadr[j]) for j in range(model.njnt) if model.jnt_type[j] == FREE):
            qpos[q : q + 3] = model.qpos0[q : q + 3] + 0.3 * size_of(model) * rng.standard_normal(3)
        mujoco.mj_normalizeQuat(model, qpos)
        qvel, ctrl = rng.standard_normal(model.nv), 0.3 * rng.standard_normal(model.nu)
        if coupled:
            satisfy_equalities(model, qpos, qvel)
        places = self.simulator.placements.scattered(self._start.places, 0.3 * size_of(model), rng)
        return State(qpos, qvel, ctrl, np.zeros(model.nv), places=places, extra=self._start.extra)

    def candidates(self, reflection: str) -> list[Candidate]:
        """All candidates for a map of the world, the best fit first.

        Raises:
            SymmetryError: if there is no candidate; the message says why.
            UnknownNameError: if there is no map of the world with that name.
        """
        linear, model = world_map(reflection), self.simulator.model
        gravity = model.opt.gravity
        if np.linalg.norm(linear @ gravity - gravity) > 0.1 * np.linalg.norm(gravity):
            raise SymmetryError(f"{self._none(reflection)}: gravity {gravity.tolist()} is not its own image")
        found: list[Candidate] = []
        errors: list[SymmetryError] = []
        placed = self.simulator.placements.bodies
        matches = find_matches(model, linear, placed)
        if not matches.complete:
            self.cut_off = f"the search for mirror images was cut off after {matches.compared} comparisons of bodies"
        for match in matches.found:
            try:
                candidate = self._candidate(match)
            except SymmetryError as error:
                errors.append(error)
                continue
            if not any(_same(candidate.move, other.move) for other in found):
                found.append(candidate)
        if not found and errors:
            raise SymmetryError(f"{self._none(reflection)}: {errors[0]}")
        if not found:
            raise SymmetryError(f"{self._none(reflection)}: {refusal(model, linear, placed)}")
        return found

    def _none(self, reflection: str) -> str:
        return f"{self.simulator.name} has no symmetry under {reflection!r}"

    def _candidate(self, match: Match) -> Candidate:
        simulator, model = self.simulator, self.simulator.model
        state_map = state_map_of(model, match, np.zeros((model.nu, model.nu)), simulator.placements)
        controls = control_map(simulator, state_map, self._coupled, action_names(model, model.nu), match.bodies)
        state_map = replace(state_map, controls=controls)
        action = action_map(simulator, controls, self._start, self.action_names)
        if self.layout is not None:
            observation, offset = self.layout.map(match, state_map)
            return Candidate(Move(observation, offset, action), (), match)
        observation, offset, unknown = self._probed(state_map)
        return Candidate(Move(observation, offset, action), unknown, match)

    def _probed(self, state_map: StateMap) -> tuple[Floats, Floats, tuple[int, ...]]:
        """The map of observations, recognized from observations of states and of their mirror images."""
        values = np.array([look(self.simulator, state) for state in self.states])
        moved = np.array([look(self.simulator, state_map(state)) for state in self.states])
        exchange = recognize_exchange(values, moved)
        # The image of a constant entry is known if the entry depends on the simulator and is not zero.
        untold = tuple(i for i in exchange.constant if not self._from_simulator(i) or abs(values[0, i]) < 1e-9)
        matrix, offset, unknown = exchange.matrix, exchange.offset.copy(), {*exchange.unknown, *untold}
        # Entries whose images were not found, and those that nothing was the image of, may be mixed.
        rows = sorted({*exchange.unknown, *np.flatnonzero(~matrix.any(axis=0)).tolist()})
        mixture = recognize_mixture(values, moved, rows) if rows else None
        if mixture is not None:
            matrix[np.ix_(rows, rows)], offset[rows] = mixture
            unknown -= set(rows)
        return matrix, offset, tuple(sorted(unknown | set(self.simulator.undetermined)))

    def _from_simulator(self, entry: int) -> bool:
        """Whether an entry of the observation depends on places in the simulator's data."""
        before = look(self.simulator, self.states[0])
        data = self.simulator.data
        for field in ("xpos", "xipos", "geom_xpos", "site_xpos", "subtree_com", "sensordata", "xmat", "xquat"):
            getattr(data, field)[:] += 0.1
        changed = self.simulator.observe()
        return bool(changed[entry] != before[entry])


def is_identity(matrix: Floats) -> bool:
    """Whether a square matrix is the identity."""
    return bool(np.allclose(matrix, np.eye(len(matrix))))


def _same(one: Move, other: Move) -> bool:
    pairs = ((one.observation, other.observation), (one.offset, other.offset), (one.action, other.action))
    return all(np.allclose(a, b) for a, b in pairs)
