"""The negative control of an audit: change a map entry by entry, and check that the error grows.

A check that accepts wrong maps proves nothing. For every entry of a generator the control changes the sign. If the
generator exchanges the entry with another, it also changes the signs of both, and leaves both in place. An entry is
untested if no change is noticed. It is a suspect if a changed map is clearly better than the declared one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rpp_rl.envs.auditing.rollouts import Sample, Transitions, transitions
from rpp_rl.envs.simulator import Floats, Simulator
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move, StateMap
from rpp_rl.errors import SymmetryError

# A relative change of the mean error by the first share is noticed; a fall below the second makes an entry a suspect.
_NOTICED = 0.02
_BETTER = 0.5
_LEAST = 1e-9


@dataclass(frozen=True)
class Control:
    """The result of a negative control, as indices of entries.

    Attributes:
        untested_observation: entries of the observation that could be wrong without notice.
        untested_action: the same for actions.
        suspect_observation: entries of the observation whose change of sign or place more than halves the error.
        suspect_action: the same for actions.
    """

    untested_observation: tuple[int, ...]
    untested_action: tuple[int, ...]
    suspect_observation: tuple[int, ...]
    suspect_action: tuple[int, ...]


def negative_control(
    lifting: Lifting, drawn: Sequence[Sample], move: Move, state_map: StateMap, done: Transitions
) -> Control:
    """Change every entry of a move, and measure the error.

    Args:
        lifting: lifting of the environment.
        drawn: some twenty samples to step again.
        move: the audited move.
        state_map: its map of states.
        done: all transitions of the audit, used for entries that are not coordinates of the state.
    """
    simulator = lifting.simulator
    right = _stepped(simulator, drawn, move, state_map, move)
    coordinates = {c.entry for c in (*lifting.seen_positions.values(), *lifting.seen_velocities.values())}
    untested: list[int] = []
    suspects: list[int] = []
    for i in range(len(move.offset)):
        if i in simulator.unreachable:
            untested.append(i)
            continue
        if i not in coordinates:
            if not _static(move, i, done):
                untested.append(i)
            continue
        errors = []
        for rho in _changed_maps(move.observation, i):
            wrong = replace(move, observation=rho)
            errors.append(_stepped(simulator, drawn, wrong, lifting.lift(wrong), wrong))
        _judge(i, errors, right, untested, suspects)
    untested_action: list[int] = []
    suspect_action: list[int] = []
    for i in range(len(move.action)):
        errors = []
        for sigma in _changed_maps(move.action, i):
            wrong = replace(move, action=sigma)
            errors.append(_stepped(simulator, drawn, wrong, state_map, move))
        _judge(i, errors, right, untested_action, suspect_action)
    return Control(tuple(untested), tuple(untested_action), tuple(suspects), tuple(suspect_action))


def _changed_maps(matrix: Floats, i: int) -> Iterator[Floats]:
    """The matrix with the sign of row i changed; for an exchange also with both signs changed, or both in place."""
    flipped = matrix.copy()
    flipped[i] *= -1
    yield flipped
    if not matrix[i, i]:
        both = [i, int(np.abs(matrix[i]).argmax())]
        flipped, stayed = matrix.copy(), matrix.copy()
        flipped[both] *= -1
        yield flipped
        stayed[both] = np.eye(len(matrix))[both]
        yield stayed


def _stepped(simulator: Simulator, drawn: Sequence[Sample], step: Move, state_map: StateMap, move: Move) -> float:
    """The error of a move when states are moved by a map and actions by another move; infinite if all steps diverge."""
    try:
        done = transitions(simulator, drawn, step, state_map)
    except SymmetryError:
        return np.inf
    before = done.moved_before - move.observe(done.before)
    # A wrong observation map counts as much as a wrong step.
    scale = np.maximum(done.before.std(axis=0), 1e-9)
    return float(done.relative_error(move).mean() + np.linalg.norm(before / scale, axis=1).mean())


def _judge(i: int, errors: list[float], right: float, untested: list[int], suspects: list[int]) -> None:
    if not any(abs(wrong - right) > _NOTICED * max(right, _LEAST) + _LEAST for wrong in errors):
        untested.append(i)
    elif min(errors) < _BETTER * right and right > _LEAST:
        suspects.append(i)


def _static(move: Move, i: int, done: Transitions) -> bool:
    """Whether the observations show a change of an entry that is not a coordinate of the state."""
    for rho in _changed_maps(move.observation, i):
        for x, moved in ((done.before, done.moved_before), (done.after, done.moved_after)):
            right = np.abs(moved[:, i] - x @ move.observation[i] - move.offset[i]).mean()
            wrong = np.abs(moved[:, i] - x @ rho[i] - move.offset[i]).mean()
            if abs(wrong - right) > _NOTICED * right + _LEAST:
                return True
    return False
