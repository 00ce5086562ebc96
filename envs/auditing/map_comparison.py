"""Find a map that fits a model better than a given one, from which it differs by forgotten signs or exchanges.

A map whose signs were forgotten still exchanges the right parts. Its error can be as small as that of the best map of a
roughly symmetric robot. The error alone does not tell the two apart; a comparison with other maps does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np

from rpp_rl.envs.auditing.better_map import BetterMap, ChangedEntry
from rpp_rl.envs.auditing.rollouts import Sample, diverging, relative_error, samples, transitions
from rpp_rl.envs.derivation.candidates import Derivation, is_identity
from rpp_rl.envs.geometry.isometry import WORLD_MAPS
from rpp_rl.envs.simulator import Floats, Simulator
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move, terms
from rpp_rl.errors import SymmetryError
from rpp_rl.symmetry import Symmetry

# Errors up to this are rounding, also of single precision.
_ROUNDING = 1e-6
# A map is better in a state if its error there is less than this share of the other's.
_CLEARLY = 0.5
# The least share of states in which a better map is better, and the most states in which it is worse, per better one.
_LEAST, _REVERSED = 0.05, 0.25
# The least share of the entries moved by one map that a map of the same kind moves to the same places.
_SAME_KIND = 0.5
# Elements of higher orders are turns by angles for which no map is derived.
_LARGEST_ORDER = 8
_STATES = 100


def better_maps(
    env: gym.Env[Any, Any],
    symmetry: Symmetry,
    others: Iterable[Symmetry] = (),
    *,
    states: int = _STATES,
    seed: int = 0,
) -> tuple[BetterMap, ...]:
    """Find a better map for each generator of a symmetry, if there is one.

    The candidates are the maps that can be derived from the model, and the elements of `others`. A candidate has to be
    of the same kind: its order is that of the generator, and it moves at least half of the entries that the generator
    moves to the same places, up to signs. Both maps are measured in common states. The error in a state is the
    `relative_error` of the step plus that of the observation. The candidate is better if its error is less than half of
    the generator's in at least 5 % of the states, and the reverse holds in at most a quarter as many. Among the better
    candidates the one with the fewest different entries is taken.

    Args:
        env: a MuJoCo environment, which is reset and stepped.
        symmetry: the given symmetry.
        others: other symmetries of the environment; read only if the given one does not hold.
        states: number of states.
        seed: seed of states and actions.

    Returns:
        At most one map per generator; nothing for a symmetry that holds, or that is the best of its kind.

    Raises:
        SymmetryError: if the symmetry does not fit the environment, or its state cannot be set, or all states diverge.
    """
    simulator = Simulator(env)
    simulator.env.reset(seed=seed)
    symmetry.check_sizes(len(simulator.observe()), len(simulator.action_space.low), simulator.name)
    drawn, lifting = samples(simulator, states, seed), Lifting(simulator, seed)
    if not drawn:
        raise diverging(simulator)
    candidates: list[_Candidate] | None = None
    found = []
    for k in range(len(symmetry.group.generators)):
        move = Move.of(symmetry, k)
        errors = _errors(lifting, drawn, move)
        if (errors <= _ROUNDING).all():
            continue
        if candidates is None:
            candidates = _candidates(env, others, seed)
        rivals = [rival for c in candidates if (rival := c.completed(move)) is not None]
        compared = [_compared(symmetry, k, c, errors, _errors(lifting, drawn, c.move)) for c in rivals]
        better = [b for b in compared if _is_better(b)]
        found += sorted(better, key=lambda b: (len(b.entries), b.better_error))[:1]
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A map to compare with; entries of the observation with unknown images move as under the given map."""

    origin: str
    move: Move
    unknown: tuple[int, ...] = ()

    def completed(self, given: Move) -> _Candidate | None:
        """The candidate with all images known; None if it is not of the given map's kind, or cannot be completed."""
        rho, offset = self.move.observation, self.move.offset
        if rho.shape != given.observation.shape or self.move.action.shape != given.action.shape:
            return None
        if self.unknown:
            rho, offset, rows = rho.copy(), offset.copy(), list(self.unknown)
            rho[rows], offset[rows] = given.observation[rows], given.offset[rows]
            if not is_identity(rho @ rho.T):
                return None
        move = Move(rho, offset, self.move.action)
        return replace(self, move=move) if _is_of_kind(move, given) else None


def _candidates(env: gym.Env[Any, Any], others: Iterable[Symmetry], seed: int) -> list[_Candidate]:
    """All candidates; of equal maps the one that a user names most easily comes first."""
    named = list(others)
    single = [_Candidate(f"symmetry {s.name!r}", Move.of(s, 0)) for s in named if s.group.order == 2]
    elements = [
        _Candidate(f"the element {s.group.element_name(element)!r} of symmetry {s.name!r}", Move.of_element(s, element))
        for s in named
        for element, word in enumerate(s.group.words)
        if word and s.group.order > 2
    ]
    return [*single, *_derived(env, seed), *elements]


