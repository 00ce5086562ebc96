"""Would the audit have noticed? Spoil a map entry by entry and see whether the error tells.

A check that accepts wrong maps proves nothing. Every entry of a generator is spoilt by its sign and, where the
generator exchanges it with another, by the signs of both and by leaving both in their places. An entry for which
nothing is noticed is reported as untested; one where the spoilt map is clearly better than the declared one is a
suspect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rpp_rl.envs.auditing.rollouts import Sample, Transitions, transitions
from rpp_rl.envs.simulator import Floats
from rpp_rl.envs.state_lifting import Lifting
from rpp_rl.envs.state_map import Move, StateMap

# A change of the mean error by this share is noticed; a fall to this share makes the declared entry a suspect.
_NOTICED = 0.02
_BETTER = 0.5
_LEAST = 1e-9


@dataclass(frozen=True)
class Control:
    """What a negative control found, as indices of entries.

    Attributes:
        untested_observation: entries that could be wrong without being noticed.
        untested_action: the same for actions.
        suspect_observation: entries whose change of sign, or of place, makes the error less than half.
        suspect_action: the same for actions.
    """

    untested_observation: tuple[int, ...]
    untested_action: tuple[int, ...]
    suspect_observation: tuple[int, ...]
    suspect_action: tuple[int, ...]


def negative_control(
    lifting: Lifting, drawn: Sequence[Sample], move: Move, state_map: StateMap, done: Transitions
) -> Control:
    """Spoil every entry of a move once.

    Args:
        lifting: of the environment.
        drawn: a dozen or two of samples to step again.
        move: the move that is audited.
        state_map: its lift.
        done: the transitions of the whole audit, which tell about entries that are no coordinates of the state.
    """
    simulator = lifting.simulator
    right = _error(transitions(simulator, drawn, move, state_map), move)
    coordinates = {c.entry for c in (*lifting.seen_positions.values(), *lifting.seen_velocities.values())}
    untested: list[int] = []
    suspects: list[int] = []
    for i in range(len(move.offset)):
        if i not in coordinates:
            if not _static(move, i, done):
                untested.append(i)
            continue
        errors = []
        for rho in _spoilt(move.observation, i):
            wrong = replace(move, observation=rho)
            errors.append(_error(transitions(simulator, drawn, wrong, lifting.lift(wrong)), wrong))
        _judge(i, errors, right, untested, suspects)
    untested_action: list[int] = []
    suspect_action: list[int] = []
    for i in range(len(move.action)):
        errors = []
        for sigma in _spoilt(move.action, i):
            wrong = replace(move, action=sigma)
            errors.append(_error(transitions(simulator, drawn, wrong, state_map), move))
        _judge(i, errors, right, untested_action, suspect_action)
    return Control(tuple(untested), tuple(untested_action), tuple(suspects), tuple(suspect_action))


def _spoilt(matrix: Floats, i: int) -> Iterator[Floats]:
    """The matrix with row i of the other sign; where it takes from another entry also with both, or both in place."""
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


def _error(done: Transitions, move: Move) -> float:
    before = done.moved_before - move.observe(done.before)
    # An observation map that does not hold counts with the same weight as a wrong step.
    scale = np.maximum(done.before.std(axis=0), 1e-9)
    return float(done.relative_error(move).mean() + np.linalg.norm(before / scale, axis=1).mean())


def _judge(i: int, errors: list[float], right: float, untested: list[int], suspects: list[int]) -> None:
    if not any(abs(wrong - right) > _NOTICED * max(right, _LEAST) + _LEAST for wrong in errors):
        untested.append(i)
    elif min(errors) < _BETTER * right and right > _LEAST:
        suspects.append(i)


def _static(move: Move, i: int, done: Transitions) -> bool:
    """Whether a spoilt entry that is no coordinate would have been noticed in the observations."""
    for rho in _spoilt(move.observation, i):
        for x, moved in ((done.before, done.moved_before), (done.after, done.moved_after)):
            right = np.abs(moved[:, i] - x @ move.observation[i] - move.offset[i]).mean()
            wrong = np.abs(moved[:, i] - x @ rho[i] - move.offset[i]).mean()
            if abs(wrong - right) > _NOTICED * right + _LEAST:
                return True
    return False
