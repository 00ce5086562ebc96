"""Compare recorded transitions with their mirror images, where no simulator can be asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from rpp_rl.envs.auditing.plain_audit import Check
from rpp_rl.envs.simulator import Floats
from rpp_rl.envs.state_map import Move
from rpp_rl.errors import SymmetryError, listed
from rpp_rl.symmetry import Symmetry

_NAME = "recorded transitions"
_NEIGHBOURS = 4
_MOST, _FEWEST, _FEWEST_COVERED = 20_000, 200, 50
# An entry agrees if its error is below the first multiple of that of held-out transitions, and contradicts from the
# second one on; the other sign has to raise the error by the first factor.
_AGREES, _CONTRADICTS = 1.5, 2.0
_REWARD = "reward"


@dataclass(frozen=True, eq=False)
class Recorded:
    """Transitions that an agent recorded.

    Attributes:
        observations: shape (n, entries).
        actions: shape (n, actions); in [-1, 1] if the action bounds were rescaled so.
        next_observations: the observations one step later, shape (n, entries).
        rewards: shape (n,).
    """

    observations: Floats
    actions: Floats
    next_observations: Floats
    rewards: Floats


def recorded_check(symmetry: Symmetry, recorded: Recorded) -> Check:
    """Compare mirrored transitions with recorded ones nearby.

    The first half of the transitions predicts, for a state s and an action a, the change s' - s and the reward as the
    mean over the 4 nearest neighbours of (s, a). For each entry three median errors are compared: that of the second
    half; that of its mirror images, g (s' - s) predicted at (g s, g a); and that of the mirror images with the other
    sign. Each mirror image is paired with the held-out transition that is nearest to its neighbours' distance, and left
    out if it is farther from its neighbours than all held-out ones. An entry agrees if the mirror image is within 1.5
    times the held-out error, and the other sign at least 1.5 times worse; it contradicts from 2 times on. An entry can
    be judged at all if the other sign raises the held-out error 1.5 times. The check holds if no entry contradicts, and
    at least half of those that can be judged agree.

    The check is blind to what was not recorded: an agent that always walks to the left shows nothing of steps to the
    right. Where neighbours are far, as with many entries and few transitions, no sign is better than the other, and the
    result is that nothing can be judged. Few transitions are weak evidence: on Pendulum-v1, with random actions and 12
    seeds, a map whose action has the wrong sign was not contradicted in 2 of 12 buffers of 600 transitions, and in none
    of 1500 or 3000; the right map was never contradicted. It sees no difference below the spread among neighbours, and
    it needs the observation to hold the state. A map that it does not contradict may be wrong in entries that it cannot
    judge.

    Args:
        symmetry: a symmetry.
        recorded: transitions in the order of recording; the last 20000 are used.

    Raises:
        SymmetryError: if their sizes are not those of the symmetry.
    """
    x, a, y, r = (
        np.asarray(v, dtype=np.float64)[-_MOST:]
        for v in (recorded.observations, recorded.actions, recorded.next_observations, recorded.rewards)
    )
    if x.shape[1:] != (symmetry.observation.size,) or a.shape[1:] != (symmetry.action.size,):
        raise SymmetryError(
            f"the recorded transitions have {x.shape[1]} entries of the observation and {a.shape[1]} of the action, "
            f"symmetry {symmetry.name!r} has {symmetry.observation.size} and {symmetry.action.size}; give a file of "
            "the same environment"
        )
    if len(x) < _FEWEST:
        return Check(_NAME, None, f"{len(x)} transitions are too few, at least {_FEWEST} are needed")
    found = [_generator(symmetry, k, x, a, y - x, r) for k in range(len(symmetry.group.generators))]
    return _joined(symmetry, found, len(x))


@dataclass(frozen=True, eq=False)
class _Found:
    covered: int
    judged: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    contradicts: NDArray[np.bool_]


def _generator(symmetry: Symmetry, k: int, x: Floats, a: Floats, change: Floats, r: Floats) -> _Found:
    move, half = Move.of(symmetry, k), len(x) // 2
    inputs = np.concatenate([x, a], axis=1)
    mirrored = np.concatenate([move.observe(x), move.act(a)], axis=1)[half:]
    centered = r - np.median(r)
    targets = np.concatenate([change, centered[:, None]], axis=1)
    moved = np.concatenate([change @ move.observation.T, centered[:, None]], axis=1)[half:]
    scale = inputs[:half].std(axis=0)
    used = scale > 1e-9
    tree = cKDTree(inputs[:half, used] / scale[used])

    def predicted(where: Floats) -> tuple[Floats, Floats]:
        distances, neighbours = tree.query(where[:, used] / scale[used], k=_NEIGHBOURS)
        return targets[:half][neighbours].mean(axis=1), np.asarray(distances).mean(axis=1)

    held_out, held_distance = predicted(inputs[half:])
    image, distance = predicted(mirrored)
    covered = distance <= held_distance.max()
    order = np.argsort(held_distance)
    partner = order[np.searchsorted(held_distance[order], distance[covered]).clip(max=len(order) - 1)]
    if covered.sum() < _FEWEST_COVERED:
        none = np.zeros(targets.shape[1], dtype=bool)
        return _Found(int(covered.sum()), none, none, none)
    own, reversed_own = (np.median(np.abs(sign * targets[half:] - held_out)[partner], axis=0) for sign in (1, -1))
    error, other = (np.median(np.abs(sign * moved - image)[covered], axis=0) for sign in (1, -1))
    rounding = 1e-6 * np.maximum(targets.std(axis=0), 1e-9)
    seen = np.maximum(error, other) > _AGREES * np.minimum(error, other) + rounding
    agrees = (error <= _AGREES * own + rounding) & (other > _AGREES * error + rounding)
    judged = reversed_own > _AGREES * own + rounding
    return _Found(int(covered.sum()), judged, judged & agrees, seen & (error > _CONTRADICTS * own + rounding))


def _joined(symmetry: Symmetry, found: list[_Found], count: int) -> Check:
    names = (*symmetry.observation_names, _REWARD)
    covered = min((f.covered for f in found), default=0)
    of = f"of {count} transitions, {covered} mirror images lie near recorded ones"
    wrong = [n for n, is_so in zip(names, np.any([f.contradicts for f in found], axis=0), strict=True) if is_so]
    if wrong:
        return Check(_NAME, False, f"contradicted by {listed(wrong)}; {of}")
    judged, agrees = (np.all([getattr(f, mask) for f in found], axis=0) for mask in ("judged", "agrees"))
    right = [n for n, is_so in zip(names, agrees, strict=True) if is_so]
    counted = f"{len(right)} of {int(judged.sum())} entries that can be judged agree"
    if not right or len(right) < judged.sum() / 2:
        return Check(_NAME, None, f"{counted}, too few; {of}")
    return Check(_NAME, True, f"{counted}: {listed(right)}; {of}")