def _derived(env: gym.Env[Any, Any], seed: int) -> Iterator[_Candidate]:
    """The maps that can be derived from a model, and their inverses."""
    derivation = Derivation(env, seed)
    for reflection in WORLD_MAPS:
        try:
            candidates = derivation.candidates(reflection)
        except SymmetryError:
            continue
        for candidate in candidates:
            move, origin = candidate.move, f"the map derived from the model for {reflection!r}"
            yield _Candidate(origin, move, candidate.unknown)
            if _order(move) > 2:
                yield _Candidate(f"the inverse of {origin}", _inverse(move), candidate.unknown)


def _inverse(move: Move) -> Move:
    # The maps of observations and actions are orthogonal.
    rho = move.observation.T
    return Move(rho, -rho @ move.offset, move.action.T)


def _order(move: Move) -> int:
    """The order of a move; 0 if it is larger than any that is compared."""
    powers = (move.observation, move.action)
    for order in range(1, _LARGEST_ORDER + 1):
        if all(is_identity(power) for power in powers):
            return order
        powers = (powers[0] @ move.observation, powers[1] @ move.action)
    return 0


def _is_of_kind(candidate: Move, move: Move) -> bool:
    """Whether a candidate has the order of a move, and moves most of the same entries to the same places."""
    order = _order(move)
    if order < 2 or _order(candidate) != order:
        return False
    moved = shared = 0
    for theirs, ours in ((candidate.observation, move.observation), (candidate.action, move.action)):
        still = np.eye(len(ours))
        ours_moved, theirs_moved = (~np.isclose(m, still).all(axis=1) for m in (ours, theirs))
        same_place = (np.isclose(theirs, 0) == np.isclose(ours, 0)).all(axis=1)
        moved += int(ours_moved.sum())
        shared += int((ours_moved & theirs_moved & same_place).sum())
    return shared >= _SAME_KIND * moved


def _errors(lifting: Lifting, drawn: Sequence[Sample], move: Move) -> Floats:
    """The error of a move for each sample, shape (n,): that of the step plus that of the observation before it.

    It is infinite where the simulation diverges.
    """
    errors = np.full(len(drawn), np.inf)
    try:
        done = transitions(lifting.simulator, drawn, move, lifting.lift(move))
    except SymmetryError:
        return errors
    spread = done.before - done.before.mean(axis=0)
    # A constant entry is compared with its value.
    scale = np.where(spread.std(axis=0) > 1e-9, spread, done.before)
    observed = done.moved_before - move.observe(done.before)
    errors[done.kept] = done.relative_error(move) + relative_error(observed, scale)
    return errors


def _compared(symmetry: Symmetry, generator: int, candidate: _Candidate, errors: Floats, others: Floats) -> BetterMap:
    better = (errors > _ROUNDING) & (others < _CLEARLY * errors)
    worse = (others > _ROUNDING) & (errors < _CLEARLY * others)
    decided = better | worse
    return BetterMap(
        generator=symmetry.group.generator_names[generator],
        origin=candidate.origin,
        error=float(np.median(errors[decided])) if decided.any() else 0.0,
        better_error=float(np.median(others[decided])) if decided.any() else 0.0,
        better_states=int(better.sum()),
        worse_states=int(worse.sum()),
        states=len(errors),
        entries=tuple(_changed(symmetry, Move.of(symmetry, generator), candidate.move)),
    )


def _is_better(found: BetterMap) -> bool:
    enough = found.better_states >= _LEAST * found.states
    return enough and found.worse_states <= _REVERSED * found.better_states


def _changed(symmetry: Symmetry, given: Move, better: Move) -> Iterator[ChangedEntry]:
    still = np.zeros(len(given.action))
    observations = [_affine(move.observation, move.offset) for move in (given, better)]
    actions = [_affine(move.action, still) for move in (given, better)]
    for part, names, (one, other) in (
        ("observation", symmetry.observation_names, observations),
        ("action", symmetry.action_names, actions),
    ):
        for i, name in enumerate(names):
            if not np.allclose(one[i], other[i], atol=1e-6):
                yield ChangedEntry(part, name, *(_image(rows[i], names) for rows in (one, other)))


def _affine(matrix: Floats, offset: Floats) -> Floats:
    """The matrix with the offset as a last column."""
    return np.column_stack([matrix, offset])


def _image(row: Floats, names: Sequence[str]) -> str:
    shift = f" {row[-1]:+.3g}" if abs(row[-1]) > 1e-6 else ""
    return terms(row[:-1], names) + shift
